# Owns the answer to a request for a file, up to the octets themselves: conditions, coding and ranges in
# the order of RFC 9110, and the fields. Must not know connections, nor where entries come from.
#
# The frequent answers, a 200 or 304 with the entry's own fields, make no object: they point to
# what the entry has ready.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t

from highperf.files.codings cimport Weights, choose_coding_c, no_weights_c, weigh_codings_c
from highperf.files.conditions cimport (
    FAILED, NOT_MODIFIED, Conditions, Text, judge_c, still_holds_c,
)
from highperf.files.entry cimport ENTRY_REDIRECT, FileEntry
from highperf.files.ranges cimport (
    RANGE_UNSATISFIABLE, RANGE_WHOLE, RANGES_MAX, ByteRange, parse_ranges_c,
)
from highperf.wire.chars cimport same_token
from highperf.wire.parser cimport METHOD_HEAD, Field, Head
from highperf.wire.response cimport LENGTH_NONE, ResponseHeaders

import os

cdef enum:
    NOT_ASKED = -1
    BOUNDARY_BYTES = 12
    # Lengths of the field names that matter: almost all others are told by their length alone.
    NAME_SIZES = 1 << 5 | 1 << 8 | 1 << 13 | 1 << 15 | 1 << 17 | 1 << 19
    CONDITIONS = (
        1 << ASKED_IF_MATCH | 1 << ASKED_IF_NONE_MATCH | 1 << ASKED_IF_MODIFIED_SINCE | 1 << ASKED_IF_UNMODIFIED_SINCE
    )

# What describes content that a 304 does not bring (section 15.4.5).
cdef frozenset OF_CONTENT = frozenset((b"content-disposition", b"content-encoding", b"content-language"))

# Visible octets that RFC 3986 leaves out of every URI, though the parser lets them in.
cdef tuple NOT_IN_URIS = tuple([(chr(octet).encode(), b"%%%02X" % octet) for octet in bytearray(b'"<>\\^`{|}')])


cdef inline int field_named(const char* name, Py_ssize_t size) noexcept nogil:
    if size == 5:
        return ASKED_RANGE if same_token(name, b"range", 5) else NOT_ASKED
    if size == 8:
        if same_token(name, b"if-range", 8):
            return ASKED_IF_RANGE
        return ASKED_IF_MATCH if same_token(name, b"if-match", 8) else NOT_ASKED
    if size == 13:
        return ASKED_IF_NONE_MATCH if same_token(name, b"if-none-match", 13) else NOT_ASKED
    if size == 15:
        return ASKED_ACCEPT_ENCODING if same_token(name, b"accept-encoding", 15) else NOT_ASKED
    if size == 17:
        return ASKED_IF_MODIFIED_SINCE if same_token(name, b"if-modified-since", 17) else NOT_ASKED
    return ASKED_IF_UNMODIFIED_SINCE if same_token(name, b"if-unmodified-since", 19) else NOT_ASKED


cdef void look_for_fields(Head head, Asked* asked) noexcept nogil:
    cdef Field* field
    cdef int at, number
    asked.seen = asked.repeated = 0
    for at in range(head.field_count):
        field = &head.fields[at]
        if field.name.size > 19 or not NAME_SIZES >> field.name.size & 1:
            continue
        number = field_named(head.base + field.name.start, field.name.size)
        if number == NOT_ASKED:
            continue
        if asked.seen >> number & 1:
            asked.repeated |= 1 << number
            continue
        asked.seen |= 1 << number
        asked.first[number].at = head.base + field.value.start
        asked.first[number].size = field.value.size


cdef inline void take_only(const Asked* asked, int field, Text* text) noexcept nogil:
    # The value of a field that may stand once; as if absent where it stands more often. Not returned: a
    # traced build makes a Python object of what is, and this one ends with no NUL.
    text.at = NULL
    text.size = 0
    if (asked.seen & ~asked.repeated) >> field & 1:
        text[0] = asked.first[field]


@cython.final
cdef class FilePlan:
    cdef int make_c(
        self, FileEntry entry, Head head, int64_t now_s, bytes content_type, ResponseHeaders fields
    ) except -1:
        cdef Asked asked
        cdef int verdict
        if entry.kind == ENTRY_REDIRECT:
            return self.redirect_c(head)
        look_for_fields(head, &asked)
        if entry.codings:
            entry = self.choose_c(entry, head, &asked)
        self.framing = None
        self.joined = None
        if asked.seen & CONDITIONS:
            verdict = self.verdict_c(entry, head, &asked, now_s)
            if verdict == FAILED:
                return self.refuse_c(412, None)
            if verdict == NOT_MODIFIED:
                self.refuse_c(304, entry.not_modified)
                if fields is not None:
                    self.headers = dressed(entry.not_modified.fields, None, fields, OF_CONTENT)
                return 0
        self.whole_c(entry, head.method == METHOD_HEAD)
        if content_type is not None or fields is not None:
            self.dress_c(entry, content_type, fields)
        if asked.seen >> ASKED_RANGE & 1 and head.method != METHOD_HEAD:    # section 14.2: GET alone
            self.ranges_c(entry, &asked, now_s)
        return 0

    cdef int clear_c(self) except -1:
        self.entry = None
        self.headers = None
        self.framing = None
        self.joined = None
        self.count = 0
        return 0

    # ---- what is asked ------------------------------------------------------------------------

    cdef int take_list_c(self, Head head, Asked* asked, int field, Text* text) except -1:
        # The value of a list-based field, of which several stand for one (section 5.3).
        cdef Field* other
        cdef int at
        cdef list values
        take_only(asked, field, text)
        if not asked.repeated >> field & 1:
            return 0
        values = []
        for at in range(head.field_count):
            other = &head.fields[at]
            if (other.name.size <= 19 and NAME_SIZES >> other.name.size & 1
                    and field_named(head.base + other.name.start, other.name.size) == field):
                values.append(head.base[other.value.start:other.value.start + other.value.size])
        value = b", ".join(values)
        if self.joined is None:
            self.joined = []
        self.joined.append(value)
        text.at = PyBytes_AS_STRING(value)
        text.size = PyBytes_GET_SIZE(value)
        return 0

    cdef FileEntry choose_c(self, FileEntry entry, Head head, Asked* asked):
        cdef Weights weights
        cdef Text text
        cdef object sibling
        self.take_list_c(head, asked, ASKED_ACCEPT_ENCODING, &text)
        if text.at == NULL:
            return entry
        no_weights_c(&weights)
        weigh_codings_c(text.at, text.size, &weights)
        sibling = entry.siblings[choose_coding_c(&weights, entry.codings)]
        return entry if sibling is None else <FileEntry>sibling

    cdef int verdict_c(self, FileEntry entry, Head head, Asked* asked, int64_t now_s) except -1:
        cdef Conditions conditions
        self.take_list_c(head, asked, ASKED_IF_MATCH, &conditions.match)
        self.take_list_c(head, asked, ASKED_IF_NONE_MATCH, &conditions.none_match)
        take_only(asked, ASKED_IF_MODIFIED_SINCE, &conditions.modified_since)
        take_only(asked, ASKED_IF_UNMODIFIED_SINCE, &conditions.unmodified_since)
        return judge_c(&conditions, &entry.validators, True, now_s)

    # ---- what is answered ---------------------------------------------------------------------

    cdef int refuse_c(self, int status, ResponseHeaders headers) except -1:
        # No content, or the caller's.
        self.status = status
        self.entry = None
        self.headers = headers
        self.framing = None
        self.length = LENGTH_NONE
        self.count = 0
        return 0

    cdef int redirect_c(self, Head head) except -1:
        # Relative, so that it leads to this host by whatever name; and it begins with a dot, so that
        # it can be read neither as a host nor as a scheme.
        cdef ResponseHeaders headers = ResponseHeaders.__new__(ResponseHeaders)
        cdef bytes path = head.base[head.path.start:head.path.start + head.path.size]
        location = b"./" + path.rpartition(b"/")[2] + b"/"
        if head.has_query:
            location += b"?" + head.base[head.query.start:head.query.start + head.query.size]
        headers.add_c(b"Location", quoted(location))
        self.refuse_c(301, headers)
        self.length = 0
        return 0

    cdef int whole_c(self, FileEntry entry, bint head_only) except -1:
        self.status = 200
        self.entry = entry
        self.headers = entry.headers
        self.length = entry.size
        self.count = 0 if head_only or entry.size == 0 else 1
        self.parts[0].lead_start = self.parts[0].lead_size = 0
        self.parts[0].offset = 0
        self.parts[0].size = entry.size
        return 0

    cdef int dress_c(self, FileEntry entry, bytes content_type, ResponseHeaders fields) except -1:
        self.headers = dressed(entry.fields, content_type or entry.content_type, fields, frozenset())
        return 0

    cdef int ranges_c(self, FileEntry entry, Asked* asked, int64_t now_s) except -1:
        # Sections 13.1.5 and 14.2. What the fields of the whole are is settled by now.
        cdef ByteRange parts[RANGES_MAX + 1]
        cdef int count, result
        cdef Text text
        take_only(asked, ASKED_IF_RANGE, &text)
        if asked.seen >> ASKED_IF_RANGE & 1 and (
            text.at == NULL or not still_holds_c(&text, &entry.validators, now_s)
        ):
            return 0
        take_only(asked, ASKED_RANGE, &text)
        if text.at == NULL:
            return 0
        result = parse_ranges_c(text.at, text.size, entry.size, parts, &count)
        if result == RANGE_WHOLE:
            return 0
        if result == RANGE_UNSATISFIABLE:
            return self.refuse_c(416, ResponseHeaders([(b"Content-Range", b"bytes */%d" % entry.size)]))
        return self.one_part_c(entry, parts[0]) if count == 1 else self.multipart_c(entry, parts, count)

    cdef int one_part_c(self, FileEntry entry, ByteRange part) except -1:
        cdef ResponseHeaders headers = ResponseHeaders.__new__(ResponseHeaders)
        headers.fields = self.headers.fields[:]
        headers.names_server = self.headers.names_server
        headers.add_c(b"Content-Range", content_range(part, entry.size))
        self.status = 206
        self.headers = headers
        self.length = self.parts[0].size = part.size
        self.parts[0].offset = part.offset
        return 0

    cdef int multipart_c(self, FileEntry entry, ByteRange* parts, int count) except -1:
        # Section 14.6. The boundary is drawn anew for each answer, so that no file can hold it.
        cdef ResponseHeaders headers = ResponseHeaders.__new__(ResponseHeaders)
        cdef bytes boundary = os.urandom(BOUNDARY_BYTES).hex().encode("ascii")
        cdef bytes content_type = content_type_in(self.headers)
        cdef list leads = []
        cdef Py_ssize_t start = 0
        cdef int at
        for at in range(count):
            leads.append(
                b"%b--%b\r\nContent-Type: %b\r\nContent-Range: %b\r\n\r\n"
                % (b"\r\n" if at else b"", boundary, content_type, content_range(parts[at], entry.size))
            )
        leads.append(b"\r\n--%b--\r\n" % boundary)
        self.framing = b"".join(leads)
        self.length = PyBytes_GET_SIZE(self.framing)
        for at in range(count + 1):
            self.parts[at].lead_start = start
            self.parts[at].lead_size = PyBytes_GET_SIZE(<bytes>leads[at])
            self.parts[at].offset = parts[at].offset if at < count else 0
            self.parts[at].size = parts[at].size if at < count else 0
            self.length += self.parts[at].size
            start += self.parts[at].lead_size
        headers.fields = [(b"Content-Type", b"multipart/byteranges; boundary=" + boundary)]
        headers.fields += [field for field in self.headers.fields if (<bytes>field[0]).lower() != b"content-type"]
        headers.names_server = self.headers.names_server
        self.status = 206
        self.count = count + 1
        self.headers = headers
        return 0


cdef bytes content_range(ByteRange part, int64_t size):
    return b"bytes %d-%d/%d" % (part.offset, part.offset + part.size - 1, size)


cdef bytes content_type_in(ResponseHeaders headers):
    return <bytes>headers.fields[0][1]      # where all that make_c builds have it


cdef ResponseHeaders dressed(list own, bytes content_type, ResponseHeaders fields, frozenset unwanted):
    # Our own fields, where they are not given, and those that are.
    cdef ResponseHeaders headers = ResponseHeaders.__new__(ResponseHeaders)
    cdef list given = [] if fields is None else fields.fields
    names = {(<bytes>name).lower() for name, _ in given}
    headers.fields = [] if content_type is None else [(b"Content-Type", content_type)]
    headers.fields += [field for field in own if (<bytes>field[0]).lower() not in names]
    headers.fields += [field for field in given if (<bytes>field[0]).lower() not in unwanted]
    headers.names_server = fields is not None and fields.names_server
    return headers


cdef bytes quoted(bytes target):
    for octet, escape in NOT_IN_URIS:
        target = target.replace(octet, escape)
    return target
