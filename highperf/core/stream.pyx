# Owns nothing: the abstract Stream (see the .pxd). A method that a wire forgot fails loudly.


cdef class Stream(TimerOwner):
    cdef int start_c(self, int status, bytes content_type, int64_t length, ResponseHeaders headers) except -1:
        raise NotImplementedError("start_c")

    cdef int send_c(self, const char* octets, Py_ssize_t size, object owner) except -1:
        raise NotImplementedError("send_c")

    cdef int finish_c(self) except -1:
        raise NotImplementedError("finish_c")

    cdef int abort_c(self) except -1:
        raise NotImplementedError("abort_c")

    cdef object drained_c(self):
        raise NotImplementedError("drained_c")

    cdef int pull_c(self) except -1:
        raise NotImplementedError("pull_c")

    cdef int hold_c(self) except -1:
        raise NotImplementedError("hold_c")

    cdef object client_c(self, Head head):
        raise NotImplementedError("client_c")

    cdef object scheme_c(self, Head head):
        raise NotImplementedError("scheme_c")

    cdef Py_ssize_t client_key_c(self, Head head, char* key) except -1:
        raise NotImplementedError("client_key_c")

    cdef object certificate_c(self):
        raise NotImplementedError("certificate_c")

    cdef bint evict_c(self) except -1:
        raise NotImplementedError("evict_c")

    cdef int drain_c(self) except -1:
        raise NotImplementedError("drain_c")

    cdef int close_c(self) except -1:
        raise NotImplementedError("close_c")
