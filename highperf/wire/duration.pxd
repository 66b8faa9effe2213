# How long a client gives its request: the value of Request-Timeout or its like. Seconds, or a number
# and its unit as Go writes them: 0.08, 80ms. Whatever else is there gives -1, and means nothing.

cdef enum:
    WHOLE_DIGITS = 18
    FRACTION_DIGITS = 8         # which times a minute in nanoseconds are not too many for a long long
    MOST_S = 1_000_000_000      # whoever gives thirty years gives enough

cdef inline long long unit_ns(const char* unit, Py_ssize_t size) noexcept nogil:
    if size == 0 or (size == 1 and unit[0] == c"s"):
        return 1_000_000_000
    if size == 2 and unit[1] == c"s":
        if unit[0] == c"m":
            return 1_000_000
        if unit[0] == c"u":
            return 1_000
        if unit[0] == c"n":
            return 1
    if size == 1 and unit[0] == c"m":
        return 60 * <long long>1_000_000_000
    return 0


cdef inline long long parse_duration_ns(const char* text, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t at = 0, digits
    cdef long long whole = 0, unit, fraction, scale
    while at < size and c"0" <= text[at] <= c"9":
        if at == WHOLE_DIGITS:
            return -1
        whole = whole * 10 + (text[at] - c"0")
        at += 1
    if at == 0:
        return -1
    fraction, scale = 0, 1
    if at < size and text[at] == c".":
        at += 1
        digits = 0
        while at < size and c"0" <= text[at] <= c"9":
            if digits < FRACTION_DIGITS:
                fraction = fraction * 10 + (text[at] - c"0")
                scale *= 10
            digits += 1
            at += 1
        if digits == 0:
            return -1
    unit = unit_ns(text + at, size - at)
    if unit == 0 or whole > MOST_S * <long long>1_000_000_000 // unit:
        return -1
    return whole * unit + fraction * unit // scale
