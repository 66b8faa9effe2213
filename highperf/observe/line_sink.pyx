# Owns the way of log lines out of the process: gathering, writing, losing. Must not know what is in a line.
#
# Rules:
# - No call waits. A regular file may make the system wait for its disk; that is the choice of whoever logs there.
# - A line is written whole or not at all, also where several processes write to one pipe: so what is no regular
#   file gets at most LINE_MOST octets of whole lines at a time.
# - What is lost is counted, and told once when it begins and once when it is over.

cimport cython
from libc.errno cimport EAGAIN, EINTR, EPIPE, errno
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove

import os

cdef extern from *:
    """
    #include <poll.h>
    #include <sys/socket.h>
    #include <unistd.h>
    static int hp_takes_some(int fd) {
        struct pollfd asked = {fd, POLLOUT, 0};
        return poll(&asked, 1, 0) == 1;
    }
    static ssize_t hp_send_some(int fd, const void *data, size_t size) {
        return send(fd, data, size, MSG_DONTWAIT);
    }
    """
    bint hp_takes_some(int fd) noexcept nogil
    ssize_t hp_send_some(int fd, const void* data, size_t size) noexcept nogil
    ssize_t hp_write "write"(int fd, const void* data, size_t size) noexcept nogil

cdef tuple KINDS = ("file", "nonblocking", "socket", "polled")      # by SinkKind
cdef str FULL = "whoever reads it is too slow"


@cython.final
cdef class LineSink:
    def __cinit__(self):
        self.fd = -1
        self.data = <char*>malloc(SINK_SIZE)
        if self.data == NULL:
            raise MemoryError()

    def __init__(self, int fd, str kind not None, on_change):
        self.kind = KINDS.index(kind)
        self.fd = fd
        self.on_change = on_change

    def __dealloc__(self):
        free(self.data)

    @property
    def waiting(self):
        return self.size

    def add(self, bytes line not None):
        cdef char* room
        if len(line) > LINE_MOST or not line.endswith(b"\n"):
            raise ValueError(f"a line must end, and have at most {LINE_MOST} octets")
        room = self.room_c()
        if room == NULL:
            return False
        memcpy(room, <const char*>line, len(line))
        self.size += len(line)
        return True

    def flush(self):
        return self.flush_c()

    def replace(self, int fd, str kind not None):
        self.flush_c()
        os.close(self.fd)
        self.fd = fd
        self.kind = KINDS.index(kind)

    def close(self):
        if self.fd >= 0:
            self.flush_c()
            os.close(self.fd)
            self.fd = -1

    cdef char* room_c(self) except? NULL:
        if SINK_SIZE - self.size < LINE_MOST:
            self.flush_c()
            if SINK_SIZE - self.size < LINE_MOST:
                self.begin_losing_c(FULL)
                self.lost += 1
                return NULL
        return self.data + self.size

    cdef bint flush_c(self) except -1:
        cdef Py_ssize_t at = 0, written
        while at < self.size:
            written = self.write_c(at)
            if written < 0 and errno == EINTR:
                continue
            if written < 0 and errno != EAGAIN:
                self.fail_c(at, errno)
                return True
            if written <= 0:
                break
            at += written
        self.size -= at
        memmove(self.data, self.data + at, self.size)
        if self.losing and self.size == 0:
            self.losing = False
            self.on_change(None, self.lost - self.lost_before)
        return self.size == 0

    cdef Py_ssize_t write_c(self, Py_ssize_t at) noexcept:
        # As write(2) has it; 0: not now.
        cdef Py_ssize_t size = self.size - at
        cdef const char* data = self.data + at
        if self.kind == SINK_FILE:
            return hp_write(self.fd, data, size)
        if size > LINE_MOST:
            size = LINE_MOST
            while size > 1 and data[size - 1] != c"\n":
                size -= 1
        if self.kind == SINK_SOCKET:
            return hp_send_some(self.fd, data, size)
        if self.kind == SINK_POLLED and not hp_takes_some(self.fd):
            return 0
        return hp_write(self.fd, data, size)

    cdef int fail_c(self, Py_ssize_t written, int error) except -1:
        # What could not be written is lost. A line of which a part was, ends there.
        cdef bint torn = written > 0 and self.data[written - 1] != c"\n"
        cdef Py_ssize_t index
        self.begin_losing_c("nobody reads it any more" if error == EPIPE else os.strerror(error))
        for index in range(written, self.size):
            self.lost += self.data[index] == c"\n"
        self.data[0] = c"\n"
        self.size = torn
        return 0

    cdef int begin_losing_c(self, str reason) except -1:
        if not self.losing:
            self.losing = True
            self.lost_before = self.lost
            self.on_change(reason, 0)
        return 0
