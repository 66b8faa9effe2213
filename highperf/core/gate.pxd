# Gate: all guards of one route, in one worker. Limit: one rate limit of it.

from libc.stdint cimport int64_t
from highperf.core.problems cimport Refusal
from highperf.core.request cimport Request
from highperf.core.stream cimport CLIENT_KEY_SIZE, Stream
from highperf.core.worker cimport Worker
from highperf.guards.breaker cimport CircuitBreaker
from highperf.guards.deadlines cimport TimeoutList
from highperf.guards.keyed cimport KeyedBuckets
from highperf.guards.limiter cimport TokenBucket
from highperf.guards.shedder cimport Shedder
from highperf.observe.metrics cimport Metrics
from highperf.wire.parser cimport Head


cdef struct Key:
    # Whose tokens a request takes.
    const char* data            # NULL: the limit does not hold for this request
    Py_ssize_t size
    char own[1 + CLIENT_KEY_SIZE]   # where data points unless it is borrowed


cdef enum:
    LIMITS_MAX = 8              # of one route, with the server's own


cdef enum KeySource:
    KEY_NONE = 0                # one bucket for all
    KEY_CLIENT = 1
    KEY_FIELD = 2
    KEY_CALL = 3                # a function of the application


cdef class Limit:
    cdef TokenBucket bucket     # KEY_NONE
    cdef KeyedBuckets table     # any other
    cdef int source
    cdef bytes field            # lower-case name
    cdef object function
    cdef long long cost
    cdef Refusal refusal
    cdef str name               # what clients are told
    cdef int64_t* admitted      # cells of metrics, or untold
    cdef int64_t* refused
    cdef int64_t untold

    cdef int count_in_c(self, Metrics metrics) except -1
    # keeper: takes what the key's octets live in, if that is an object.
    cdef int find_key_c(self, Stream stream, Head head, Request request, list keeper, Key* key) except -1
    cdef int call_c(self, Request request, list keeper, Key* key) except -1
    cdef long long wait_c(self, const Key* key, long long now_ns) noexcept
    cdef long long take_c(self, const Key* key, long long now_ns) noexcept
    cdef void refund_c(self, const Key* key, long long now_ns) noexcept


cdef class Gate:
    cdef Worker worker
    cdef Shedder shedder        # None: requests need no permit
    cdef list limits            # Limit; at most LIMITS_MAX
    cdef Py_ssize_t count       # of them
    cdef CircuitBreaker breaker     # or None
    cdef TimeoutList deadlines  # timers of requests that keep this route's deadline
    cdef long long deadline_ns  # 0: none
    cdef long long limit_running    # of this route alone; 0: none
    cdef long long running
    cdef bint critical
    cdef bint keyed             # some limit tells requests apart
    cdef bint calls             # some key comes from the application: enter_c needs the Request
    cdef Refusal full           # the route's own limit is reached
    cdef Refusal open
    cdef Refusal late           # 504 where the deadline is the route's own; None: it has none

    # what enter_c found, until the next request
    cdef Key keys[LIMITS_MAX]
    cdef list keeper            # what keys of the application point into
    cdef long long budget_ns    # this request's deadline; NEVER: none
    cdef long long pass_        # the breaker's; -1: none
    cdef long long wait_ns
    cdef Limit refuser          # of the rate limits
    cdef object error           # what a key's function raised

    # A Verdict. PASSED: the request runs, and leave_c is owed. It may raise only where the route calls.
    cdef int enter_c(self, Stream stream, Head head, Request request) except -1
    cdef int leave_c(self) except -1
    # The request will not run after all, nor be refused by this gate, whose verdict that was.
    cdef int withdraw_c(self, int verdict) except -1
    # What made enter_c give KEY_FAILED.
    cdef object take_error_c(self)
    cdef int refuse_c(self, Stream stream, Head head, int verdict) except -1

    cdef int admit_c(self, Stream stream, Head head, Request request) except -1
    cdef bint find_keys_c(self, Stream stream, Head head, Request request) except -1
    cdef bint check_c(self, long long now_ns) noexcept
    cdef bint charge_c(self, long long now_ns) noexcept
    cdef long long client_budget_c(self, Head head) noexcept


# By Verdict, what no gate has of its own; for Worker.refusals.
cdef list common_refusals_c(long long limit_concurrency)
# The Limits that all requests are held to: one, or none where it is off.
cdef list server_limits_c(settings, segment)
# Those that requests to this route are held to besides.
cdef list own_limits_c(route, segment)
