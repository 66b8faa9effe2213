# Which trace a request belongs to (W3C Trace Context, Level 2), and whether its span is recorded.

from libc.stdint cimport uint64_t
from highperf.wire.parser cimport Head

cdef enum TraceFlag:
    TRACE_SAMPLED = 1
    TRACE_RANDOM = 2            # the last 56 bits of its id are random

cdef enum:
    TRACEPARENT_SIZE = 55       # octets of version 00


cdef struct Trace:
    uint64_t id_high            # of the trace
    uint64_t id_low
    uint64_t span_id            # the request's own; where nothing is recorded, the parent's
    uint64_t parent_id          # its caller's span; 0: it begins the trace
    int flags                   # TraceFlag
    bint known                  # the rest has been found out


cdef inline bint is_sampled(const Trace* trace) noexcept nogil:
    return trace.flags & TRACE_SAMPLED


# From octets, which are read between their ends alone. False: they are not valid, and nothing was changed.
cdef bint read_traceparent_c(const char* octets, Py_ssize_t size, Trace* trace) noexcept nogil
# Of one line; adds to the number of its list's members so far.
cdef bint valid_tracestate_c(const char* octets, Py_ssize_t size, int* members) noexcept nogil

# The caller's trace, whose span this request's is then. False: it names none, or not just one.
cdef bint read_parent_c(Head head, Trace* trace) noexcept nogil
# All lines of it as one; empty where it is not valid.
cdef str tracestate_c(Head head)

cdef void write_hex_c(uint64_t value, char* out) noexcept nogil     # 16 octets


cdef class TraceSource:
    cdef uint64_t state_0
    cdef uint64_t state_1
    cdef uint64_t bound         # traces whose id_low is below it are sampled
    cdef bint every             # all are
    cdef bint parent_decides    # where there is one
    cdef bint follows           # what callers say of their trace is read
    cdef bint records           # spans are recorded, so that requests have one of their own

    # The trace of a request that begins.
    cdef void begin_c(self, Head head, Trace* trace) noexcept nogil
    cdef bint samples_c(self, uint64_t id_low) noexcept nogil
    cdef uint64_t next_c(self) noexcept nogil
    cdef uint64_t next_id_c(self) noexcept nogil


cdef class TraceContext:
    cdef Trace trace
    cdef readonly str tracestate


cdef TraceContext trace_context_c(const Trace* trace, Head head)
