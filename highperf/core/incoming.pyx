# Owns reading from a connection, and the content of the request that it receives: how HTTP/1.1 frames it, who takes it,
# when reading stops, and what is noted of that request for observers. Must not know heads, answers, nor what
# a refusal looks like: subclasses do.

from libc.stdint cimport int64_t
from libc.stdlib cimport free
from libc.string cimport memset
from highperf.checks cimport must
from highperf.core.cycle cimport Route
from highperf.core.file_sending cimport Sending
from highperf.core.polling cimport Poller
from highperf.core.sending cimport RECEIVE_BROKEN, RECEIVE_NOTHING, receive_now_c
from highperf.core.worker cimport READ_SIZE, Worker
from highperf.guards.deadlines cimport disarm_c
from highperf.observe.exchange cimport ENDING_LEFT
from highperf.observe.layout cimport NAME_UNMATCHED
from highperf.observe.metrics cimport REASON_RESET
from highperf.wire.chunked cimport CHUNK_DATA, CHUNK_DONE, CHUNK_FAILED, chunk_next_c
from highperf.wire.parser cimport Head
from highperf.wire.response cimport ResponseHeaders

cdef enum:
    DISCARD_LIMIT = 64 * 1024   # unread content that is worth keeping the connection for
    READS_AT_ONCE = 16          # which those share that are ready together: a megabyte, a fraction of a millisecond


cdef class Incoming(Sending):
    def __cinit__(self, Worker worker not None):
        self.read_timer.owner = <void*>self

    def __dealloc__(self):
        must(not self.polled, "a connection dies that the poller still points to")
        disarm_c(&self.read_timer)
        free(self.chunks)

    cdef int after_c(self) except -1:
        raise NotImplementedError("after_c")

    cdef int received_c(self, Py_ssize_t size) except -1:
        raise NotImplementedError("received_c")

    cdef int ended_c(self) except -1:
        raise NotImplementedError("ended_c")

    cdef Py_ssize_t break_body_c(self, const char* data, Py_ssize_t size) except -1:
        raise NotImplementedError("break_body_c")

    cdef Py_ssize_t feed_body_c(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t used
        if self.body_kind == BODY_CHUNKED:
            return self.feed_chunks_c(data, size)
        used = size if size < self.body_left else <Py_ssize_t>self.body_left
        self.body_left -= used
        self.more_came_c(used)
        if self.body is not None:
            self.body.feed_c(data, used)
        if self.body_left == 0:
            self.end_body_c()
        return used

    cdef int body_filled_c(self, Py_ssize_t size) except -1:
        # Octets were received where the body wanted them.
        self.worker.touch_c()
        self.body_left -= size
        must(self.body_left >= 0, "more octets than the content has were received as such")
        self.more_came_c(size)
        self.body.filled_c(size)
        return self.end_body_c() if self.body_left == 0 else 0

    cdef Py_ssize_t feed_chunks_c(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t used = 0, step, part_size
        cdef const char* part
        cdef int result
        while used < size and not self.closing:
            result = chunk_next_c(self.chunks, data + used, size - used, &self.worker.limits, &step, &part, &part_size)
            used += step
            if result == CHUNK_DATA:
                self.more_came_c(part_size)
                if self.body is not None:
                    self.body.feed_c(part, part_size)
            elif result == CHUNK_DONE:
                self.end_body_c()
                break
            elif result == CHUNK_FAILED:
                return self.break_body_c(data, size)
        return used

    cdef void expect_more_c(self) noexcept:
        if self.waits_since_ns == 0:
            self.waits_since_ns = self.worker.now_ns

    cdef void more_came_c(self, Py_ssize_t octets) noexcept:
        self.exchange.received += octets
        if self.waits_since_ns:
            self.waited_ns += self.worker.now_ns - self.waits_since_ns
            self.waits_since_ns = 0

    cdef bint trickles_c(self) noexcept:
        cdef int64_t waits_ns = self.worker.now_ns - self.waits_since_ns if self.waits_since_ns else 0
        return self.worker.too_slow_c(self.exchange.received, self.waited_ns + waits_ns)

    cdef int end_body_c(self) except -1:
        self.body_kind = BODY_NONE
        free(self.chunks)
        self.chunks = NULL
        if self.body is not None:
            self.body.end_c()
        return self.read_on_c()

    cdef int give_body_up_c(self, object error) except -1:
        # Whoever reads it is told why, and answers; nothing can follow on this connection.
        self.body_kind = BODY_NONE
        self.closing = True
        self.wary = True
        if self.body is not None:
            self.body.fail_c(error)
        return 0

    cdef bint worth_discarding(self):
        # Reading on costs less than a new connection, unless the peer waits for our word.
        return self.body_kind == BODY_LENGTH and self.body_left <= DISCARD_LIMIT and not self.expects_continue

    # ---- reading ------------------------------------------------------------------------------

    def get_buffer(self, sizehint):
        return self.worker.read_buffer

    def buffer_updated(self, Py_ssize_t size):
        self.received_c(size)
        self.after_c()
        if self.read_before and self.direct and not self.closing:
            self.poll_c()
        self.read_before = True

    cdef int poll_c(self) except -1:
        # From the transport to the worker's poller, unless somebody wants it to pause just now.
        cdef Worker worker = self.worker
        must(not self.polled, "a connection is polled twice")
        if worker.poller is None:
            worker.poller = Poller(worker)
        if self.transport.is_reading() and (<Poller>worker.poller).watch_c(self, self.fd):
            self.transport.pause_reading()
            self.polled = True
        return 0

    cdef int readable_c(self, bint ended) except -1:
        # Edges do not come twice: what is there must be read to its end, or asked for again.
        cdef Worker worker = self.worker
        cdef char* room
        cdef Py_ssize_t size, most
        for _ in range(max(1, READS_AT_ONCE // (<Poller>worker.poller).ready_count)):
            if self.resting or self.fd < 0:
                return self.fd >= 0
            most = 0
            if self.body is not None and self.body_kind == BODY_LENGTH and not self.closing:
                most = min(READ_SIZE, self.body.room_c(&room))
            size = receive_now_c(self.fd, room if most else worker.read_data, most or READ_SIZE)
            if size > 0:
                if most:
                    self.body_filled_c(size)
                else:
                    self.received_c(size)
                if size < (most or READ_SIZE) and not ended:
                    return self.fd >= 0
            elif size == RECEIVE_NOTHING:
                return True
            else:
                self.resting = True
                self.after_c()          # what came before that leaves first
                return self.broken_c() if size == RECEIVE_BROKEN else self.ended_c()
        (<Poller>worker.poller).again_c(self, self.fd)
        return True

    cdef int after_read_c(self) except -1:
        return self.after_c()

    cdef int broken_c(self) except -1:
        if not self.closing:
            self.worker.tell_c(REASON_RESET)
        self.transport.abort()
        return 0

    cdef int disconnect_c(self) except -1:
        if self.polled:
            self.polled = False
            (<Poller>self.worker.poller).unwatch_c(self, self.fd)
        return Sending.disconnect_c(self)

    # ---- the reader's pace --------------------------------------------------------------------

    cdef int pull_c(self) except -1:
        cdef bint waits = self.holding or self.expects_continue
        if not waits or self.transport is None:
            return 0
        if self.expects_continue:
            self.expects_continue = False
            self.out_c().append_c(b"HTTP/1.1 100 Continue\r\n\r\n", 25)
        self.read_on_c()
        if not self.processing:
            self.worker.touch_c()
            self.after_c()
        return 0

    cdef int read_on_c(self) except -1:
        if self.holding:
            self.holding = False
            self.resume_reading_c()
        return 0

    cdef int hold_c(self) except -1:
        self.holding = True
        disarm_c(&self.read_timer)
        return self.pause_reading_c()

    cdef int pause_reading_c(self) except -1:
        if self.polled:
            self.resting = True
        elif self.transport is not None:
            self.transport.pause_reading()
        return 0

    cdef int resume_reading_c(self) except -1:
        if not self.polled:
            if self.transport is not None:
                self.transport.resume_reading()
        elif self.resting:
            self.resting = False
            (<Poller>self.worker.poller).again_c(self, self.fd)
        return 0

    # ---- what is noted of it ------------------------------------------------------------------

    cdef int open_exchange_c(self, Head head, Route route) except -1:
        must(not self.exchange.open, "a request begins before the last one was concluded")
        memset(&self.exchange, 0, sizeof(self.exchange))
        self.exchange.open = True
        self.worker.answering += 1
        self.exchange.begun_ns = self.worker.now_ns
        self.exchange.ending = ENDING_LEFT      # unless something else becomes of it
        self.route = route
        self.exchange.route_id = NAME_UNMATCHED if route is None else route.metric_id
        if head is not None:
            self.request_head = <void*>head
            self.exchange.method = head.method
            self.exchange.minor = head.minor
        if route is not None and route.exempt:
            self.request_number = 0
        else:
            self.worker.ids.assign_c(self, head)
        return 0

    cdef int note_answer_c(self, int status, bytes content_type, ResponseHeaders fields) except -1:
        self.exchange.status = status
        if self.worker.access is not None and self.worker.access.log.wants_fields:
            self.answer_fields = (content_type, fields)
        return 0

    cdef int conclude_c(self, int ending) except -1:
        cdef Head head = <Head>self.request_head if self.request_head != NULL else None
        must(self.exchange.open, "a request is concluded twice")
        self.exchange.open = False
        self.worker.answering -= 1
        must(self.worker.answering >= 0, "more requests are concluded than began")
        self.exchange.ending = ending
        self.exchange.ended_ns = self.worker.now_ns
        self.request_head = NULL
        if self.worker.observes:
            self.worker.observed_c(self, head)
            self.answer_fields = None
        self.route = None
        return 0
