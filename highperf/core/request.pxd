# Request: what a handler sees of one request. Everything is made when it is asked for.

from highperf.core.body cimport BodyReader
from highperf.core.stream cimport Stream
from highperf.core.worker cimport Worker
from highperf.observe.traces cimport Trace, TraceContext
from highperf.wire.parser cimport Head
from highperf.wire.router cimport Endpoint, PathParams


cdef class Request:
    cdef Worker worker
    cdef Stream stream_         # None once the answer is complete or the peer is gone
    cdef Head head              # borrowed octets until the first step has ended, then its own
    cdef Endpoint endpoint      # the route that took it, or None
    cdef PathParams path_params
    cdef bytes decoded          # the percent-decoded path, where it differs from the raw one
    cdef BodyReader body_       # None: no content
    cdef long long deadline_ns  # NEVER: none; without the time that the client took to send its content
    cdef object params_
    cdef object headers_
    cdef object query_
    cdef object state_
    cdef object client_
    cdef object scheme_
    cdef object certificate_
    cdef Trace trace_known      # as far as it is known
    cdef TraceContext trace_
    cdef str path_
    cdef str id_
    cdef unsigned long long number      # what the id is made of, as its stream had it; 0: nothing yet
    cdef bytes given_id
    cdef public str cancel_reason
    cdef bint refused           # a guard within its handler refused, and that became an answer

    cdef BodyReader reader_c(self)
    cdef int require_json_c(self) except -1
    cdef long long deadline_c(self, long long now_ns) noexcept
    cdef int detach_c(self) except -1
