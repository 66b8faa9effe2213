# uri-host [ ":" port ], the part of a target or a Host field that says where to (RFC 9110
# section 4.2, RFC 3986 section 3.2). Header-only; knows nothing of the fields it stands in.

from highperf.wire.chars cimport HP_HOST, hex_value, is_digit, skip_class


cdef inline const char* skip_dotted(const char* p, const char* end) noexcept nogil:
    # IPv4address, or NULL.
    cdef int part
    cdef int value
    cdef const char* start
    for part in range(4):
        if part:
            if p == end or p[0] != c'.':
                return NULL
            p += 1
        start = p
        value = 0
        while p < end and p - start < 3 and is_digit(p[0]):
            value = value * 10 + (p[0] - c'0')
            p += 1
        if p == start or value > 255 or (p - start > 1 and start[0] == c'0'):
            return NULL
    return p


cdef inline const char* skip_address(const char* p, const char* end) noexcept nogil:
    # IPv6address "]" (RFC 3986 section 3.2.2), or NULL. IPvFuture and zones are refused: no
    # one could connect to them.
    cdef int groups = 0
    cdef bint elided = False
    cdef const char* start
    if end - p >= 2 and p[0] == c':' and p[1] == c':':
        elided = True
        p += 2
    while p < end and p[0] != c']':
        start = p
        while p < end and p - start < 4 and hex_value(p[0]) >= 0:
            p += 1
        if p < end and p[0] == c'.':
            p = skip_dotted(start, end)
            groups += 2
            if p == NULL:
                return NULL
            break
        groups += 1
        if p == start:
            return NULL
        if p < end and p[0] == c':':
            p += 1
            if p < end and p[0] == c':' and not elided:
                elided = True
                p += 1
            elif p == end or p[0] == c']':
                return NULL
        else:
            break
    if p == end or p[0] != c']' or (groups > 7 if elided else groups != 8):
        return NULL
    return p + 1


cdef inline bint is_authority(const char* p, const char* end, bint needs_port) noexcept nogil:
    # Stricter than the grammar where it lets through what no one can mean: an empty host, a
    # comma (which would be a list of hosts), a port above 65535.
    cdef const char* start = p
    cdef int port = 0
    if p < end and p[0] == c'[':
        p = skip_address(p + 1, end)
        if p == NULL:
            return False
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
