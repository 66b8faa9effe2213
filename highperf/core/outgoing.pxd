# Outgoing: the half of a connection that sends. A Stream whose octets go through a transport.

from libc.stdint cimport int64_t

from highperf.core.connected cimport Connected
from highperf.flag cimport flag
from highperf.guards.deadlines cimport Timer
from highperf.wire.buffers cimport Buffer

cdef enum:
    TIMER_WRITE = 0             # kind of write_timer; subclasses number theirs from 1


cdef class Outgoing(Connected):
    cdef Timer write_timer
    cdef Buffer out             # gathered but not sent; pooled; None when there is nothing
    cdef object drain_waiter    # future of a stream that waits for the peer to take more, or None
    cdef int64_t handed         # octets given to the socket or the transport so far
    cdef int64_t taken          # of these, what the peer had when the write timer last looked
    cdef int64_t slow_from      # the same when it was first made to wait for the peer
    cdef int64_t slow_since_ns  # when that was
    cdef flag writing_paused    # the transport holds more than it likes
    cdef flag backed_up         # the transport may hold something: send(2) must not overtake it

    cdef int writable_c(self) except -1
    cdef int wake_c(self) except -1
    cdef Buffer out_c(self)
    # Octets stay alive through owner, or are copied when it is None.
    cdef int write_c(self, const char* octets, Py_ssize_t size, object owner) except -1
    cdef int flush_c(self) except -1
    # flags: send(2)'s; MSG_MORE where more follows at once.
    cdef int push_c(self, int flags) except -1
    cdef Py_ssize_t try_send_c(self, const char* octets, Py_ssize_t size, int flags) except -2
    cdef int back_up_c(self, object octets) except -1
    # Whether the peer is to take octets, and the write timeout runs; and that it does from now on.
    cdef bint waited_for_c(self) except -1
    cdef int expect_progress_c(self) except -1
    cdef int64_t taken_c(self) except -1
    cdef int check_progress_c(self) except -1
    # Ends the connection now; cut_c as is fit, reset_c from now on so that the peer cannot take it for a
    # proper end, and the system frees at once what it held for that peer.
    cdef int cut_c(self) except -1
    cdef void reset_c(self) noexcept
    cdef int release_out_c(self) except -1
