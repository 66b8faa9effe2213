# SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): 64 bits of a hash
# that nobody can aim without the key. One round per eight octets and three at the end are what hash
# tables want against chosen collisions; it is no signature.

from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline uint64_t hp_rotate(uint64_t word, int bits) { return word << bits | word >> (64 - bits); }
    static inline uint64_t hp_little_endian(const char* octets) {
        uint64_t word;
        memcpy(&word, octets, 8);
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
    #endif
        return word;
    }
    """
    uint64_t rotate "hp_rotate"(uint64_t word, int bits) noexcept nogil
    uint64_t eight_octets "hp_little_endian"(const char* octets) noexcept nogil


cdef struct SipState:
    uint64_t a
    uint64_t b
    uint64_t c
    uint64_t d


cdef inline void sip_round(SipState* state) noexcept nogil:
    state.a += state.b
    state.b = rotate(state.b, 13) ^ state.a
    state.a = rotate(state.a, 32)
    state.c += state.d
    state.d = rotate(state.d, 16) ^ state.c
    state.a += state.d
    state.d = rotate(state.d, 21) ^ state.a
    state.c += state.b
    state.b = rotate(state.b, 17) ^ state.c
    state.c = rotate(state.c, 32)


cdef inline void sip_word(SipState* state, uint64_t word) noexcept nogil:
    state.d ^= word
    sip_round(state)
    state.a ^= word


cdef inline uint64_t siphash13(const uint64_t* secret, const char* octets, Py_ssize_t size) noexcept nogil:
    cdef SipState state
    cdef uint64_t last = <uint64_t>size << 56
    cdef Py_ssize_t at, whole = size & ~<Py_ssize_t>7
    state.a = secret[0] ^ 0x736f6d6570736575U       # "somepseudorandomlygeneratedbytes"
    state.b = secret[1] ^ 0x646f72616e646f6dU
    state.c = secret[0] ^ 0x6c7967656e657261U
    state.d = secret[1] ^ 0x7465646279746573U
    for at in range(0, whole, 8):
        sip_word(&state, eight_octets(octets + at))
    for at in range(size - whole):
        last |= <uint64_t><unsigned char>octets[whole + at] << (8 * at)
    sip_word(&state, last)
    state.c ^= 0xff
    sip_round(&state)
    sip_round(&state)
    sip_round(&state)
    return state.a ^ state.b ^ state.c ^ state.d
