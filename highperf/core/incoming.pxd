# Incoming: the half of a connection that receives content, and what is noted of the request that it is of.

from libc.stdint cimport int64_t

from highperf.core.body cimport BodyReader
from highperf.core.cycle cimport Route
from highperf.core.file_sending cimport Sending
from highperf.flag cimport flag
from highperf.guards.deadlines cimport Timer
from highperf.wire.chunked cimport ChunkDecoder
from highperf.wire.parser cimport Head
from highperf.wire.response cimport ResponseHeaders


cdef enum BodyKind:
    BODY_NONE = 0               # none, or all of it has come
    BODY_LENGTH = 1
    BODY_CHUNKED = 2


cdef class Incoming(Sending):
    cdef Timer read_timer       # what the connection waits for: one thing at a time

    # of the running request; borrowed while the call that parsed it runs, then from self; NULL: it was not kept
    cdef void* request_head

    # content
    cdef BodyReader body        # takes the content of the running request; None: it is discarded
    cdef ChunkDecoder* chunks   # owned; NULL unless the content is chunked
    cdef int64_t body_left      # octets of a BODY_LENGTH still to come
    cdef int64_t waited_ns      # for it, so far
    cdef int64_t waits_since_ns     # 0: it is not waited for, or it has just come
    cdef unsigned char body_kind
    cdef flag expects_continue  # 100 is wanted and has not been sent
    cdef flag holding           # reading is paused for the handler's sake

    # reading
    cdef flag read_before       # octets have come
    cdef flag polled            # the worker's poller tells of them, not the transport
    cdef flag resting           # and is not listened to

    # where the connection stands
    cdef flag processing        # octets that were read are being used: answers are flushed at the end of that
    cdef flag closing           # no further request; close when all is flushed
    cdef flag wary              # close by lingering: the peer may still be sending
    cdef flag lingering         # our side is closed; what comes is discarded
    cdef flag eof               # nothing more comes

    cdef Py_ssize_t feed_body_c(self, const char* data, Py_ssize_t size) except -1
    cdef int body_filled_c(self, Py_ssize_t size) except -1
    cdef Py_ssize_t feed_chunks_c(self, const char* data, Py_ssize_t size) except -1
    cdef int end_body_c(self) except -1
    # Before and after some of the content came: the peer's time begins and ends.
    cdef void expect_more_c(self) noexcept
    cdef void more_came_c(self, Py_ssize_t octets) noexcept
    cdef bint trickles_c(self) noexcept
    cdef int give_body_up_c(self, object error) except -1
    cdef bint worth_discarding(self)
    cdef int read_on_c(self) except -1

    # A request begins (head: None where it was not understood); and it is over, in this way: whoever observes is told.
    cdef int open_exchange_c(self, Head head, Route route) except -1
    cdef int conclude_c(self, int ending) except -1
    # Its answer begins.
    cdef int note_answer_c(self, int status, bytes content_type, ResponseHeaders fields) except -1

    # Octets lie in the worker's read buffer (after_c follows); the peer will send nothing more; it is gone.
    cdef int received_c(self, Py_ssize_t size) except -1
    cdef int ended_c(self) except -1
    cdef int broken_c(self) except -1
    cdef int poll_c(self) except -1
    cdef int pause_reading_c(self) except -1
    cdef int resume_reading_c(self) except -1

    # For subclasses. What has happened may have ended a wait: flush, close, set the timers.
    cdef int after_c(self) except -1
    # The framing is broken; returns how much of the octets was used.
    cdef Py_ssize_t break_body_c(self, const char* data, Py_ssize_t size) except -1
