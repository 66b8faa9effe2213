# Radix tree over paths. Knows method and path, no HTTP.
#
# Paths given to match_c are decoded octets in which an encoded slash (%2F) stands as NUL (the
# form that wire/request.pyx makes): so it never acts as a separator, and NUL can mean nothing
# else, because %00 is refused earlier.

from libc.stdint cimport uint32_t
from highperf.wire.parser cimport METHOD_COUNT

cdef enum:
    PARAMS_MAX = 16


cdef struct PathParams:
    int count
    uint32_t start[PARAMS_MAX]  # from the path given to match_c
    uint32_t size[PARAMS_MAX]


cdef class Endpoint:
    # One pattern and what its methods lead to. Values are any Python objects.
    cdef readonly str pattern           # in canonical form: /users/:id, /files/*path
    cdef readonly tuple param_names
    cdef list known                     # METHOD_COUNT values or None, by Method
    cdef dict others                    # method token (bytes) -> value
    cdef object any                     # value for every method that has none of its own, or None

    cdef object find_c(self, int method, const char* token, Py_ssize_t token_size)


cdef class Router:
    cdef Endpoint match_c(self, const char* path, Py_ssize_t size, PathParams* params)
