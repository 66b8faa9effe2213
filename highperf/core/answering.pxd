# Answering: the half of an HTTP/1.1 connection that writes. A Stream that knows how its answers begin.

from highperf.core.incoming cimport Incoming


cdef class Answering(Incoming):
    # Whether its octets depend on nothing but the id of its request and the second.
    cdef bint is_plain_c(self) noexcept
