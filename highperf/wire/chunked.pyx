# Owns the grammar of chunked bodies. Knows nothing of heads and of what a body is for; whoever
# counts a body's size against a limit does so with the spans it gets.
#
# A state machine that takes chunk lines and trailers octet by octet and data by the span: the
# lines are short, can be cut anywhere, and are not worth a buffer. Nothing is kept of extensions
# and trailers but their size, and a trailer's name as far as it could be one that is refused.
#
# Three bounds keep a sender from spending our time for no data: EXTENSION_LIMIT a line,
# OVERHEAD_LIMIT + 2 x data for all chunk lines, and a head's limits for the trailer section.

from libc.stdint cimport INT64_MAX
from libc.string cimport memcmp

from highperf.wire.chars cimport (
    HP_TOKEN, HP_VALUE, hex_value, is_blank, is_class, lower_of,
)
from highperf.wire.parse_errors cimport (
    ERROR_BARE_CR, ERROR_BARE_LF, ERROR_CHUNK_END, ERROR_CHUNK_EXTENSION, ERROR_CHUNK_LINE_LENGTH,
    ERROR_CHUNK_OVERHEAD, ERROR_CHUNK_RANGE, ERROR_CHUNK_SIZE, ERROR_FIELD_COLON, ERROR_FIELD_COUNT,
    ERROR_FIELD_FOLDED, ERROR_FIELD_INDENTED, ERROR_FIELD_LENGTH, ERROR_FIELD_NAME,
    ERROR_FIELD_VALUE, ERROR_HEAD_LENGTH, ERROR_NONE, ERROR_TRAILER_NAME,
)
from highperf.wire.parser cimport Limits

cdef enum:                      # ChunkDecoder.state
    AT_SIZE = 0
    AFTER_SIZE                  # blanks that only a ";" makes legal
    BEFORE_NAME                 # after ";"
    IN_NAME
    AFTER_NAME                  # blanks that only a ";" or "=" makes legal
    BEFORE_VALUE                # after "="
    IN_TOKEN
    IN_QUOTED
    IN_ESCAPE
    AFTER_QUOTED
    AFTER_VALUE                 # blanks that only a ";" makes legal
    AT_LINE_FEED
    IN_DATA
    AT_DATA_RETURN
    AT_DATA_FEED
    AT_TRAILER
    IN_TRAILER_NAME
    IN_TRAILER_VALUE
    AT_TRAILER_FEED
    AT_LAST_FEED
    AT_END
    BROKEN


cdef int chunk_next_c(ChunkDecoder* decoder, const char* input, Py_ssize_t size, const Limits* limits,
                      Py_ssize_t* consumed, const char** data, Py_ssize_t* data_size) noexcept nogil:
    cdef const char* p = input
    cdef const char* end = input + size
    cdef int result = CHUNK_NEED_MORE
    data[0] = input
    data_size[0] = 0
    while p < end and decoder.state < AT_END and result == CHUNK_NEED_MORE:
        if decoder.state == AT_SIZE:
            p = chunk_size(decoder, p, end)
        elif decoder.state < AT_LINE_FEED:
            p = extensions(decoder, p, end)
        elif decoder.state == IN_DATA:
            result = CHUNK_DATA
            data[0] = p
            data_size[0] = end - p if decoder.left > end - p else <Py_ssize_t>decoder.left
            p = take_data(decoder, p, data_size[0])
        elif decoder.state < AT_TRAILER or decoder.state == AT_LAST_FEED:
            line_end(decoder, p[0])
            p += 1
        elif decoder.state == AT_TRAILER and p[0] == c'\r':
            decoder.state = AT_LAST_FEED
            p += 1
        else:
            result = CHUNK_TRAILER
            data[0] = p
            p = trailer_lines(decoder, p, end, limits)
            data_size[0] = p - data[0]
    consumed[0] = p - input
    if decoder.state == BROKEN:
        return CHUNK_FAILED
    return CHUNK_DONE if decoder.state == AT_END else result


cdef inline const char* take_data(ChunkDecoder* decoder, const char* p, Py_ssize_t size) noexcept nogil:
    decoder.received += size
    decoder.left -= size
    if decoder.left == 0:
        decoder.state = AT_DATA_RETURN
    return p + size


cdef inline const char* fail(ChunkDecoder* decoder, int error, const char* p) noexcept nogil:
    decoder.state = BROKEN
    decoder.error = error
    return p


# Chunk lines and what stands around data: chunk-size [ chunk-ext ] CRLF, chunk-data CRLF

cdef inline const char* chunk_size(ChunkDecoder* decoder, const char* p, const char* end) noexcept nogil:
    cdef int digit
    while p < end:
        digit = hex_value(p[0])
        if digit < 0:
            break
        if decoder.digits == 16 or decoder.left > INT64_MAX >> 4:
            return fail(decoder, ERROR_CHUNK_RANGE, p)
        decoder.left = decoder.left << 4 | digit
        decoder.digits += 1
        p += 1
    if p == end:
        return p
    if decoder.digits == 0:
        return fail(decoder, ERROR_CHUNK_SIZE, p)
    decoder.overhead += decoder.digits
    if is_over_budget(decoder):
        return fail(decoder, ERROR_CHUNK_OVERHEAD, p)
    decoder.line = 0
    if p[0] == c'\r':
        decoder.state = AT_LINE_FEED
        return p + 1
    if p[0] != c';' and not is_blank(p[0]):
        return fail(decoder, ERROR_BARE_LF if p[0] == c'\n' else ERROR_CHUNK_SIZE, p)
    decoder.state = AFTER_SIZE
    return p


cdef const char* extensions(ChunkDecoder* decoder, const char* p, const char* end) noexcept nogil:
    cdef int state = decoder.state
    while p < end:
        if p[0] == c'\r' and (state == IN_NAME or state == IN_TOKEN or state == AFTER_QUOTED):
            decoder.state = AT_LINE_FEED
            return p + 1
        state = state_after(state, p[0])
        if state == BROKEN:
            return fail(decoder, ERROR_BARE_LF if p[0] == c'\n' else ERROR_CHUNK_EXTENSION, p)
        decoder.line += 1
        decoder.overhead += 1
        if decoder.line > EXTENSION_LIMIT:
            return fail(decoder, ERROR_CHUNK_LINE_LENGTH, p)
        if is_over_budget(decoder):
            return fail(decoder, ERROR_CHUNK_OVERHEAD, p)
        p += 1
    decoder.state = state
    return p


cdef int state_after(int state, char c) noexcept nogil:
    # *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ), RFC 9112 section 7.1.1
    if state == IN_QUOTED:
        if c == c'"':
            return AFTER_QUOTED
        if c == c'\\':
            return IN_ESCAPE
        return IN_QUOTED if is_class(c, HP_VALUE) else BROKEN
    if state == IN_ESCAPE:
        return IN_QUOTED if is_class(c, HP_VALUE) else BROKEN
    if state == BEFORE_NAME or state == IN_NAME:
        if is_class(c, HP_TOKEN):
            return IN_NAME
    elif state == BEFORE_VALUE or state == IN_TOKEN:
        if is_class(c, HP_TOKEN):
            return IN_TOKEN
    if is_blank(c):
        if state == IN_NAME:
            return AFTER_NAME
        return AFTER_VALUE if state == IN_TOKEN or state == AFTER_QUOTED else state
    if state == BEFORE_VALUE:
        return IN_QUOTED if c == c'"' else BROKEN
    if c == c'=':
        return BEFORE_VALUE if state == IN_NAME or state == AFTER_NAME else BROKEN
    return BEFORE_NAME if c == c';' and state != BEFORE_NAME else BROKEN


cdef inline bint is_over_budget(ChunkDecoder* decoder) noexcept nogil:
    # Only data that came before counts: what a size announces may never come.
    return (decoder.overhead - OVERHEAD_LIMIT + 1) // 2 > decoder.received


cdef void line_end(ChunkDecoder* decoder, char c) noexcept nogil:
    # One octet of the CRLF after a chunk line or data, or of the last one: each is checked.
    if decoder.state == AT_LINE_FEED and c == c'\n':
        decoder.state = IN_DATA if decoder.left else AT_TRAILER
        decoder.digits = 0
        decoder.line = 0
    elif decoder.state == AT_DATA_RETURN and c == c'\r':
        decoder.state = AT_DATA_FEED
    elif decoder.state == AT_DATA_FEED and c == c'\n':
        decoder.state = AT_SIZE
    elif decoder.state == AT_LAST_FEED and c == c'\n':
        decoder.state = AT_END
    elif decoder.state == AT_DATA_RETURN or decoder.state == AT_DATA_FEED:
        fail(decoder, ERROR_CHUNK_END, NULL)
    else:
        fail(decoder, ERROR_BARE_CR, NULL)


# The trailer section: *( field-line CRLF ), before the CRLF that ends the body

cdef const char* trailer_lines(ChunkDecoder* decoder, const char* p, const char* end,
                               const Limits* limits) noexcept nogil:
    cdef int error
    while p < end and not (decoder.state == AT_TRAILER and p[0] == c'\r'):
        error = trailer_octet(decoder, p[0])
        decoder.trailer_bytes += 1
        if error == ERROR_NONE:
            if decoder.line > limits.field_bytes:
                error = ERROR_FIELD_LENGTH
            elif decoder.trailers > limits.fields:
                error = ERROR_FIELD_COUNT
            elif decoder.trailer_bytes > limits.head_bytes:
                error = ERROR_HEAD_LENGTH
        if error:
            return fail(decoder, error, p)
        p += 1
    return p


cdef int trailer_octet(ChunkDecoder* decoder, char c) noexcept nogil:
    # Returns a ParseError.
    if decoder.state == AT_TRAILER_FEED:
        decoder.state = AT_TRAILER
        decoder.line = 0
        return ERROR_NONE if c == c'\n' else ERROR_BARE_CR
    if c == c'\n':
        return ERROR_BARE_LF
    if decoder.state == IN_TRAILER_VALUE and c == c'\r':
        decoder.state = AT_TRAILER_FEED
        return ERROR_NONE
    decoder.line += 1
    if decoder.state == IN_TRAILER_VALUE:
        return ERROR_NONE if is_class(c, HP_VALUE) else ERROR_FIELD_VALUE
    if decoder.state == AT_TRAILER:
        if is_blank(c):
            return ERROR_FIELD_FOLDED if decoder.trailers else ERROR_FIELD_INDENTED
        decoder.state = IN_TRAILER_NAME
        decoder.trailers += 1
        decoder.name_size = 0
    if is_class(c, HP_TOKEN):
        if decoder.name_size < TRAILER_NAME_SIZE:
            decoder.name[decoder.name_size] = lower_of(c)
            decoder.name_size += 1
        return ERROR_NONE
    if c != c':' or decoder.name_size == 0:
        return ERROR_FIELD_COLON if c == c'\r' else ERROR_FIELD_NAME
    decoder.state = IN_TRAILER_VALUE
    return ERROR_TRAILER_NAME if is_refused(decoder.name, decoder.name_size) else ERROR_NONE


cdef bint is_refused(const char* name, int size) noexcept nogil:
    # RFC 9110 section 6.5.1: what frames, routes or steers the connection has been decided long
    # before a trailer comes; one that says otherwise is meant for another reader of the stream.
    if size == 2:
        return memcmp(name, b"te", 2) == 0
    if size == 4:
        return memcmp(name, b"host", 4) == 0
    if size == 6:
        return memcmp(name, b"expect", 6) == 0
    if size == 7:
        return memcmp(name, b"trailer", 7) == 0 or memcmp(name, b"upgrade", 7) == 0
    if size == 10:
        return memcmp(name, b"connection", 10) == 0 or memcmp(name, b"keep-alive", 10) == 0
    if size == 14:
        return memcmp(name, b"content-length", 14) == 0
    return size == 17 and memcmp(name, b"transfer-encoding", 17) == 0
