# Route: what the router leads to. RequestCycle: one request and its answer.

from highperf.core.body cimport BodyReader
from highperf.core.file_answer cimport FileMount
from highperf.core.gate cimport Gate
from highperf.core.request cimport Request
from highperf.core.stream cimport Stream
from highperf.core.task cimport StepTask
from highperf.core.worker cimport Worker
from highperf.guards.deadlines cimport Timer
from highperf.wire.parser cimport Head
from highperf.wire.response cimport Response, ResponseHeaders
from highperf.wire.router cimport Endpoint, PathParams


cdef enum RouteKind:
    ROUTE_HANDLER = 0           # Python answers
    ROUTE_HEALTH = 1            # 200 "ok"
    ROUTE_READY = 2             # 200 "ready", or 503
    ROUTE_FILES = 3             # a file of its mount


cdef class Route:
    cdef readonly str pattern
    cdef readonly object handler
    cdef readonly str name              # for people, and what its limits are called in the segment
    cdef readonly long long limit_body  # octets; -1: the server's
    cdef readonly long long deadline_ns  # 0: none
    cdef readonly tuple limits          # RateLimits
    cdef readonly object breaker        # CircuitBreaker or None
    cdef readonly long long limit_concurrency   # 0: none
    cdef readonly bint critical
    cdef readonly FileMount files       # of a ROUTE_FILES
    cdef readonly bint exempt           # no guard is asked, and nobody counts or tells its requests
    cdef bint scraped                   # its handler is the metrics' of the worker that serves it
    cdef Gate gate                      # set by the worker that serves it; None: no guard is asked
    cdef int kind
    cdef int metric_id                  # set by the worker that serves it; what metrics know it by; 0: nothing counts


cdef struct Match:
    # Where a request is to go; filled by find_route_c.
    PathParams params
    Py_ssize_t decoded_size     # octets in Worker.path; -1: the raw path serves


cdef class RequestCycle(StepTask):
    cdef Worker worker
    cdef Stream stream          # None once the answer is complete or the peer is gone
    cdef Request request        # None once the answer is complete
    cdef Gate gate              # a permit of it is held until the handler has ended
    cdef Timer timer            # of the deadline; armed while the handler waits
    cdef long long budget_ns    # from the head to the deadline; NEVER: none
    cdef long long pass_        # what the breaker gave and is to be told by; -1: nothing, or it was told
    cdef bint missed            # answered 504, and running still
    cdef bint head_only         # HEAD: an answer's content stays at home
    cdef bint started           # the head of the answer has left
    cdef bint streaming         # the answer's parts are being sent

    cdef int admitted_c(self, Gate gate, BodyReader body) except -1
    cdef int lost_c(self, str reason) except -1
    cdef int miss_c(self) except -1
    cdef int look_c(self) except -1
    cdef bint own_deadline_c(self) noexcept
    cdef int outcome_c(self, int status) noexcept
    cdef int release_c(self) except -1
    cdef int report_c(self, int outcome) except -1
    cdef int respond_c(self, Response response) except -1
    cdef int answer_c(self, int status, bytes content_type, bytes content, ResponseHeaders headers) except -1
    cdef int hand_over_c(self, Response response) except -1
    cdef int finish_c(self) except -1
    cdef int start_parts_c(self, Response response) except -1
    cdef int fail_c(self, object error) except -1
    cdef int record_c(self, object error) except -1


cdef Endpoint find_endpoint_c(Worker worker, Head head, Match* match)
cdef Route choose_route_c(Worker worker, Head head, Endpoint endpoint)
cdef RequestCycle start_cycle_c(
    Worker worker, Stream stream, Head head, Endpoint endpoint, Match* match
)
cdef int run_cycle_c(Worker worker, RequestCycle cycle, Route route) except -1
cdef int answer_directly_c(
    Worker worker, Stream stream, Head head, Route route, Endpoint endpoint, const Match* match
) except -1
cdef Response unmatched_c(Head head, Endpoint endpoint, str request_id)
cdef int send_response_c(Stream stream, Response response) except -1
