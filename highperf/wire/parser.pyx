# Owns the grammar of an HTTP/1.1 request head (RFC 9112 sections 2 to 6, 9): octets in, spans and
# meaning out. Knows nothing of sockets, bodies, routes or answers, makes no Python object while
# it parses, and never looks at an octet beyond those it was given.
#
# Strategy. A head is parsed line by line, straight from where it lies. Each line function reads
# on until its line is done (it returns the start of the next one), turns out wrong, or the octets
# run out (both return NULL; Head.error tells them apart). In all cases the verdict on a line
# falls when its LF is there or its limit is passed, not before: so it cannot depend on how the
# octets were cut. The first octets of a line are judged at once, so that neither a TLS handshake
# nor a folded line is waited for.
#
# While a line is incomplete only new octets are searched for its LF; then it is parsed once.
# Every octet is thus looked at a bounded number of times, however it arrives.

cimport cython
from libc.stdint cimport INT64_MAX
from libc.stdlib cimport free, realloc
from libc.string cimport memchr, memcmp

from highperf.wire.authority cimport is_authority, is_authority_again
from highperf.wire.chars cimport (
    HP_TARGET, HP_TOKEN, hex_value, is_blank, is_class, is_digit, same_lower, same_token,
    skip_blanks, skip_class, skip_name, skip_path, skip_query, skip_value,
)
from highperf.wire.methods cimport method_of
from highperf.wire.parse_errors cimport (
    ERROR_BARE_CR, ERROR_BARE_LF, ERROR_CODING_REPEATED, ERROR_CODING_SYNTAX,
    ERROR_CODING_UNKNOWN, ERROR_CODING_VERSION, ERROR_CONNECT_CONTENT, ERROR_EMPTY_LINES,
    ERROR_EXPECTATION, ERROR_FIELD_COLON, ERROR_FIELD_COUNT, ERROR_FIELD_FOLDED,
    ERROR_FIELD_INDENTED, ERROR_FIELD_LENGTH, ERROR_FIELD_NAME, ERROR_FIELD_VALUE,
    ERROR_HEAD_LENGTH, ERROR_HOST_MISSING, ERROR_HOST_REPEATED, ERROR_HOST_SYNTAX,
    ERROR_LENGTH_AND_CODING, ERROR_LENGTH_RANGE, ERROR_LENGTH_REPEATED, ERROR_LENGTH_SYNTAX,
    ERROR_LINE_LENGTH, ERROR_MEMORY, ERROR_METHOD, ERROR_METHOD_LENGTH, ERROR_NONE,
    ERROR_REQUEST_LINE, ERROR_TARGET_ASTERISK, ERROR_TARGET_AUTHORITY, ERROR_TARGET_CONNECT,
    ERROR_TARGET_FORM, ERROR_TARGET_FRAGMENT, ERROR_TARGET_NUL, ERROR_TARGET_OCTET,
    ERROR_TARGET_PERCENT, ERROR_VERSION, ERROR_VERSION_UNSUPPORTED,
)

cdef enum:
    FIELDS_AT_FIRST = 32
    METHOD_BYTES = 32
    EMPTY_LINES = 8             # CRLFs before a request line that are forgiven (RFC 9112 section 2.2)

cdef enum:                      # Head.state
    AT_REQUEST_LINE = 0
    AT_FIELD_LINE
    AT_END

cdef enum:                      # Head.seen
    SEEN_HOST = 1
    SEEN_TARGET_AUTHORITY = 2
    SEEN_LENGTH = 4
    SEEN_CODING = 8
    SEEN_CLOSE = 16
    SEEN_KEEP_ALIVE = 32
    SEEN_CONNECTION_UPGRADE = 64
    SEEN_UPGRADE = 128


@cython.final
cdef class Head:
    def __cinit__(self):
        self.content_length = -1

    def __dealloc__(self):
        free(self.fields)

    cdef void reset_c(self) noexcept nogil:
        # A complete request line sets all that it says; the method is also asked for after a failure.
        self.base = NULL
        self.size = 0
        self.method = METHOD_OTHER
        self.field_count = 0
        self.content_type = -1
        self.initials = 0
        self.authority.size = 0
        self.keep_alive = False
        self.chunked = False
        self.content_length = -1
        self.expects_continue = False
        self.has_upgrade = False
        self.error = ERROR_NONE
        self.state = AT_REQUEST_LINE
        self.line_start = 0
        self.scanned = 0
        self.seen = 0
        self.rescanned = 0

    cdef int parse_c(self, const char* data, Py_ssize_t size, const Limits* limits) noexcept nogil:
        # data is the whole head so far, each time; it may have moved since the last call.
        cdef const char* line = data + self.line_start
        cdef const char* end = data + size
        cdef const char* after
        cdef Field field
        self.base = data
        if self.error:
            return PARSE_FAILED
        if self.scanned > self.line_start and memchr(data + self.scanned, c'\n', size - self.scanned) == NULL:
            return unfinished(self, line, end, limits)
        if self.state == AT_REQUEST_LINE:
            line = skip_empty_lines(self, line, end)
            if line == NULL:
                return PARSE_FAILED if self.error else PARSE_NEED_MORE
            after = request_line(self, line, end)
            if after == NULL or after - line - 2 > limits.line_bytes or after - data > limits.head_bytes:
                return unfinished(self, line, end, limits)
            line = after
            self.state = AT_FIELD_LINE
        while True:
            after = field_line(self, line, end, &field)
            if after == NULL or after - line - 2 > limits.field_bytes or after - data > limits.head_bytes:
                return unfinished(self, line, end, limits)
            if after - line == 2:
                break
            if self.field_count >= limits.fields:
                self.error = ERROR_FIELD_COUNT
                return PARSE_FAILED
            self.error = weigh(self, &field)
            if self.error:
                return PARSE_FAILED
            if self.field_count == self.field_capacity and not grow(self):
                return PARSE_FAILED
            self.fields[self.field_count] = field
            self.field_count += 1
            line = after
        self.error = conclude(self)
        if self.error:
            return PARSE_FAILED
        self.state = AT_END
        self.size = after - data
        return PARSE_DONE

    cdef int keep_c(self, BufferPool pool, Py_ssize_t size) except -1:
        # Makes the first `size` octets from base this head's own, in a buffer of the pool if
        # one is given; no-op if they are its own already.
        cdef Buffer own
        if self.own is None:
            own = Buffer(size) if pool is None else pool.acquire_c(size)
            own.append_c(self.base, size)
            self.own = own
            self.base = own.data
        return 0

    cdef int drop_c(self, BufferPool pool) except -1:
        cdef Buffer own = self.own
        self.base = NULL
        if own is not None:
            self.own = None
            pool.release_c(own)
        return 0

    cdef int find_c(self, const char* lower_name, Py_ssize_t size, int start) noexcept nogil:
        # Index of the first field from `start` on with this name, which is in lower case; or -1.
        cdef int index
        cdef Span name
        if not self.initials & initial_of(lower_name):
            return -1
        for index in range(start, self.field_count):
            name = self.fields[index].name
            if name.size == size and same_lower(self.base + name.start, lower_name, size):
                return index
        return -1


# Progress

cdef int unfinished(Head head, const char* line, const char* end, const Limits* limits) noexcept nogil:
    # A line function returned NULL, or met a limit: is the line wrong, too long, or incomplete?
    cdef Py_ssize_t start = line - head.base
    cdef Py_ssize_t done = head.scanned if head.scanned > start else start
    cdef Py_ssize_t limit = limits.line_bytes if head.state == AT_REQUEST_LINE else limits.field_bytes
    cdef int over_limit = ERROR_LINE_LENGTH if head.state == AT_REQUEST_LINE else ERROR_FIELD_LENGTH
    cdef const char* feed = <const char*>memchr(head.base + done, c'\n', end - head.base - done)
    cdef const char* stop = end if feed == NULL else feed
    if limits.head_bytes - start - 2 < limit:
        limit = limits.head_bytes - start - 2
        over_limit = ERROR_HEAD_LENGTH
    if limit >= 0 and head.state == AT_FIELD_LINE and is_hopeless(head, line, end):
        return PARSE_FAILED
    if stop - line > limit and stop - line - (stop > line and (stop - 1)[0] == c'\r') > limit:
        head.error = over_limit
    elif feed == NULL:
        head.error = ERROR_NONE
        head.rescanned += end - head.base - done
        head.line_start = start
        head.scanned = end - head.base
        return PARSE_NEED_MORE
    return PARSE_FAILED


cdef bint is_hopeless(Head head, const char* line, const char* end) noexcept nogil:
    # A field line that cannot become one, whatever follows: also judged before its LF.
    if line < end and is_blank(line[0]):
        head.error = ERROR_FIELD_FOLDED if head.field_count else ERROR_FIELD_INDENTED
    elif end - line >= 2 and line[0] == c'\r' and line[1] != c'\n':
        head.error = ERROR_BARE_CR
    else:
        return False
    return True


cdef bint grow(Head head) noexcept nogil:
    # From none: a head of which little has come, and perhaps never will, is small.
    cdef int capacity = head.field_capacity * 2 if head.field_capacity else FIELDS_AT_FIRST
    cdef Field* fields = <Field*>realloc(head.fields, capacity * sizeof(Field))
    if fields == NULL:
        head.error = ERROR_MEMORY
        return False
    head.fields = fields
    head.field_capacity = capacity
    return True


cdef inline uint32_t initial_of(const char* name) noexcept nogil:
    # One of 32 bits, by its first letter.
    return <uint32_t>1 << (name[0] & 31)


cdef inline Span span(Head head, const char* start, const char* end) noexcept nogil:
    cdef Span result
    result.start = <uint32_t>(start - head.base)
    result.size = <uint32_t>(end - start)
    return result


cdef inline const char* fail(Head head, int error) noexcept nogil:
    head.error = error
    return NULL


# The request line

cdef inline const char* skip_empty_lines(Head head, const char* line, const char* end) noexcept nogil:
    # To the first octet of the request line, which can begin a method.
    while line < end and line[0] == c'\r':
        if line - head.base >= 2 * EMPTY_LINES:
            return fail(head, ERROR_EMPTY_LINES)
        if end - line < 2:
            break
        if line[1] != c'\n':
            return fail(head, ERROR_BARE_CR)
        line += 2
    head.line_start = line - head.base
    if line == end or line[0] == c'\r':
        return NULL
    if not is_class(line[0], HP_TOKEN):
        return fail(head, ERROR_BARE_LF if line[0] == c'\n' else ERROR_METHOD)
    return line


cdef inline const char* request_line(Head head, const char* line, const char* end) noexcept nogil:
    cdef const char* p
    cdef const char* target
    if end - line > 4 and line[0] == c'G' and line[1] == c'E' and line[2] == c'T' and line[3] == c' ':
        head.method = METHOD_GET
        p = line + 3
    else:
        p = skip_class(line, end if end - line <= METHOD_BYTES else line + METHOD_BYTES + 1, HP_TOKEN)
        if p - line > METHOD_BYTES:
            return fail(head, ERROR_METHOD_LENGTH)
        if p == end:
            return NULL
        if p[0] != c' ':
            return fail(head, line_end_error(p[0], ERROR_METHOD))
        head.method = method_of(line, p - line)
    head.method_token = span(head, line, p)
    head.has_percent = head.has_query = False
    head.query = span(head, p, p)
    head.asterisk = False
    target = p + 1
    if target == end:
        return NULL
    if target[0] == c'/' and head.method != METHOD_CONNECT:
        p = path_and_query(head, target, end)
    else:
        p = other_target(head, target, end)
    if p == NULL:
        return NULL
    if p[0] != c' ':
        return fail(head, target_error(p[0]))
    head.target = span(head, target, p)
    return version(head, p + 1, end)


cdef inline const char* path_and_query(Head head, const char* start, const char* end) noexcept nogil:
    # absolute-path [ "?" query ], up to the first octet that can be in neither.
    cdef const char* p = skip_path(start, end)
    cdef int high
    cdef int low
    while p < end and p[0] == c'%':
        head.has_percent = True
        if end - p < 3:
            if memchr(p, c'\n', end - p) == NULL:
                return NULL
            return fail(head, ERROR_TARGET_PERCENT)
        high = hex_value(p[1])
        low = hex_value(p[2])
        if high < 0 or low < 0:
            return fail(head, ERROR_TARGET_PERCENT)
        if high == 0 and low == 0:
            return fail(head, ERROR_TARGET_NUL)
        p = skip_path(p + 3, end)
    head.path = span(head, start, p)
    if p < end and p[0] == c'?':
        start = p + 1
        p = skip_query(start, end)
        head.query = span(head, start, p)
        head.has_query = True
    return p if p < end else NULL


cdef const char* other_target(Head head, const char* target, const char* end) noexcept nogil:
    # RFC 9112 sections 3.2.2 to 3.2.4: absolute-, authority- and asterisk-form.
    cdef const char* p = skip_query(target, end)
    cdef const char* start
    if p == end:
        return NULL
    head.path = span(head, p, p)
    if head.method == METHOD_CONNECT:
        if not is_authority(target, p, True):
            return fail(head, ERROR_TARGET_CONNECT)
        return target_authority(head, target, p)
    if target[0] == c'*' and p - target == 1:
        head.asterisk = True
        return p if head.method == METHOD_OPTIONS else fail(head, ERROR_TARGET_ASTERISK)
    start = after_scheme(target, p)
    if start == NULL:
        return fail(head, target_error(p[0]) if p == target else ERROR_TARGET_FORM)
    p = start
    while p < end and is_class(p[0], HP_TARGET) and p[0] != c'/' and p[0] != c'?':
        p += 1
    if not is_authority(start, p, False):
        return fail(head, ERROR_TARGET_AUTHORITY)
    target_authority(head, start, p)
    if p[0] == c'/' or p[0] == c'?':
        return path_and_query(head, p, end)
    head.asterisk = head.method == METHOD_OPTIONS
    return p


cdef const char* target_authority(Head head, const char* start, const char* end) noexcept nogil:
    head.authority = span(head, start, end)
    head.seen |= SEEN_TARGET_AUTHORITY
    return end


cdef const char* after_scheme(const char* target, const char* end) noexcept nogil:
    # http:// or https://, in any case (RFC 9110 section 4.2.3); NULL if it is neither.
    cdef Py_ssize_t size = end - target
    if size >= 7 and same_lower(target, b"http://", 7):
        return target + 7
    if size >= 8 and same_lower(target, b"https://", 8):
        return target + 8
    return NULL


cdef int target_error(char stop) noexcept nogil:
    # What is wrong with the octet at which a target ended.
    if stop == c'#':
        return ERROR_TARGET_FRAGMENT
    return line_end_error(stop, ERROR_TARGET_OCTET)


cdef int line_end_error(char stop, int otherwise) noexcept nogil:
    # A request line that ends early lacks a part, or has one space too many; any other octet is
    # itself the mistake.
    if stop == c'\r' or stop == c'\n' or stop == c' ':
        return ERROR_REQUEST_LINE
    return otherwise


cdef inline const char* version(Head head, const char* p, const char* end) noexcept nogil:
    if end - p >= 10 and memcmp(p, b"HTTP/1.1\r\n", 10) == 0:
        head.minor = 1
        return p + 10
    return other_version(head, p, end)


cdef const char* other_version(Head head, const char* p, const char* end) noexcept nogil:
    # HTTP/1.0; what no version is 400; what is one that is not spoken here is 505.
    cdef const char* feed = <const char*>memchr(p, c'\n', end - p)
    if feed == NULL:
        return NULL
    if memchr(p, c' ', feed - p) != NULL:
        return fail(head, ERROR_REQUEST_LINE)
    if feed == p or (feed - 1)[0] != c'\r':
        return fail(head, ERROR_BARE_LF)
    if memchr(p, c'\r', feed - 1 - p) != NULL:
        return fail(head, ERROR_BARE_CR)
    if feed - p != 9 or memcmp(p, b"HTTP/", 5) != 0 or p[6] != c'.' or not is_digit(p[5]) or not is_digit(p[7]):
        return fail(head, ERROR_VERSION)
    if p[5] != c'1' or p[7] > c'1':
        return fail(head, ERROR_VERSION_UNSUPPORTED)
    head.minor = p[7] - c'0'
    return feed + 1


# Field lines

cdef inline const char* field_line(Head head, const char* line, const char* end, Field* field) noexcept nogil:
    # field-name ":" OWS field-value OWS CRLF, or the empty line that ends the head.
    cdef const char* p = skip_name(line, end)
    cdef const char* value
    cdef const char* stop
    if p == end:
        return NULL
    if p[0] != c':' or p == line:
        return no_field(head, line, p, end)
    field.name = span(head, line, p)
    value = skip_blanks(p + 1, end)
    stop = skip_value(value, end)
    if end - stop < 2 or stop[0] != c'\r' or stop[1] != c'\n':
        return no_value_end(head, stop, end)
    p = stop
    while p > value and is_blank((p - 1)[0]):
        p -= 1
    field.value = span(head, value, p)
    return stop + 2


cdef const char* no_field(Head head, const char* line, const char* p, const char* end) noexcept nogil:
    # The empty line, or one without a proper name and colon.
    if p == line and p[0] == c'\r' and end - p >= 2 and p[1] == c'\n':
        return p + 2
    if p[0] == c'\n':
        return fail(head, ERROR_BARE_LF)
    if p[0] != c'\r':
        return fail(head, ERROR_FIELD_NAME)
    if end - p >= 2 and p[1] != c'\n':
        return fail(head, ERROR_BARE_CR)
    return fail(head, ERROR_FIELD_COLON)


cdef const char* no_value_end(Head head, const char* p, const char* end) noexcept nogil:
    if p == end or (p[0] == c'\r' and end - p < 2):
        return NULL
    if p[0] == c'\r':
        return fail(head, ERROR_BARE_CR)
    return fail(head, ERROR_BARE_LF if p[0] == c'\n' else ERROR_FIELD_VALUE)


# What the fields say

cdef inline int weigh(Head head, const Field* field) noexcept nogil:
    # Six names decide framing, routing and persistence, one is asked for often; all others cost one switch.
    cdef const char* name = head.base + field.name.start
    cdef const char* value = head.base + field.value.start
    cdef const char* end = value + field.value.size
    cdef uint32_t size = field.name.size
    head.initials |= initial_of(name)
    if size == 4:
        if same_token(name, b"host", 4):
            return weigh_host(head, field, value, end)
    elif size == 6:
        if same_token(name, b"expect", 6):
            return weigh_expect(head, value, end)
    elif size == 7:
        if same_token(name, b"upgrade", 7):
            head.seen |= SEEN_UPGRADE
    elif size == 10:
        if same_token(name, b"connection", 10):
            weigh_connection(head, value, end)
    elif size == 12:
        if head.content_type < 0 and same_token(name, b"content-type", 12):
            head.content_type = head.field_count
    elif size == 14:
        if same_token(name, b"content-length", 14):
            return weigh_length(head, value, end)
    elif size == 17:
        if same_token(name, b"transfer-encoding", 17):
            return weigh_coding(head, value, end)
    return ERROR_NONE


cdef int weigh_host(Head head, const Field* field, const char* value, const char* end) noexcept nogil:
    # RFC 9112 section 3.2: one Host, and an authority in the target replaces it.
    if head.seen & SEEN_HOST:
        return ERROR_HOST_REPEATED
    head.seen |= SEEN_HOST
    if not is_authority_again(&head.last_host, value, end):
        return ERROR_HOST_SYNTAX
    if not head.seen & SEEN_TARGET_AUTHORITY:
        head.authority = field.value
    return ERROR_NONE


cdef int weigh_length(Head head, const char* p, const char* end) noexcept nogil:
    # RFC 9110 section 8.6: 1*DIGIT. A second one is refused even if it agrees: two readers of
    # one stream might choose differently (RFC 9112 section 6.3).
    cdef int64_t length = 0
    if head.seen & SEEN_LENGTH:
        return ERROR_LENGTH_REPEATED
    if head.seen & SEEN_CODING:
        return ERROR_LENGTH_AND_CODING
    head.seen |= SEEN_LENGTH
    if p == end:
        return ERROR_LENGTH_SYNTAX
    while p < end:
        if not is_digit(p[0]):
            return ERROR_LENGTH_SYNTAX
        if length > (INT64_MAX - (p[0] - c'0')) // 10:
            return ERROR_LENGTH_RANGE
        length = length * 10 + (p[0] - c'0')
        p += 1
    head.content_length = length
    return ERROR_NONE


cdef int weigh_coding(Head head, const char* p, const char* end) noexcept nogil:
    # RFC 9112 sections 6.1 and 6.3. Only "chunked" is understood: a proper list that names
    # another coding, and chunked nowhere but last, is 501; everything else hides a length.
    cdef const char* name
    cdef bint chunked = False
    cdef bint other = False
    if head.minor == 0:
        return ERROR_CODING_VERSION
    if head.seen & SEEN_CODING:
        return ERROR_CODING_REPEATED
    if head.seen & SEEN_LENGTH:
        return ERROR_LENGTH_AND_CODING
    head.seen |= SEEN_CODING
    while True:
        name = p
        p = skip_class(p, end, HP_TOKEN)
        if p == name or chunked:
            return ERROR_CODING_SYNTAX
        if p - name == 7 and same_token(name, b"chunked", 7):
            chunked = True
        else:
            other = True
        p = skip_blanks(p, end)
        if p == end:
            break
        if p[0] != c',':
            return ERROR_CODING_SYNTAX
        p = skip_blanks(p + 1, end)
    head.chunked = True
    return ERROR_CODING_UNKNOWN if other else ERROR_NONE


cdef void weigh_connection(Head head, const char* p, const char* end) noexcept nogil:
    # RFC 9110 section 7.6.1: a list; members that mean nothing here are left alone.
    cdef const char* name
    cdef Py_ssize_t size
    while p < end:
        name = skip_blanks(p, end)
        p = skip_class(name, end, HP_TOKEN)
        size = p - name
        p = skip_blanks(p, end)
        if p < end and p[0] != c',':
            p = <const char*>memchr(p, c',', end - p)
            if p == NULL:
                return
        elif size == 5 and same_token(name, b"close", 5):
            head.seen |= SEEN_CLOSE
        elif size == 7 and same_token(name, b"upgrade", 7):
            head.seen |= SEEN_CONNECTION_UPGRADE
        elif size == 10 and same_token(name, b"keep-alive", 10):
            head.seen |= SEEN_KEEP_ALIVE
        p += 1


cdef int weigh_expect(Head head, const char* p, const char* end) noexcept nogil:
    # RFC 9110 section 10.1.1: from an HTTP/1.0 client 100-continue is ignored.
    if end - p != 12 or not same_lower(p, b"100-continue", 12):
        return ERROR_EXPECTATION
    head.expects_continue = head.minor == 1
    return ERROR_NONE


cdef inline int conclude(Head head) noexcept nogil:
    # What only the whole head can tell.
    cdef uint32_t seen = head.seen
    if head.minor == 1 and not seen & SEEN_HOST:
        return ERROR_HOST_MISSING
    head.keep_alive = seen & SEEN_CLOSE == 0 and (head.minor == 1 or seen & SEEN_KEEP_ALIVE != 0)
    head.has_upgrade = (head.minor == 1 and seen & SEEN_UPGRADE != 0
                        and seen & SEEN_CONNECTION_UPGRADE != 0)
    if head.method == METHOD_CONNECT:
        head.keep_alive = False
        if head.chunked or head.content_length > 0:
            return ERROR_CONNECT_CONTENT
    return ERROR_NONE
