# Owns the ids of requests: where they come from and how they are written. Must not know what for.
#
# An id is two words of its stream, a number and (rarely) what a trusted proxy sent in its place, until somebody
# wants it as text. It never changes while its request runs. The field with the last one stays, because most are told
# twice (in a problem and in a field), and the next is mostly told next: then one digit changes.

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
        cdef bytes line = f"{field}: ".encode("ascii"), prefix = f"{os.urandom(4).hex()}-".encode("ascii")
        if len(field) > NAME_MOST:
            raise ValueError(f"a field's name must be at most {NAME_MOST} octets")
        memcpy(self.line, PyBytes_AS_STRING(line), len(line))
        memcpy(self.prefix, PyBytes_AS_STRING(prefix), PREFIX_SIZE)
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
        cdef const char* octets = NULL
        cdef Py_ssize_t size = self.tell_c(number, given, &octets)
        return octets[:size].decode("ascii")

    cdef Py_ssize_t tell_c(self, unsigned long long number, bytes given, const char** octets) noexcept:
        cdef char* id_ = self.line + self.name_size + 2
        cdef char* end = self.line + self.line_size - 2
        octets[0] = id_
        if given is not None:
            end = put(id_, PyBytes_AS_STRING(given), PyBytes_GET_SIZE(given))
            number = 0
        elif number == self.told:
            return end - id_
        elif number == self.told + 1 and number != 1 and (end - 1)[0] != c"9":
            (end - 1)[0] += 1
        else:
            end = put_decimal(put(id_, self.prefix, PREFIX_SIZE), number)
        self.told = number
        self.line_size = put(end, b"\r\n", 2) - self.line
        return end - id_

    cdef Py_ssize_t field_c(self, Stream stream, ResponseHeaders others, const char** octets) noexcept:
        octets[0] = self.line           # where there is none too: whoever copies nothing copies it from somewhere
        if self.name_size == 0 or stream.request_number == 0:
            return 0
        if others is not None and others.lines is None and self.stands_among_c(others.fields):
            return 0                    # the application tells one of its own
        self.tell_c(stream.request_number, stream.given_id, octets)
        octets[0] = self.line
        return self.line_size

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
