# IP addresses as text (RFC 3986 section 3.2.2). Header-only; knows nothing of where they stand.
#
# An IPv4 address is kept as the IPv6 address that stands for it, ::ffff:a.b.c.d (RFC 4291 section
# 2.5.5.2), and so whoever spells it that way has spelled the same address.

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from highperf.wire.chars cimport hex_value, is_digit
from highperf.wire.writing cimport put_decimal

cdef enum:
    IPV4_PREFIX = 0xFFFF        # what precedes the 32 bits of an IPv4 address
    ADDRESS_MOST = 39           # octets of an address as text


cdef struct Address:
    uint64_t high
    uint64_t low


cdef inline bint is_ipv4(const Address* address) noexcept nogil:
    return address.high == 0 and address.low >> 32 == IPV4_PREFIX


cdef inline const char* read_ipv4(const char* p, const char* end, uint32_t* bits) noexcept nogil:
    # IPv4address: what follows it, or NULL. No leading zeros: some read them as octal.
    cdef int part
    cdef int value
    cdef const char* start
    bits[0] = 0
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
        bits[0] = bits[0] << 8 | <uint32_t>value
    return p


cdef inline bint join_groups(const uint16_t* groups, int count, int elided, Address* address) noexcept nogil:
    # elided: before which group "::" stands, for at least one of zeros; -1: nowhere.
    cdef uint64_t halves[2]
    cdef int index, place
    if count > 7 if elided >= 0 else count != 8:
        return False
    halves[0] = halves[1] = 0
    for index in range(count):
        place = index if elided < 0 or index < elided else index + 8 - count
        halves[place >> 2] |= <uint64_t>groups[index] << (48 - 16 * (place & 3))
    address.high, address.low = halves[0], halves[1]
    return True


cdef inline const char* read_ipv6(const char* p, const char* end, Address* address) noexcept nogil:
    # IPv6address: what follows it, or NULL. Zones mean nothing on another machine.
    cdef uint16_t groups[8]
    cdef uint32_t bits
    cdef int count = 0, elided = -1, value
    cdef const char* start
    if end - p >= 2 and p[0] == c':' and p[1] == c':':
        elided = 0
        p += 2
    while count < 8:
        start = p
        value = 0
        while p < end and p - start < 4 and hex_value(p[0]) >= 0:
            value = value << 4 | hex_value(p[0])
            p += 1
        if p == start:
            if elided != count:
                return NULL
            break
        if p < end and p[0] == c'.' and count <= 6:
            p = read_ipv4(start, end, &bits)
            if p == NULL:
                return NULL
            groups[count], groups[count + 1] = <uint16_t>(bits >> 16), <uint16_t>bits
            count += 2
            break
        groups[count] = <uint16_t>value
        count += 1
        if count == 8 or p == end or p[0] != c':':
            break
        p += 1
        if p < end and p[0] == c':' and elided < 0:
            elided = count
            p += 1
    return p if join_groups(groups, count, elided, address) else NULL


cdef inline char* write_ipv4(char* at, uint32_t bits) noexcept nogil:
    cdef int shift
    for shift in range(24, -1, -8):
        at = put_decimal(at, bits >> shift & 255)
        at[0] = c'.'
        at += 1
    return at - 1


cdef inline char* write_ipv6(char* at, const Address* address) noexcept nogil:
    # RFC 5952: no leading zeros, and "::" for the first of the longest runs of zeros, of two groups at least.
    cdef int groups[8]
    cdef int index, shift, begun = -1, begin = -1, end = -1
    for index in range(8):
        groups[index] = <int>((address.high if index < 4 else address.low) >> (48 - 16 * (index & 3)) & 0xFFFF)
        if groups[index]:
            begun = -1
        elif begun < 0:
            begun = index
        if begun >= 0 and index + 1 - begun > max(1, end - begin):
            begin, end = begun, index + 1
    index = 0
    while index < 8:
        if index == begin:
            at[0] = at[1] = c':'
            at += 2
            index = end
            continue
        if index and index != end:
            at[0] = c':'
            at += 1
        for shift in range(12, -1, -4):
            if groups[index] >> shift or shift == 0:
                at[0] = b"0123456789abcdef"[groups[index] >> shift & 15]
                at += 1
        index += 1
    return at


cdef inline char* write_address(char* at, const Address* address) noexcept nogil:
    # At most ADDRESS_MOST octets; returns what is behind them.
    return write_ipv4(at, <uint32_t>address.low) if is_ipv4(address) else write_ipv6(at, address)


cdef inline bint read_address(const char* p, const char* end, Address* address) noexcept nogil:
    # Whether all of the text is an address of either kind.
    cdef uint32_t bits
    if read_ipv4(p, end, &bits) == end:
        address.high, address.low = 0, <uint64_t>IPV4_PREFIX << 32 | bits
        return True
    return read_ipv6(p, end, address) == end
