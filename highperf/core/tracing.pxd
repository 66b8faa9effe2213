# Tracer: of which requests a span is recorded, and what it says of them.

from highperf.core.stream cimport Stream
from highperf.observe.traces cimport TraceSource
from highperf.wire.parser cimport Head


cdef class Tracer:
    cdef TraceSource source
    cdef object recorder        # makes spans of what it is told
    cdef object logger

    # A request begins: of which trace it is, and whether that is sampled.
    cdef void begin_c(self, Stream stream, Head head) noexcept
    # Of a sampled one: its span, which is the current one in this context from now on; None: there is no handler.
    cdef int open_c(self, Stream stream, Head head, object context) except -1
    cdef int fail_c(self, Stream stream, object error) except -1
    # It is over, and so is its span. head: None where it was not kept.
    cdef int close_c(self, Stream stream, Head head) except -1
    cdef dict describe_c(self, Stream stream, Head head, str pattern)
