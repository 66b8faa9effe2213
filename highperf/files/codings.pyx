# Owns the choice of a content coding (RFC 9110 section 12.5.3). Must not know files.
#
# A member that is malformed says nothing, so it can only lead to less coding. Nothing is ever refused:
# where a client accepts nothing that there is, the content goes out as it is.

from highperf.wire.chars cimport is_blank, is_digit, same_lower, skip_blanks

cdef enum:
    UNKNOWN = -1
    MALFORMED = -1
    OTHERS = CODING_COUNT


cdef inline int coding_named(const char* name, Py_ssize_t size) noexcept nogil:
    if size == 2 and same_lower(name, b"br", 2):
        return CODING_BR
    if size == 4 and same_lower(name, b"zstd", 4):
        return CODING_ZSTD
    if (size == 4 and same_lower(name, b"gzip", 4)) or (size == 6 and same_lower(name, b"x-gzip", 6)):
        return CODING_GZIP      # section 8.4.1.3: x-gzip is the same
    if size == 8 and same_lower(name, b"identity", 8):
        return CODING_IDENTITY
    return OTHERS if size == 1 and name[0] == c"*" else UNKNOWN


cdef int parse_weight(const char* p, const char* end) noexcept nogil:
    # OWS ";" OWS "q=" qvalue, in thousandths (section 12.4.2); nothing is 1.
    cdef int weight, scale
    p = skip_blanks(p, end)
    if p == end:
        return 1000
    if p[0] != c";":
        return MALFORMED
    p = skip_blanks(p + 1, end)
    if end - p < 3 or (p[0] | 0x20) != c"q" or p[1] != c"=" or not c"0" <= p[2] <= c"1":
        return MALFORMED
    weight = 1000 * (p[2] - c"0")
    p += 3
    if p < end and p[0] == c".":
        p += 1
        scale = 100
        while p < end and is_digit(p[0]) and scale:
            weight += scale * (p[0] - c"0")
            scale //= 10
            p += 1
    return weight if skip_blanks(p, end) == end and weight <= 1000 else MALFORMED


cdef void weigh_member(const char* p, const char* end, Weights* weights) noexcept nogil:
    cdef const char* name = p
    cdef int coding, weight
    while p < end and p[0] != c";" and not is_blank(p[0]):
        p += 1
    coding = coding_named(name, p - name)
    if coding == UNKNOWN:
        return
    weight = parse_weight(p, end)
    if weight == MALFORMED:
        return
    if coding == OTHERS:
        weights.others = weight
    else:
        weights.of[coding] = weight


cdef void no_weights_c(Weights* weights) noexcept nogil:
    cdef int coding
    for coding in range(CODING_COUNT):
        weights.of[coding] = -1
    weights.others = -1


cdef void weigh_codings_c(const char* value, Py_ssize_t size, Weights* weights) noexcept nogil:
    cdef const char* p = value
    cdef const char* end = value + size
    cdef const char* stop
    while p < end:
        p = skip_blanks(p, end)
        stop = p
        while stop < end and stop[0] != c",":
            stop += 1
        weigh_member(p, stop, weights)
        p = stop + 1


cdef int choose_coding_c(const Weights* weights, int available) noexcept nogil:
    # What is not mentioned is not accepted, but for identity, which is the last resort.
    cdef int coding, weight, best = CODING_IDENTITY, best_weight = weights.of[CODING_IDENTITY]
    for coding in range(CODING_IDENTITY):
        if not available >> coding & 1:
            continue
        weight = weights.of[coding] if weights.of[coding] >= 0 else weights.others
        if weight > 0 and (weight > best_weight or (weight == best_weight and best == CODING_IDENTITY)):
            best = coding
            best_weight = weight
    return best
