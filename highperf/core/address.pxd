# By what a rate limit tells one client from another.

from libc.string cimport memcmp

cdef extern from "arpa/inet.h" nogil:
    int inet_pton(int family, const char* text, void* address)
    int AF_INET "AF_INET"
    int AF_INET6 "AF_INET6"


cdef inline Py_ssize_t address_key_c(str host, char* key) except -1:
    # An IPv4 address whole; of an IPv6 address the network of 64 bits that one customer has for
    # himself at least; an IPv4 address that is spelled as IPv6 (RFC 4291 section 2.5.5.2) as IPv4.
    cdef bytes text = host.partition("%")[0].encode("ascii", "replace")
    cdef char address[16]
    if inet_pton(AF_INET, text, key) == 1:
        return 4
    if inet_pton(AF_INET6, text, address) != 1:
        return 0
    if memcmp(address, b"\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0:
        key[0], key[1], key[2], key[3] = address[12], address[13], address[14], address[15]
        return 4
    for index in range(8):
        key[index] = address[index]
    return 8
