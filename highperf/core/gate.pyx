# Owns the order in which a request's guards are asked, and what each refusal says. Must not know a
# protocol's octets, nor how a handler is run.
#
# The order is that of the seed's stack: the time that the client gives, then room (this route's,
# then the worker's), then rate limits, then the breaker. Whoever refuses leaves nothing behind: a
# permit goes back, and rate limits are all checked, then the breaker asked, then the limits charged,
# so that no tokens are burnt for a request that another guard refuses. While the breaker is healthy and
# there is one limit, all of this is some compares, two increments and one compare-and-swap.
#
# Rules:
# - Time is that of the callback (Worker.now_ns).
# - Refusals are ready-made, and counted in the worker; a guard never raises. Only a key that the
#   application computes may fail, and that fails its request as a handler would.
# - One request at a time is in here: results lie in the Gate until the next one comes.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from highperf.checks cimport must
from highperf.core.problems cimport Refusal
from highperf.core.request cimport Request
from highperf.core.stream cimport Stream
from highperf.core.worker cimport (
    KEY_FAILED, MISSED, PASSED, REFUSED_DELAY, REFUSED_FULL, REFUSED_LATE, REFUSED_OPEN, REFUSED_RATE,
    REFUSED_ROUTE_FULL, VERDICTS, Worker,
)
from highperf.guards.breaker cimport OUTCOME_IGNORED
from highperf.guards.deadlines cimport NEVER
from highperf.guards.keyed cimport KeyedBuckets
from highperf.guards.limiter cimport TokenBucket
from highperf.guards.shedder cimport SHED_FULL
from highperf.observe.layout cimport FAMILY_RATE_LIMIT
from highperf.observe.metrics cimport Metrics
from highperf.wire.duration cimport parse_duration_ns
from highperf.wire.parser cimport Head

import math
from types import SimpleNamespace

cdef enum:
    SECOND_NS = 1_000_000_000

# IANA's registry "HTTP Problem Types" (draft-ietf-httpapi-ratelimit-headers-11 section 9)
cdef str QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
cdef str REDUCED_CAPACITY = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"


cdef list common_refusals_c(long long limit_concurrency):
    cdef list refusals = [None] * VERDICTS
    refusals[REFUSED_LATE] = Refusal(503, "the time that the client gives is over; the handler did not begin")
    refusals[REFUSED_FULL] = Refusal(
        503, f"as many requests are running as may ({limit_concurrency})", kind=REDUCED_CAPACITY
    )
    refusals[REFUSED_DELAY] = Refusal(
        503, "requests wait too long for this server, which answers what it can", kind=REDUCED_CAPACITY
    )
    refusals[MISSED] = Refusal(504, "the handler did not answer within the time that its client gave", retries=False)
    return refusals


cdef list server_limits_c(settings, segment):
    if not settings.rate_limit_rps:
        return []
    rate, capacity = settings.rate_limit_rps, settings.rate_limit_burst
    limit = SimpleNamespace(rate=rate, capacity=capacity, by="", header=b"", key=None, cost=1)
    return [Limit(limit, "server", "server", segment)]


cdef list own_limits_c(route, segment):
    # Those of one name share their tokens, on whichever routes they are; the others are the route's own.
    cdef list own = []
    for index, limit in enumerate(route.limits):
        name = limit.name or (route.name if index == 0 else f"{route.name} {index + 1}")
        own.append(Limit(limit, name, f"{'shared' if limit.name else 'own'} {name}", segment))
    return own


@cython.final
cdef class Limit:
    def __init__(self, limit, str name not None, str place not None, segment):
        # limit: a RateLimit; name: what clients are told; place: where in the segment its tokens are.
        rate, capacity = limit.rate, limit.capacity
        self.source = ("", "client", "header", "callable").index(limit.by)
        self.field = limit.header
        self.function = limit.key
        self.cost = limit.cost
        self.name = name
        self.admitted = self.refused = &self.untold
        if self.source == KEY_NONE:
            self.bucket = TokenBucket(rate, capacity, segment=segment, name=place)
        else:
            self.table = KeyedBuckets(rate, capacity, table_bytes=limit.table_bytes, segment=segment, name=place)
        pace = f"{rate:g} requests per second" if rate >= 1 else f"a request every {1 / rate:g} seconds"
        whose = "" if self.source == KEY_NONE else " for each client"
        window_s = max(1, math.ceil(capacity / rate - 1e-6))
        self.refusal = Refusal(
            429, f'the rate limit "{name}" of {pace}{whose} is exceeded', kind=QUOTA_EXCEEDED,
            policy=(name, capacity, window_s),
        )

    cdef int count_in_c(self, Metrics metrics) except -1:
        self.admitted = metrics.cell_c(FAMILY_RATE_LIMIT, self.name, "admitted")
        self.refused = metrics.cell_c(FAMILY_RATE_LIMIT, self.name, "refused")
        return 0

    cdef int find_key_c(self, Stream stream, Head head, Request request, list keeper, Key* key) except -1:
        cdef int found
        if self.source == KEY_NONE:
            return 0
        key.data = key.own
        if self.source == KEY_CALL:
            return self.call_c(request, keeper, key)
        if self.source == KEY_FIELD:
            found = head.find_c(PyBytes_AS_STRING(self.field), <Py_ssize_t>PyBytes_GET_SIZE(self.field), 0)
            if found >= 0:
                key.data = head.base + head.fields[found].value.start
                key.size = head.fields[found].value.size
                return 0
        # Whoever leaves the field out is limited by address; behind an octet that no field has in its value
        # (RFC 9110 section 5.5), lest anyone write another's address there.
        key.own[0] = 0
        key.size = 1 + stream.client_key_c(head, key.own + 1)
        return 0

    cdef int call_c(self, Request request, list keeper, Key* key) except -1:
        cdef object value = self.function(request)
        if isinstance(value, str):
            value = value.encode()
        if value is None:
            key.data = NULL
        elif isinstance(value, bytes):
            keeper.append(value)
            key.data = PyBytes_AS_STRING(value)
            key.size = PyBytes_GET_SIZE(value)
        else:
            raise TypeError(f"the key of a rate limit must be str, bytes or None, not {type(value).__name__}")
        return 0

    cdef long long wait_c(self, const Key* key, long long now_ns) noexcept:
        if key.data == NULL:
            return 0
        if self.source == KEY_NONE:
            return self.bucket.wait_c(self.cost, now_ns)
        return self.table.wait_c(key.data, key.size, self.cost, now_ns)

    cdef long long take_c(self, const Key* key, long long now_ns) noexcept:
        if key.data == NULL:
            return 0
        if self.source == KEY_NONE:
            return self.bucket.take_c(self.cost, now_ns)
        return self.table.take_c(key.data, key.size, self.cost, now_ns)

    cdef void refund_c(self, const Key* key, long long now_ns) noexcept:
        if key.data == NULL:
            return
        if self.source == KEY_NONE:
            self.bucket.refund_c(self.cost, now_ns, now_ns)
        else:
            self.table.refund_c(key.data, key.size, self.cost, now_ns, now_ns)


@cython.final
cdef class Gate:
    def __init__(self, Worker worker not None, route, list limits not None):
        # route: a Route, or None for requests that none takes. These run nothing and need no permit; nor does
        # one whose requests are exempt.
        self.worker = worker
        self.limits = limits
        self.count = len(limits)
        self.pass_ = -1
        if worker.metrics is not None:
            for limit in limits:
                (<Limit>limit).count_in_c(worker.metrics)
        if len(limits) > LIMITS_MAX:
            raise ValueError(f"{route.name}: a request can be held to {LIMITS_MAX} rate limits, not {len(limits)}")
        for index in range(self.count):     # where there is no key, it is found already
            self.keys[index].data = self.keys[index].own
        self.keyed = any([(<Limit>limit).source != KEY_NONE for limit in limits])
        self.calls = any([(<Limit>limit).source == KEY_CALL for limit in limits])
        if route is None or route.exempt:
            return
        self.shedder = worker.shedder
        self.critical = route.critical
        self.deadline_ns = route.deadline_ns
        if self.deadline_ns:
            self.deadlines = worker.deadlines_of_c(self.deadline_ns)
            self.late = Refusal(504, f"the handler did not answer within {self.deadline_ns / 1e6:g} ms", retries=False)
        self.limit_running = route.limit_concurrency
        if self.limit_running:
            self.full = Refusal(
                503, f"as many requests to this path are running as may ({self.limit_running})", kind=REDUCED_CAPACITY
            )
        if route.breaker is not None:
            self.breaker = route.breaker
            self.breaker.bind_c(worker.segment)
            self.open = Refusal(
                503, f'the circuit breaker "{self.breaker.name}" is open: too many requests failed',
                kind=REDUCED_CAPACITY,
            )

    cdef int enter_c(self, Stream stream, Head head, Request request) except -1:
        cdef Worker worker = self.worker
        cdef int verdict
        self.budget_ns = self.deadline_ns if self.deadline_ns else NEVER
        self.pass_ = -1
        if self.shedder is None:
            return self.admit_c(stream, head, request)
        if worker.timeout_field is not None:
            self.budget_ns = min(self.budget_ns, self.client_budget_c(head))
            if self.budget_ns == 0:
                return REFUSED_LATE
        if self.limit_running and self.running >= self.limit_running:
            return REFUSED_ROUTE_FULL
        worker.watch_c()
        verdict = self.shedder.enter_c(self.critical, worker.now_ns)
        if verdict:
            return REFUSED_FULL if verdict == SHED_FULL else REFUSED_DELAY
        self.running += 1
        verdict = self.admit_c(stream, head, request)
        if verdict != PASSED:
            self.leave_c()
        return verdict

    cdef int admit_c(self, Stream stream, Head head, Request request) except -1:
        # Where one compare-and-swap decides alone it needs no check beforehand.
        cdef long long now_ns = self.worker.now_ns
        cdef bint healthy = self.breaker is None or self.breaker.closed_c()
        if self.keyed and not self.find_keys_c(stream, head, request):
            return KEY_FAILED
        if (not healthy or self.count > 1) and not self.check_c(now_ns):
            return REFUSED_RATE
        if self.breaker is not None:
            self.pass_ = self.breaker.allow_c(now_ns)
            if self.pass_ < 0:
                return REFUSED_OPEN
        if not self.charge_c(now_ns):
            if self.pass_ >= 0:
                self.breaker.report_c(self.pass_, OUTCOME_IGNORED, now_ns)
            return REFUSED_RATE
        return PASSED

    # ---- rate limits --------------------------------------------------------------------------

    cdef bint find_keys_c(self, Stream stream, Head head, Request request) except -1:
        # Whose tokens this request takes. The application's function may fail: so does its request then.
        cdef Py_ssize_t index
        cdef object failure = None
        if not self.calls:
            for index in range(self.count):
                (<Limit>self.limits[index]).find_key_c(stream, head, None, None, &self.keys[index])
            return True
        self.keeper = []
        try:
            for index in range(self.count):
                (<Limit>self.limits[index]).find_key_c(stream, head, request, self.keeper, &self.keys[index])
        except BaseException as error:              # whatever it is: a permit is held here
            failure = error
        self.error = failure
        return failure is None

    cdef bint check_c(self, long long now_ns) noexcept:
        # Whether all limits would admit; otherwise the longest wait is what the client is told.
        cdef Py_ssize_t index
        cdef long long wait_ns
        cdef Limit limit
        self.wait_ns = 0
        for index in range(self.count):
            limit = <Limit>self.limits[index]
            wait_ns = limit.wait_c(&self.keys[index], now_ns)
            if wait_ns > self.wait_ns:
                self.wait_ns = wait_ns
                self.refuser = limit
        return self.wait_ns == 0

    cdef bint charge_c(self, long long now_ns) noexcept:
        # One that refuses, because another worker was quicker, undoes those before it.
        cdef Py_ssize_t index, taken
        cdef Limit limit
        for index in range(self.count):
            limit = <Limit>self.limits[index]
            self.wait_ns = limit.take_c(&self.keys[index], now_ns)
            if self.wait_ns:
                self.refuser = limit
                for taken in range(index):
                    (<Limit>self.limits[taken]).refund_c(&self.keys[taken], now_ns)
                return False
        for index in range(self.count):
            if self.keys[index].data != NULL:
                (<Limit>self.limits[index]).admitted[0] += 1
        return True

    # ---- what comes after ---------------------------------------------------------------------

    cdef int leave_c(self) except -1:
        if self.shedder is not None:
            self.running -= 1
            must(self.running >= 0, "a permit of a route is given back twice")
            self.shedder.leave_c(self.critical)
        return 0

    cdef int withdraw_c(self, int verdict) except -1:
        self.error = None
        if verdict != PASSED:
            return 0
        if self.pass_ >= 0:
            self.breaker.report_c(self.pass_, OUTCOME_IGNORED, self.worker.now_ns)
        return self.leave_c()

    cdef object take_error_c(self):
        cdef object error = self.error
        self.error = None
        return error

    cdef int refuse_c(self, Stream stream, Head head, int verdict) except -1:
        cdef Worker worker = self.worker
        cdef long long retry_ns = 0, retry_s
        cdef Refusal refusal
        if verdict == REFUSED_RATE:
            refusal, retry_ns = self.refuser.refusal, self.wait_ns
            self.refuser.refused[0] += 1
        elif verdict == REFUSED_OPEN:
            refusal, retry_ns = self.open, self.breaker.retry_after_c(worker.now_ns)
        elif verdict == REFUSED_ROUTE_FULL:
            refusal = self.full
        else:
            refusal = worker.refusals[verdict]
        worker.refused_c(stream, head, verdict, refusal.status)
        # Never earlier than it helps, and not all at the same instant: up to 2**29 ns later.
        retry_s = (retry_ns + (worker.random_c() >> 34) + SECOND_NS - 1) // SECOND_NS
        return refusal.send_c(stream, head, max(1, retry_s))

    cdef long long client_budget_c(self, Head head) noexcept:
        # What the client gives, or NEVER where it says nothing that can be understood.
        cdef bytes name = self.worker.timeout_field
        cdef int found = head.find_c(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), 0)
        cdef long long budget_ns
        if found < 0:
            return NEVER
        budget_ns = parse_duration_ns(head.base + head.fields[found].value.start, head.fields[found].value.size)
        return NEVER if budget_ns < 0 else budget_ns
