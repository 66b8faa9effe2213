# Which paths may be looked for at all. Decided on octets alone, before any call to the system.

cdef enum:
    PATH_BYTES_MAX = 4096
    SEGMENT_BYTES_MAX = 255


# path: what a route's catch-all took, as decode_path_c leaves it: decoded once, an encoded slash
# stands as NUL, no slash in front; a slash at the end means a directory, nothing means the root.
# True: it may be looked for. False: 404, as for a file that is not there.
cdef bint allowed_c(const char* path, Py_ssize_t size) noexcept nogil
# The same for one name of a directory, other than .well-known.
cdef bint name_allowed_c(const char* name, Py_ssize_t size) noexcept nogil
