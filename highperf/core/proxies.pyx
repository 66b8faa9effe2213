# Owns the answer to "who sent this request": the peer, or whom trusted proxies say they had it from.
# Must not know the fields' grammar (wire.forwarded does) nor what the answer is for.
#
# The way goes from the peer to the left through what the proxies wrote, as long as whoever is named is
# trusted too; the first that is not is the client. What stands left of it, or behind a name that
# cannot be read, is hearsay. Anyone can write these fields, so a peer that is not trusted is the client.
#
# Forwarded and X-Forwarded-* at once: a proxy writes one kind, mostly, and passes the other on as
# its client wrote it. Which one is the proxy's cannot be told (RFC 7239 section 7.4). So
# either alone is believed, and where both say the same. Where they differ nobody is believed: the
# request's client is nobody, rather than the proxy, which might be held for a friend.
#
# Rules:
# - Nothing here runs before somebody asks; a peer is looked at once in the life of its connection.
# - Whoever comes through a Unix socket has passed its file's permissions: he is trusted wherever
#   anyone is.

cimport cython
from highperf.wire.address cimport Address, is_ipv4, read_address
from highperf.wire.forwarded cimport (
    SCHEME_HTTPS, SCHEME_NONE, Hop, Lines, Walk, begin_walk_c, find_lines_c, next_forwarded_c, next_forwarded_for_c,
    scheme_at_c,
)
from highperf.wire.parser cimport Head
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

import socket
from ipaddress import collapse_addresses

cdef object inet_ntop = socket.inet_ntop
cdef int FAMILY_IPV6 = socket.AF_INET6
cdef uint64_t IPV4_MAPPED = <uint64_t>0xFFFF << 32


cdef inline bint is_before(const Address* one, const Address* other) noexcept nogil:
    return one.high < other.high or (one.high == other.high and one.low < other.low)


cdef inline bint is_same(const Address* one, const Address* other) noexcept nogil:
    return one.high == other.high and one.low == other.low


cdef Address address_of(object number, bint ipv4):
    cdef Address address
    address.high = 0 if ipv4 else number >> 64
    address.low = IPV4_MAPPED | <uint64_t>number if ipv4 else number & 0xFFFF_FFFF_FFFF_FFFF
    return address


@cython.final
cdef class TrustedProxies:
    def __init__(self, networks):
        # networks: ipaddress.IPv4Network and IPv6Network, in any order.
        cdef Py_ssize_t index
        cdef bint ipv4
        ordered = []
        for version in (4, 6):
            ordered += collapse_addresses([network for network in networks if network.version == version])
        self.count = len(ordered)
        self.ranges = <Range*>malloc(max(1, self.count) * sizeof(Range))
        if self.ranges == NULL:
            raise MemoryError()
        for index, network in enumerate(ordered):
            ipv4 = network.version == 4
            self.ipv4_count += ipv4
            self.ranges[index].first = address_of(int(network.network_address), ipv4)
            self.ranges[index].last = address_of(int(network.broadcast_address), ipv4)

    def __dealloc__(self):
        free(self.ranges)

    def __contains__(self, str address not None):
        cdef bytes text = address.encode("ascii", "replace")
        cdef Address parsed
        cdef const char* octets = text
        if not read_address(octets, octets + len(text), &parsed):
            raise ValueError(f"{address} is no IP address")
        return self.trust_c(&parsed)

    cdef bint trust_c(self, const Address* address) noexcept nogil:
        # The last range that begins no later than the address is the only one that may hold it. The
        # two kinds are kept apart: ::/0 is every IPv6 address, and no IPv4 address.
        cdef bint ipv4 = is_ipv4(address)
        cdef Py_ssize_t least = 0 if ipv4 else self.ipv4_count
        cdef Py_ssize_t low = least
        cdef Py_ssize_t high = self.ipv4_count if ipv4 else self.count
        cdef Py_ssize_t middle
        while low < high:
            middle = (low + high) >> 1
            if is_before(address, &self.ranges[middle].first):
                high = middle
            else:
                low = middle + 1
        return low > least and not is_before(&self.ranges[low - 1].last, address)

    cdef void trace_c(self, Head head, Origin* origin) noexcept nogil:
        cdef Lines lines
        cdef Walk walk
        cdef Claim legacy, standard
        find_lines_c(head, &lines)
        if lines.forwarded_for < 0 and lines.forwarded_proto < 0 and lines.forwarded < 0:
            origin.kind = ORIGIN_PEER
            origin.scheme = SCHEME_NONE
            return
        begin_walk_c(head, lines.forwarded_for, &walk)
        self.follow_c(head, &walk, False, &legacy)
        if lines.forwarded_proto >= 0:
            legacy.scheme = scheme_at_c(head, lines.forwarded_proto, max(0, legacy.hops - 1))
        begin_walk_c(head, lines.forwarded, &walk)
        self.follow_c(head, &walk, True, &standard)
        judge(&legacy, &standard, origin)

    cdef void follow_c(self, Head head, Walk* walk, bint standard, Claim* claim) noexcept nogil:
        # The scheme is that of the farthest hop that anyone trusted wrote of.
        cdef Hop hop
        claim.made = claim.known = False
        claim.port = claim.hops = 0
        claim.scheme = SCHEME_NONE
        while next_forwarded_c(head, walk, &hop) if standard else next_forwarded_for_c(head, walk, &hop):
            claim.hops += 1
            claim.scheme = hop.scheme
            claim.made = claim.made or hop.named
            if not hop.known:
                return
            claim.known = True
            claim.address = hop.address
            claim.port = hop.port
            if not self.trust_c(&hop.address):
                return

    cdef int meet_c(self, object transport, Peer* peer) except -1:
        cdef bytes text
        cdef const char* octets
        cdef object name = None if transport is None else transport.get_extra_info("peername")
        peer.met = True
        peer.addressed = False
        if isinstance(name, tuple):
            text = str(name[0]).partition("%")[0].encode("ascii", "replace")
            octets = text
            peer.addressed = read_address(octets, octets + len(text), &peer.address)
            peer.trusted = peer.addressed and self.trust_c(&peer.address)
            peer.port = name[1]
        else:                           # of a TCP peer that is gone already there is not even a name
            peer.trusted = isinstance(name, (str, bytes)) and self.count > 0
        return 0


cdef void judge(const Claim* legacy, const Claim* standard, Origin* origin) noexcept nogil:
    cdef const Claim* claim = legacy if legacy.made else standard
    origin.kind = ORIGIN_FORWARDED if claim.known else ORIGIN_PEER
    origin.address = claim.address
    origin.port = claim.port
    if legacy.made and standard.made:
        if legacy.known != standard.known or (legacy.known and not is_same(&legacy.address, &standard.address)):
            origin.kind = ORIGIN_DOUBTFUL
        elif not origin.port:
            origin.port = standard.port
    origin.scheme = legacy.scheme if legacy.scheme else standard.scheme
    if legacy.scheme and standard.scheme and legacy.scheme != standard.scheme:
        origin.scheme = SCHEME_NONE


# ---- what a Stream is asked -------------------------------------------------------------------


cdef bint is_trusted_c(TrustedProxies proxies, object transport, Peer* peer) except -1:
    if not peer.met:
        proxies.meet_c(transport, peer)
    return peer.trusted


cdef object client_of_c(TrustedProxies proxies, object transport, Peer* peer, Head head):
    cdef Origin origin
    if transport is None:
        return None
    if is_trusted_c(proxies, transport, peer):
        proxies.trace_c(head, &origin)
        if origin.kind == ORIGIN_DOUBTFUL:
            return None
        if origin.kind == ORIGIN_FORWARDED:
            return address_text(&origin.address), origin.port
    name = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return None
    return (address_text(&peer.address) if peer.addressed and is_ipv4(&peer.address) else name[0]), name[1]


cdef bint address_of_c(TrustedProxies proxies, const Peer* peer, Head head, Address* address, int* port) noexcept:
    cdef Origin origin
    address[0], port[0] = peer.address, peer.port
    if not peer.met or not peer.trusted or head is None:
        return peer.met and peer.addressed
    proxies.trace_c(head, &origin)
    if origin.kind == ORIGIN_FORWARDED:
        address[0], port[0] = origin.address, origin.port
        return True
    return origin.kind == ORIGIN_PEER and peer.addressed


cdef str address_text(const Address* address):
    if is_ipv4(address):
        return (f"{address.low >> 24 & 255}.{address.low >> 16 & 255}."
                f"{address.low >> 8 & 255}.{address.low & 255}")
    number = <object>address.high << 64 | address.low
    return inet_ntop(FAMILY_IPV6, number.to_bytes(16, "big"))


cdef object scheme_of_c(TrustedProxies proxies, object transport, Peer* peer, Head head):
    cdef Origin origin
    if transport is None:
        return None
    if is_trusted_c(proxies, transport, peer):
        proxies.trace_c(head, &origin)
        if origin.scheme:
            return "https" if origin.scheme == SCHEME_HTTPS else "http"
    return "http" if transport.get_extra_info("sslcontext") is None else "https"


cdef Py_ssize_t client_key_of_c(
    TrustedProxies proxies, object transport, Peer* peer, Head head, char* key
) except -1:
    # An IPv4 address whole; of an IPv6 address the network of 64 bits that one customer has for
    # himself at least. Whoever is not known shares a key with all like him.
    cdef Origin origin
    cdef const Address* address = &peer.address
    cdef uint32_t bits
    if is_trusted_c(proxies, transport, peer):
        proxies.trace_c(head, &origin)
        if origin.kind == ORIGIN_DOUBTFUL:
            return 0
        if origin.kind == ORIGIN_FORWARDED:
            address = &origin.address
    if address == &peer.address and not peer.addressed:
        return 0
    if is_ipv4(address):
        bits = <uint32_t>address.low
        memcpy(key, &bits, sizeof(bits))
        return sizeof(bits)
    memcpy(key, &address.high, sizeof(address.high))
    return sizeof(address.high)
