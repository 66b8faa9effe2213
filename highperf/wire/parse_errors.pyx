# Owns what a parse error is called: status code and reason. One table, read by connections and by
# RequestParser.

from highperf.wire.parse_errors cimport (
    ERROR_BARE_CR, ERROR_BARE_LF, ERROR_BODY_LENGTH, ERROR_CHUNK_END, ERROR_CHUNK_EXTENSION,
    ERROR_CHUNK_LINE_LENGTH, ERROR_CHUNK_OVERHEAD, ERROR_CHUNK_RANGE, ERROR_CHUNK_SIZE,
    ERROR_CODING_REPEATED, ERROR_CODING_SYNTAX, ERROR_CODING_UNKNOWN, ERROR_CODING_VERSION,
    ERROR_CONNECT_CONTENT, ERROR_CUT, ERROR_EMPTY_LINES, ERROR_EXPECTATION, ERROR_FIELD_COLON,
    ERROR_FIELD_COUNT, ERROR_FIELD_FOLDED, ERROR_FIELD_INDENTED, ERROR_FIELD_LENGTH,
    ERROR_FIELD_NAME, ERROR_FIELD_VALUE, ERROR_HEAD_LENGTH, ERROR_HOST_MISSING,
    ERROR_HOST_REPEATED, ERROR_HOST_SYNTAX, ERROR_LENGTH_AND_CODING, ERROR_LENGTH_RANGE,
    ERROR_LENGTH_REPEATED, ERROR_LENGTH_SYNTAX, ERROR_LINE_LENGTH, ERROR_MEMORY, ERROR_METHOD,
    ERROR_METHOD_LENGTH, ERROR_NONE, ERROR_REQUEST_LINE, ERROR_TARGET_ASTERISK,
    ERROR_TARGET_AUTHORITY, ERROR_TARGET_CONNECT, ERROR_TARGET_FORM, ERROR_TARGET_FRAGMENT,
    ERROR_TARGET_NUL, ERROR_TARGET_OCTET, ERROR_TARGET_PERCENT, ERROR_TRAILER_NAME, ERROR_VERSION,
    ERROR_VERSION_UNSUPPORTED,
)

cdef dict ERRORS = {
    ERROR_NONE: (0, "no error"),
    ERROR_EMPTY_LINES: (400, "too many empty lines before the request line"),
    ERROR_BARE_CR: (400, "carriage return without line feed"),
    ERROR_BARE_LF: (400, "line feed without carriage return"),
    ERROR_METHOD: (400, "request does not begin with a method"),
    ERROR_METHOD_LENGTH: (501, "method is longer than 32 octets"),
    ERROR_REQUEST_LINE: (400, "request line is not method, target and version with one space between"),
    ERROR_LINE_LENGTH: (414, "request line is longer than the limit"),
    ERROR_TARGET_FORM: (400, "request target is neither a path nor an http or https url"),
    ERROR_TARGET_OCTET: (400, "request target has an octet that is not visible ascii"),
    ERROR_TARGET_FRAGMENT: (400, "request target has a fragment"),
    ERROR_TARGET_PERCENT: (400, "percent sign in the path without two hex digits"),
    ERROR_TARGET_NUL: (400, "encoded nul in the path"),
    ERROR_TARGET_AUTHORITY: (400, "authority in the request target is not host or host:port"),
    ERROR_TARGET_ASTERISK: (400, "request target * is for options only"),
    ERROR_TARGET_CONNECT: (400, "request target of connect is not host:port"),
    ERROR_VERSION: (400, "request line does not end in an http version"),
    ERROR_VERSION_UNSUPPORTED: (505, "http version is neither 1.1 nor 1.0"),
    ERROR_FIELD_INDENTED: (400, "white space before the first field"),
    ERROR_FIELD_FOLDED: (400, "folded field line"),
    ERROR_FIELD_NAME: (400, "field name is empty or has an octet that is not allowed"),
    ERROR_FIELD_COLON: (400, "field line without colon"),
    ERROR_FIELD_VALUE: (400, "control character in a field value"),
    ERROR_FIELD_LENGTH: (431, "field line is longer than the limit"),
    ERROR_FIELD_COUNT: (431, "more field lines than the limit"),
    ERROR_HEAD_LENGTH: (431, "request head is longer than the limit"),
    ERROR_HOST_MISSING: (400, "host field is missing"),
    ERROR_HOST_REPEATED: (400, "host field is repeated"),
    ERROR_HOST_SYNTAX: (400, "host field is not host or host:port"),
    ERROR_LENGTH_SYNTAX: (400, "content-length is not a number"),
    ERROR_LENGTH_RANGE: (400, "content-length is too large a number"),
    ERROR_LENGTH_REPEATED: (400, "content-length is repeated"),
    ERROR_CODING_SYNTAX: (400, "transfer-encoding is malformed or does not end in chunked"),
    ERROR_CODING_UNKNOWN: (501, "transfer-encoding names a coding that is not understood"),
    ERROR_CODING_REPEATED: (400, "transfer-encoding is repeated"),
    ERROR_CODING_VERSION: (400, "transfer-encoding in an http/1.0 request"),
    ERROR_LENGTH_AND_CODING: (400, "both content-length and transfer-encoding"),
    ERROR_EXPECTATION: (417, "expectation is not 100-continue"),
    ERROR_CONNECT_CONTENT: (400, "connect request with content"),
    ERROR_CHUNK_SIZE: (400, "chunk size is not a hex number"),
    ERROR_CHUNK_RANGE: (400, "chunk size is too large a number"),
    ERROR_CHUNK_EXTENSION: (400, "malformed chunk extension"),
    ERROR_CHUNK_LINE_LENGTH: (400, "chunk extensions are longer than 256 octets"),
    ERROR_CHUNK_OVERHEAD: (400, "chunk lines are out of proportion to their data"),
    ERROR_CHUNK_END: (400, "chunk data does not end in carriage return and line feed"),
    ERROR_TRAILER_NAME: (400, "field that must not be a trailer"),
    ERROR_BODY_LENGTH: (413, "request body is larger than the limit"),
    ERROR_CUT: (400, "input ended inside a request"),
    ERROR_MEMORY: (503, "out of memory"),
}


cdef int error_status_c(int error) noexcept:
    return (<tuple>ERRORS[error])[0]


cdef str error_reason_c(int error):
    return (<tuple>ERRORS[error])[1]
