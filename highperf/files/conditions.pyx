# Owns conditional requests: entity-tag lists, HTTP-dates, and the order in which conditions count
# (RFC 9110 sections 5.6.7, 8.8, 13). Must not know files or answers.
#
# Our tags are strong. A date that is malformed is ignored, as sections 13.1.3 and 13.1.4 say; a list of
# tags counts up to where it is malformed.

from libc.stdint cimport INT64_MIN, int64_t
from libc.string cimport memcmp

from highperf.wire.chars cimport is_digit, skip_blanks

cdef enum:
    DAY_S = 86400
    YEAR_S = 31556952           # the calendar's mean


# ---- entity-tags ------------------------------------------------------------------------------


cdef inline bint same(const char* at, Py_ssize_t size, const Text* tag) noexcept nogil:
    return size == tag.size and memcmp(at, tag.at, size) == 0


cdef inline const char* tag_end(const char* p, const char* end) noexcept nogil:
    # Behind an opaque-tag that begins at p; NULL if none does.
    if p == end or p[0] != c'"':
        return NULL
    p += 1
    while p < end and (<unsigned char>p[0] > 0x20 and p[0] != c'"' and p[0] != 0x7F):
        p += 1
    return p + 1 if p < end and p[0] == c'"' else NULL


cdef inline bint is_weak(const char* p, const char* end) noexcept nogil:
    return end - p >= 2 and p[0] == c"W" and p[1] == c"/"


cdef bint tags_match_c(const Text* tags, const Validators* ours, bint strong) noexcept nogil:
    cdef const char* p = tags.at
    cdef const char* end = p + tags.size
    cdef const char* after
    cdef bint weak
    if tags.size == 1 and p[0] == c"*":
        return True
    while True:
        p = skip_blanks(p, end)
        if p == end:
            return False
        if p[0] == c",":
            p += 1
            continue
        weak = is_weak(p, end)
        p += 2 * weak
        after = tag_end(p, end)
        if after == NULL:
            return False
        if not (weak and strong) and (same(p, after - p, &ours.tag) or same(p, after - p, &ours.exact)):
            return True
        p = skip_blanks(after, end)
        if p < end and p[0] != c",":
            return False


# ---- dates ------------------------------------------------------------------------------------


cdef inline int number(const char* p, int digits) noexcept nogil:
    # -1 where one of them is no digit.
    cdef int at, value = 0
    for at in range(digits):
        if not is_digit(p[at]):
            return -1
        value = 10 * value + (p[at] - c"0")
    return value


cdef inline int name_among(const char* p, const char* names, int count) noexcept nogil:
    # Which of the three-letter names this is (section 5.6.7: case-sensitive), or -1.
    cdef int at
    for at in range(count):
        if memcmp(p, names + 3 * at, 3) == 0:
            return at
    return -1


cdef inline bint is_day(const char* p) noexcept nogil:
    return name_among(p, b"MonTueWedThuFriSatSun", 7) >= 0


cdef inline int month_of(const char* p) noexcept nogil:
    return 1 + name_among(p, b"JanFebMarAprMayJunJulAugSepOctNovDec", 12)


cdef inline bint is_leap(int year) noexcept nogil:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


cdef int64_t days_before(int year, int month) noexcept nogil:
    # From 1970-01-01 to the first of that month.
    cdef int* before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
    cdef int past = year - 1
    return (
        365 * <int64_t>past + past // 4 - past // 100 + past // 400 - 719162
        + before[month - 1] + (1 if month > 2 and is_leap(year) else 0)
    )


cdef inline int days_in(int year, int month) noexcept nogil:
    return <int>(days_before(year + month // 12, month % 12 + 1) - days_before(year, month))


cdef int64_t time_of_day(const char* p) noexcept nogil:
    # hour ":" minute ":" second, where a second may be a leap second; -1 for no such time.
    cdef int hour = number(p, 2), minute = number(p + 3, 2), second = number(p + 6, 2)
    if p[2] != c":" or p[5] != c":" or not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second <= 60):
        return -1
    return 3600 * hour + 60 * minute + second


cdef int64_t instant(int year, int month, int day, int64_t time) noexcept nogil:
    if year < 1 or month < 1 or time < 0 or not 1 <= day <= days_in(year, month):
        return INT64_MIN
    return DAY_S * (days_before(year, month) + day - 1) + time


cdef int64_t parse_imf_fixdate(const char* p) noexcept nogil:
    # Sun, 06 Nov 1994 08:49:37 GMT
    if not is_day(p) or memcmp(p + 3, b", ", 2) or memcmp(p + 25, b" GMT", 4):
        return INT64_MIN
    if p[7] != c" " or p[11] != c" " or p[16] != c" ":
        return INT64_MIN
    return instant(number(p + 12, 4), month_of(p + 8), number(p + 5, 2), time_of_day(p + 17))


cdef int64_t parse_asctime(const char* p) noexcept nogil:
    # Sun Nov  6 08:49:37 1994
    cdef int day = number(p + 9, 1) if p[8] == c" " else number(p + 8, 2)
    if not is_day(p) or p[3] != c" " or p[7] != c" " or p[10] != c" " or p[19] != c" ":
        return INT64_MIN
    return instant(number(p + 20, 4), month_of(p + 4), day, time_of_day(p + 11))


cdef int64_t parse_rfc850(const char* p, Py_ssize_t size, int64_t now_s) noexcept nogil:
    # Sunday, 06-Nov-94 08:49:37 GMT
    cdef const char** days = [b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday", b"Sunday"]
    cdef int* sizes = [6, 7, 9, 8, 6, 8, 6]
    cdef int day = name_among(p, b"MonTueWedThuFriSatSun", 7), year
    cdef int64_t time
    if day < 0 or size != sizes[day] + 24 or memcmp(p, days[day], sizes[day]):
        return INT64_MIN
    p += sizes[day]
    if memcmp(p, b", ", 2) or p[4] != c"-" or p[8] != c"-" or p[11] != c" " or memcmp(p + 20, b" GMT", 4):
        return INT64_MIN
    year = number(p + 9, 2)
    if year < 0:
        return INT64_MIN
    year += <int>(now_s // YEAR_S + 1970) // 100 * 100
    time = in_rfc850(p, year)
    # What seems more than 50 years in the future is of the century before.
    return in_rfc850(p, year - 100) if time > now_s + 50 * YEAR_S else time


cdef int64_t in_rfc850(const char* p, int year) noexcept nogil:
    return instant(year, month_of(p + 5), number(p + 2, 2), time_of_day(p + 12))


cdef int64_t parse_date_c(const char* text, Py_ssize_t size, int64_t now_s) noexcept nogil:
    if size == 29 and text[3] == c",":
        return parse_imf_fixdate(text)
    if size == 24 and text[3] == c" ":
        return parse_asctime(text)
    return parse_rfc850(text, size, now_s) if size >= 30 else INT64_MIN


# ---- the conditions ---------------------------------------------------------------------------


cdef inline int64_t date_in(const Text* field, int64_t now_s) noexcept nogil:
    return parse_date_c(field.at, field.size, now_s) if field.at != NULL else INT64_MIN


cdef int judge_c(
    const Conditions* conditions, const Validators* ours, bint reads, int64_t now_s
) noexcept nogil:
    cdef int64_t date
    if conditions.match.at != NULL:
        if not tags_match_c(&conditions.match, ours, True):
            return FAILED
    else:
        date = date_in(&conditions.unmodified_since, now_s)
        if date != INT64_MIN and ours.modified_s > date:
            return FAILED
    if conditions.none_match.at != NULL:
        if tags_match_c(&conditions.none_match, ours, False):
            return NOT_MODIFIED if reads else FAILED
    elif reads:
        date = date_in(&conditions.modified_since, now_s)
        if date != INT64_MIN and ours.modified_s <= date:
            return NOT_MODIFIED
    return PROCEED


cdef bint still_holds_c(const Text* value, const Validators* ours, int64_t now_s) noexcept nogil:
    # One entity-tag or date (section 13.1.5): the tag a strong one, the date exactly ours.
    cdef const char* end = value.at + value.size
    if value.size and (value.at[0] == c'"' or is_weak(value.at, end)):
        return tag_end(value.at, end) == end and tags_match_c(value, ours, True)
    return ours.modified_s == parse_date_c(value.at, value.size, now_s)
