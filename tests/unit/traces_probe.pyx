# Reaches the C interfaces of observe/traces, with octets at any address.

from libc.string cimport memset
from highperf.observe.traces cimport (
    Trace, TraceContext, TraceSource, read_traceparent_c, trace_context_c, tracestate_c, valid_tracestate_c,
)
from highperf.wire.parser cimport PARSE_DONE, Head, Limits


cdef Head head_of(bytes octets):
    cdef Limits limits = Limits(2 ** 20, 2 ** 20, 1000, 2 ** 24)
    head = Head()
    head.reset_c()
    if head.parse_c(octets, len(octets), &limits) != PARSE_DONE:
        raise ValueError(octets)
    return head


def read_at(size_t address, Py_ssize_t size):
    """Reads a traceparent and a line of tracestate there; whether each is valid."""
    cdef Trace trace
    cdef int members = 0
    parent = read_traceparent_c(<const char*>address, size, &trace)
    return parent, valid_tracestate_c(<const char*>address, size, &members)


def parse_traceparent(bytes text):
    """(trace id, parent id, flags), or None where it is not valid."""
    cdef Trace trace
    if not read_traceparent_c(text, len(text), &trace):
        return None
    return (<object>trace.id_high << 64) | trace.id_low, trace.parent_id, trace.flags


def tracestate(bytes octets):
    """What is passed on of the lines of this head."""
    return tracestate_c(head_of(octets))


def begin(TraceSource source, bytes octets):
    """The TraceContext of a request with this head."""
    cdef Trace trace
    cdef Head head = head_of(octets)
    memset(&trace, 0, sizeof(trace))
    source.begin_c(head, &trace)
    return trace_context_c(&trace, head)


def begin_often(TraceSource source, bytes octets, int times):
    """For measuring."""
    cdef Trace trace
    cdef Head head = head_of(octets)
    memset(&trace, 0, sizeof(trace))
    for _ in range(times):
        source.begin_c(head, &trace)
    return trace.flags


def samples(TraceSource source, unsigned long long id_low):
    """Whether a trace whose id ends so is sampled."""
    return source.samples_c(id_low)
