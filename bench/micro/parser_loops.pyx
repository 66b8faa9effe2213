# Loops that measure the parser without a Python call in the way.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from highperf.wire.parser cimport Head, Limits, PARSE_DONE, PARSE_NEED_MORE
from highperf.wire.request cimport headers_of_c


def parse_many(bytes data not None, int times):
    """Parses the request head at the start of data over and over; returns its header fields."""
    cdef Head head = Head()
    cdef Limits limits = Limits(8190, 16384, 100, 65536)
    cdef const char* octets = PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef int turn
    for turn in range(times):
        head.reset_c()
        if head.parse_c(octets, size, &limits) != PARSE_DONE:
            raise ValueError("not a complete, valid head")
    return headers_of_c(head).raw


def parse_in_turn(list heads not None, int times):
    """Parses one head after the other, so that the branch predictor cannot learn one by heart."""
    cdef Head head = Head()
    cdef Limits limits = Limits(8190, 16384, 100, 65536)
    cdef int turn
    cdef Py_ssize_t count = len(heads)
    cdef bytes data
    for turn in range(times):
        data = <bytes>heads[turn % count]
        head.reset_c()
        if head.parse_c(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), &limits) != PARSE_DONE:
            raise ValueError("not a complete, valid head")


def parse_bytewise(bytes data not None, int times):
    """Parses the head as if each octet came alone."""
    cdef Head head = Head()
    cdef Limits limits = Limits(8190, 16384, 100, 65536)
    cdef const char* octets = PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t seen
    cdef int turn
    cdef int result
    for turn in range(times):
        head.reset_c()
        result = PARSE_NEED_MORE
        for seen in range(1, size + 1):
            result = head.parse_c(octets, seen, &limits)
        if result != PARSE_DONE:
            raise ValueError("not a complete, valid head")
