# uri-host [ ":" port ], the part of a target or a Host field that says where to (RFC 9110
# section 4.2, RFC 3986 section 3.2). Header-only; knows nothing of the fields it stands in.

from libc.string cimport memcmp, memcpy
from highperf.wire.address cimport Address, read_ipv6
from highperf.wire.chars cimport HP_HOST, hex_value, is_digit, skip_class

cdef enum:
    AUTHORITY_KEPT = 48


cdef struct LastAuthority:
    # One that was right, for clients send the same again and again. All zero: none was yet.
    char octets[AUTHORITY_KEPT]
    Py_ssize_t size


cdef inline bint is_authority(const char* p, const char* end, bint needs_port) noexcept nogil:
    # Stricter than the grammar where it lets through what no one can mean: an empty host, a
    # comma (which would be a list of hosts), a port above 65535, IPvFuture and zones, to which
    # no one could connect.
    cdef const char* start = p
    cdef Address address
    cdef int port = 0
    if p < end and p[0] == c'[':
        p = read_ipv6(p + 1, end, &address)
        if p == NULL or p == end or p[0] != c']':
            return False
        p += 1
    else:
        p = skip_class(p, end, HP_HOST)
        while p < end and p[0] == c'%':
            if end - p < 3 or hex_value(p[1]) < 0 or hex_value(p[2]) < 0:
                return False
            p = skip_class(p + 3, end, HP_HOST)
    if p == start:
        return False
    if p == end:
        return not needs_port
    if p[0] != c':' or (needs_port and end - p == 1):
        return False
    p += 1
    while p < end:
        if not is_digit(p[0]):
            return False
        port = port * 10 + (p[0] - c'0')
        if port > 65535:
            return False
        p += 1
    return True


cdef inline bint is_authority_again(LastAuthority* last, const char* p, const char* end) noexcept nogil:
    # is_authority without a port that must be, for less where it is the one of last time.
    cdef Py_ssize_t size = end - p
    if size and size == last.size and memcmp(p, last.octets, size) == 0:
        return True
    if not is_authority(p, end, False):
        return False
    if size <= AUTHORITY_KEPT:
        memcpy(last.octets, p, size)
        last.size = size
    return True
