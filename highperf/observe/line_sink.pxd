# LineSink: where lines gather until they are written, without anybody waiting for it.

cdef enum:
    LINE_MOST = 4096            # octets of a line, with its end: what a pipe takes whole or not at all (PIPE_BUF)
    SINK_SIZE = 128 * 1024      # octets that may wait


cdef enum SinkKind:
    SINK_FILE = 0               # regular: never full, may fail
    SINK_NONBLOCKING = 1        # a pipe or terminal of which we have a description of our own
    SINK_SOCKET = 2
    SINK_POLLED = 3             # anything else: asked before each write whether it takes something


cdef class LineSink:
    cdef readonly int fd            # owned
    cdef int kind
    cdef char* data                 # owned; SINK_SIZE octets
    cdef Py_ssize_t size            # of these, waiting
    cdef object on_change
    cdef bint losing                # on_change was told
    cdef readonly long long lost    # lines, since the start
    cdef long long lost_before      # of these, when losing began

    # Where a line of at most LINE_MOST octets may be written, or NULL: there is no room, and the line is lost. Who
    # has written one adds to `size`.
    cdef char* room_c(self) except? NULL
    # Whether nothing waits any more.
    cdef bint flush_c(self) except -1
    cdef Py_ssize_t write_c(self, Py_ssize_t at) noexcept
    cdef int fail_c(self, Py_ssize_t written, int error) except -1
    cdef int begin_losing_c(self, str reason) except -1
