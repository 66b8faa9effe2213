# BodyReader: the content of one request on its way from the wire to a handler.

from highperf.core.stream cimport Stream
from highperf.core.worker cimport Worker
from highperf.guards.deadlines cimport Timer
from highperf.wire.buffers cimport Buffer


cdef class BodyReader:
    cdef Worker worker
    cdef Stream stream          # None once the connection is gone or the answer is complete
    cdef Buffer data            # received and not yet taken; pooled; None when there is none
    cdef Py_ssize_t taken       # octets of data that a reader has had
    cdef bytes whole            # what body() gave
    cdef object waiter          # future of the one who waits for more, or None
    cdef object error           # what readers are told instead of more octets
    cdef long long received
    cdef long long limit
    cdef bint complete
    cdef bint collecting        # body() wants all of it: no holding back below the limit
    cdef bint streamed          # parts were handed out: the whole can be had no more
    cdef bint held              # the stream was told to hold
    cdef long long waiting_since_ns     # 0: nobody waits for the client
    cdef long long waited_ns    # before that
    cdef Timer* postponed       # of the request's deadline, which came while it waited; or NULL
    cdef long long postponed_ns     # what was left of it

    # for the wire
    cdef int feed_c(self, const char* octets, Py_ssize_t size) except -1
    cdef int close_up_c(self) except -1
    cdef int end_c(self) except -1
    cdef int fail_c(self, object error) except -1
    cdef int detach_c(self) except -1

    cdef int drop_data_c(self) except -1
    cdef int go_on_c(self) except -1
    cdef int give_up_c(self) except -1
    # How long the request has waited for its client, in all.
    cdef long long waited_c(self, long long now_ns) noexcept
    cdef void postpone_c(self, Timer* timer, long long rest_ns) noexcept
    cdef int wake_c(self) except -1
    cdef object waiter_c(self)
    cdef Py_ssize_t unread_c(self) noexcept
    cdef bytes whole_c(self)
    cdef bytes take_c(self, Py_ssize_t size)


cdef BodyReader empty_body_c(Worker worker)
