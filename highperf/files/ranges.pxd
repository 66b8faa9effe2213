# Byte ranges: RFC 9110 section 14.

from libc.stdint cimport int64_t

cdef enum:
    RANGES_MAX = 10


cdef enum RangeResult:
    RANGE_WHOLE = 0             # malformed, too many, wasteful: the whole is sent, as without Range
    RANGE_PARTS = 1             # count of them are in parts, in the order asked for
    RANGE_UNSATISFIABLE = 2     # 416


cdef struct ByteRange:
    int64_t offset
    int64_t size                # at least 1


cdef int parse_ranges_c(
    const char* value, Py_ssize_t size, int64_t length, ByteRange* parts, int* count
) noexcept nogil
