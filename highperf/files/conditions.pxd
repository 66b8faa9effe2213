# Conditional requests: RFC 9110 sections 5.6.7 (dates), 8.8 (validators) and 13.

from libc.stdint cimport int64_t


cdef enum Verdict:
    PROCEED = 0
    NOT_MODIFIED = 1            # 304
    FAILED = 2                  # 412


cdef struct Text:
    const char* at              # borrowed from the request's head; NULL: the field is absent
    Py_ssize_t size


cdef struct Conditions:
    # Values of the fields. One that may stand once and stands there more often is no date, so absent.
    Text match
    Text none_match
    Text modified_since
    Text unmodified_since


cdef struct Validators:
    # Of what would be sent; tags with their quotes, borrowed from the entry.
    Text tag                    # the one that answers tell
    Text exact                  # another that it was told under before, or is in another worker
    int64_t modified_s


# A Verdict, in the order of section 13.2.2, but for Range. reads: GET or HEAD.
cdef int judge_c(
    const Conditions* conditions, const Validators* ours, bint reads, int64_t now_s
) noexcept nogil
# Seconds since 1970, or INT64_MIN for anything that is no date. now_s: for the century of a two-digit year.
cdef int64_t parse_date_c(const char* text, Py_ssize_t size, int64_t now_s) noexcept nogil
# Does a list of entity-tags, or "*", name this one? strong: section 8.8.3.2.
cdef bint tags_match_c(const Text* tags, const Validators* ours, bint strong) noexcept nogil
# If-Range: does what the client has part of still hold?
cdef bint still_holds_c(const Text* value, const Validators* ours, int64_t now_s) noexcept nogil
