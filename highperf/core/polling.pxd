# Poller: tells connections that there is something to read.

from libc.stdint cimport uint32_t

from highperf.core.stream cimport Stream
from highperf.core.worker cimport Worker

cdef extern from *:
    """
    #include <stdint.h>
    #ifdef __linux__
    #include <sys/epoll.h>
    typedef struct epoll_event hp_readiness;
    static inline void *hp_who(const hp_readiness *ready) { return ready->data.ptr; }
    static inline void hp_nobody(hp_readiness *ready) { ready->data.ptr = NULL; }
    static inline int hp_ended(const hp_readiness *ready) {
        return (ready->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    }
    static inline int hp_poller(void) { return epoll_create1(EPOLL_CLOEXEC); }
    static inline int hp_poll_control(int poller, int action, int fd, void *who) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data = {.ptr = who}};
        return epoll_ctl(poller, action, fd, &event);
    }
    static inline int hp_poll(int poller, hp_readiness *ready, int room) { return epoll_wait(poller, ready, room, 0); }
    #else
    #define EPOLL_CTL_ADD 1
    #define EPOLL_CTL_DEL 2
    #define EPOLL_CTL_MOD 3
    typedef struct { void *who; } hp_readiness;
    static inline void *hp_who(const hp_readiness *ready) { return ready->who; }
    static inline void hp_nobody(hp_readiness *ready) { ready->who = 0; }
    static inline int hp_ended(const hp_readiness *ready) { return 0; }
    static inline int hp_poller(void) { return -1; }
    static inline int hp_poll_control(int poller, int action, int fd, void *who) { return -1; }
    static inline int hp_poll(int poller, hp_readiness *ready, int room) { return 0; }
    #endif
    """
    enum:
        EPOLL_CTL_ADD
        EPOLL_CTL_DEL
        EPOLL_CTL_MOD

    ctypedef struct Readiness "hp_readiness":
        pass

cdef enum:
    READY_AT_ONCE = 256
    GATHERED_MOST = 16          # whose answers leave together


cdef class Poller:
    # One per worker, made when a connection is read from for the second time.
    cdef Worker worker
    cdef int epoll                          # -1: the system has none, or it is closed
    cdef Readiness ready[READY_AT_ONCE]     # those that are being told, each by a borrowed pointer
    cdef int ready_count
    cdef int at                             # the next of them
    cdef void* gathered[GATHERED_MOST]      # those that have read, and whose answers have not left; borrowed too
    cdef int gathered_count
    cdef long long gathering_since_ns

    # The stream is told of what comes on its socket from now on; False: it cannot be.
    cdef bint watch_c(self, Stream stream, int fd) except -1
    cdef int unwatch_c(self, Stream stream, int fd) except -1
    # It has not read all: it is told once more, after others.
    cdef int again_c(self, Stream stream, int fd) except -1
    cdef int read_c(self, Stream stream, bint ended) except -1
    cdef int finish_reads_c(self) except -1
    cdef int finish_read_c(self, Stream stream) except -1
