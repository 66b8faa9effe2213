# BodyReader: the content of one request on its way from the wire to a handler.

from cpython.object cimport PyObject

from highperf.core.stream cimport Stream
from highperf.core.worker cimport Worker
from highperf.guards.deadlines cimport Timer


cdef class BodyReader:
    cdef Worker worker
    cdef Stream stream          # None once the connection is gone or the answer is complete
    cdef list full              # parts that were received and not yet taken; None: there never was one
    cdef Py_ssize_t taken       # octets of the first part, or of whole, that a reader has had
    cdef PyObject* room         # owned; a bytes object that nobody else sees, being filled behind those; or NULL
    cdef Py_ssize_t filled      # octets of it
    cdef Py_ssize_t unread      # in all of them
    cdef bytes whole            # what body() gave
    cdef object waiter          # future of the one who waits for more, or None
    cdef object error           # what readers are told instead of more octets
    cdef long long received
    cdef long long length       # of all of it; -1: nobody knows
    cdef long long limit
    cdef bint complete
    cdef bint collecting        # body() wants all of it: woken at the end, and nothing is held back below the limit
    cdef bint streamed          # parts were handed out: the whole can be had no more
    cdef bint held              # the stream was told to hold
    cdef long long waiting_since_ns     # 0: nobody waits for the client
    cdef long long waited_ns    # before that
    cdef Timer* postponed       # of the request's deadline, which came while it waited; or NULL
    cdef long long postponed_ns     # what was left of it

    # for the wire
    cdef int feed_c(self, const char* octets, Py_ssize_t size) except -1
    # Of a known length: where the next octets may be received, and how many; 0: they are to be fed. Then: so many came.
    cdef Py_ssize_t room_c(self, char** at) except -1
    cdef int filled_c(self, Py_ssize_t size) except -1
    cdef int end_c(self) except -1
    cdef int fail_c(self, object error) except -1
    cdef int detach_c(self) except -1

    # Room for some octets behind those that are there; size: how many are at hand.
    cdef Py_ssize_t make_room_c(self, Py_ssize_t size) except -1
    cdef int new_room_c(self, Py_ssize_t capacity) except -1
    cdef int resize_room_c(self, Py_ssize_t capacity) except -1
    cdef bytes seal_c(self)
    cdef int put_by_c(self) except -1
    cdef int collect_c(self) except -1
    cdef int drop_data_c(self) except -1
    cdef int go_on_c(self) except -1
    cdef int give_up_c(self) except -1
    # How long the request has waited for its client, in all.
    cdef long long waited_c(self, long long now_ns) noexcept
    cdef void postpone_c(self, Timer* timer, long long rest_ns) noexcept
    cdef int wake_c(self) except -1
    cdef object waiter_c(self)
    cdef bytes whole_c(self)
    cdef bytes take_c(self, Py_ssize_t size)
    cdef bytes next_c(self, Py_ssize_t size)


cdef BodyReader empty_body_c(Worker worker)
