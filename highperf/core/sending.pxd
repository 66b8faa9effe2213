# send(2) and recv(2) on a socket that never blocks.

from libc.errno cimport EAGAIN, EINTR, errno

cdef extern from "sys/socket.h" nogil:
    ssize_t send(int fd, const void* octets, size_t size, int flags)
    ssize_t recv(int fd, void* octets, size_t size, int flags)

cdef extern from *:
    """
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0      /* macOS; Python ignores SIGPIPE there as everywhere */
    #endif
    """
    int MSG_NOSIGNAL


cdef inline Py_ssize_t send_now_c(int fd, const char* octets, Py_ssize_t size, int flags) noexcept nogil:
    # Octets that the socket took, 0 when it is full, -1 when the connection is broken.
    cdef Py_ssize_t sent = send(fd, octets, size, MSG_NOSIGNAL | flags)
    if sent < 0 and (errno == EAGAIN or errno == EINTR):
        return 0
    return sent


cdef enum:
    RECEIVE_BROKEN = -1
    RECEIVE_NOTHING = -2


cdef inline Py_ssize_t receive_now_c(int fd, char* octets, Py_ssize_t size) noexcept nogil:
    # Octets that had come, 0 at their end, RECEIVE_NOTHING when none had, RECEIVE_BROKEN when the connection is broken.
    cdef Py_ssize_t count = recv(fd, octets, size, 0)
    if count < 0:
        return RECEIVE_NOTHING if errno == EAGAIN or errno == EINTR else RECEIVE_BROKEN
    return count
