# Owns the decision which paths may be looked for at all. Asks no file system, and must not know what
# a root is: it judges octets.
#
# What is refused here, what is not there and what may not be read are answered alike, so nothing can be
# learned by trying. The rules are about names that mean more than themselves somewhere:
# - ".", ".." and empty segments, NUL (an encoded slash, see wire/request) and backslash would lead
#   elsewhere or do so on other systems;
# - names that begin with a dot are not meant to be seen; /.well-known/ is (RFC 8615);
# - control characters and what is no UTF-8 (overlong forms first of all) would be read differently by
#   logs, terminals and listings.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE


cdef inline bint is_continuation(char c) noexcept nogil:
    return (<unsigned char>c & 0xC0) == 0x80


cdef inline int utf8_size(const unsigned char* p, Py_ssize_t left) noexcept nogil:
    # Octets of the character that begins here, which is not ASCII; 0 where none does (RFC 3629 section 4).
    cdef int size
    if 0xC2 <= p[0] <= 0xDF:
        size = 2
    elif 0xE0 <= p[0] <= 0xEF:
        size = 3
    elif 0xF0 <= p[0] <= 0xF4:
        size = 4
    else:
        return 0
    if left < size or not is_continuation(p[1]):
        return 0
    if (p[0] == 0xE0 and p[1] < 0xA0) or (p[0] == 0xF0 and p[1] < 0x90):
        return 0                # overlong
    if (p[0] == 0xED and p[1] > 0x9F) or (p[0] == 0xF4 and p[1] > 0x8F):
        return 0                # a surrogate; beyond U+10FFFF
    if (size > 2 and not is_continuation(p[2])) or (size > 3 and not is_continuation(p[3])):
        return 0
    return size


cdef Py_ssize_t segment_size(const char* segment, Py_ssize_t left) noexcept nogil:
    # Octets up to the next slash or the end; -1 where something stands among them that may not.
    cdef Py_ssize_t at = 0
    cdef unsigned char c
    cdef int size
    while at < left:
        c = segment[at]
        if c == c"/":
            break
        if c < 0x20 or c == 0x7F or c == c"\\":
            return -1
        size = 1 if c < 0x80 else utf8_size(<const unsigned char*>segment + at, left - at)
        if size == 0:
            return -1
        at += size
    return at


cdef inline bint is_well_known(const char* name, Py_ssize_t size) noexcept nogil:
    cdef const char* expected = b".well-known"
    cdef Py_ssize_t at
    if size != 11:
        return False
    for at in range(11):
        if name[at] != expected[at]:
            return False
    return True


cdef bint name_allowed_c(const char* name, Py_ssize_t size) noexcept nogil:
    return (
        0 < size <= SEGMENT_BYTES_MAX
        and name[0] != c"."
        and segment_size(name, size) == size
    )


def name_allowed(bytes name not None):
    return bool(name_allowed_c(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)))


cdef bint allowed_c(const char* path, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t at = 0, length
    if size > PATH_BYTES_MAX:
        return False
    while at < size:
        length = segment_size(path + at, size - at)
        if not 0 < length <= SEGMENT_BYTES_MAX:
            return False
        if path[at] == c"." and not (at == 0 and is_well_known(path, length)):
            return False
        at += length + 1        # a slash at the end is followed by no segment, and that is allowed
    return True
