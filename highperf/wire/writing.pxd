# Text written forward into memory that has room: each function gives where the next begins. Header-only; knows no
# grammar.

from libc.stdint cimport uint64_t
from libc.string cimport memcpy


cdef inline char* put(char* at, const char* text, Py_ssize_t size) noexcept nogil:
    memcpy(at, text, size)
    return at + size


cdef inline char* put_decimal(char* at, uint64_t value) noexcept nogil:
    cdef char digits[20]
    cdef int index = 20
    while True:
        index -= 1
        digits[index] = 48 + value % 10
        value //= 10
        if value == 0:
            return put(at, digits + index, 20 - index)


cdef inline char* put_padded(char* at, uint64_t value, int width) noexcept nogil:
    # The last `width` digits, with leading zeros.
    cdef int index
    for index in range(width - 1, -1, -1):
        at[index] = 48 + value % 10
        value //= 10
    return at + width
