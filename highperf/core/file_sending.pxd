# Sending: an Outgoing that sends files too. SendQueue: whose turn it is.

from libc.stdint cimport int64_t, uint64_t

from highperf.core.outgoing cimport Outgoing
from highperf.core.stream cimport FileHolder
from highperf.core.worker cimport Worker
from highperf.flag cimport flag


cdef class SendQueue:
    # One per worker, made when a file does not leave at once.
    cdef Worker worker
    cdef object waiting         # deque of Sendings that could go on
    cdef dict watched           # token -> Sending whose socket is full
    cdef uint64_t last_token
    cdef int epoll              # -1: none is needed yet, or closed
    cdef bint scheduled         # turn will be called

    cdef int join_c(self, Sending sending) except -1
    cdef int schedule_c(self) except -1
    # Puts it into the queue when its socket takes octets again.
    cdef int watch_c(self, Sending sending) except -1
    cdef int unwatch_c(self, Sending sending) except -1


cdef class Sending(Outgoing):
    cdef FileHolder holder      # who has a file sent, or will; None: nobody
    cdef int file_fd            # borrowed from it; -1: none is being sent
    cdef unsigned int serial    # of the file, so that a thread that reads in is not taken for another's
    cdef int64_t file_at        # the next octet of it
    cdef int64_t file_end
    cdef int64_t cached_to      # up to here the system had it in memory when asked
    cdef uint64_t token         # 0: the queue does not watch this socket
    cdef flag failed            # the last file could not be sent whole
    cdef flag queued            # waits for its turn
    cdef flag blocked           # waits for the peer to take octets
    cdef flag limited           # the transport's limits are not its usual ones
    cdef flag copies            # sendfile(2) does not serve: read, and write to the transport

    cdef int go_on_c(self) except -1
    cdef int step_c(self) except -1
    cdef int slice_c(self) except -1
    cdef int copy_slice_c(self) except -1
    cdef int failed_c(self, int error) except -1
    cdef bint ready_c(self) except -1
    cdef bint cached_c(self, Py_ssize_t size) except -1
    cdef int read_in_c(self) except -1
    cdef int wait_for_peer_c(self) except -1
    cdef int leave_file_c(self) except -1
