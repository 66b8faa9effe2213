# Owns one TLS connection: its handshake, its records, its end. Must not know HTTP, but for one answer
# to those who speak it without TLS.
#
# uvloop's own layer keeps 256 KiB for each connection, does not send its alerts, waits for the peer's
# close_notify, and hides connections from a drain until their handshake is done; and it takes twice the time.
#
# Input: all connections of a worker read sealed octets into one buffer. OpenSSL gets them in small steps,
# because the memory that it holds them in never shrinks, and opens them into the worker's read buffer,
# where HttpProtocol finds them. While http does not want to read, they stay sealed.
#
# Output: octets are sealed when the TCP transport has nothing left to send, a slice at a time, so what is
# sealed and waiting has a bound, and what is not stays where it lies.
#
# The end: close_notify is sent, never waited for (RFC 8446 section 6.1). A connection that was cut, without
# close_notify, ends like any other: framing tells HTTP what was complete.

cimport cython
from cpython.buffer cimport PyBUF_READ, PyBUF_WRITE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory, PyMemoryView_FromObject
from highperf.core.outgoing cimport Outgoing
from highperf.core.sending cimport send_now_c
from highperf.core.stream cimport Stream
from highperf.core.worker cimport READ_SIZE, Worker
from highperf.guards.deadlines cimport disarm_c
from highperf.observe.metrics cimport REASON_TLS_HANDSHAKE, REASON_TLS_TIMEOUT
from highperf.wire.buffers cimport Buffer
from highperf.wire.response cimport PERSIST_CLOSE, write_head_c

import ssl
from collections import deque

cdef enum TimerKind:
    TIMER_HANDSHAKE
    TIMER_LINGER

cdef enum Ending:
    OPEN
    HALF_CLOSED                 # nothing more is written, or will be when the backlog is gone
    CLOSED                      # nor read

cdef enum:
    RECORD_SIZE = 16 * 1024     # the most that one record holds (RFC 8446 section 5.1)
    STEP = 16 * 1024            # what OpenSSL is given at a time
    SLICE = 64 * 1024           # what it seals at a time
    TURN_SLICES = 16            # in one turn of the loop
    HIGH_WATER = 64 * 1024      # unsent octets at which http is told not to write on, ...
    LOW_WATER = 16 * 1024       # ... and those at which it may again

cdef bytes NOT_PLAIN = b'{"type":"about:blank","title":"Bad Request","status":400,"detail":"this port speaks HTTPS"}'

cdef object WantRead = ssl.SSLWantReadError
cdef object ZeroReturn = ssl.SSLZeroReturnError
cdef object SslError = ssl.SSLError


@cython.final
cdef class TlsTransport(Stream):
    def __cinit__(self, Worker worker not None):
        self.worker = worker
        self.fd = -1
        self.timer.owner = <void*>self
        self.arrived = ssl.MemoryBIO()
        self.leaving = ssl.MemoryBIO()
        self.take_in = self.arrived.write
        self.take_out = self.leaving.read

    def __dealloc__(self):
        disarm_c(&self.timer)

    # ---- asyncio.BufferedProtocol of the TCP transport ----------------------------------------

    def connection_made(self, tcp):
        cdef Worker worker = self.worker
        cdef object socket = tcp.get_extra_info("socket")
        self.tcp = tcp
        if socket is not None:
            self.fd = socket.fileno()
        tcp.set_write_buffer_limits(0)  # we want to know when it holds anything
        self.session = worker.tls.wrap_bio(self.arrived, self.leaving, server_side=True)
        self.unseal = self.session.read
        self.seal = self.session.write
        worker.opened_c(self)
        worker.touch_c()
        self.timer.kind = TIMER_HANDSHAKE
        worker.arm_c(worker.partings if worker.draining else worker.handshakes, &self.timer)

    def get_buffer(self, sizehint):
        return self.worker.sealed_buffer

    def buffer_updated(self, Py_ssize_t size):
        if self.refused or self.ending == CLOSED:
            return
        if self.http is None:
            self.worker.touch_c()
            if self.worker.draining:
                self.worker.arm_c(self.worker.partings, &self.timer)
        self.receive_c(size)

    def eof_received(self):
        self.worker.touch_c()
        if self.http is None:
            return False        # a probe that only connects, as likely as not: not worth a line
        self.eof = True
        if not self.resting:
            self.end_input_c()
        return True             # end_input_c has closed it, unless there is something left to say

    def connection_lost(self, error):
        cdef object http = self.http
        disarm_c(&self.timer)
        self.tcp = self.http = None
        self.fd = -1
        self.drop_c()
        if http is None:
            self.worker.closed_c(self)
        else:
            http.connection_lost(error)

    def pause_writing(self):
        self.blocked = True

    def resume_writing(self):
        self.blocked = False
        self.send_on_c()
        if self.crowded and self.get_write_buffer_size() <= LOW_WATER:
            self.crowded = False
            if self.ending == OPEN:
                self.http.resume_writing()

    # ---- the handshake ------------------------------------------------------------------------

    cdef int handshake_c(self) except -1:
        try:
            self.session.do_handshake()
        except WantRead:
            return self.pass_on_c(0)
        except SslError as error:
            return self.refuse_c(error)
        return self.established_c()

    cdef int established_c(self) except -1:
        disarm_c(&self.timer)
        self.http = <Outgoing>self.worker.protocol_class(self.worker)
        self.http.connection_made(self)
        return self.worker.closed_c(self)

    cdef int refuse_c(self, object error) except -1:
        # A peer that is still sending would lose the alert to a reset: read on for a while.
        self.refused = True
        if error.reason == "HTTP_REQUEST":
            self.tell_c("it was HTTP", REASON_TLS_HANDSHAKE)
            self.answer_plainly_c()
        else:
            reason = error.reason or str(error)
            told = getattr(error, "verify_message", "") or reason.lower().replace("_", " ")
            self.tell_c(told, REASON_TLS_HANDSHAKE)
            self.pass_on_c(0)
        if self.ending == CLOSED:
            return 0
        self.tcp.write_eof()
        self.timer.kind = TIMER_LINGER
        return self.worker.arm_c(self.worker.partings if self.worker.draining else self.worker.lingers, &self.timer)

    cdef int answer_plainly_c(self) except -1:
        cdef Buffer out = self.worker.pool.acquire_c(READ_SIZE)
        write_head_c(
            out, self.worker.standing, 400, b"application/problem+json", len(NOT_PLAIN), None, PERSIST_CLOSE, b"", 0
        )
        out.append_c(NOT_PLAIN, len(NOT_PLAIN))
        self.tcp.write(PyBytes_FromStringAndSize(out.data, out.size))
        return self.worker.pool.release_c(out)

    cdef int tell_c(self, str why, int reason) except -1:
        self.worker.tell_c(reason)
        return self.worker.warn_c(self.peer_c(), "TLS handshake with %s failed: %s", (self.peer_c(), why))

    cdef object peer_c(self):
        return None if self.tcp is None else self.tcp.get_extra_info("peername")

    cdef int expired_c(self, int kind) except -1:
        if kind == TIMER_HANDSHAKE:
            self.tell_c("it took too long", REASON_TLS_TIMEOUT)
        return self.close_c()

    # A connection that is still shaking hands is a Stream without requests.

    cdef int drain_c(self) except -1:
        return self.worker.arm_c(self.worker.partings, &self.timer)

    cdef bint evict_c(self) except -1:
        disarm_c(&self.timer)
        self.close_c()
        return True

    cdef int close_c(self) except -1:
        self.abort()
        return 0

    # ---- input --------------------------------------------------------------------------------

    cdef int receive_c(self, Py_ssize_t size) except -1:
        cdef char* data = self.worker.sealed_data
        cdef Py_ssize_t used = 0, step
        while used < size and self.ending != CLOSED and not self.refused:
            step = min(size - used, STEP)
            self.take_in(PyMemoryView_FromMemory(data + used, step, PyBUF_READ))
            used += step
            if self.http is None:
                self.handshake_c()
            if self.http is not None:
                self.unseal_c()
        return 0

    cdef int unseal_c(self) except -1:
        # Opens what has come. Must not be called from within http, which uses the read buffer.
        cdef Py_ssize_t size
        self.dry = False
        while not self.dry and not self.resting and self.ending != CLOSED:
            size = self.read_records_c()
            if size:
                self.http.buffer_updated(size)
        if self.eof and not self.resting:
            self.end_input_c()
        return 0

    cdef Py_ssize_t read_records_c(self) except -1:
        # Into the worker's read buffer. A read ends with its record, so OpenSSL holds no open octets.
        cdef Worker worker = self.worker
        cdef Py_ssize_t size = 0, got
        cdef object room = worker.read_buffer
        try:
            while READ_SIZE - size >= RECORD_SIZE:
                got = self.unseal(RECORD_SIZE, room)
                size += got
                if got == 0:                # close_notify
                    self.eof = True
                if got == 0 or not self.arrived.pending:
                    self.dry = True
                    break
                room = PyMemoryView_FromMemory(worker.read_data + size, READ_SIZE - size, PyBUF_WRITE)
        except WantRead:
            self.dry = True
            self.pass_on_c(0)               # what OpenSSL says by itself: tickets, an answer to new keys
        except ZeroReturn:                  # close_notify, after ours
            self.dry = self.eof = True
        except SslError as error:
            self.dry = True
            self.fail_c(error)
            return 0
        return size

    cdef int end_input_c(self) except -1:
        if not self.eof_told:
            self.eof_told = True
            if not self.http.eof_received():
                self.close()
        return 0

    cdef int fail_c(self, object error) except -1:
        # The peer's records are broken: say so by the alert that OpenSSL has made, and end.
        self.worker.logger.debug("TLS connection of %s failed: %s", self.peer_c(), error.reason or str(error))
        self.pass_on_c(0)
        self.drop_c()
        if self.tcp is not None:
            self.tcp.close()
        return 0

    cdef void drop_c(self) noexcept:
        # What waits to be sent is never sent.
        self.ending = CLOSED
        self.parted = True
        self.crowded = False
        self.backlog = None
        self.backlog_size = 0

    # ---- the transport of http ----------------------------------------------------------------

    def get_extra_info(self, name, default=None):
        if name == "sslcontext":
            return self.worker.tls
        if name == "ssl_object":
            return self.session
        if name == "peercert":
            return self.session.getpeercert()
        return default if self.tcp is None else self.tcp.get_extra_info(name, default)

    def pause_reading(self):
        self.resting = True
        if self.tcp is not None:
            self.tcp.pause_reading()

    def resume_reading(self):
        if self.resting:
            self.resting = False
            self.worker.loop.call_soon(self.read_on)

    def read_on(self):
        if self.resting or self.ending == CLOSED:
            return
        self.unseal_c()
        if not self.resting and not self.eof and self.ending != CLOSED:
            self.tcp.resume_reading()

    def write(self, octets):
        cdef Py_ssize_t size = len(octets)
        if self.ending != OPEN or size == 0:
            return
        if size > SLICE or self.blocked or self.backlog_size:
            self.back_up_c(octets, size)
        else:
            self.seal_c(octets, size)

    def get_write_buffer_size(self):
        if not self.blocked or self.tcp is None:
            return self.backlog_size
        return self.backlog_size + self.tcp.get_write_buffer_size()

    def can_write_eof(self):
        return True

    def write_eof(self):
        if self.ending == OPEN:
            self.ending = HALF_CLOSED
            self.end_output_c()

    def is_closing(self):
        return self.ending == CLOSED or self.tcp is None or self.tcp.is_closing()

    def close(self):
        self.ending = CLOSED
        self.end_output_c()

    def abort(self):
        self.drop_c()
        if self.tcp is not None:
            self.tcp.abort()

    # ---- output -------------------------------------------------------------------------------

    cdef int seal_c(self, object octets, Py_ssize_t size) except -1:
        try:
            self.seal(octets)
        except SslError as error:
            return self.fail_c(error)
        return self.pass_on_c(size)

    cdef int back_up_c(self, object octets, Py_ssize_t size) except -1:
        if self.backlog is None:
            self.backlog = deque()
        self.backlog.append(PyMemoryView_FromObject(octets))
        self.backlog_size += size
        self.send_on_c()
        if not self.crowded and self.get_write_buffer_size() > HIGH_WATER:
            self.crowded = True
            self.http.pause_writing()
        return 0

    cdef int send_on_c(self) except -1:
        cdef int slices = 0
        while self.backlog_size and not self.blocked:
            if slices == TURN_SLICES:
                self.blocked = True     # by ourselves: the loop has others to serve
                self.worker.loop.call_soon(self.resume_writing)
                return 0
            slices += 1
            part = self.backlog.popleft()
            if len(part) > SLICE:
                self.backlog.appendleft(part[SLICE:])
                part = part[:SLICE]
            self.backlog_size -= len(part)
            self.seal_c(part, len(part))
        return self.end_output_c() if self.ending != OPEN else 0

    cdef int pass_on_c(self, Py_ssize_t opened) except -1:
        # What is sealed leaves. opened: its size before that; from now on the rest of it counts as handed over, too.
        cdef bytes octets = self.take_out()
        cdef Py_ssize_t size = PyBytes_GET_SIZE(octets), sent = 0
        if size == 0 or self.tcp is None:
            return 0
        if self.http is not None:
            self.http.handed += size - opened
        if not self.blocked and self.fd >= 0:
            sent = send_now_c(self.fd, PyBytes_AS_STRING(octets), size, 0)
            if sent < 0:
                return self.close_c()
        if sent < size:
            self.tcp.write(octets if sent == 0 else PyMemoryView_FromObject(octets)[sent:])
        return 0

    cdef int end_output_c(self) except -1:
        # When the backlog is gone: our close_notify, and a FIN. The peer's is read where somebody reads on.
        if self.backlog_size or self.tcp is None:
            return 0
        if not self.parted:
            self.parted = True
            try:
                self.session.unwrap()
            except SslError:
                pass
            self.pass_on_c(0)
            if self.ending == HALF_CLOSED:
                self.tcp.write_eof()
        if self.ending == CLOSED:
            self.tcp.close()
        return 0
