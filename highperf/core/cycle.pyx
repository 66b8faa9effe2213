# Owns the way of one request from its parsed head to its answer: routing, the handler, recovery.
# Must not know HTTP/1.1 octets: it answers through the Stream's verbs start, send, finish, abort.
#
# Rules:
# - Exactly one answer per request: respond_c, or abort when the head had left already.
# - What the server answers by itself (health, 404, 405, OPTIONS) runs no Python frame.
# - A handler's failure costs its request, never the connection before it, nor the worker.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from highperf.checks cimport must
from highperf.core.file_answer cimport FileMount, answer_file_c, mount_of_c
from highperf.core.gate cimport Gate, common_refusals_c, own_limits_c, server_limits_c
from highperf.core.problems cimport Refusal, path_of_c, problem_c
from highperf.core.request cimport Request
from highperf.core.stream cimport LENGTH_UNKNOWN, Stream
from highperf.core.task cimport StepTask
from highperf.core.worker cimport MISSED, Worker
from highperf.guards.breaker cimport OUTCOME_FAILURE, OUTCOME_IGNORED, OUTCOME_SUCCESS, failing_c
from highperf.guards.deadlines cimport NEVER, armed_c, disarm_c
from highperf.guards.shedder cimport Shedder
from highperf.observe.layout cimport NAME_UNMATCHED
from highperf.observe.traces cimport is_sampled
from highperf.wire.parser cimport METHOD_CONNECT, METHOD_GET, METHOD_HEAD, METHOD_OPTIONS, Head
from highperf.wire.request cimport decode_path_c
from highperf.wire.response cimport Response, ResponseHeaders, encode_json_c, part_octets_c, response_from_c
from highperf.wire.router cimport Endpoint

import asyncio

from highperf import errors
from highperf.core.problems import problem_for
from highperf.core.scrape import scrape_of
from highperf.errors import BreakerOpen, HTTPError

cdef extern from "Python.h":
    object PyContext_Copy(object context)

cdef object CancelledError = asyncio.CancelledError
cdef bytes PLAIN = b"text/plain", JSON = b"application/json"
cdef bytes OK = b"ok", READY = b"ready"
cdef dict RETRY_SOON = {"Retry-After": "1", "Cache-Control": "no-store"}


@cython.final
cdef class Route:
    def __init__(
        self, str pattern not None, handler, *, str name=None, long long limit_body=-1, str answers=None,
        long long deadline_ns=0, tuple limits not None=(), breaker=None, long long limit_concurrency=0,
        bint critical=False, FileMount files=None,
    ):
        self.pattern = pattern
        self.handler = handler
        self.name = name or pattern
        self.limit_body = limit_body
        self.deadline_ns = deadline_ns
        self.limits = limits
        self.breaker = breaker
        self.limit_concurrency = limit_concurrency
        self.critical = critical
        if answers is not None:
            self.kind = {"health": ROUTE_HEALTH, "ready": ROUTE_READY, "metrics": ROUTE_HANDLER}[answers]
            self.exempt = True
            self.scraped = answers == "metrics"
        if files is not None:
            self.kind = ROUTE_FILES
            self.files = files

    def __repr__(self):
        return f"<Route {self.name}>"


def furnish(Worker worker not None, settings):
    # Gives each route of the worker its gate, bound to the segment that all workers share.
    cdef list limits = server_limits_c(settings, worker.segment)
    cdef Route route
    cdef str field = settings.request_timeout_header.lower()
    worker.timeout_field = field.encode("ascii") or None
    worker.refusals = common_refusals_c(settings.limit_concurrency)
    guarded = (ROUTE_HANDLER, ROUTE_FILES)
    routes = [route for _, _, route in worker.router.routes() if (<Route>route).kind in guarded]
    if worker.fallback is not None:
        routes.append(worker.fallback)
    worker.shedder = Shedder(settings.limit_concurrency, reserving=any([route.critical for route in routes]))
    for route in routes:
        if route.scraped:
            route.handler = scrape_of(worker if worker.subject is None else worker.subject)
        route.gate = Gate(worker, route, [] if route.exempt else limits + own_limits_c(route, worker.segment))
    worker.unrouted = Gate(worker, None, limits) if limits else None
    for breaker in getattr(worker.app, "breakers", ()):     # also those that stand around outbound calls alone
        breaker.bind(worker.segment)
    if worker.metrics is not None:
        from highperf.core.gauges import Gauges

        for route in routes:
            if not route.exempt:
                route.metric_id = worker.metrics.table.identity_c(route.pattern)
        if worker.fallback is not None:
            (<Route>worker.fallback).metric_id = NAME_UNMATCHED
        worker.gauges = Gauges(worker)


# ---- where a request goes ---------------------------------------------------------------------


cdef Endpoint find_endpoint_c(Worker worker, Head head, Match* match):
    cdef const char* path = head.base + head.path.start
    cdef Py_ssize_t size = head.path.size
    match.decoded_size = -1
    match.params.count = 0
    if head.asterisk or head.method == METHOD_CONNECT:
        return None
    if size == 0:
        path, size = b"/", 1
    elif head.has_percent:
        size = match.decoded_size = decode_path_c(path, size, worker.path)
        path = worker.path
    return worker.router.match_c(path, size, &match.params)


cdef Route choose_route_c(Worker worker, Head head, Endpoint endpoint):
    # The route of this method; HEAD is served by GET's (RFC 9110 section 9.3.2).
    cdef object route = None
    if endpoint is not None:
        route = endpoint.find_c(head.method, head.base + head.method_token.start, head.method_token.size)
        if route is None and head.method == METHOD_HEAD:
            route = endpoint.find_c(METHOD_GET, b"GET", 3)
    if route is None and head.method != METHOD_CONNECT:
        route = worker.fallback
    return <Route>route


cdef int answer_directly_c(
    Worker worker, Stream stream, Head head, Route route, Endpoint endpoint, const Match* match
) except -1:
    # Everything that needs no handler.
    if route is None:
        return send_response_c(stream, unmatched_c(head, endpoint, stream.request_id_c()))
    if route.kind == ROUTE_FILES:
        return answer_with_file_c(worker, stream, head, route, match)
    if route.kind == ROUTE_HEALTH:
        send_whole_c(stream, 200, PLAIN, OK, None)
        return stream.finish_c()
    if worker.subject is not None and not worker.ready:
        worker = worker.subject
    if worker.ready:
        send_whole_c(stream, 200, PLAIN, READY, None)
        return stream.finish_c()
    state = "draining" if worker.announced else "starting"
    return send_response_c(stream, problem_c(503, state, path_of_c(head), None, None, RETRY_SOON))


cdef int answer_with_file_c(Worker worker, Stream stream, Head head, Route route, const Match* match) except -1:
    # The last parameter is the catch-all. The gate still holds what it found for this request.
    cdef Gate gate = route.gate
    cdef int last = match.params.count - 1
    cdef const char* path = head.base + head.path.start if match.decoded_size < 0 else <const char*>worker.path
    cdef long long due_ns = NEVER if gate.budget_ns == NEVER else worker.now_ns + gate.budget_ns
    return answer_file_c(
        worker, stream, head, route.files, gate, path + match.params.start[last], match.params.size[last],
        None, None, due_ns, gate.budget_ns == gate.deadline_ns,
    )


cdef Response unmatched_c(Head head, Endpoint endpoint, str request_id):
    # The answer to a request that no route takes.
    if head.method == METHOD_CONNECT:
        return problem_c(501, "this server is no proxy", None, request_id, None, None)
    if head.asterisk:
        return Response(status=204, headers={"Allow": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"})
    if endpoint is None:
        return problem_c(404, "nothing is served at this path", path_of_c(head), request_id, None, None)
    if head.method == METHOD_OPTIONS:
        return Response(status=204, headers={"Allow": endpoint.allow_c()})
    method = head.base[head.method_token.start:head.method_token.start + head.method_token.size].decode("ascii")
    words, allow = f"{method} is not among the methods of this path", {"Allow": endpoint.allow_c()}
    return problem_c(405, words, path_of_c(head), request_id, None, allow)


def unmatched(Request request not None):
    return unmatched_c(request.head, request.endpoint, request.id)


# ---- answers ----------------------------------------------------------------------------------


def to_response(value):
    return value if type(value) is Response else response_from_c(value)


cdef inline int send_whole_c(Stream stream, int status, bytes kind, bytes content, ResponseHeaders headers) except -1:
    stream.start_c(status, kind, PyBytes_GET_SIZE(content), headers)
    return stream.send_c(PyBytes_AS_STRING(content), PyBytes_GET_SIZE(content), content)


cdef int send_response_c(Stream stream, Response response) except -1:
    send_whole_c(stream, response.status_, response.content_type_, <bytes>response.body_, response.headers_)
    return stream.finish_c()


async def close_source(source):
    if hasattr(source, "aclose"):
        await source.aclose()


# ---- the cycle --------------------------------------------------------------------------------


cdef RequestCycle start_cycle_c(Worker worker, Stream stream, Head head, Endpoint endpoint, Match* match):
    cdef Request request = Request.__new__(Request)
    cdef RequestCycle cycle = <RequestCycle>worker.spare_cycle
    if cycle is None:
        cycle = RequestCycle.__new__(RequestCycle)
    worker.spare_cycle = None
    must(cycle.stream is None, "a spare cycle has a stream")
    must(cycle.request is None, "a spare cycle has a request")
    must(cycle.gate is None, "a spare cycle holds a permit")
    must(not armed_c(&cycle.timer), "a spare cycle has a deadline")
    must(not cycle.started, "a spare cycle has begun an answer")
    request.worker = worker
    request.stream_ = stream
    request.head = head
    request.endpoint = endpoint
    request.deadline_ns = NEVER
    request.number, request.given_id = stream.request_number, stream.given_id
    if match.params.count:
        request.path_params = match.params
    if match.decoded_size >= 0:
        request.decoded = PyBytes_FromStringAndSize(worker.path, match.decoded_size)
    cycle._loop = worker.loop
    cycle._context = PyContext_Copy(worker.context)
    cycle.worker = worker
    cycle.stream = stream
    cycle.request = request
    cycle.head_only = head.method == METHOD_HEAD
    cycle.pass_ = -1
    cycle.budget_ns = NEVER
    if worker.tracer is not None and stream.exchange.trace.known:
        request.trace_known = stream.exchange.trace
        if is_sampled(&request.trace_known):
            worker.tracer.open_c(stream, head, cycle._context)
    return cycle


cdef int run_cycle_c(Worker worker, RequestCycle cycle, Route route) except -1:
    # Most end in their first step, and serve the next request. The one reference is our caller's.
    worker.behind = True
    cycle.begin_c(route.handler, cycle.request)
    worker.behind = True            # again: the handler may have asked for the time, and gone on
    if cycle.stream is None and cycle.gate is None and cycle.renew_c(1):
        cycle.started = cycle.streaming = cycle.missed = False
        worker.spare_cycle = cycle
    return 0


@cython.final
cdef class RequestCycle(StepTask):
    def __init__(self):
        raise TypeError("request cycles are made by the server")

    def __dealloc__(self):
        disarm_c(&self.timer)

    cdef int admitted_c(self, Gate gate, BodyReader body) except -1:
        # Its guards let it run: what they found is this request's now.
        self.request.body_ = body
        self.gate = gate
        self.pass_ = gate.pass_
        self.budget_ns = gate.budget_ns
        if self.budget_ns != NEVER:
            self.request.deadline_ns = self.worker.now_ns + self.budget_ns
        return 0

    cdef object returned_c(self, object result):
        # What the handler (or send_parts) returned, put on the wire.
        cdef Response response
        if self.streaming:
            if self.budget_ns != NEVER and self.stream is not None:
                self.look_c()
            self.report_c(OUTCOME_SUCCESS)
            self.finish_c()
            return None
        if self.stream is None:             # nobody is there to be answered
            if type(result) is Response and (<Response>result).source is not None:
                return close_source((<Response>result).source)
            return None
        if type(result) is dict:            # the most frequent answer needs no Response
            self.answer_c(200, JSON, encode_json_c(result), None)
            return None
        response = <Response>result if type(result) is Response else response_from_c(result)
        if response.source is not None:
            self.streaming = True
            return self.send_parts(response)
        if response.path_ is not None:
            self.hand_over_c(response)
            return None
        self.respond_c(response)
        return None

    cdef int raised_c(self, object error) except -1:
        try:
            self.fail_c(error)
        except BaseException as failure:
            # Not even the failure could be told.
            if self.stream is not None:
                self.stream.abort_c()
            self.log("answering failed for", failure)
            self.finish_c()
        return 0

    cdef int suspended_c(self) except -1:
        # Only a handler that waits can be ended by a timer. This is still the callback in which its
        # head was parsed, so that timers of one list are armed in the order of their heads.
        cdef Request request = self.request
        self.worker.cycles.add(self)
        if self.budget_ns == NEVER or request is None:
            return 0
        self.timer.owner = <void*>self
        if self.budget_ns == self.gate.deadline_ns:
            return self.worker.arm_since_c(self.gate.deadlines, &self.timer, request.deadline_ns - self.budget_ns)
        return self.worker.arm_at_c(&self.timer, request.deadline_ns)

    cdef int settle_c(self, int state, object outcome) except -1:
        # The one end of every handler, whoever was answered what before.
        if self.registered:
            self.worker.cycles.discard(self)
        disarm_c(&self.timer)
        must(self.stream is None, "a handler has ended, and its request has no answer")
        if self.missed:
            self.worker.zombies -= 1
            must(self.worker.zombies >= 0, "a handler that missed its deadline ends twice")
        self.release_c()
        return StepTask.settle_c(self, state, outcome)

    cdef int release_c(self) except -1:
        # The handler has ended: what it held goes back.
        self.report_c(OUTCOME_IGNORED)
        if self.gate is not None:
            self.gate.leave_c()
            self.gate = None
        return 0

    cdef int report_c(self, int outcome) except -1:
        # The first word on a request is what its breaker believes.
        if self.pass_ >= 0:
            if self.registered:             # it has waited, maybe for long
                self.worker.touch_c()
            must(self.gate is not None, "a pass of a breaker has outlived its permit")
            self.gate.breaker.report_c(self.pass_, outcome, self.worker.now_ns)
            self.pass_ = -1
        return 0

    cdef int lost_c(self, str reason) except -1:
        # The peer is gone: no answer can reach it. A request that was cancelled before keeps its reason.
        cdef Request request = self.request
        cdef bint first = True
        self.stream = None
        disarm_c(&self.timer)
        self.report_c(OUTCOME_IGNORED)
        if request is not None:
            first = request.cancel_reason is None
            if first:
                request.cancel_reason = reason
            request.detach_c()
        if self.cancel_c(reason) and first:
            self.worker.cancelled += 1
        return 0

    # ---- the deadline -------------------------------------------------------------------------

    cdef int expired_c(self, int kind) except -1:
        cdef Worker worker = self.worker
        cdef Request request = self.request
        cdef long long due_ns
        if self.stream is None or request.cancel_reason is not None:
            return 0                        # nobody waits for it, or it was cancelled before
        due_ns = request.deadline_c(worker.now_ns)
        if due_ns > worker.now_ns:          # it waited for its client meanwhile
            if request.body_.waiting_since_ns:
                request.body_.postpone_c(&self.timer, due_ns - worker.now_ns)
                return 0
            return worker.arm_at_c(&self.timer, due_ns)
        return self.miss_c()

    cdef int miss_c(self) except -1:
        # The client is told first; then the handler is cancelled, once. Until it has really ended, its
        # permit is taken: it may ignore this, and a thread cannot even be told.
        cdef Stream stream = self.stream
        cdef Request request = self.request
        cdef bint own = self.own_deadline_c()
        cdef Refusal late = self.gate.late if own else <Refusal>self.worker.refusals[MISSED]
        self.missed = True
        self.worker.zombies += 1
        self.worker.refused_c(stream, request.head, MISSED, late.status)
        self.report_c(OUTCOME_FAILURE if own else OUTCOME_IGNORED)
        request.cancel_reason = errors.DEADLINE_PASSED if own else errors.CLIENT_DEADLINE_PASSED
        request.detach_c()
        self.stream = None
        if self.started:
            stream.abort_c()
        else:
            late.send_c(stream, request.head, 0)
        self.cancel_c(request.cancel_reason)
        return 0

    cdef int look_c(self) except -1:
        # An answer that comes after its deadline, because nothing could interrupt it, is sent all the
        # same: the work is done. But it counts as missed.
        cdef Worker worker = self.worker
        cdef Request request = self.request
        cdef long long now_ns = worker.touch_c()
        if now_ns > request.deadline_c(now_ns):
            worker.count_c(MISSED)
            if self.own_deadline_c():
                self.report_c(OUTCOME_FAILURE)
        return 0

    cdef bint own_deadline_c(self) noexcept:
        # The route's. One that the client shortened says nothing of the handler: else whoever gives a
        # millisecond twenty times would open its breaker for all.
        return self.budget_ns == self.gate.deadline_ns

    def stop(self, str reason):
        # The server gives up on this request; its client is told why. False for one that had an end before:
        # its client has left, or was told 504.
        if self.stream is None:
            self.cancel_c(reason)
            return False
        self.request.cancel_reason = reason
        return self.cancel_c(reason)

    @property
    def unanswered(self):
        return self.stream is not None

    cdef int respond_c(self, Response response) except -1:
        return self.answer_c(response.status_, response.content_type_, <bytes>response.body_, response.headers_)

    cdef int answer_c(self, int status, bytes content_type, bytes content, ResponseHeaders headers) except -1:
        must(self.stream is not None and not self.started, "a request is answered twice")
        self.started = True
        if self.budget_ns != NEVER:
            self.look_c()
        if self.pass_ >= 0:
            self.report_c(self.outcome_c(status))
        send_whole_c(self.stream, status, content_type, content, headers)
        return self.finish_c()

    cdef int outcome_c(self, int status) noexcept:
        # What its breaker is told of an answer. Our own refusal must not keep it open, whoever made an
        # answer of it.
        if not failing_c(status):
            return OUTCOME_SUCCESS
        return OUTCOME_IGNORED if self.request.refused else OUTCOME_FAILURE

    cdef int hand_over_c(self, Response response) except -1:
        # The handler has ended; what it held is the answer's until its last octet has left.
        cdef Worker worker = self.worker
        cdef Stream stream = self.stream
        cdef Gate gate = self.gate
        cdef Head head = self.request.head
        cdef long long due_ns = self.request.deadline_ns
        cdef bint own = self.own_deadline_c()
        cdef bytes path = response.path_
        cdef FileMount mount = mount_of_c(worker, response)     # where this fails nothing has happened yet
        if self.budget_ns != NEVER:
            self.look_c()
        self.report_c(OUTCOME_SUCCESS)
        self.gate = None
        self.stream = None
        self.finish_c()
        try:
            return answer_file_c(
                worker, stream, head, mount, gate, PyBytes_AS_STRING(path), PyBytes_GET_SIZE(path),
                response.content_type_, response.headers_, due_ns, own,
            )
        except BaseException as error:      # the cycle has nothing left to answer with
            self.log("answering with a file failed for", error)
            return stream.abort_c()

    cdef int finish_c(self) except -1:
        cdef Stream stream = self.stream
        cdef Request request = self.request
        disarm_c(&self.timer)
        self.stream = None
        self.request = None
        self._coro = None
        if request is not None:
            request.detach_c()
            request = None                  # the stream looks at who still holds the head
        if stream is not None:
            self.release_c()                # the next request, which may begin in here, finds its room
            stream.finish_c()
        return 0

    async def send_parts(self, Response response not None):
        # The head leaves with the first part, so that a source that fails at once gives a 500.
        cdef bytes octets
        source = response.source
        try:
            if not self.head_only:
                async for part in source:
                    octets = part_octets_c(part)
                    if self.stream is None:
                        return
                    self.start_parts_c(response)
                    self.stream.send_c(PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets), octets)
                    waiter = self.stream.drained_c()
                    if waiter is not None:
                        await waiter
            if self.stream is not None:
                self.start_parts_c(response)
        finally:
            await close_source(source)

    cdef int start_parts_c(self, Response response) except -1:
        if not self.started:
            self.started = True
            if failing_c(response.status_):
                self.report_c(self.outcome_c(response.status_))
            self.stream.start_c(response.status_, response.content_type_, LENGTH_UNKNOWN, response.headers_)

    # ---- recovery -----------------------------------------------------------------------------

    cdef int fail_c(self, object error) except -1:
        if self.stream is None:
            if not isinstance(error, (CancelledError, HTTPError)):
                when = "its deadline" if self.missed else "the client left"
                self.log(f"unhandled exception after {when} in", error)
            return self.finish_c()
        if isinstance(error, BreakerOpen) or (isinstance(error, CancelledError) and self.stopped()):
            self.report_c(OUTCOME_IGNORED)
        if self.started:
            if not isinstance(error, CancelledError):
                self.log("unhandled exception while streaming the answer of", error)
                self.record_c(error)
            self.report_c(OUTCOME_FAILURE)
            self.stream.abort_c()
            return self.finish_c()
        return self.respond_c(self.response_for(error))

    cdef int record_c(self, object error) except -1:
        if self.stream.span is not None:
            self.worker.tracer.fail_c(self.stream, error)
        return 0

    @property
    def trace(self):
        return None if self.request is None else self.request.trace

    def stopped(self):
        return self.request.cancel_reason is not None

    def response_for(self, error):
        cdef Request request = self.request
        if isinstance(error, HTTPError):
            try:
                return problem_for(error, request)
            except Exception as failure:        # its members are no JSON, or its headers may not be sent
                error = failure
        if isinstance(error, CancelledError) and self.stopped():
            return problem_c(503, request.cancel_reason, path_of_c(request.head), request.id, None, RETRY_SOON)
        self.log("unhandled exception in", error)
        self.record_c(error)
        return problem_c(500, "the handler failed; the server's log has more under this request id",
                         path_of_c(request.head), request.id, None, None)

    def log(self, words, error):
        target = "a finished request" if self.request is None else self.describe()
        self.worker.logger.error("%s %s", words, target, exc_info=error)

    def describe(self):
        cdef Request request = self.request
        if request is None:
            return "finishing"
        return f"{request.method} {request.raw_path.decode('ascii')} [request {request.id}]"
