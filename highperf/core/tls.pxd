# TlsTransport: what lies between a TCP transport, whose protocol it is, and an HttpProtocol, whose
# transport it is, where connections are secured.

from highperf.core.outgoing cimport Outgoing
from highperf.core.stream cimport Stream
from highperf.core.worker cimport Worker
from highperf.guards.deadlines cimport Timer


cdef class TlsTransport(Stream):
    cdef Worker worker
    cdef object tcp             # None before connection_made and after connection_lost
    cdef int fd                 # its socket; -1: it has none
    cdef Outgoing http          # HttpProtocol, from the end of the handshake on
    cdef Timer timer            # the handshake, or what is left of a refused connection

    # OpenSSL works on memory: `arrived` holds what came and `leaving` what is to be sent.
    cdef object session         # ssl.SSLObject
    cdef object arrived
    cdef object leaving
    cdef object unseal          # bound methods: session.read ...
    cdef object seal            # ... and session.write
    cdef object take_in         # arrived.write
    cdef object take_out        # leaving.read

    cdef object backlog         # deque of what is not sealed yet, for the TCP transport still holds octets
    cdef Py_ssize_t backlog_size
    cdef bint blocked           # the TCP transport holds octets
    cdef bint crowded           # http was told not to write on
    cdef bint resting           # http does not want to read
    cdef bint refused           # the handshake failed: what comes is discarded
    cdef bint dry               # arrived has no whole record
    cdef bint eof               # the peer will send no more
    cdef bint eof_told          # and http knows
    cdef bint parted            # our close_notify is sent
    cdef int ending             # Ending

    cdef int handshake_c(self) except -1
    cdef int established_c(self) except -1
    cdef int refuse_c(self, object error) except -1
    cdef int answer_plainly_c(self) except -1
    cdef object peer_c(self)
    cdef int tell_c(self, str why, int reason) except -1
    cdef int receive_c(self, Py_ssize_t size) except -1
    cdef int unseal_c(self) except -1
    cdef Py_ssize_t read_records_c(self) except -1
    cdef int end_input_c(self) except -1
    cdef int seal_c(self, object octets, Py_ssize_t size) except -1
    cdef int back_up_c(self, object octets, Py_ssize_t size) except -1
    cdef int send_on_c(self) except -1
    cdef int pass_on_c(self, Py_ssize_t opened) except -1
    cdef int end_output_c(self) except -1
    cdef int fail_c(self, object error) except -1
    cdef void drop_c(self) noexcept
