# Text that clients may choose, written so that it stays what it is in a log line. Header-only; knows no request.
#
# Whatever a client may choose goes through put_escaped: octets below 0x20 and from 0x7F on, quotes and
# backslashes become \xHH, in JSON \u00HH. So one line stays one line, and a value stays within its quotes.

from libc.string cimport memcpy
from highperf.wire.writing cimport put

cdef enum:
    ELLIPSIS_SIZE = 3
    ESCAPE_SIZE = 6             # the longest

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #define HP_OF_EACH(c) (0x0101010101010101u * (unsigned char)(c))
    /* Whether some of the eight octets at p must be escaped; now and then it says so in vain. */
    static inline int hp_some_escape(const char *p) {
        uint64_t word, quote, slash, del;
        memcpy(&word, p, 8);
        quote = word ^ HP_OF_EACH('"');
        slash = word ^ HP_OF_EACH('\\\\');
        del = word ^ HP_OF_EACH(0x7F);
        return ((word | (word - HP_OF_EACH(0x20)) | ((quote - HP_OF_EACH(1)) & ~quote)
                 | ((slash - HP_OF_EACH(1)) & ~slash) | ((del - HP_OF_EACH(1)) & ~del)) & HP_OF_EACH(0x80)) != 0;
    }
    static inline int hp_escapes(unsigned char c) {
        return c < 0x20 || c >= 0x7F || c == '"' || c == '\\\\';
    }
    """
    bint hp_some_escape(const char* p) noexcept nogil
    bint hp_escapes(unsigned char c) noexcept nogil


cdef inline char* put_escape(char* at, unsigned char octet, bint json) noexcept nogil:
    at = put(at, b"\\u00", 4) if json else put(at, b"\\x", 2)
    at[0] = b"0123456789abcdef"[octet >> 4]
    at[1] = b"0123456789abcdef"[octet & 15]
    return at + 2


cdef inline char* put_escaped(char* at, const char* limit, const char* text, Py_ssize_t size, bint json) noexcept nogil:
    # What does not fit before the limit is cut off and "..." stands for it; nothing where there is hardly room.
    cdef const char* last = limit - ESCAPE_SIZE - ELLIPSIS_SIZE
    cdef const char* end = text + size
    while text < end:
        if at > last:
            return put(at, b"...", ELLIPSIS_SIZE) if limit - at >= ELLIPSIS_SIZE else at
        if end - text >= 8 and last - at >= 8 and not hp_some_escape(text):
            memcpy(at, text, 8)
            at += 8
            text += 8
        elif hp_escapes(text[0]):
            at = put_escape(at, text[0], json)
            text += 1
        else:
            at[0] = text[0]
            at += 1
            text += 1
    return at
