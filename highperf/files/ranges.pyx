# Owns the grammar and the judgement of byte ranges (RFC 9110 section 14). Must not know files or answers.
#
# One pass over the field, at most RANGES_MAX ranges in memory: nothing here grows with what a client
# sends. A field that is malformed, asks for more ranges than that or for more octets than there are is
# treated as if it were not there, which section 14.2 allows: a client gets the whole, once. So is any
# Range of an empty file, of which no part can be told (Content-Range has no form for it).

from libc.stdint cimport INT64_MAX, int64_t
from libc.string cimport memcmp, memmove

from highperf.wire.chars cimport is_digit, same_lower, skip_blanks

cdef enum SpecResult:
    SPEC_GOOD
    SPEC_UNSATISFIABLE
    SPEC_MALFORMED


cdef struct Digits:
    const char* at              # without leading zeros
    Py_ssize_t size


cdef inline const char* take_digits(const char* p, const char* end, Digits* digits) noexcept nogil:
    while p < end and p[0] == c"0":
        p += 1
    digits.at = p
    while p < end and is_digit(p[0]):
        p += 1
    digits.size = p - digits.at
    return p


cdef inline int64_t value_of(const Digits* digits) noexcept nogil:
    # No more than INT64_MAX, which is beyond the end of any file.
    cdef int64_t value = 0
    cdef Py_ssize_t at
    if digits.size > 18:
        return INT64_MAX
    for at in range(digits.size):
        value = 10 * value + (digits.at[at] - c"0")
    return value


cdef inline bint is_less(const Digits* one, const Digits* other) noexcept nogil:
    # Of any length: whether a range is malformed must not depend on what fits into a word.
    if one.size != other.size:
        return one.size < other.size
    return memcmp(one.at, other.at, one.size) < 0


cdef int parse_spec(const char* p, const char* end, int64_t length, ByteRange* part) noexcept nogil:
    # int-range or suffix-range (section 14.1.1), without white space around it.
    cdef const char* start = p
    cdef const char* after
    cdef Digits first, last
    p = take_digits(p, end, &first)
    if p == end or p[0] != c"-":
        return SPEC_MALFORMED
    after = take_digits(p + 1, end, &last)
    if after != end:
        return SPEC_MALFORMED
    if p == start:
        if after == p + 1:
            return SPEC_MALFORMED
        part.size = min(value_of(&last), length)
        part.offset = length - part.size
        return SPEC_GOOD if part.size else SPEC_UNSATISFIABLE
    if after > p + 1 and is_less(&last, &first):
        return SPEC_MALFORMED
    part.offset = value_of(&first)
    if part.offset >= length:
        return SPEC_UNSATISFIABLE
    part.size = (min(value_of(&last), length - 1) if after > p + 1 else length - 1) - part.offset + 1
    return SPEC_GOOD


cdef inline bint touch(const ByteRange* one, const ByteRange* other) noexcept nogil:
    return one.offset <= other.offset + other.size and other.offset <= one.offset + one.size


cdef void add_part(ByteRange part, ByteRange* parts, int* count) noexcept nogil:
    # Ranges that overlap or touch become one, which stands where the first of them was asked for
    # (section 15.3.7.2). A union may touch what neither of its parts touched, so look again.
    cdef int at = 0, place = count[0]
    cdef int64_t end
    while at < count[0]:
        if touch(&part, &parts[at]):
            end = max(part.offset + part.size, parts[at].offset + parts[at].size)
            part.offset = min(part.offset, parts[at].offset)
            part.size = end - part.offset
            place = min(place, at)
            count[0] -= 1
            memmove(&parts[at], &parts[at + 1], (count[0] - at) * sizeof(ByteRange))
            at = 0
        else:
            at += 1
    memmove(&parts[place + 1], &parts[place], (count[0] - place) * sizeof(ByteRange))
    parts[place] = part
    count[0] += 1


cdef int parse_ranges_c(
    const char* value, Py_ssize_t size, int64_t length, ByteRange* parts, int* count
) noexcept nogil:
    cdef const char* p = value + 6
    cdef const char* end = value + size
    cdef const char* stop
    cdef const char* after
    cdef ByteRange part
    cdef int result, specs = 0
    cdef int64_t left = length
    count[0] = 0
    if length == 0 or size < 6 or not same_lower(value, b"bytes=", 6):
        return RANGE_WHOLE
    while p < end:
        p = stop = skip_blanks(p, end)
        while stop < end and stop[0] != c"," and stop[0] != c" " and stop[0] != c"\t":
            stop += 1
        after = skip_blanks(stop, end)
        if after < end and after[0] != c",":
            return RANGE_WHOLE
        if stop > p:                # an empty member is none (section 5.6.1.2)
            specs += 1
            result = parse_spec(p, stop, length, &part)
            if result == SPEC_MALFORMED or specs > RANGES_MAX:
                return RANGE_WHOLE
            if result == SPEC_GOOD:
                left -= part.size
                if left < 0:
                    return RANGE_WHOLE
                add_part(part, parts, count)
        p = after + 1
    if specs == 0:
        return RANGE_WHOLE
    return RANGE_PARTS if count[0] else RANGE_UNSATISFIABLE
