# Buffer: owned, growable octets. BufferPool: one per worker, keeps released buffers for the
# next request. Nothing above KEEP_LIMIT is kept.

cdef enum:
    KEEP_LIMIT = 1024 * 1024


cdef class Buffer:
    cdef char* data             # owned; allocated by this buffer, freed in __dealloc__
    cdef Py_ssize_t size        # octets written, <= capacity
    cdef Py_ssize_t capacity
    cdef int exports            # live memoryviews; a buffer that is exported may not move

    cdef int reserve_c(self, Py_ssize_t extra) except -1
    cdef int append_c(self, const char* source, Py_ssize_t count) except -1


cdef class BufferPool:
    cdef Buffer acquire_c(self, Py_ssize_t capacity)
    cdef int release_c(self, Buffer buffer) except -1
    cdef void trim_c(self) noexcept
