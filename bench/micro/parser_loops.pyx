# Loops that measure the parser without a Python call in the way. Built by bench/micro/native.py,
# not part of the product.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from highperf.wire.parser cimport Head, Limits, PARSE_DONE


def parse_many(bytes data not None, int times):
    """Parse the request head at the start of data, times over."""
    cdef Head head = Head()
    cdef Limits limits
    cdef const char* octets = PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef int turn
    limits.line_bytes = 8190
    limits.field_bytes = 16384
    limits.fields = 100
    limits.head_bytes = 65536
    for turn in range(times):
        head.reset_c()
        if head.parse_c(octets, size, &limits) != PARSE_DONE:
            raise ValueError("not a complete, valid head")
