# RequestIds: what tells one request from all others, in logs, answers and problems.

from highperf.core.stream cimport REQUEST_ID_MOST, Stream
from highperf.wire.parser cimport Head
from highperf.wire.response cimport ResponseHeaders

cdef enum:
    NAME_MOST = 64              # octets of the field's name
    PREFIX_SIZE = 9
    ID_FIELD_MOST = NAME_MOST + 2 + REQUEST_ID_MOST + 2     # octets of the field that tells an id


cdef class RequestIds:
    cdef unsigned long long number      # the last one's
    cdef char prefix[PREFIX_SIZE]       # what all ids that are made begin with
    cdef char line[ID_FIELD_MOST]       # the field that told an id last
    cdef Py_ssize_t line_size
    cdef unsigned long long told        # the number in it; 0: it was given, or there is none yet
    cdef int name_size                  # 0: no field tells ids
    cdef bytes lower_name

    # Gives the stream's request an id: that which a trusted peer sent, or the next one. head: None where it
    # was not understood.
    cdef int assign_c(self, Stream stream, Head head) except -1
    # The number of one that is made.
    cdef unsigned long long next_c(self) noexcept
    # By what a stream knows of it.
    cdef str text_c(self, unsigned long long number, bytes given)
    # Its octets, at most REQUEST_ID_MOST, until the next one is told; gives how many.
    cdef Py_ssize_t tell_c(self, unsigned long long number, bytes given, const char** octets) noexcept
    # The whole field for an answer with these others, as long; 0: none is to be sent.
    cdef Py_ssize_t field_c(self, Stream stream, ResponseHeaders others, const char** octets) noexcept
    cdef bint stands_among_c(self, list fields) noexcept
