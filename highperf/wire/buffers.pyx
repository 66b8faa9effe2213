# Owns the memory that heads and answers are assembled in. Knows nothing of what is written.
#
# Buffers come in powers of two from 1 KiB to 1 MiB, one free list each, last in first out, so
# that the warmest memory is used again. A buffer that grew is filed under the capacity that it
# has now. Two bounds keep the pool honest: nothing above KEEP_LIMIT is kept, and no more than
# limit_bytes in all; and trim, called once a second, frees half of what no one has needed since
# the last call, so that a burst's memory goes back.

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

cdef enum:
    SMALLEST = 1024


cdef inline int class_of(Py_ssize_t capacity) noexcept nogil:
    # The smallest class that holds capacity octets; CLASS_COUNT when none does.
    cdef int index = 0
    cdef Py_ssize_t size = SMALLEST
    while size < capacity and index < CLASS_COUNT:
        size <<= 1
        index += 1
    return index


@cython.final
@cython.freelist(64)
cdef class Buffer:
    def __cinit__(self, Py_ssize_t capacity):
        if capacity < 1:
            raise ValueError(f"capacity must be positive, not {capacity}")
        self.data = <char*>malloc(capacity)
        if self.data == NULL:
            raise MemoryError()
        self.capacity = capacity

    def __dealloc__(self):
        free(self.data)

    def __len__(self):
        return self.size

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.data, self.size, 0, flags)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer* view):
        self.exports -= 1

    def __bytes__(self):
        return self.data[:self.size]

    @property
    def capacity_bytes(self):
        return self.capacity

    def write(self, const unsigned char[::1] data):
        if data.shape[0]:
            self.append_c(<const char*>&data[0], data.shape[0])
        return data.shape[0]

    def clear(self):
        self.size = 0

    cdef int grow_c(self, Py_ssize_t needed) except -1:
        # Doubles, so that n appended octets cost O(n) copies.
        cdef Py_ssize_t capacity = self.capacity
        cdef char* data
        if self.exports:
            raise BufferError("a buffer cannot grow while a memoryview of it exists")
        while capacity < needed:
            capacity *= 2
        data = <char*>realloc(self.data, capacity)
        if data == NULL:
            raise MemoryError()
        self.data = data
        self.capacity = capacity
        return 0

    cdef int reserve_c(self, Py_ssize_t extra) except -1:
        if self.capacity - self.size < extra:
            self.grow_c(self.size + extra)
        return 0

    cdef int append_c(self, const char* source, Py_ssize_t count) except -1:
        if self.capacity - self.size < count:
            self.grow_c(self.size + count)
        memcpy(self.data + self.size, source, count)
        self.size += count
        return 0


@cython.final
cdef class BufferPool:
    def __cinit__(self, Py_ssize_t limit_bytes=16 * 1024 * 1024):
        if limit_bytes < 0:
            raise ValueError(f"limit_bytes must be 0 or more, not {limit_bytes}")
        self.limit_bytes = limit_bytes
        self.spare = [[] for _ in range(CLASS_COUNT)]

    def acquire(self, Py_ssize_t capacity=SMALLEST):
        if capacity < 1:
            raise ValueError(f"capacity must be positive, not {capacity}")
        return self.acquire_c(capacity)

    def release(self, Buffer buffer not None):
        self.release_c(buffer)

    def trim(self):
        self.trim_c()

    cdef Buffer acquire_c(self, Py_ssize_t capacity):
        cdef int index = class_of(capacity)
        cdef list stack
        cdef Buffer buffer
        self.in_use += 1
        if index < CLASS_COUNT:
            stack = <list>self.spare[index]
            if stack:
                self.hits += 1
                buffer = <Buffer>stack.pop()
                buffer.pooled = False
                self.held_bytes -= buffer.capacity
                if len(stack) < self.low_water[index]:
                    self.low_water[index] = len(stack)
                return buffer
            capacity = <Py_ssize_t>SMALLEST << index
        self.misses += 1
        return Buffer(capacity)

    cdef int release_c(self, Buffer buffer) except -1:
        if buffer.pooled:
            raise ValueError("this buffer was released before")
        self.in_use -= 1
        if (buffer.capacity > KEEP_LIMIT or buffer.exports
                or self.held_bytes + buffer.capacity > self.limit_bytes):
            return 0
        buffer.size = 0
        buffer.pooled = True
        self.held_bytes += buffer.capacity
        (<list>self.spare[class_of(buffer.capacity)]).append(buffer)
        return 0

    cdef int trim_c(self) except -1:
        cdef int index
        cdef Py_ssize_t surplus
        cdef list stack
        for index in range(CLASS_COUNT):
            stack = <list>self.spare[index]
            surplus = (self.low_water[index] + 1) // 2
            while surplus:
                self.held_bytes -= (<Buffer>stack.pop()).capacity
                surplus -= 1
            self.low_water[index] = len(stack)
        return 0
