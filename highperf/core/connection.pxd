# HttpProtocol: one HTTP/1.1 connection. It is the Stream of the request that it is answering.

from highperf.core.answering cimport Answering
from highperf.core.cycle cimport RequestCycle, Route
from highperf.wire.buffers cimport Buffer
from highperf.wire.parser cimport Head


cdef class HttpProtocol(Answering):
    # input
    cdef Head head              # unfinished, or that of a request that outlived its read; else None
    cdef Buffer pending         # octets behind the running request; pooled; None when there are none
    cdef Py_ssize_t pending_at  # octets of it that were used

    # the running request
    cdef RequestCycle cycle     # None: none, or one that the server answers itself

    cdef Py_ssize_t receive_c(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t feed_head_c(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t begin_c(self, Head head, const char* rest, Py_ssize_t size) except -1
    cdef int expect_answer_c(self, Head head, Route route) except -1
    cdef int expect_body_c(self, Head head, Route route, bint admitted) except -1
    cdef int settle_head_c(self, Head head) except -1
    cdef int defer_c(self, const char* data, Py_ssize_t size) except -1
    cdef int resume_c(self) except -1
    cdef int wait_c(self, int kind) except -1
    cdef int refuse_head_c(self, Head head, int status, str reason, Py_ssize_t size) except -1
    cdef int refuse_c(self, int status, str reason, const char* data, Py_ssize_t size) except -1
    cdef int head_late_c(self) except -1
    cdef int body_late_c(self, str reason) except -1
    cdef int shut_c(self) except -1
    cdef int part_c(self) except -1
    cdef int discard_c(self) except -1
    cdef int release_pending_c(self) except -1
    cdef int release_head_c(self, int callers) except -1
