# Reaches the C interfaces of wire/forwarded and core/proxies, with fields at any address.

from highperf.core.proxies cimport ORIGIN_DOUBTFUL, ORIGIN_FORWARDED, ORIGIN_PEER, Origin, TrustedProxies
from highperf.wire.address cimport Address, read_address
from highperf.wire.forwarded cimport (
    Hop, Lines, Walk, begin_walk_c, find_lines_c, next_forwarded_c, next_forwarded_for_c, scheme_at_c,
)
from highperf.wire.parser cimport PARSE_DONE, Head, Limits, Span

KINDS = {ORIGIN_PEER: "peer", ORIGIN_FORWARDED: "forwarded", ORIGIN_DOUBTFUL: "doubtful"}
SCHEMES = (None, "http", "https")


cdef object number_of(const Address* address):
    return <object>address.high << 64 | address.low


def parse_address(bytes text):
    """The address as a number, IPv4 as ::ffff:a.b.c.d; None: it is none."""
    cdef Address address
    cdef const char* octets = text
    return number_of(&address) if read_address(octets, octets + len(text), &address) else None


cdef Head head_of(bytes octets):
    cdef Limits limits = Limits(2 ** 20, 2 ** 20, 1000, 2 ** 24)
    head = Head()
    head.reset_c()
    if head.parse_c(octets, len(octets), &limits) != PARSE_DONE:
        raise ValueError(octets)
    return head


def trace(TrustedProxies proxies, bytes octets):
    """(kind, address as a number, port, scheme) of the request with this head."""
    cdef Origin origin
    proxies.trace_c(head_of(octets), &origin)
    known = origin.kind == ORIGIN_FORWARDED
    return KINDS[origin.kind], number_of(&origin.address) if known else None, origin.port, SCHEMES[origin.scheme]


def trace_often(TrustedProxies proxies, bytes octets, int times):
    """For measuring."""
    cdef Origin origin
    cdef Head head = head_of(octets)
    for _ in range(times):
        proxies.trace_c(head, &origin)
    return origin.kind


def hops(bytes octets, bint standard):
    """(named, address as a number, port, scheme) of each element of Forwarded or X-Forwarded-For, from the right."""
    cdef Head head = head_of(octets)
    cdef Lines lines
    cdef Walk walk
    cdef Hop hop
    found = []
    find_lines_c(head, &lines)
    begin_walk_c(head, lines.forwarded if standard else lines.forwarded_for, &walk)
    while next_forwarded_c(head, &walk, &hop) if standard else next_forwarded_for_c(head, &walk, &hop):
        known = number_of(&hop.address) if hop.known else None
        found.append((hop.named, known, hop.port, SCHEMES[hop.scheme]))
    return found


def walk_at(size_t address, Span name, Span value):
    """Goes through one field whose name and value lie at these places behind the address."""
    cdef bytes octets = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    cdef Head head = head_of(octets)
    cdef Lines lines
    cdef Walk walk
    cdef Hop hop
    head.base = <const char*>address
    head.fields[0].name = name
    head.fields[0].value = value
    find_lines_c(head, &lines)
    begin_walk_c(head, lines.forwarded, &walk)
    while next_forwarded_c(head, &walk, &hop):
        pass
    begin_walk_c(head, lines.forwarded_for, &walk)
    while next_forwarded_for_c(head, &walk, &hop):
        pass
    scheme_at_c(head, lines.forwarded_proto, 1000)
    return max(lines.forwarded, lines.forwarded_for, lines.forwarded_proto)
