# The methods that have a number, so that they cost no string comparison later. Header-only.

from libc.string cimport memcmp


cdef enum Method:
    METHOD_OTHER = 0            # any other token
    METHOD_GET
    METHOD_HEAD
    METHOD_POST
    METHOD_PUT
    METHOD_PATCH
    METHOD_DELETE
    METHOD_OPTIONS
    METHOD_TRACE
    METHOD_CONNECT
    METHOD_COUNT


cdef inline int method_of(const char* token, Py_ssize_t size) noexcept nogil:
    # Case-sensitive (RFC 9110 section 9.1): "get" is another method.
    if size == 3:
        if memcmp(token, b"GET", 3) == 0:
            return METHOD_GET
        if memcmp(token, b"PUT", 3) == 0:
            return METHOD_PUT
    elif size == 4:
        if memcmp(token, b"POST", 4) == 0:
            return METHOD_POST
        if memcmp(token, b"HEAD", 4) == 0:
            return METHOD_HEAD
    elif size == 5:
        if memcmp(token, b"PATCH", 5) == 0:
            return METHOD_PATCH
        if memcmp(token, b"TRACE", 5) == 0:
            return METHOD_TRACE
    elif size == 6:
        if memcmp(token, b"DELETE", 6) == 0:
            return METHOD_DELETE
    elif size == 7:
        if memcmp(token, b"OPTIONS", 7) == 0:
            return METHOD_OPTIONS
        if memcmp(token, b"CONNECT", 7) == 0:
            return METHOD_CONNECT
    return METHOD_OTHER
