# Owns what a connection is made of: its transport, and who is at the other end of it. Must not know what passes
# between them, in either direction.

from highperf.core.proxies cimport address_of_c, client_key_of_c, client_of_c, is_trusted_c, scheme_of_c
from highperf.core.stream cimport Stream
from highperf.core.worker cimport Worker
from highperf.wire.address cimport Address
from highperf.wire.parser cimport Head

cdef extern from *:
    """
    #include <sys/ioctl.h>
    /* Whether octets have arrived that nobody has read. */
    static inline int hp_arrived(int fd) {
        int octets = 0;
        return ioctl(fd, FIONREAD, &octets) == 0 && octets > 0;
    }
    """
    int hp_arrived(int fd)


cdef class Connected(Stream):
    def __cinit__(self, Worker worker not None):
        self.worker = worker
        self.fd = -1

    cdef int connect_c(self, object transport) except -1:
        cdef object socket = transport.get_extra_info("socket")
        self.transport = transport
        if socket is not None:
            self.fd = socket.fileno()
            self.direct = transport.get_extra_info("sslcontext") is None
        return 0

    cdef object peer_c(self):
        # A Unix socket's peer has no address: "" or the path that it bound.
        cdef object peer = None if self.transport is None else self.transport.get_extra_info("peername")
        return peer if isinstance(peer, tuple) else None

    cdef int disconnect_c(self) except -1:
        self.transport = None
        self.fd = -1
        self.direct = False
        return 0

    cdef bint arrived_c(self) noexcept:
        return self.fd >= 0 and hp_arrived(self.fd)

    # ---- Stream: who is at the other end ------------------------------------------------------

    cdef object client_c(self, Head head):
        return client_of_c(self.worker.proxies, self.transport, &self.peer, head)

    cdef object scheme_c(self, Head head):
        return scheme_of_c(self.worker.proxies, self.transport, &self.peer, head)

    cdef Py_ssize_t client_key_c(self, Head head, char* key) except -1:
        return client_key_of_c(self.worker.proxies, self.transport, &self.peer, head, key)

    cdef bint address_c(self, Head head, Address* address, int* port) noexcept:
        return address_of_c(self.worker.proxies, &self.peer, head, address, port)

    cdef bint trusted_c(self) except -1:
        return is_trusted_c(self.worker.proxies, self.transport, &self.peer)

    cdef object certificate_c(self):
        return None if self.transport is None else self.transport.get_extra_info("peercert")

    cdef Py_ssize_t request_id_octets_c(self, const char** octets) noexcept:
        return 0 if self.request_number == 0 else self.worker.ids.tell_c(self.request_number, self.given_id, octets)
