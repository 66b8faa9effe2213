# Owns the outgoing half of a connection: gathered octets, send(2), back-pressure, write timeout.
# Must not know what the octets mean.
#
# Octets are gathered in one pooled buffer until flush_c and leave by one send(2). What the socket
# does not take goes through the transport, and so does everything under TLS; send(2) never
# overtakes the transport's buffer. A large part is not gathered but sent from where it lies.

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromObject
from libc.stdint cimport int64_t

from highperf.checks cimport must
from highperf.core.connected cimport Connected
from highperf.core.sending cimport send_now_c
from highperf.core.worker cimport Worker
from highperf.guards.deadlines cimport armed_c, disarm_c
from highperf.observe.exchange cimport ENDING_LEFT
from highperf.observe.metrics cimport REASON_WRITE_TIMEOUT
from highperf.wire.buffers cimport Buffer

cdef extern from *:
    """
    #include <sys/ioctl.h>
    #ifdef __linux__
    #include <linux/sockios.h>
    #endif
    /* Octets that the system holds because the peer has not acknowledged them; 0 where it does not say. */
    static inline int hp_unacknowledged(int fd) {
        int octets = 0;
    #if defined(SIOCOUTQ)
        if (ioctl(fd, SIOCOUTQ, &octets) != 0)
            octets = 0;
    #elif defined(SO_NWRITE)
        socklen_t size = sizeof(octets);
        if (getsockopt(fd, SOL_SOCKET, SO_NWRITE, &octets, &size) != 0)
            octets = 0;
    #endif
        return octets;
    }
    static inline void hp_reset_at_close(int fd) {
        struct linger now = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    """
    void hp_reset_at_close(int fd) noexcept
    int hp_unacknowledged(int fd)

cdef enum:
    OUT_SIZE = 64 * 1024        # first capacity of an output buffer: the answers to a read that is full of requests
    LARGE_PART = 32 * 1024      # content from here on is sent from where it lies


cdef class Outgoing(Connected):
    def __cinit__(self, Worker worker not None):
        self.write_timer.owner = <void*>self
        self.write_timer.kind = TIMER_WRITE

    def __dealloc__(self):
        disarm_c(&self.write_timer)

    cdef int disconnect_c(self) except -1:
        Connected.disconnect_c(self)
        disarm_c(&self.write_timer)
        return 0

    # ---- asyncio.BaseProtocol: the transport's buffer is full, or has room again --------------

    def pause_writing(self):
        self.writing_paused = True

    def resume_writing(self):
        self.writing_paused = False
        self.wake_c()
        self.writable_c()

    cdef int writable_c(self) except -1:
        return 0                # for subclasses

    cdef int wake_c(self) except -1:
        cdef object waiter = self.drain_waiter
        self.drain_waiter = None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        return 0

    cdef object drained_c(self):
        # Of a broken connection the loop tells later: a source that never waits would not let it.
        self.flush_c()
        if not self.writing_paused and not (self.transport is not None and self.transport.is_closing()):
            return None
        if self.drain_waiter is None:
            self.drain_waiter = self.worker.loop.create_future()
        return self.drain_waiter

    # ---- gathering and sending ----------------------------------------------------------------

    cdef Buffer out_c(self):
        if self.out is None:
            self.out = self.worker.pool.acquire_c(OUT_SIZE)
        return self.out

    cdef int write_c(self, const char* octets, Py_ssize_t size, object owner) except -1:
        # Small parts are gathered; a large one goes from where it lies, after what was gathered.
        cdef Py_ssize_t sent = 0
        if size < LARGE_PART or owner is None:
            return self.out_c().append_c(octets, size)
        self.flush_c()
        if self.transport is None:
            return 0
        if self.direct and not self.backed_up:
            sent = self.try_send_c(octets, size, 0)
            if sent < 0:
                return 0
        if sent < size:
            self.back_up_c(PyMemoryView_FromObject(owner)[sent:])
        return 0

    cdef int flush_c(self) except -1:
        return self.push_c(0)

    cdef int push_c(self, int flags) except -1:
        cdef Buffer out = self.out
        cdef Py_ssize_t sent = 0
        if out is None:
            return 0
        if self.transport is not None and out.size:
            if self.backed_up and self.transport.get_write_buffer_size() == 0:
                self.backed_up = False
            if self.direct and not self.backed_up:
                sent = self.try_send_c(out.data, out.size, flags)
            if 0 <= sent < out.size:
                self.back_up_c(PyBytes_FromStringAndSize(out.data + sent, out.size - sent))
        return self.release_out_c()

    cdef Py_ssize_t try_send_c(self, const char* octets, Py_ssize_t size, int flags) except -2:
        # Octets that the socket took, 0 when it is full, -1 when the connection is broken.
        cdef Py_ssize_t sent
        must(self.fd >= 0 and self.transport is not None, "octets are sent on a connection that was lost")
        sent = send_now_c(self.fd, octets, size, flags)
        if sent < 0:
            self.close_c()
            self.exchange.ending = ENDING_LEFT
            return -1
        self.handed += sent
        return sent

    cdef int back_up_c(self, object octets) except -1:
        # The socket is full: the transport sends the rest when it can.
        must(self.transport is not None, "octets are handed to a transport that was lost")
        if self.direct:
            self.backed_up = True
        self.handed += len(octets)
        self.transport.write(octets)
        if self.transport.get_write_buffer_size():
            self.expect_progress_c()
        return 0

    cdef bint waited_for_c(self) except -1:
        return self.transport.get_write_buffer_size() > 0

    cdef int expect_progress_c(self) except -1:
        if not armed_c(&self.write_timer):
            self.worker.touch_c()           # an answer may begin long after its request came
            self.taken = self.slow_from = self.taken_c()
            self.slow_since_ns = self.worker.now_ns
            self.worker.arm_c(self.worker.writes, &self.write_timer)
        return 0

    cdef int64_t taken_c(self) except -1:
        # The system may hold megabytes for a peer that takes them slowly, and lets us write on
        # only when a third of them is gone: so what the peer has acknowledged is what counts.
        cdef Py_ssize_t held = self.transport.get_write_buffer_size()
        return self.handed - held - (hp_unacknowledged(self.fd) if self.fd >= 0 else 0)

    cdef int check_progress_c(self) except -1:
        cdef int64_t taken
        if not self.waited_for_c():
            return 0
        taken = self.taken_c()
        if taken <= self.taken:
            self.worker.warn_c(self.peer_c(), "%s took nothing of its answer in time", (self.peer_c(),))
            self.worker.tell_c(REASON_WRITE_TIMEOUT)
            return self.close_c()
        if self.worker.too_slow_c(taken - self.slow_from, self.worker.now_ns - self.slow_since_ns):
            self.worker.warn_c(self.peer_c(), "%s took its answer too slowly", (self.peer_c(),))
            self.worker.tell_c(REASON_WRITE_TIMEOUT)
            return self.close_c()
        self.taken = taken
        return self.worker.arm_c(self.worker.writes, &self.write_timer)

    cdef int cut_c(self) except -1:
        if self.transport.get_write_buffer_size():
            self.reset_c()              # else the system keeps megabytes for a peer that does not read
        self.transport.abort()
        return 0

    cdef void reset_c(self) noexcept:
        if self.fd >= 0:
            hp_reset_at_close(self.fd)

    cdef int release_out_c(self) except -1:
        if self.out is not None:
            self.worker.pool.release_c(self.out)
            self.out = None
        return 0
