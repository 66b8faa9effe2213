# Owns how the content of files leaves a connection: sendfile(2) in slices, whose turn it is, and
# reading in what is not in memory yet. Must not know which file it is, nor what the octets around it mean.
#
# A slice goes from the file straight into the socket while the transport holds nothing. Where the socket is
# full, an epoll instance of the worker's own says when it takes more: the loop has this one among
# its descriptors, refuses to watch a transport's own, and would want a duplicate of each. Edges are
# asked for, so that a socket costs a system call when its file begins to wait and one at the end.
#
# Whoever can go on waits in one queue, and gives way after each slice. A turn of the queue ends after
# TURN_NS, whatever the number and speed of the clients, and the loop deals with all else between
# two turns.
#
# Reading must not wait for a disk on the loop. Before a slice the system is asked, without waiting, for its first
# and its last octet. If it has them not, a thread reads the next part of the file in.
#
# Under TLS, and where there is no sendfile(2), slices are read and written to the transport, until it says
# that it holds enough.
#
# Rules:
# - The holder keeps the file open, and is told the end exactly once: by the result of send_file_c, by
#   file_done_c, or by lost_c.
# - What is short or changed fails; nothing is padded. The last slice leaves only after the holder was asked.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport (
    EAGAIN, ECONNABORTED, ECONNRESET, EHOSTUNREACH, EINTR, EINVAL, ENETUNREACH, ENOTCONN, EPIPE, ETIMEDOUT, errno,
)
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc
from highperf.checks cimport must
from highperf.clock cimport monotonic_ns
from highperf.core.outgoing cimport Outgoing
from highperf.core.stream cimport FILE_FAILED, FILE_GOING, FILE_SENT, FileHolder
from highperf.core.worker cimport Worker
from highperf.files.system cimport read_at
from highperf.observe.exchange cimport ENDING_LEFT

import collections
import functools
import os

cdef extern from *:
    """
    #include <errno.h>
    #include <sys/types.h>
    #include <sys/socket.h>
    #include <fcntl.h>
    #include <unistd.h>

    #ifdef __linux__
    #include <sys/epoll.h>
    #include <sys/sendfile.h>
    #define HP_SENDFILE 1
    static inline ssize_t hp_sendfile(int to, int from, int64_t offset, size_t size) {
        off_t at = offset;
        return sendfile(to, from, &at, size);
    }
    static inline int hp_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }
    static inline int hp_watch(int epoll, int fd, uint64_t token) {
        struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data = {.u64 = token}};
        return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    }
    static inline void hp_unwatch(int epoll, int fd) {
        struct epoll_event event = {0};     /* NULL would do since Linux 2.6.9 */
        epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &event);
    }
    static inline int hp_ready(int epoll, uint64_t *tokens, int room) {
        struct epoll_event events[64];
        int index, count = epoll_wait(epoll, events, room < 64 ? room : 64, 0);
        for (index = 0; index < count; index++)
            tokens[index] = events[index].data.u64;
        return count;
    }
    static inline void hp_expect(int fd, int64_t offset, int64_t size) {
        posix_fadvise(fd, offset, size, POSIX_FADV_WILLNEED);
    }
    #else
    #define HP_SENDFILE 0
    #ifndef MSG_MORE
    #define MSG_MORE 0
    #endif
    static inline ssize_t hp_sendfile(int to, int from, int64_t offset, size_t size) { errno = EINVAL; return -1; }
    static inline int hp_epoll_create(void) { return -1; }
    static inline int hp_watch(int epoll, int fd, uint64_t token) { return -1; }
    static inline void hp_unwatch(int epoll, int fd) { }
    static inline int hp_ready(int epoll, uint64_t *tokens, int room) { return 0; }
    static inline void hp_expect(int fd, int64_t offset, int64_t size) { }
    #endif
    """
    bint HP_SENDFILE
    ssize_t hp_sendfile(int to, int from_, int64_t offset, size_t size) nogil
    int hp_epoll_create()
    int hp_watch(int epoll, int fd, uint64_t token)
    void hp_unwatch(int epoll, int fd)
    int hp_ready(int epoll, uint64_t* tokens, int room)
    void hp_expect(int fd, int64_t offset, int64_t size) nogil
    int MSG_MORE

cdef enum:
    FILE_MORE = 3               # a FileProgress of slices alone: there is more to do at once
    SLICE_SIZE = 512 * 1024     # octets that one gives to its socket before the next has its turn
    COPY_SIZE = 64 * 1024       # the same where they are copied
    READ_IN_SIZE = 1024 * 1024  # what a thread reads in at a time
    EXPECT_SIZE = 4 * READ_IN_SIZE  # what it lets the system read on
    TURN_NS = 250_000           # that all slices of one turn of the loop may take
    READY_AT_ONCE = 64


cdef SendQueue queue_of(Worker worker):
    if worker.send_queue is None:
        worker.send_queue = SendQueue(worker)
    return <SendQueue>worker.send_queue


def read_in(int fd, long long offset, long long size, holder):
    # In a thread. holder: keeps the file open. Gives how many octets there were.
    cdef char* scratch = <char*>malloc(COPY_SIZE)
    cdef int64_t at = offset, end = offset + size
    cdef Py_ssize_t count = 1
    if scratch == NULL:
        raise MemoryError()
    with nogil:
        hp_expect(fd, offset, EXPECT_SIZE)
        while at < end and count > 0:
            count = read_at(fd, scratch, min(end - at, COPY_SIZE), at, True)
            if count > 0:
                at += count
    free(scratch)
    if count < 0:
        raise OSError(-count, os.strerror(-count))
    return at - offset


@cython.final
cdef class SendQueue:
    def __init__(self, Worker worker not None):
        self.worker = worker
        self.waiting = collections.deque()
        self.watched = {}
        self.epoll = -1

    cdef int join_c(self, Sending sending) except -1:
        if not sending.queued:
            sending.queued = True
            sending.blocked = False
            self.waiting.append(sending)
            self.schedule_c()
        return 0

    cdef int schedule_c(self) except -1:
        if not self.scheduled:
            self.scheduled = True
            self.worker.loop.call_soon(self.turn)
        return 0

    def turn(self):
        cdef long long began_ns = monotonic_ns()
        cdef Sending sending
        self.worker.touch_c()
        self.scheduled = True           # what joins now need not call
        while self.waiting and monotonic_ns() - began_ns < TURN_NS:
            sending = <Sending>self.waiting.popleft()
            must(sending.queued, "a connection is in the queue twice")
            sending.queued = False
            try:
                sending.go_on_c()
            except BaseException as error:      # it must not cost the others their turn
                self.worker.logger.error("sending a file failed", exc_info=error)
                sending.close_c()
        self.scheduled = False
        if self.waiting:
            self.schedule_c()

    cdef int watch_c(self, Sending sending) except -1:
        if sending.token:
            return 0                    # its next edge comes by itself
        if self.epoll < 0:
            self.epoll = hp_epoll_create()
            if self.epoll < 0:
                raise OSError(errno, os.strerror(errno))
            self.worker.loop.add_reader(self.epoll, self.look)
        must(sending.fd >= 0, "a connection that was lost is watched")
        self.last_token += 1
        if hp_watch(self.epoll, sending.fd, self.last_token) < 0:
            raise OSError(errno, os.strerror(errno))
        sending.token = self.last_token
        self.watched[sending.token] = sending
        return 0

    cdef int unwatch_c(self, Sending sending) except -1:
        # A socket that was closed has left the instance by itself, and its number may be another's.
        if sending.token:
            del self.watched[sending.token]
            sending.token = 0
            if sending.fd >= 0:
                hp_unwatch(self.epoll, sending.fd)
        return 0

    def look(self):
        # Some sockets take octets again, or have broken, which sending will show.
        cdef uint64_t tokens[READY_AT_ONCE]
        cdef int index, count = hp_ready(self.epoll, tokens, READY_AT_ONCE)
        cdef bint idle = not self.scheduled
        cdef object sending
        self.scheduled = True
        for index in range(count):
            sending = self.watched.get(tokens[index])
            if sending is not None and (<Sending>sending).blocked:
                self.join_c(<Sending>sending)
        if idle:                        # otherwise their turn comes: one in each of the loop's
            self.turn()

    def close(self):
        if self.epoll >= 0:
            self.worker.loop.remove_reader(self.epoll)
            os.close(self.epoll)
            self.epoll = -1


cdef class Sending(Outgoing):
    def __cinit__(self, Worker worker not None):
        self.file_fd = -1

    # ---- Stream -------------------------------------------------------------------------------

    cdef int attend_c(self, FileHolder holder) except -1:
        self.holder = holder
        return 0

    cdef int send_file_c(self, FileHolder holder, int fd, int64_t offset, int64_t size) except -1:
        cdef int progress
        if size == 0 or self.transport is None:
            return FILE_SENT
        must(self.file_fd < 0, "a file is sent before the last one has ended")
        self.holder = holder
        self.file_fd = fd
        self.file_at = offset
        self.file_end = offset + size
        self.cached_to = -1
        self.serial += 1
        self.copies = not (HP_SENDFILE and self.direct)
        if self.worker.fixed_now_ns == 0 and monotonic_ns() - self.worker.now_ns > TURN_NS:
            progress = FILE_MORE        # this callback has had its time
        else:
            progress = self.step_c()
        if progress == FILE_MORE:
            queue_of(self.worker).join_c(self)
            progress = FILE_GOING
        if progress != FILE_GOING:
            self.failed = progress == FILE_FAILED
            self.leave_file_c()
        return progress

    # ---- slices -------------------------------------------------------------------------------

    cdef int go_on_c(self) except -1:
        # Its turn has come: a slice.
        cdef FileHolder holder = self.holder
        cdef int progress
        if self.file_fd < 0:
            return 0
        progress = self.step_c()
        if progress == FILE_MORE:
            queue_of(self.worker).join_c(self)
        elif progress != FILE_GOING:
            self.failed = progress == FILE_FAILED
            self.leave_file_c()
            holder.file_done_c(progress)
        return 0

    cdef int step_c(self) except -1:
        # Nothing that fails here may fail others, whose turn it is next.
        try:
            return self.copy_slice_c() if self.copies else self.slice_c()
        except OSError as error:
            self.worker.logger.error("sending a file failed: %s", error)
            return FILE_FAILED

    cdef int slice_c(self) except -1:
        cdef Py_ssize_t size = min(self.file_end - self.file_at, SLICE_SIZE)
        cdef ssize_t sent
        if not self.cached_c(size):
            self.flush_c()              # what is there need not wait for it
            return self.read_in_c()
        if self.file_at + size == self.file_end and not self.holder.unchanged_c():
            return FILE_FAILED
        self.push_c(MSG_MORE)
        if not self.ready_c():
            return self.wait_for_peer_c()
        sent = hp_sendfile(self.fd, self.file_fd, self.file_at, size)
        if sent <= 0:
            return self.failed_c(errno if sent else 0)
        self.handed += sent
        self.exchange.sent += sent
        self.file_at += sent
        return FILE_SENT if self.file_at == self.file_end else FILE_MORE

    cdef int failed_c(self, int error) except -1:
        if error == EAGAIN:
            self.wait_for_peer_c()
            return queue_of(self.worker).watch_c(self)
        if error == EINTR:
            return FILE_MORE
        if error == EINVAL:             # a file system without splice(2)
            self.copies = True
            return FILE_MORE
        if error in (EPIPE, ECONNRESET, ECONNABORTED, ENOTCONN, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH):
            self.close_c()
            self.exchange.ending = ENDING_LEFT
            return FILE_GOING
        if error:
            self.worker.logger.error("sending a file failed: %s", os.strerror(error))
        return FILE_FAILED              # 0: it is shorter than it was

    cdef int copy_slice_c(self) except -1:
        cdef Py_ssize_t size = min(self.file_end - self.file_at, COPY_SIZE)
        cdef bytes octets = PyBytes_FromStringAndSize(NULL, size)
        cdef Py_ssize_t count
        self.flush_c()
        if self.writing_paused or self.transport.is_closing():
            return self.wait_for_peer_c()
        count = read_at(
            self.file_fd, PyBytes_AS_STRING(octets), size, self.file_at, self.file_at + size <= self.cached_to
        )
        if count == -EAGAIN:
            return self.read_in_c()
        if count <= 0 or (self.file_at + count == self.file_end and not self.holder.unchanged_c()):
            return FILE_FAILED
        self.file_at += count
        self.exchange.sent += count
        self.back_up_c(octets if count == size else octets[:count])
        if self.file_at == self.file_end:
            return FILE_SENT
        return self.wait_for_peer_c() if self.writing_paused else FILE_MORE

    # ---- what a slice waits for ---------------------------------------------------------------

    cdef bint ready_c(self) except -1:
        # sendfile(2) must not overtake what the transport holds.
        if self.backed_up and self.transport.get_write_buffer_size():
            self.limited = True
            self.transport.set_write_buffer_limits(0)       # say when nothing is left
            return False
        self.backed_up = False
        return True

    cdef int wait_for_peer_c(self) except -1:
        self.blocked = True
        self.expect_progress_c()
        return FILE_GOING

    cdef int writable_c(self) except -1:
        if self.file_fd >= 0 and self.blocked:
            queue_of(self.worker).join_c(self)
        return 0

    cdef bint waited_for_c(self) except -1:
        return self.blocked or Outgoing.waited_for_c(self)

    cdef bint cached_c(self, Py_ssize_t size) except -1:
        cdef int64_t end = self.file_at + size
        cdef char octet
        cdef Py_ssize_t count
        if end <= self.cached_to:
            return True
        if self.cached_to < self.file_at:
            count = read_at(self.file_fd, &octet, 1, self.file_at, False)
            if count < 0:
                return count != -EAGAIN     # what else there is, sending will show
        if read_at(self.file_fd, &octet, 1, end - 1, False) == -EAGAIN:
            return False
        self.cached_to = end
        return True

    cdef int read_in_c(self) except -1:
        cdef int64_t size = min(self.file_end - self.file_at, READ_IN_SIZE)
        reading = self.worker.loop.run_in_executor(None, read_in, self.file_fd, self.file_at, size, self.holder)
        reading.add_done_callback(functools.partial(self.was_read_in, self.serial, self.file_at + size))
        return FILE_GOING

    def was_read_in(self, unsigned int serial, long long end, reading):
        cdef FileHolder holder = self.holder
        error = None if reading.cancelled() else reading.exception()
        if self.file_fd < 0 or serial != self.serial:
            return                      # the peer left meanwhile
        if error is None:
            self.cached_to = end
            queue_of(self.worker).join_c(self)
            return
        self.worker.logger.error("reading a file failed: %s", error)
        self.worker.touch_c()
        self.failed = True
        self.leave_file_c()
        holder.file_done_c(FILE_FAILED)

    # ---- the end ------------------------------------------------------------------------------

    cdef int leave_file_c(self) except -1:
        # The file is out of hand, whatever became of it.
        if self.file_fd >= 0:
            self.file_fd = -1
            self.blocked = False
            self.holder = None
            if self.token:
                queue_of(self.worker).unwatch_c(self)
            if self.limited:
                self.limited = False
                if self.transport is not None:
                    self.transport.set_write_buffer_limits()
        return 0

    cdef int cut_c(self) except -1:
        if self.file_fd >= 0 or self.failed:
            self.reset_c()              # the system holds octets that must not be taken for a whole answer
        return Outgoing.cut_c(self)

    cdef int disconnect_c(self) except -1:
        cdef FileHolder holder = self.holder
        Outgoing.disconnect_c(self)
        self.leave_file_c()
        self.holder = None
        if holder is not None:
            holder.lost_c("client disconnected")
        return 0
