# Answering: the half of an HTTP/1.1 connection that writes. A Stream that knows how its answers begin.

from highperf.core.incoming cimport Incoming
from highperf.flag cimport flag


cdef class Answering(Incoming):
    # the answer of the running request
    cdef flag busy              # between its request's head and its end
    cdef flag persistent        # another request may follow
    cdef flag head_only
    cdef flag chunked           # it is sent so
    cdef flag mute              # it has no content

    # Whether its octets depend on nothing but the id of its request and the second.
    cdef bint is_plain_c(self) noexcept
