# Asks for a request's client in a compiled loop, so that the cost of a Python call does not hide the answer's.

from highperf.core.proxies cimport Peer, TrustedProxies, client_key_of_c
from highperf.core.stream cimport CLIENT_KEY_SIZE
from highperf.wire.parser cimport PARSE_DONE, Head, Limits


def key_often(TrustedProxies proxies, object transport, bytes octets, int times):
    """Makes the key of a rate limit `times` times over on one connection; returns the last one."""
    cdef Limits limits = Limits(8192, 65536, 100, 65536)
    cdef Head head = Head()
    cdef Peer peer = Peer(met=False, addressed=False, trusted=False)
    cdef char key[CLIENT_KEY_SIZE]
    cdef Py_ssize_t size = 0
    head.reset_c()
    assert head.parse_c(octets, len(octets), &limits) == PARSE_DONE
    for _ in range(times):
        size = client_key_of_c(proxies, transport, &peer, head, key)
    return key[:size]
