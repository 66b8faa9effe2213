# HttpProtocol: one HTTP/1.1 connection. It is the Stream of the request that it is answering.

from libc.stdint cimport int64_t
from highperf.core.body cimport BodyReader
from highperf.core.cycle cimport RequestCycle, Route
from highperf.core.outgoing cimport Outgoing
from highperf.core.stream cimport CLIENT_KEY_SIZE
from highperf.guards.deadlines cimport Timer
from highperf.wire.buffers cimport Buffer
from highperf.wire.chunked cimport ChunkDecoder
from highperf.wire.parser cimport Head


cdef enum BodyKind:
    BODY_NONE = 0               # none, or all of it has come
    BODY_LENGTH = 1
    BODY_CHUNKED = 2


cdef class HttpProtocol(Outgoing):
    # for the life of the connection
    cdef Timer read_timer       # head, body, idle, linger or half-close: one at a time
    cdef char address[CLIENT_KEY_SIZE]  # by which rate limits tell the peer from others
    cdef unsigned char address_size
    cdef bint address_known     # it was asked for

    # input
    cdef Head head              # unfinished, or that of a request that outlived its read; else None
    cdef Buffer pending         # octets behind the running request; pooled; None when there are none
    cdef Py_ssize_t pending_at  # octets of it that were used
    cdef BodyReader body        # takes the content of the running request; None: it is discarded
    cdef ChunkDecoder* chunks   # owned; NULL unless the content is chunked
    cdef int64_t body_left      # octets of a BODY_LENGTH still to come
    cdef int body_kind

    # the running request
    cdef RequestCycle cycle     # None: none, or one that the server answers itself
    cdef int minor
    cdef bint busy              # between its head and the end of its answer
    cdef bint persistent        # another request may follow
    cdef bint head_only
    cdef bint expects_continue  # 100 is wanted and has not been sent
    cdef bint chunked           # the answer is
    cdef bint mute              # the answer has no content

    # where the connection stands
    cdef bint processing        # inside receive_c: answers are flushed at its end
    cdef bint holding           # reading is paused for the handler's sake
    cdef bint closing           # no further request; close when all is flushed
    cdef bint lingering         # our side is closed; what comes is discarded
    cdef bint wary              # close by lingering: the peer may still be sending
    cdef bint eof

    cdef Py_ssize_t receive_c(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t feed_head_c(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t begin_c(self, Head head, const char* rest, Py_ssize_t size) except -1
    cdef void expect_answer_c(self, Head head) noexcept
    cdef int expect_body_c(self, Head head, Route route, bint admitted) except -1
    cdef int settle_head_c(self, Head head) except -1
    cdef Py_ssize_t feed_body_c(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t feed_chunks_c(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t break_body_c(self, const char* data, Py_ssize_t size) except -1
    cdef int give_body_up_c(self, object error) except -1
    cdef int end_body_c(self) except -1
    cdef int defer_c(self, const char* data, Py_ssize_t size) except -1
    cdef int resume_c(self) except -1
    cdef int after_c(self) except -1
    cdef int wait_c(self, int kind) except -1
    cdef int refuse_head_c(self, Head head, int status, str reason, Py_ssize_t size) except -1
    cdef int refuse_c(self, int status, str reason, const char* data, Py_ssize_t size) except -1
    cdef bint worth_discarding(self)
    cdef int read_on_c(self) except -1
    cdef int head_late_c(self) except -1
    cdef int body_late_c(self) except -1
    cdef int shut_c(self) except -1
    cdef int release_pending_c(self) except -1
    cdef int release_head_c(self, int callers) except -1
