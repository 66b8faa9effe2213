# Octets: their classes, and the loops that run once per octet. Header-only, so that they are
# inlined where they are used; everything here is noexcept and nogil, reads only between the two
# pointers it is given, and knows no HTTP beyond the grammar of single octets.
#
# The skip_ functions look at a block of octets at a time (16 with SSE2, otherwise 8 in one
# machine word) and finish the last few with the table, so they never read past `end`.
#
# HP_PORTABLE turns SSE2 off; the debug build sets it, so that both ways are tested.

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__SSE2__) && !defined(HP_PORTABLE)
    #include <emmintrin.h>
    #endif

    enum { HP_TOKEN = 1, HP_TARGET = 2, HP_PATH = 4, HP_VALUE = 8, HP_HOST = 16 };

    static const unsigned char hp_classes[256] = {
         0,  0,  0,  0,  0,  0,  0,  0,  0,  8,  0,  0,  0,  0,  0,  0,
         0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
         8, 31, 14,  9, 31, 11, 31, 31, 30, 30, 31, 31, 14, 31, 31, 14,
        31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 14, 30, 14, 30, 14, 10,
        14, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31,
        31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 14, 14, 14, 15, 31,
        15, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31,
        31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 14, 15, 14, 31,  0,
         8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,
         8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,
         8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,
         8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,
         8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,
         8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,
         8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,
         8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,
    };

    /* The first eight (four) octets at p, with every letter in lower case; other octets change
       too, but two of them become equal only if one is no token. */
    static inline uint64_t hp_folded8(const char *p) {
        uint64_t word;
        memcpy(&word, p, 8);
        return word | 0x2020202020202020u;
    }

    static inline uint32_t hp_folded4(const char *p) {
        uint32_t word;
        memcpy(&word, p, 4);
        return word | 0x20202020u;
    }

    #if defined(__SSE2__) && !defined(HP_PORTABLE)

    #define HP_BLOCK 16
    typedef uint32_t hp_stops;      /* one bit an octet */

    static inline int hp_first(hp_stops stops) { return __builtin_ctz(stops); }

    static inline __m128i hp_read(const char *p) { return _mm_loadu_si128((const __m128i *)p); }

    static inline __m128i hp_is(__m128i block, char c) { return _mm_cmpeq_epi8(block, _mm_set1_epi8(c)); }

    static inline hp_stops hp_mask(__m128i block) { return (hp_stops)_mm_movemask_epi8(block); }

    static inline hp_stops hp_stops_in_name(const char *p) {
        __m128i block = hp_read(p);
        __m128i lower = _mm_or_si128(block, _mm_set1_epi8(0x20));
        __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(lower, _mm_set1_epi8('a' - 1)),
                                       _mm_cmpgt_epi8(_mm_set1_epi8('z' + 1), lower));
        return hp_mask(_mm_or_si128(letter, hp_is(block, '-'))) ^ 0xFFFFu;
    }

    static inline hp_stops hp_stops_in_value(const char *p) {
        __m128i block = hp_read(p);
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1F)), block);
        return hp_mask(_mm_or_si128(_mm_andnot_si128(hp_is(block, 0x09), control), hp_is(block, 0x7F)));
    }

    static inline __m128i hp_invisible(__m128i block) {     /* signed: 0x80-0xFF are negative */
        return _mm_or_si128(_mm_cmpgt_epi8(_mm_set1_epi8(0x21), block), hp_is(block, 0x7F));
    }

    static inline hp_stops hp_stops_in_query(const char *p) {
        __m128i block = hp_read(p);
        return hp_mask(_mm_or_si128(hp_invisible(block), hp_is(block, '#')));
    }

    static inline hp_stops hp_stops_in_path(const char *p) {
        __m128i block = hp_read(p);
        __m128i mark = _mm_or_si128(_mm_or_si128(hp_is(block, '#'), hp_is(block, '%')), hp_is(block, '?'));
        return hp_mask(_mm_or_si128(hp_invisible(block), mark));
    }

    #else

    /* The well-known tests of all octets of a word at once: the high bit of an octet is set if
       the test holds for it. A borrow may also set bits of octets above the first that holds,
       and only the first is used. */
    #define HP_BLOCK 8
    #define HP_EACH(c) (0x0101010101010101u * (unsigned char)(c))
    typedef uint64_t hp_stops;

    static inline int hp_first(hp_stops stops) { return __builtin_ctzll(stops) >> 3; }

    static inline uint64_t hp_read(const char *p) {
        uint64_t word;
        memcpy(&word, p, 8);
    #if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
    #endif
        return word;
    }

    static inline uint64_t hp_below(uint64_t word, unsigned char bound) {   /* bound <= 128 */
        return (word - HP_EACH(bound)) & ~word & HP_EACH(0x80);
    }

    static inline uint64_t hp_is(uint64_t word, unsigned char c) {
        return hp_below(word ^ HP_EACH(c), 1);
    }

    static inline uint64_t hp_exactly(uint64_t word, unsigned char c) {     /* no borrow */
        uint64_t other = word ^ HP_EACH(c);
        return ~(((other & HP_EACH(0x7F)) + HP_EACH(0x7F)) | other) & HP_EACH(0x80);
    }

    static inline hp_stops hp_stops_in_name(const char *p) {
        uint64_t word = hp_read(p), seven = (word | HP_EACH(0x20)) & HP_EACH(0x7F);
        uint64_t letter = (seven + HP_EACH(0x80 - 'a')) & ~(seven + HP_EACH(0x7F - 'z')) & ~word;
        return ~(letter | hp_exactly(word, '-')) & HP_EACH(0x80);
    }

    static inline hp_stops hp_stops_in_value(const char *p) {
        uint64_t word = hp_read(p), tab = hp_exactly(word, 0x09);
        uint64_t control = ~(((word & HP_EACH(0x7F)) + HP_EACH(0x60)) | word) & HP_EACH(0x80);
        return (control & ~tab) | hp_is(word, 0x7F);
    }

    static inline hp_stops hp_stops_in_query(const char *p) {
        uint64_t word = hp_read(p);
        return hp_below(word, 0x21) | hp_is(word, 0x7F) | hp_is(word, '#') | (word & HP_EACH(0x80));
    }

    static inline hp_stops hp_stops_in_path(const char *p) {
        uint64_t word = hp_read(p);
        return hp_stops_in_query(p) | hp_is(word, '%') | hp_is(word, '?');
    }

    #endif
    """
    ctypedef unsigned long long hp_stops
    const unsigned char* hp_classes
    enum:
        HP_BLOCK
        HP_TOKEN        # RFC 9110 section 5.6.2: tchar
        HP_TARGET       # 0x21-0x7E without "#": what RFC 3986 allows, and what browsers send besides
        HP_PATH         # HP_TARGET without "%" and "?"
        HP_VALUE        # RFC 9110 section 5.5: HTAB, SP, VCHAR, obs-text
        HP_HOST         # RFC 3986 section 3.2.2: unreserved, sub-delims; "," is left out, it makes lists
    unsigned long long hp_folded8(const char* p) noexcept nogil
    unsigned int hp_folded4(const char* p) noexcept nogil
    int hp_first(hp_stops stops) noexcept nogil
    hp_stops hp_stops_in_name(const char* p) noexcept nogil
    hp_stops hp_stops_in_value(const char* p) noexcept nogil
    hp_stops hp_stops_in_query(const char* p) noexcept nogil
    hp_stops hp_stops_in_path(const char* p) noexcept nogil


cdef inline bint is_class(char c, int octet_class) noexcept nogil:
    return hp_classes[<unsigned char>c] & octet_class


cdef inline bint is_digit(char c) noexcept nogil:
    return c'0' <= c <= c'9'


cdef inline bint is_blank(char c) noexcept nogil:
    return c == c' ' or c == c'\t'


cdef inline int hex_value(char c) noexcept nogil:
    # 0 to 15, or -1 for an octet that is no HEXDIG.
    cdef char lower = c | 0x20
    if c'0' <= c <= c'9':
        return c - c'0'
    if c'a' <= lower <= c'f':
        return lower - c'a' + 10
    return -1


cdef inline char lower_of(char c) noexcept nogil:
    return c | 0x20 if c'A' <= c <= c'Z' else c


cdef inline bint same_lower(const char* data, const char* lower, Py_ssize_t size) noexcept nogil:
    # Case-insensitive: is data the same as lower, which has no capitals?
    cdef Py_ssize_t index
    for index in range(size):
        if lower_of(data[index]) != lower[index]:
            return False
    return True


cdef inline bint same_folded(const char* data, const char* other, Py_ssize_t size) noexcept nogil:
    # Case-insensitive on both sides.
    cdef Py_ssize_t index
    for index in range(size):
        if lower_of(data[index]) != lower_of(other[index]):
            return False
    return True


cdef inline bint same_token(const char* data, const char* lower, Py_ssize_t size) noexcept nogil:
    # As same_lower, for a token against a constant of 4 or more lower-case letters and "-":
    # with a constant size it becomes two comparisons of machine words.
    cdef Py_ssize_t index
    if size < 8:
        return (hp_folded4(data) == hp_folded4(lower)
                and hp_folded4(data + size - 4) == hp_folded4(lower + size - 4))
    for index in range(0, size - 8, 8):
        if hp_folded8(data + index) != hp_folded8(lower + index):
            return False
    return hp_folded8(data + size - 8) == hp_folded8(lower + size - 8)


cdef inline const char* skip_class(const char* p, const char* end, int octet_class) noexcept nogil:
    # The first octet that is not of the class, or end.
    while p < end and is_class(p[0], octet_class):
        p += 1
    return p


cdef inline const char* skip_blanks(const char* p, const char* end) noexcept nogil:
    while p < end and is_blank(p[0]):
        p += 1
    return p


cdef inline const char* skip_name(const char* p, const char* end) noexcept nogil:
    # Most names are letters and "-" and are shorter than a block; the table takes the rest.
    cdef hp_stops stops
    while end - p >= HP_BLOCK:
        stops = hp_stops_in_name(p)
        if stops:
            p += hp_first(stops)
            break
        p += HP_BLOCK
    return skip_class(p, end, HP_TOKEN)


cdef inline const char* skip_value(const char* p, const char* end) noexcept nogil:
    cdef hp_stops stops
    while end - p >= HP_BLOCK:
        stops = hp_stops_in_value(p)
        if stops:
            return p + hp_first(stops)
        p += HP_BLOCK
    return skip_class(p, end, HP_VALUE)


cdef inline const char* skip_query(const char* p, const char* end) noexcept nogil:
    cdef hp_stops stops
    while end - p >= HP_BLOCK:
        stops = hp_stops_in_query(p)
        if stops:
            return p + hp_first(stops)
        p += HP_BLOCK
    return skip_class(p, end, HP_TARGET)


cdef inline const char* skip_path(const char* p, const char* end) noexcept nogil:
    cdef hp_stops stops
    while end - p >= HP_BLOCK:
        stops = hp_stops_in_path(p)
        if stops:
            return p + hp_first(stops)
        p += HP_BLOCK
    return skip_class(p, end, HP_PATH)
