# Lazy views on a parsed head. Headers keep their Head alive; whoever reuses Heads gives one that
# is still referenced its own octets (Head.keep_c) and takes a new one for the next request.
# A Query has its own octets.

from highperf.wire.parser cimport Head


cdef class Headers:
    cdef Head head


cdef class Query:
    cdef bytes source           # as sent; dropped when parsed
    cdef list pairs             # (name, value) in order; None until parsed
    cdef dict index             # name -> list of values

    cdef int parse_c(self) except -1


cdef Headers headers_of_c(Head head)
cdef Query query_of_c(Head head)

# Percent-decodes once; out has room for size octets, and may be source. Returns how many were
# written. %2F becomes NUL, so that an encoded slash is no separator; NUL can mean nothing else,
# because the parser refuses %00.
cdef Py_ssize_t decode_path_c(const char* source, Py_ssize_t size, char* out) noexcept nogil

# Octets that decode_path_c made, or that need no decoding, as text: UTF-8, what is not becomes
# U+FFFD; NUL becomes "/".
cdef str path_text_c(const char* octets, Py_ssize_t size)
