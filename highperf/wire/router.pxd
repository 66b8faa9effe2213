# Radix tree over paths. Knows method and path, no HTTP.
#
# Paths given to match_c are decoded octets in which an encoded slash (%2F) stands as NUL (the
# form that wire/request.pyx makes): so it never acts as a separator, and NUL can mean nothing
# else, because %00 is refused earlier.

from libc.stdint cimport uint8_t, uint32_t

cdef extern from "Python.h":
    ctypedef struct PyObject

cdef enum:
    PARAMS_MAX = 16
    LABEL_MAX = 28              # octets; makes a Node 64 octets, one cache line


cdef struct PathParams:
    int count
    uint32_t start[PARAMS_MAX]  # from the path given to match_c
    uint32_t size[PARAMS_MAX]


cdef struct Node:
    # Indexes are into Router.nodes, 0 (the root, nobody's child) stands for none.
    PyObject* endpoint          # borrowed from Router.endpoints; of the path that ends here, or NULL
    PyObject* rest              # likewise, of a catch-all that begins here
    uint32_t* children          # owned; the static children, and behind them their first octets
    uint32_t parent
    uint32_t param              # child that takes one whole segment
    uint8_t child_count         # fits: UTF-8 uses fewer than 255 octets
    uint8_t child_capacity
    uint8_t label_size
    uint8_t is_param
    char label[LABEL_MAX]       # octets between parent and this node; none for a parameter


cdef class Endpoint:
    # One pattern and what its methods lead to. Values are any Python objects but None.
    cdef readonly str pattern           # in canonical form: /users/:id, /files/*path
    cdef readonly tuple param_names
    cdef list known                     # METHOD_COUNT values or None, by Method
    cdef dict others                    # method token (bytes) -> value
    cdef object any                     # value for every method that has none of its own, or None
    cdef str allow                      # cached for allow_c, None after a method was added

    cdef object find_c(self, int method, const char* token, Py_ssize_t token_size)
    cdef str allow_c(self)
    cdef dict params_c(self, const char* path, const PathParams* params)
    cdef bint has_c(self, str method) except -1
    cdef int put_c(self, str method, object value) except -1


cdef class Router:
    cdef Node* nodes            # owned
    cdef uint32_t node_count
    cdef uint32_t node_capacity
    cdef list endpoints         # in order of registration; keeps alive what nodes point to
    cdef dict shapes            # pattern without parameter names -> Endpoint
    cdef list entries           # (method, pattern, value) in order of registration

    # None if no pattern matches, or size is 4 GiB or more; otherwise params is filled.
    cdef Endpoint match_c(self, const char* path, Py_ssize_t size, PathParams* params)

    cdef uint32_t new_node_c(self) except 0
    cdef int adopt_c(self, uint32_t parent, char octet, uint32_t child) except -1
    cdef uint32_t split_c(self, uint32_t lower, Py_ssize_t size) except 0
    cdef uint32_t insert_literal_c(self, uint32_t at, const char* text, Py_ssize_t size) except? 0
    cdef uint32_t insert_param_c(self, uint32_t at) except 0
    cdef Endpoint insert_c(self, pattern)
