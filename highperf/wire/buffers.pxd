# Buffer: owned, growable octets. BufferPool: one per worker, keeps released buffers for the
# next request.

cdef enum:
    KEEP_LIMIT = 1024 * 1024    # octets; a larger buffer is freed on release
    CLASS_COUNT = 14            # capacities 128, 256, ... 1 MiB


cdef class BufferPool


cdef class Buffer:
    cdef char* data             # owned; allocated by this buffer, freed in __dealloc__
    cdef Py_ssize_t size        # octets written, <= capacity
    cdef Py_ssize_t capacity
    cdef int exports            # live memoryviews: while there are any, data may not move
    cdef BufferPool lender      # whom it has to go back to; None: made by hand, or released
    cdef bint released          # using it, or releasing it once more, is a mistake

    # Room for that many octets behind size; append_c also writes them. Only a call that has to
    # grow can raise: MemoryError, or BufferError while there are exports.
    cdef int reserve_c(self, Py_ssize_t extra) except -1
    cdef int append_c(self, const char* source, Py_ssize_t count) except -1
    cdef int grow_c(self, size_t needed) except -1
    cdef int check_usable_c(self) except -1


cdef class BufferPool:
    cdef list spare                         # CLASS_COUNT stacks of released buffers
    cdef Py_ssize_t low_water[CLASS_COUNT]  # a stack's least depth since the last trim: what nobody needed
    cdef Py_ssize_t freed_bytes             # by trim or soon by others, since the allocator last returned pages
    cdef bint keeping                       # it keeps them until then
    cdef readonly Py_ssize_t limit_bytes
    cdef readonly Py_ssize_t held_bytes
    cdef readonly Py_ssize_t in_use
    cdef readonly long long hits
    cdef readonly long long misses

    cdef Buffer acquire_c(self, Py_ssize_t capacity)
    cdef int release_c(self, Buffer buffer) except -1
    cdef int forget_c(self, Buffer buffer) except -1
    # A large block that is not the pool's is taken from the allocator, and given back before long: its pages are
    # kept for the next one, until trim.
    cdef void passing_c(self, Py_ssize_t octets) noexcept
    cdef int trim_c(self) except -1
