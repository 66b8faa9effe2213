# Connected: a Stream that is one connection.

from highperf.core.proxies cimport Peer
from highperf.core.stream cimport Stream
from highperf.core.worker cimport Worker
from highperf.flag cimport flag


cdef class Connected(Stream):
    cdef Worker worker
    cdef Peer peer              # not met until somebody asks
    cdef object transport       # None before connect_c and after disconnect_c
    cdef int fd                 # the transport's socket; -1: it has none
    cdef flag direct            # send(2) may be used: no TLS is in between

    cdef int connect_c(self, object transport) except -1
    cdef object peer_c(self)            # (host, port, ...) as the transport has it, or None
    cdef int disconnect_c(self) except -1
    # Whether the socket holds octets that were not read yet: the loop does what is due before it reads.
    cdef bint arrived_c(self) noexcept
