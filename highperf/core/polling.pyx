# Owns who has something to read: an epoll instance of the worker's own, which the loop has among its descriptors.
# Must not know what is read.
#
# A loop's transport takes two callbacks for a read, and each of them the GIL and a context: a sixth of the instructions
# of a small request. Here one callback deals with all connections that are ready, and each receives its octets
# by itself. Edges are asked for, so that the system looks at a socket once for what has come, not twice, and
# so that pausing costs no system call.
#
# Sending takes a long way through the kernel, which drives our code out of the processor's caches. So a few connections
# read and have their requests dealt with before their answers leave together; not so many, and not for
# so long, that the first of them would notice.
#
# A connection comes here with its second read: one that asks once and leaves is not worth the way. Its
# transport has then paused reading for good, and goes on to write what the socket does not take, and to close it.
#
# Rules:
# - A stream that is told reads until nothing is left, or asks to be told again.
# - What fails in one stream ends that stream alone, as a loop has it.
# - The pointers are borrowed: a stream leaves (unwatch_c) before its socket is closed, and before it dies.

cimport cython
from highperf.checks cimport must
from highperf.core.stream cimport Stream
from highperf.core.worker cimport Worker

import os

cdef enum:
    GATHER_NS = 30_000          # so long answers wait for others, if no handler takes longer

cdef extern from *:
    void* hp_who(const Readiness* ready)
    void hp_nobody(Readiness* ready)
    bint hp_ended(const Readiness* ready)
    int hp_poller()
    int hp_poll_control(int poller, int action, int fd, void* who)
    int hp_poll(int poller, Readiness* ready, int room)


@cython.final
cdef class Poller:
    def __init__(self, Worker worker not None):
        self.worker = worker
        self.epoll = hp_poller()
        if self.epoll >= 0:
            worker.loop.add_reader(self.epoll, self.poll)

    cdef bint watch_c(self, Stream stream, int fd) except -1:
        return self.epoll >= 0 and hp_poll_control(self.epoll, EPOLL_CTL_ADD, fd, <void*>stream) == 0

    cdef int unwatch_c(self, Stream stream, int fd) except -1:
        cdef int index
        hp_poll_control(self.epoll, EPOLL_CTL_DEL, fd, NULL)
        for index in range(self.at, self.ready_count):
            if hp_who(&self.ready[index]) == <void*>stream:
                hp_nobody(&self.ready[index])
        for index in range(self.gathered_count):
            if self.gathered[index] == <void*>stream:
                self.gathered[index] = NULL
        return 0

    cdef int again_c(self, Stream stream, int fd) except -1:
        hp_poll_control(self.epoll, EPOLL_CTL_MOD, fd, <void*>stream)
        return 0

    def poll(self):
        cdef Readiness* ready
        self.ready_count = hp_poll(self.epoll, self.ready, READY_AT_ONCE)
        self.at = 0
        while self.at < self.ready_count:
            ready = &self.ready[self.at]
            self.at += 1
            if hp_who(ready) != NULL:
                self.read_c(<Stream>hp_who(ready), hp_ended(ready))
        self.ready_count = 0
        self.finish_reads_c()

    cdef int read_c(self, Stream stream, bint ended) except -1:
        try:
            if not stream.readable_c(ended):
                return 0
        except BaseException as error:
            self.fail(stream, error)
            return 0
        if self.gathered_count == 0:
            self.gathering_since_ns = self.worker.now_ns
        must(self.gathered_count < GATHERED_MOST, "more connections are gathered than there is room for")
        self.gathered[self.gathered_count] = <void*>stream
        self.gathered_count += 1
        if self.gathered_count == GATHERED_MOST or self.worker.now_ns - self.gathering_since_ns > GATHER_NS:
            self.finish_reads_c()
        return 0

    cdef int finish_reads_c(self) except -1:
        cdef int index
        for index in range(self.gathered_count):
            if self.gathered[index] != NULL:
                self.finish_read_c(<Stream>self.gathered[index])
        self.gathered_count = 0
        return 0

    cdef int finish_read_c(self, Stream stream) except -1:
        try:
            stream.after_read_c()
        except BaseException as error:
            self.fail(stream, error)
        return 0

    def fail(self, Stream stream not None, error):
        self.worker.loop.call_exception_handler({
            "message": "reading from a connection failed", "exception": error, "protocol": stream,
        })
        stream.close_c()

    def close(self):
        if self.epoll >= 0:
            self.worker.loop.remove_reader(self.epoll)
            os.close(self.epoll)
            self.epoll = -1
