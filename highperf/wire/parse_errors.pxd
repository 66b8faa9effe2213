# All that can be wrong with a request's octets. Status and words of each: parse_errors.pyx.

cdef enum ParseError:
    ERROR_NONE = 0
    # the request line
    ERROR_EMPTY_LINES
    ERROR_BARE_CR
    ERROR_BARE_LF
    ERROR_METHOD
    ERROR_METHOD_LENGTH
    ERROR_REQUEST_LINE
    ERROR_LINE_LENGTH
    ERROR_TARGET_FORM
    ERROR_TARGET_OCTET
    ERROR_TARGET_FRAGMENT
    ERROR_TARGET_PERCENT
    ERROR_TARGET_NUL
    ERROR_TARGET_AUTHORITY
    ERROR_TARGET_ASTERISK
    ERROR_TARGET_CONNECT
    ERROR_VERSION
    ERROR_VERSION_UNSUPPORTED
    # field lines
    ERROR_FIELD_INDENTED
    ERROR_FIELD_FOLDED
    ERROR_FIELD_NAME
    ERROR_FIELD_COLON
    ERROR_FIELD_VALUE
    ERROR_FIELD_LENGTH
    ERROR_FIELD_COUNT
    ERROR_HEAD_LENGTH
    # what the fields say
    ERROR_HOST_MISSING
    ERROR_HOST_REPEATED
    ERROR_HOST_SYNTAX
    ERROR_LENGTH_SYNTAX
    ERROR_LENGTH_RANGE
    ERROR_LENGTH_REPEATED
    ERROR_CODING_SYNTAX
    ERROR_CODING_UNKNOWN
    ERROR_CODING_REPEATED
    ERROR_CODING_VERSION
    ERROR_LENGTH_AND_CODING
    ERROR_EXPECTATION
    ERROR_CONNECT_CONTENT
    # the body
    ERROR_CHUNK_SIZE
    ERROR_CHUNK_RANGE
    ERROR_CHUNK_EXTENSION
    ERROR_CHUNK_LINE_LENGTH
    ERROR_CHUNK_OVERHEAD
    ERROR_CHUNK_END
    ERROR_TRAILER_NAME
    ERROR_BODY_LENGTH           # set by those who count a body; no parser here does
    # not of the octets
    ERROR_CUT                   # end of input inside a request
    ERROR_MEMORY
    ERROR_COUNT


# The status to answer with, and the reason in plain lower-case words. They name the rule, and
# never repeat what the peer sent.
cdef int error_status_c(int error) noexcept
cdef str error_reason_c(int error)
