# The methods that have a number, so that they cost no string comparison later.

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
