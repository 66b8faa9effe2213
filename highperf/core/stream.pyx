# Owns what answers are given through: the abstract Stream and FileHolder, of which a method that is forgotten fails
# loudly, and Canned (see the .pxd).

cimport cython


cdef class FileHolder(TimerOwner):
    cdef int file_done_c(self, int progress) except -1:
        raise NotImplementedError("file_done_c")

    cdef bint unchanged_c(self) noexcept:
        return True

    cdef int lost_c(self, str reason) except -1:
        raise NotImplementedError("lost_c")


@cython.final
cdef class Canned:
    def __init__(self, ResponseHeaders fields not None):
        self.fields = fields
        fields.freeze_c()
        self.octets = Buffer(1)
        self.second = -1


cdef class Stream(TimerOwner):
    cdef int start_c(self, int status, bytes content_type, int64_t length, ResponseHeaders headers) except -1:
        raise NotImplementedError("start_c")

    cdef int send_c(self, const char* octets, Py_ssize_t size, object owner) except -1:
        raise NotImplementedError("send_c")

    cdef int finish_c(self) except -1:
        raise NotImplementedError("finish_c")

    cdef int abort_c(self) except -1:
        raise NotImplementedError("abort_c")

    cdef int send_file_c(self, FileHolder holder, int fd, int64_t offset, int64_t size) except -1:
        raise NotImplementedError("send_file_c")

    cdef int attend_c(self, FileHolder holder) except -1:
        raise NotImplementedError("attend_c")

    cdef int readable_c(self, bint ended) except -1:
        raise NotImplementedError("readable_c")

    cdef int after_read_c(self) except -1:
        raise NotImplementedError("after_read_c")

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

    cdef bint address_c(self, Head head, Address* address, int* port) noexcept:
        return False

    cdef bint trusted_c(self) except -1:
        return False

    cdef bint repeat_c(self, Canned canned, int status) except -1:
        return False

    cdef int can_c(self, Canned canned, Py_ssize_t head_size, Py_ssize_t content_size) except -1:
        return 0

    cdef Py_ssize_t request_id_octets_c(self, const char** octets) noexcept:
        return 0

    cdef str request_id_c(self):
        cdef const char* octets = NULL
        cdef Py_ssize_t size = self.request_id_octets_c(&octets)
        return octets[:size].decode("ascii") if size else None

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
