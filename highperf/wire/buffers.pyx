# Owns the memory that heads and answers are assembled in. Knows nothing of what is written.
#
# Buffers come in powers of two from 128 octets to 1 MiB, one free list each, last in first out, so
# that the warmest memory is used again. A buffer that grew is filed under the capacity that it
# has now. Two bounds keep the pool honest: nothing above KEEP_LIMIT is kept, and no more than
# limit_bytes in all; and trim, called once a second, frees half of what no one has needed since
# the last call, so that a burst's memory goes back. The allocator would keep it for itself while
# anything younger lives above it, so from time to time it is told to return whole pages. Then it need not
# do so by itself: where large blocks come and go (the content of requests, which is not the pool's), it would
# have each page cleared by the system again and again, which takes as long as to receive what goes there.
#
# A buffer knows the pool that lent it until it is released, so a pool takes back each of its
# own once and nothing else, and in_use stays true when a buffer is lost. The pool does not know
# what it has lent; whoever keeps a buffer for good says so by forget_c.

cimport cython
from cpython.buffer cimport (
    PyBUF_SIMPLE,
    PyBuffer_FillInfo,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from highperf.checks cimport must

cdef enum:
    SMALLEST = 128              # a head that comes octet by octet needs no more
    SMALLEST_BITS = 7
    USUAL = 1024
    RETURN_AT = 1024 * 1024     # freed octets that are worth a millisecond of the allocator's work
    # free at the heap's end, until trim: as far as glibc goes by itself where blocks are large
    KEEP_PAGES = 64 * 1024 * 1024

cdef extern from *:
    """
    #if defined(__GLIBC__)
    #include <malloc.h>
    #define HP_RETURN_PAGES() ((void)malloc_trim(0))
    #define HP_KEEP_PAGES(most) ((void)mallopt(M_TRIM_THRESHOLD, most), (void)mallopt(M_MMAP_THRESHOLD, (most) / 4))
    #else
    #define HP_RETURN_PAGES() ((void)0)
    #define HP_KEEP_PAGES(most) ((void)0)
    #endif
    """
    Py_ssize_t PY_SSIZE_T_MAX
    void HP_RETURN_PAGES() nogil
    void HP_KEEP_PAGES(int most) nogil


cdef extern from *:
    """
    /* The last item of a list that has one. list.pop gives memory back when the list is less than
       half full, which a stack of two or three buffers always is: it costs ten times as much. */
    static inline PyObject* hp_pop(PyObject* list) {
        Py_ssize_t last = PyList_GET_SIZE(list) - 1;
        PyObject* item = PyList_GET_ITEM(list, last);
        Py_SET_SIZE((PyVarObject*)list, last);
        return item;
    }
    """
    object hp_pop(list stack)
    int __builtin_clzll(unsigned long long value) noexcept nogil


cdef inline int class_of(Py_ssize_t capacity) noexcept nogil:
    # The smallest class that holds capacity octets; CLASS_COUNT when none does.
    cdef int index
    if capacity <= SMALLEST:
        return 0
    index = 64 - __builtin_clzll(<unsigned long long>(capacity - 1)) - SMALLEST_BITS
    return index if index < CLASS_COUNT else CLASS_COUNT


@cython.final
@cython.no_gc           # a pool never refers to what it has lent, so lender closes no cycle
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
        # Without garbage collection nothing has cleared lender before.
        if self.lender is not None:
            self.lender.in_use -= 1
        must(self.exports == 0, "a buffer is freed while a memoryview of it exists")
        free(self.data)

    def __len__(self):
        return self.size

    def __enter__(self):
        self.check_usable_c()
        return self

    def __exit__(self, *exception):
        cdef BufferPool lender = self.lender    # may be all that keeps the pool alive
        if lender is not None:
            lender.release_c(self)

    def __getbuffer__(self, Py_buffer* view, int flags):
        self.check_usable_c()
        PyBuffer_FillInfo(view, self, self.data, self.size, 0, flags)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer* view):
        self.exports -= 1

    def __bytes__(self):
        self.check_usable_c()
        return self.data[:self.size]

    @property
    def capacity_bytes(self):
        return self.capacity

    def write(self, data not None):
        cdef Py_buffer view
        self.check_usable_c()
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            self.append_c(<const char*>view.buf, view.len)
            return view.len
        finally:
            PyBuffer_Release(&view)

    def clear(self):
        self.check_usable_c()
        if self.exports:
            raise BufferError("a buffer cannot be cleared while a memoryview of it exists")
        self.size = 0

    cdef int check_usable_c(self) except -1:
        if self.released:
            raise ValueError("this buffer was released, it belongs to its pool")
        return 0

    cdef int grow_c(self, size_t needed) except -1:
        # Doubles, so that n appended octets cost O(n) copies.
        cdef size_t capacity = self.capacity
        cdef char* data
        if self.exports:
            raise BufferError("a buffer cannot grow while a memoryview of it exists")
        if needed > <size_t>PY_SSIZE_T_MAX // 2:
            raise MemoryError()
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
            self.grow_c(<size_t>self.size + <size_t>extra)
        return 0

    cdef int append_c(self, const char* source, Py_ssize_t count) except -1:
        if self.capacity - self.size < count:
            self.grow_c(<size_t>self.size + <size_t>count)
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

    def acquire(self, Py_ssize_t capacity=USUAL):
        if capacity < 1:
            raise ValueError(f"capacity must be positive, not {capacity}")
        return self.acquire_c(capacity)

    def release(self, Buffer buffer not None):
        self.release_c(buffer)

    def trim(self):
        self.trim_c()

    cdef Buffer acquire_c(self, Py_ssize_t capacity):
        cdef int index = class_of(capacity)
        cdef list stack = <list>self.spare[index] if index < CLASS_COUNT else None
        cdef Buffer buffer
        if stack:
            buffer = <Buffer>hp_pop(stack)
            must(buffer.released and buffer.lender is None, "a buffer is lent and in the pool at once")
            must(buffer.exports == 0, "the pool has a buffer of which a memoryview exists")
            if len(stack) < self.low_water[index]:
                self.low_water[index] = len(stack)
            self.held_bytes -= buffer.capacity
            must(self.held_bytes >= 0, "the pool lends more than it holds")
            self.hits += 1
        else:
            buffer = Buffer(<Py_ssize_t>SMALLEST << index if index < CLASS_COUNT else capacity)
            self.misses += 1
        buffer.released = False
        buffer.lender = self
        self.in_use += 1
        return buffer

    cdef int release_c(self, Buffer buffer) except -1:
        if buffer.lender is not self:
            raise ValueError("this buffer was released before" if buffer.released
                             else "this buffer was not acquired from this pool")
        must(not buffer.released, "a buffer is given back twice")
        buffer.lender = None
        buffer.released = True
        self.in_use -= 1
        must(self.in_use >= 0, "the pool is given back more than it lent")
        if (buffer.capacity > KEEP_LIMIT or buffer.exports
                or buffer.capacity > self.limit_bytes - self.held_bytes):
            return 0
        buffer.size = 0
        self.held_bytes += buffer.capacity
        (<list>self.spare[class_of(buffer.capacity)]).append(buffer)
        return 0

    cdef int forget_c(self, Buffer buffer) except -1:
        # A buffer goes its own way: whoever holds it last frees it.
        if buffer.lender is self:
            buffer.lender = None
            self.in_use -= 1
        return 0

    cdef void passing_c(self, Py_ssize_t octets) noexcept:
        if not self.keeping:
            self.keeping = True
            HP_KEEP_PAGES(KEEP_PAGES)
        self.freed_bytes += octets

    cdef int trim_c(self) except -1:
        cdef int index
        cdef Py_ssize_t surplus
        cdef Py_ssize_t held_bytes = self.held_bytes
        cdef list stack
        for index in range(CLASS_COUNT):
            stack = <list>self.spare[index]
            surplus = (self.low_water[index] + 1) // 2
            if surplus:
                del stack[:surplus]             # the coldest
                self.held_bytes -= surplus * (<Py_ssize_t>SMALLEST << index)
            self.low_water[index] = len(stack)
        self.freed_bytes += held_bytes - self.held_bytes
        if self.freed_bytes >= RETURN_AT:
            self.freed_bytes = 0
            HP_RETURN_PAGES()
        return 0
