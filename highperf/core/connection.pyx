# Owns one HTTP/1.1 connection: its input, its output, its timers, and when it ends.
# Must not know handlers (cycle does) nor per-byte rules (wire does).
#
# Input: all connections of a worker read into one buffer, and a head is parsed where it lies.
# Only what must survive the read is copied: a head cut in two, a request whose handler waits or
# keeps it, and octets behind a request that is still being answered (`pending`).
#
# Content: see incoming.pyx. Answers: see answering.pyx and outgoing.pyx. They are gathered while a read is
# processed and leave together at its end, so that pipelined answers share one write.
#
# The end: close_c at once, shut_c when all is sent; see there. A draining worker's connections end with
# their next answer, or when they have been idle for a moment (part_c).
#
# Rules:
# - Requests are answered strictly in order: nothing is parsed while one is being answered.
# - After a refusal or a close nothing more is parsed (RFC 9112 section 9.6).
# - Every path out of a callback ends in after_c, which flushes, closes, and sets the timers.

cimport cython
from cpython.ref cimport Py_REFCNT
from libc.stdlib cimport calloc
from libc.string cimport memmove
from highperf.core.answering cimport Answering
from highperf.core.body cimport BodyReader
from highperf.core.cycle cimport (
    ROUTE_HANDLER, Match, RequestCycle, Route, answer_directly_c, choose_route_c, find_endpoint_c,
    run_cycle_c, send_response_c, start_cycle_c,
)
from highperf.core.gate cimport Gate
from highperf.core.incoming cimport BODY_CHUNKED, BODY_LENGTH, BODY_NONE
from highperf.core.outgoing cimport TIMER_WRITE
from highperf.core.file_sending cimport Sending
from highperf.core.problems cimport problem_c
from highperf.core.worker cimport KEY_FAILED, PASSED, Worker
from highperf.guards.deadlines cimport TimeoutList, armed_c, disarm_c
from highperf.observe.exchange cimport ENDING_CUT, ENDING_SENT
from highperf.observe.metrics cimport REASON_BODY_TIMEOUT, REASON_RESET, reason_of_c
from highperf.observe.traces cimport is_sampled
from highperf.wire.buffers cimport Buffer
from highperf.wire.chunked cimport ChunkDecoder
from highperf.wire.parser cimport (
    METHOD_CONNECT, METHOD_HEAD, PARSE_DONE, PARSE_FAILED, PARSE_NEED_MORE, Head,
)
from highperf.wire.parse_errors cimport error_reason_c, error_status_c
from highperf.wire.router cimport Endpoint

from highperf.errors import HTTPError

cdef enum TimerKind:
    TIMER_HEAD = 1              # 0 is TIMER_WRITE
    TIMER_BODY
    TIMER_IDLE
    TIMER_LINGER
    TIMER_HALF_CLOSE
    TIMER_PARTING               # idle, of a draining worker
    TIMER_FAREWELL              # lingers after that
    TIMER_LAST_CALL             # a head that may have come in time

cdef enum:
    HEAD_STEP = 4096            # how much of a read a cut head takes at a time
    PENDING_LIMIT = 64 * 1024   # octets behind the running request; then reading stops
    FLUSH_SIZE = 64 * 1024      # pipelined answers leave before the buffer is larger


@cython.final
cdef class HttpProtocol(Answering):
    def __cinit__(self, Worker worker not None):
        self.persistent = True

    # ---- asyncio.BufferedProtocol -------------------------------------------------------------

    def connection_made(self, transport):
        self.connect_c(transport)
        self.worker.opened_c(self)
        if self.worker.access is not None:
            self.trusted_c()            # whose name it is, cannot be asked when the peer is gone
        self.worker.touch_c()
        self.wait_c(TIMER_PARTING if self.worker.draining else TIMER_HEAD)

    cdef int received_c(self, Py_ssize_t size) except -1:
        cdef const char* data = self.worker.read_data
        cdef Py_ssize_t used
        self.worker.touch_c()
        if self.closing or self.transport is None:
            return self.discard_c()
        if self.pending is not None:
            return self.defer_c(data, size)
        used = self.receive_c(data, size)
        if used < size and not self.closing:
            self.defer_c(data + used, size - used)
        return 0

    cdef int ended_c(self) except -1:
        if not self.eof_received():
            self.transport.close()
        return 0

    def eof_received(self):
        # A FIN may mean "I have sent all" or "I am gone"; a running request gets a moment to
        # finish, because the first would be wronged by less and the second costs little.
        self.worker.touch_c()
        self.eof = True
        if self.lingering or (not self.busy and self.pending is None) or not self.transport.can_write_eof():
            return False                # TLS, as asyncio has it, knows no half-closed connection
        if self.body_kind != BODY_NONE and self.body is not None:
            self.body.fail_c(HTTPError(400, "the body ended before its announced length"))
            self.persistent = False
        self.wait_c(TIMER_HALF_CLOSE)
        return True

    def connection_lost(self, error):
        cdef RequestCycle cycle = self.cycle
        self.worker.touch_c()
        if error is not None and not self.closing:
            self.worker.tell_c(REASON_RESET)
        if self.exchange.open:
            self.conclude_c(self.exchange.ending)
        self.disconnect_c()
        self.closing = True
        disarm_c(&self.read_timer)
        self.cycle = None
        if cycle is not None:
            cycle.lost_c("client disconnected")
        self.body = None
        self.release_out_c()
        self.release_pending_c()
        self.release_head_c(0)
        self.wake_c()
        self.worker.closed_c(self)

    cdef int writable_c(self) except -1:
        # What waited for the peer to take its answers may go on.
        if not self.busy and not self.processing and self.transport is not None:
            self.worker.touch_c()
            self.resume_c()
        return Sending.writable_c(self)

    # ---- input --------------------------------------------------------------------------------

    cdef Py_ssize_t receive_c(self, const char* data, Py_ssize_t size) except -1:
        # Returns how much was used; the rest lies behind a request that is being answered, or
        # behind the connection's last one.
        cdef Py_ssize_t used = 0
        self.processing = True
        try:
            while used < size and not self.closing:
                if self.body_kind != BODY_NONE:
                    used += self.feed_body_c(data + used, size - used)
                elif self.busy or self.writing_paused:
                    break
                else:
                    if self.worker.behind:
                        self.worker.touch_c()
                    used += self.feed_head_c(data + used, size - used)
        finally:
            self.processing = False
        if used < size:
            self.wary = True
        return used

    cdef Py_ssize_t feed_head_c(self, const char* data, Py_ssize_t size) except -1:
        cdef Worker worker = self.worker
        cdef Head head = self.head
        cdef Py_ssize_t used = 0
        cdef int result
        if head is None:
            head = worker.head
            head.reset_c()
            result = head.parse_c(data, size, &worker.limits)
            if result == PARSE_DONE:
                used = head.size
            elif result == PARSE_NEED_MORE:
                worker.take_head_c()
                self.head = head
                head.keep_c(worker.pool, size)
                return size
        else:
            result = PARSE_NEED_MORE
            while result == PARSE_NEED_MORE and used < size:
                step = min(size - used, HEAD_STEP)
                head.own.append_c(data + used, step)
                used += step
                result = head.parse_c(head.own.data, head.own.size, &worker.limits)
            if result == PARSE_NEED_MORE:
                return size
            if result == PARSE_DONE:
                used -= head.own.size - head.size
        if result == PARSE_FAILED:
            self.refuse_head_c(head, error_status_c(head.error), error_reason_c(head.error), size)
            return size
        return used + self.begin_c(head, data + used, size - used)

    cdef Py_ssize_t begin_c(self, Head head, const char* rest, Py_ssize_t size) except -1:
        # A request: its head is complete. Returns how much of the rest was its content.
        cdef Worker worker = self.worker
        cdef Match match
        cdef Endpoint endpoint = find_endpoint_c(worker, head, &match)
        cdef Route route = choose_route_c(worker, head, endpoint)
        cdef Gate gate = worker.unrouted if route is None else route.gate
        cdef RequestCycle cycle = None
        cdef Py_ssize_t used = 0
        cdef int verdict = PASSED
        self.expect_answer_c(head, route)
        if gate is not None:            # None: it passes all guards
            if gate.calls:
                worker.behind = True
                cycle = start_cycle_c(worker, self, head, endpoint, &match)
            verdict = gate.enter_c(self, head, None if cycle is None else cycle.request)
        if head.chunked or head.content_length > 0:
            self.expect_body_c(head, route, verdict == PASSED)
            if self.busy and size:
                used = self.feed_body_c(rest, size)
            if not self.busy:           # refused
                if gate is not None:
                    gate.withdraw_c(verdict)
                return size
        if verdict == KEY_FAILED:
            cycle.end_raised_c(gate.take_error_c())
        elif verdict != PASSED:
            gate.refuse_c(self, head, verdict)
        elif route is None or route.kind != ROUTE_HANDLER:
            answer_directly_c(worker, self, head, route, endpoint, &match)
        else:
            if cycle is None:
                cycle = start_cycle_c(worker, self, head, endpoint, &match)
            cycle.admitted_c(gate, self.body)
            self.cycle = cycle
            run_cycle_c(worker, cycle, route)
        cycle = None
        self.settle_head_c(head)
        return used

    cdef int expect_answer_c(self, Head head, Route route) except -1:
        self.busy = True
        self.open_exchange_c(head, route)
        if self.worker.tracer is not None and (route is None or not route.exempt):
            self.worker.tracer.begin_c(self, head)
        self.persistent = head.keep_alive and head.method != METHOD_CONNECT
        self.head_only = head.method == METHOD_HEAD
        return 0

    cdef int expect_body_c(self, Head head, Route route, bint admitted) except -1:
        cdef long long limit = self.worker.limit_body
        if route is not None and route.limit_body >= 0:
            limit = route.limit_body
        if head.content_length > limit:
            reason = f"the body of {head.content_length} bytes is larger than {limit}"
            return self.refuse_c(413, reason, head.base, head.size)
        self.expects_continue = head.expects_continue
        self.waited_ns = self.waits_since_ns = 0
        if admitted and route is not None and route.kind == ROUTE_HANDLER:
            self.body = BodyReader.__new__(BodyReader)
            self.body.worker = self.worker
            self.body.stream = self
            self.body.limit = limit
            self.body.length = -1 if head.chunked else head.content_length
        if head.chunked:
            self.body_kind = BODY_CHUNKED
            self.chunks = <ChunkDecoder*>calloc(1, sizeof(ChunkDecoder))
            if self.chunks == NULL:
                raise MemoryError()
        else:
            self.body_kind = BODY_LENGTH
            self.body_left = head.content_length
        return 0

    cdef int settle_head_c(self, Head head) except -1:
        # Whoever still holds the head after the first step must find its octets after the next
        # read. Two references are ours: the caller's, and the worker's or self.head.
        cdef Worker worker = self.worker
        cdef bint wanted = Py_REFCNT(head) > 2 or (
            self.busy and (worker.wants_heads or is_sampled(&self.exchange.trace)))
        if self.head is None:
            if not wanted:
                self.request_head = NULL
                return 0
            worker.take_head_c()
            head.keep_c(worker.pool, head.size)
            self.head = head
        if not self.busy:
            self.release_head_c(1)
        return 0

    cdef Py_ssize_t break_body_c(self, const char* data, Py_ssize_t size) except -1:
        # Broken framing: before the handler began it is a refusal, later the reader is told.
        cdef int status = error_status_c(self.chunks.error)
        cdef str reason = error_reason_c(self.chunks.error)
        if self.cycle is None:
            self.refuse_c(status, reason, data, size)
            return size
        self.log_refusal(status, reason, data[:min(size, 32)])
        self.worker.tell_c(reason_of_c(status))
        self.give_body_up_c(HTTPError(status, reason))
        return size

    cdef int defer_c(self, const char* data, Py_ssize_t size) except -1:
        # Octets behind a running request wait in order; too many of them stop the reading.
        cdef Buffer pending = self.pending
        if pending is None:
            pending = self.pending = self.worker.pool.acquire_c(size)
            self.pending_at = 0
        elif self.pending_at:
            pending.size -= self.pending_at
            memmove(pending.data, pending.data + self.pending_at, pending.size)
            self.pending_at = 0
        pending.append_c(data, size)
        if pending.size > PENDING_LIMIT:
            self.pause_reading_c()
        return 0

    cdef int resume_c(self) except -1:
        # The running request is answered: on with what waited behind it.
        cdef Buffer pending = self.pending
        if pending is not None and not self.closing:
            self.pending_at += self.receive_c(pending.data + self.pending_at, pending.size - self.pending_at)
            if self.pending_at == pending.size or self.closing:
                self.wary = self.closing
                self.release_pending_c()
                if not self.holding:
                    self.resume_reading_c()
        return self.after_c()

    cdef int after_c(self) except -1:
        self.flush_c()
        if self.transport is None or self.lingering:
            return 0
        if not self.busy and (self.closing or (self.eof and self.pending is None)):
            return self.shut_c()
        if self.eof:
            return 0                    # the half-close timer runs
        if self.worker.draining and not self.busy and self.head is None:
            return self.wait_c(TIMER_PARTING)
        if self.body_kind != BODY_NONE and not self.holding and not self.expects_continue:
            if self.trickles_c():
                return self.body_late_c("the body came too slowly")
            self.expect_more_c()
            return self.wait_c(TIMER_BODY)
        if self.busy:
            disarm_c(&self.read_timer)
            return 0
        if self.head is None:
            return self.wait_c(TIMER_IDLE)
        if (self.read_timer.kind != TIMER_HEAD and self.read_timer.kind != TIMER_LAST_CALL) or (
            not armed_c(&self.read_timer)
        ):
            return self.wait_c(TIMER_HEAD)
        return 0                        # it runs from the head's first octet, whatever follows

    cdef int wait_c(self, int kind) except -1:
        cdef Worker worker = self.worker
        cdef TimeoutList timeouts = worker.heads
        if kind == TIMER_BODY:
            timeouts = worker.bodies
        elif kind == TIMER_IDLE:
            timeouts = worker.idles
        elif kind == TIMER_LINGER:
            timeouts = worker.partings if worker.draining else worker.lingers
        elif kind == TIMER_HALF_CLOSE:
            timeouts = worker.half_closes
        elif kind == TIMER_PARTING or kind == TIMER_LAST_CALL:
            timeouts = worker.partings
        elif kind == TIMER_FAREWELL:
            timeouts = worker.farewells
        self.read_timer.kind = kind
        return worker.arm_c(timeouts, &self.read_timer)

    cdef int refuse_head_c(self, Head head, int status, str reason, Py_ssize_t size) except -1:
        # size: of its last piece, which is all of it unless it was cut.
        self.head_only = head.method == METHOD_HEAD
        return self.refuse_c(status, reason, head.base, size if head.own is None else head.own.size)

    cdef int refuse_c(self, int status, str reason, const char* data, Py_ssize_t size) except -1:
        # Answers what cannot be understood or may not pass, and ends the connection.
        self.worker.tell_c(reason_of_c(status))
        self.persistent = False
        self.wary = True
        self.busy = True
        if not self.exchange.open:      # it could not be understood
            self.open_exchange_c(None, None)
        if self.body is not None:
            self.body.detach_c()
        self.log_refusal(status, reason, data[:min(size, 32)])
        return send_response_c(self, problem_c(status, reason, None, self.request_id_c(), None, None))

    def log_refusal(self, status, reason, octets):
        cdef object peer = self.peer_c()
        self.worker.warn_c(peer, "bad request from %s: %s (answered %s, began with %s) [request %s]",
                           (peer, reason, status, octets.hex(), self.request_id_c()))

    # ---- Stream: the end of an answer ---------------------------------------------------------

    cdef int finish_c(self) except -1:
        if not self.busy:
            return 0
        if self.chunked and self.transport is not None:
            self.out_c().append_c(b"0\r\n\r\n", 5)
        self.chunked = False
        self.worker.served += 1
        if not self.processing or (self.worker.behind and self.worker.observes):
            self.worker.touch_c()
        self.conclude_c(ENDING_SENT)
        self.busy = False
        self.cycle = None
        self.body = None
        if not self.persistent:
            self.closing = True
            if self.body_kind != BODY_NONE:
                self.wary = True
        if self.out is not None and self.out.size > FLUSH_SIZE:
            self.flush_c()
        self.read_on_c()
        if not self.processing:         # otherwise receive_c goes on by itself
            self.release_head_c(0)
            self.resume_c()
        return 0

    cdef int abort_c(self) except -1:
        # The answer cannot be completed: what has left must not look whole.
        self.flush_c()
        if self.exchange.minor == 0:             # where it may be the end of the connection that ends an answer
            self.reset_c()
        if self.exchange.open:
            self.conclude_c(ENDING_CUT)
        self.busy = False
        self.cycle = None
        self.body = None
        return self.close_c()

    # ---- the end ------------------------------------------------------------------------------

    cdef int shut_c(self) except -1:
        # Closing a socket that holds unread octets resets it, and the reset may overtake our
        # answer: so where the peer may still be sending, close our side and read on for a while
        # (RFC 9112 section 9.6).
        self.closing = True
        disarm_c(&self.read_timer)
        self.release_pending_c()
        if self.transport.is_closing():
            return 0
        if not self.wary or self.eof or not self.transport.can_write_eof():
            self.transport.close()
            return 0
        self.lingering = True
        self.transport.write_eof()
        self.resume_reading_c()
        return self.wait_c(TIMER_LINGER)

    cdef int expired_c(self, int kind) except -1:
        if self.transport is None:
            return 0
        if kind == TIMER_WRITE:
            return self.check_progress_c()
        if kind <= TIMER_IDLE and self.arrived_c():
            # The loop was late, not the peer: what it sent is read in this turn. A head is waited for once more.
            return self.wait_c(TIMER_LAST_CALL if kind == TIMER_HEAD else kind)
        if kind == TIMER_HEAD or kind == TIMER_LAST_CALL:
            return self.head_late_c()
        if kind == TIMER_BODY:
            return self.body_late_c("the body took too long")
        if self.transport.get_write_buffer_size():
            return self.wait_c(kind)    # the peer takes its answer; the write timer watches that
        if kind == TIMER_IDLE:
            return self.shut_c()
        if kind == TIMER_PARTING:
            return self.part_c()
        if kind == TIMER_HALF_CLOSE and (self.holder is not None or (self.cycle is not None and self.cycle.started)):
            return 0                    # were the peer gone, our octets would bring us a reset
        return self.close_c()

    cdef int head_late_c(self) except -1:
        if self.head is None:           # connected, and silent since
            return self.shut_c()
        return self.refuse_head_c(self.head, 408, "the request head took too long", 0)

    cdef int body_late_c(self, str reason) except -1:
        disarm_c(&self.read_timer)
        if self.busy:
            self.log_refusal(408, reason, b"")
            self.worker.tell_c(REASON_BODY_TIMEOUT)
            return self.give_body_up_c(HTTPError(408, reason))
        self.wary = True                # its request is answered
        return self.shut_c()

    cdef bint evict_c(self) except -1:
        # It is idle or lingers, or its head is not complete.
        if self.transport is None or self.arrived_c() or self.transport.get_write_buffer_size():
            return False
        disarm_c(&self.read_timer)
        self.close_c()
        return True

    cdef int drain_c(self) except -1:
        # An idle connection ends in a moment; any other with the next answer that it is given.
        if self.lingering:
            return self.wait_c(TIMER_LINGER)
        if self.transport is None or self.busy or self.closing or self.eof or self.head is not None:
            return 0
        return self.wait_c(TIMER_PARTING)

    cdef int part_c(self) except -1:
        # A request that has arrived is served, and one that is on its way now is at least not reset.
        if self.arrived_c():
            return self.wait_c(TIMER_PARTING)
        self.wary = True
        self.shut_c()
        return self.wait_c(TIMER_FAREWELL) if self.lingering else 0

    cdef int discard_c(self) except -1:
        # What comes after our end is lost; a request, where the peer could not know of that end.
        if not self.lingering or not self.worker.draining:
            return 0
        if self.read_timer.kind == TIMER_FAREWELL and self.body_kind == BODY_NONE:
            self.worker.dropped += 1
        return self.wait_c(TIMER_LINGER)

    cdef int close_c(self) except -1:
        if self.transport is not None:
            self.closing = True
            self.exchange.ending = ENDING_CUT
            self.cut_c()
        return 0

    cdef int release_pending_c(self) except -1:
        if self.pending is not None and not self.processing:
            self.worker.pool.release_c(self.pending)
            self.pending = None
        return 0

    cdef int release_head_c(self, int callers) except -1:
        # callers: how many references to it are those of our callers' frames.
        cdef Head head = self.head
        if head is not None:
            self.head = None
            self.request_head = NULL
            self.worker.give_head_c(head, callers + 1)
        return 0
