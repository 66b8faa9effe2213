# TrustedProxies: whose word on a request's client is believed. Peer: who is at the other end of a
# connection. Origin: what is believed of one request.

from highperf.flag cimport flag
from highperf.wire.address cimport Address
from highperf.wire.forwarded cimport Walk
from highperf.wire.parser cimport Head


cdef struct Range:
    Address first
    Address last


cdef enum OriginKind:
    ORIGIN_PEER = 0             # nobody spoke of another, or could be understood
    ORIGIN_FORWARDED = 1
    ORIGIN_DOUBTFUL = 2         # its fields contradict each other: one of them is forged


cdef struct Origin:
    int kind                    # OriginKind
    Address address             # where ORIGIN_FORWARDED
    int port                    # 0: not told
    int scheme                  # wire.forwarded.Scheme


cdef struct Claim:
    # What one field says.
    bint made                   # ...of whom the request came from
    bint known                  # ...and it is this address
    Address address
    int port
    int scheme
    int hops                    # elements read


cdef struct Peer:
    Address address
    int port                    # 0: not known
    flag met                    # the rest has been found out
    flag addressed              # False: it has no IP address
    flag trusted


cdef class TrustedProxies:
    cdef Range* ranges          # owned: of IPv4, then of IPv6; each sorted, without overlap
    cdef Py_ssize_t count
    cdef Py_ssize_t ipv4_count

    cdef bint trust_c(self, const Address* address) noexcept nogil
    # Of a request whose peer is trusted.
    cdef void trace_c(self, Head head, Origin* origin) noexcept nogil
    cdef void follow_c(self, Head head, Walk* walk, bint standard, Claim* claim) noexcept nogil
    cdef int meet_c(self, object transport, Peer* peer) except -1


# What a Stream answers about one request; the transport is None when its peer is gone.
cdef bint is_trusted_c(TrustedProxies proxies, object transport, Peer* peer) except -1
# Of a peer that was met. head: None where its request was not understood. False: nobody knows who sent it.
cdef bint address_of_c(TrustedProxies proxies, const Peer* peer, Head head, Address* address, int* port) noexcept
cdef object client_of_c(TrustedProxies proxies, object transport, Peer* peer, Head head)
cdef object scheme_of_c(TrustedProxies proxies, object transport, Peer* peer, Head head)
cdef Py_ssize_t client_key_of_c(
    TrustedProxies proxies, object transport, Peer* peer, Head head, char* key
) except -1
