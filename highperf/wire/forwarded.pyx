# Owns the grammar of Forwarded (RFC 7239 section 4), X-Forwarded-For and X-Forwarded-Proto. Must not
# know whom to believe.
#
# A proxy appends to what it was sent, and what it was sent may be anything. So elements are cut off
# from the right, without a look at what is left of them: a quote that a client left open hides
# nothing that a proxy wrote behind it. Each element is then read forward, and strictly.
#
# Rules:
# - Several lines of a field are one list, in their order (RFC 9110 section 5.3).
# - Empty elements are passed over, but counted (RFC 9110 section 5.6.1.2), so that the work for a
#   field of any length is bounded: ELEMENTS_MOST times ELEMENT_SIZE octets.
# - A node (RFC 7239 section 6) is read alike in both fields: IPv4 or IPv6 in brackets, each with or without
#   a port, and IPv6 alone. Both may be quoted: some who write X-Forwarded-For do that (section 7.4).
# - unknown, obfuscated identifiers and whatever else is no address is somebody who is not known.

from highperf.wire.address cimport IPV4_PREFIX, read_ipv4, read_ipv6
from highperf.wire.chars cimport (
    HP_TOKEN, is_blank, is_class, is_digit, same_lower, same_token, skip_blanks, skip_class,
)
from highperf.wire.parser cimport Head
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    PORT_DIGITS = 5
    PORT_MOST = 65535


# ---- where a field stands ---------------------------------------------------------------------


cdef void find_lines_c(Head head, Lines* lines) noexcept nogil:
    cdef int at = head.field_count
    cdef const char* name
    cdef uint32_t size
    lines.forwarded = lines.forwarded_for = lines.forwarded_proto = -1
    while at > 0:
        at -= 1
        size = head.fields[at].name.size
        name = head.base + head.fields[at].name.start
        if size == 15:
            if lines.forwarded_for < 0 and same_token(name, b"x-forwarded-for", 15):
                lines.forwarded_for = at
        elif size == 17:
            if lines.forwarded_proto < 0 and same_token(name, b"x-forwarded-proto", 17):
                lines.forwarded_proto = at
        elif size == 9:
            if lines.forwarded < 0 and same_token(name, b"forwarded", 9):
                lines.forwarded = at


cdef void begin_walk_c(Head head, int line, Walk* walk) noexcept nogil:
    walk.left = ELEMENTS_MOST
    enter_line(head, line, walk)


cdef inline void enter_line(Head head, int line, Walk* walk) noexcept nogil:
    walk.line = line
    if line >= 0:
        walk.start = head.base + head.fields[line].value.start
        walk.end = walk.start + head.fields[line].value.size


cdef int line_before(Head head, int line) noexcept nogil:
    # The nearest line above of the same name, or -1.
    cdef const char* name = head.base + head.fields[line].name.start
    cdef uint32_t size = head.fields[line].name.size
    while line > 0:
        line -= 1
        if head.fields[line].name.size == size and same_token(head.base + head.fields[line].name.start, name, size):
            return line
    return -1


# ---- elements, from the right -----------------------------------------------------------------


cdef bint cut_element(Head head, Walk* walk, bint quotes, const char** start, const char** end) noexcept nogil:
    # The next element to the left that is not empty, without the blanks around it; False: there is
    # none. Where an element has no beginning that can be told, start is NULL.
    while walk.line >= 0 and walk.left:
        if walk.start == NULL:
            enter_line(head, line_before(head, walk.line), walk)
            continue
        walk.left -= 1
        end[0] = walk.end
        start[0] = element_start(walk.start, walk.end, quotes)
        if start[0] == NULL:
            walk.line = -1
            return True
        if start[0] == walk.start:
            walk.start = NULL               # this line is done
        else:
            walk.end = start[0] - 1         # its comma
        start[0] = skip_blanks(start[0], end[0])
        while end[0] > start[0] and is_blank((end[0] - 1)[0]):
            end[0] -= 1
        if start[0] != end[0]:
            return True
    return False


cdef const char* element_start(const char* start, const char* end, bint quotes) noexcept nogil:
    # Of the last element before end; NULL: it is too long, or a quote in it is not closed.
    cdef const char* p = end
    if end - start > ELEMENT_SIZE:
        start = end - ELEMENT_SIZE
    while p > start:
        p -= 1
        if p[0] == c',':
            return p + 1
        if quotes and p[0] == c'"':
            p = opening_quote(start, p)
            if p == NULL:
                return NULL
    if end - start >= ELEMENT_SIZE:
        return NULL
    return start


cdef const char* opening_quote(const char* start, const char* closing) noexcept nogil:
    # RFC 9110 section 5.6.4: a quote behind an odd number of backslashes is one of the text.
    cdef const char* p = closing
    cdef const char* slash
    while p > start:
        p -= 1
        if p[0] == c'"':
            slash = p
            while slash > start and (slash - 1)[0] == c'\\':
                slash -= 1
            if (p - slash) & 1 == 0:
                return p
            p = slash
    return NULL


# ---- one element ------------------------------------------------------------------------------


cdef inline void forget(Hop* hop) noexcept nogil:
    hop.named = hop.known = False
    hop.port = 0
    hop.scheme = SCHEME_NONE


cdef bint next_forwarded_for_c(Head head, Walk* walk, Hop* hop) noexcept nogil:
    cdef const char* start
    cdef const char* end
    if not cut_element(head, walk, False, &start, &end):
        return False
    forget(hop)
    hop.named = True
    if start == NULL:
        return True
    if end - start >= 2 and start[0] == c'"' and (end - 1)[0] == c'"':
        start += 1
        end -= 1
    hop.known = read_node(start, end, hop)
    if not hop.known:
        walk.line = -1
    return True


cdef bint next_forwarded_c(Head head, Walk* walk, Hop* hop) noexcept nogil:
    cdef const char* start
    cdef const char* end
    if not cut_element(head, walk, True, &start, &end):
        return False
    forget(hop)
    if start == NULL or not read_pairs(start, end, hop):
        forget(hop)
        hop.named = True
    if not hop.known:
        walk.line = -1
    return True


cdef bint read_pairs(const char* p, const char* end, Hop* hop) noexcept nogil:
    # forwarded-element; False where it is none. RFC 7239 section 4 has no blanks in it, but many write
    # one behind the semicolon; and no parameter twice.
    cdef const char* name
    cdef const char* value
    cdef const char* value_end
    cdef Py_ssize_t size
    cdef bint schemed = False
    while True:
        p = skip_blanks(p, end)
        if p < end and p[0] == c';':
            p += 1
            continue
        if p == end:
            return True
        name = p
        p = skip_class(p, end, HP_TOKEN)
        size = p - name
        if size == 0 or p == end or p[0] != c'=':
            return False
        p = read_value(p + 1, end, &value, &value_end)
        if p == NULL:
            return False
        if size == 3 and same_lower(name, b"for", 3):
            if hop.named:
                return False
            hop.named = True
            hop.known = read_node(value, value_end, hop)
        elif size == 5 and same_lower(name, b"proto", 5):
            if schemed:
                return False
            schemed = True
            hop.scheme = read_scheme(value, value_end)
        p = skip_blanks(p, end)
        if p < end and p[0] != c';':
            return False


cdef const char* read_value(
    const char* p, const char* end, const char** value, const char** value_end
) noexcept nogil:
    # token or quoted-string, without its quotes: what follows it, or NULL. The colons and brackets of a node
    # ought to be quoted, but can mean nothing else without. Escapes are left: no node and no scheme has any.
    cdef bint quoted = p < end and p[0] == c'"'
    value[0] = p
    if not quoted:
        while p < end and (is_class(p[0], HP_TOKEN) or p[0] == c':' or p[0] == c'[' or p[0] == c']'):
            p += 1
        value_end[0] = p
        return p if p > value[0] else NULL
    p += 1
    value[0] = p
    while p < end and p[0] != c'"':
        p += 2 if p[0] == c'\\' else 1
    if p >= end:
        return NULL
    value_end[0] = p
    return p + 1


cdef bint read_node(const char* p, const char* end, Hop* hop) noexcept nogil:
    cdef uint32_t bits
    cdef const char* rest
    if p < end and p[0] == c'[':
        rest = read_ipv6(p + 1, end, &hop.address)
        if rest == NULL or rest == end or rest[0] != c']':
            return False
        return read_port(rest + 1, end, hop)
    rest = read_ipv4(p, end, &bits)
    if rest == NULL:
        return read_ipv6(p, end, &hop.address) == end
    hop.address.high, hop.address.low = 0, <uint64_t>IPV4_PREFIX << 32 | bits
    return read_port(rest, end, hop)


cdef bint read_port(const char* p, const char* end, Hop* hop) noexcept nogil:
    # [ ":" node-port ]; an obfuscated port (RFC 7239 section 6.3) is none.
    cdef int port = 0
    if p == end:
        return True
    if p[0] != c':' or end - p < 2:
        return False
    p += 1
    if p[0] == c'_':
        return end - p > 1 and skip_class(p, end, HP_TOKEN) == end
    if end - p > PORT_DIGITS:
        return False
    while p < end:
        if not is_digit(p[0]):
            return False
        port = port * 10 + (p[0] - c'0')
        p += 1
    if port > PORT_MOST:
        return False
    hop.port = port
    return True


cdef int read_scheme(const char* p, const char* end) noexcept nogil:
    # A WebSocket's handshake is HTTP, and some proxies call it by the WebSocket's scheme.
    cdef Py_ssize_t size = end - p
    if (size == 5 and same_lower(p, b"https", 5)) or (size == 3 and same_lower(p, b"wss", 3)):
        return SCHEME_HTTPS
    if (size == 4 and same_lower(p, b"http", 4)) or (size == 2 and same_lower(p, b"ws", 2)):
        return SCHEME_HTTP
    return SCHEME_NONE


cdef int scheme_at_c(Head head, int line, int hops) noexcept nogil:
    cdef Walk walk
    cdef const char* start
    cdef const char* end
    cdef int scheme = SCHEME_NONE
    begin_walk_c(head, line, &walk)
    while cut_element(head, &walk, False, &start, &end):
        scheme = SCHEME_NONE if start == NULL else read_scheme(start, end)
        if hops == 0:
            break
        hops -= 1
    return scheme
