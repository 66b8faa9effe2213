# Owns the ids of requests: where they come from and how they are written. Must not know what for.
#
# An id is two words of its stream, a number and (rarely) what a trusted proxy sent in its place, until somebody
# wants it as text. It never changes while its request runs.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from highperf.core.stream cimport REQUEST_ID_MOST, Stream
from highperf.wire.chars cimport same_folded
from highperf.wire.parser cimport Head, Span
from highperf.wire.response cimport ResponseHeaders
from highperf.wire.writing cimport put, put_decimal
from libc.string cimport memcpy

import os


@cython.final
cdef class RequestIds:
    def __init__(self, str field not None):
        cdef bytes line = f"{field}: {os.urandom(4).hex()}-".encode("ascii")
        if len(field) > NAME_MOST:
            raise ValueError(f"a field's name must be at most {NAME_MOST} octets")
        memcpy(self.line, PyBytes_AS_STRING(line), len(line))
        self.name_size = <int>len(field)
        self.lower_name = field.lower().encode("ascii")

    cdef int assign_c(self, Stream stream, Head head) except -1:
        cdef Span value
        cdef int found
        stream.request_number = self.next_c()
        stream.given_id = None
        if head is None or self.name_size == 0:
            return 0
        found = head.find_c(PyBytes_AS_STRING(self.lower_name), self.name_size, 0)
        if found >= 0:
            value = head.fields[found].value
            if may_be_id(head.base + value.start, value.size) and stream.trusted_c():
                stream.given_id = PyBytes_FromStringAndSize(head.base + value.start, value.size)
        return 0

    cdef unsigned long long next_c(self) noexcept:
        self.number += 1
        return self.number

    cdef str text_c(self, unsigned long long number, bytes given):
        cdef char octets[REQUEST_ID_MOST]
        return octets[:self.put_c(number, given, octets)].decode("ascii")

    cdef Py_ssize_t put_c(self, unsigned long long number, bytes given, char* out) noexcept:
        if given is not None:
            return put(out, PyBytes_AS_STRING(given), PyBytes_GET_SIZE(given)) - out
        return put_decimal(put(out, self.line + self.name_size + 2, PREFIX_SIZE), number) - out

    cdef Py_ssize_t put_field_c(self, Stream stream, ResponseHeaders others, char* out) noexcept:
        cdef Py_ssize_t size = self.name_size + 2
        if self.name_size == 0 or stream.request_number == 0:
            return 0
        if others is not None and self.stands_among_c(others.fields):
            return 0                    # the application tells one of its own
        size += self.put_c(stream.request_number, stream.given_id, put(out, self.line, size))
        return put(out + size, b"\r\n", 2) - out

    cdef bint stands_among_c(self, list fields) noexcept:
        cdef tuple field
        cdef bytes name
        for field in fields:
            name = <bytes>field[0]
            if PyBytes_GET_SIZE(name) == self.name_size and same_folded(
                PyBytes_AS_STRING(name), self.line, self.name_size
            ):
                return True
        return False


cdef bint may_be_id(const char* octets, Py_ssize_t size) noexcept:
    # Visible ASCII, which can stand in a field and in a log line.
    cdef Py_ssize_t index
    for index in range(size):
        if not c"!" <= octets[index] <= c"~":
            return False
    return 0 < size <= REQUEST_ID_MOST
