# What a parsed HTTP/1.1 head is made of, and how it is fed.
#
# A Head describes octets, it does not copy them: spans are offsets from `base`. While a head
# lies whole in the worker's read buffer, `base` points there (borrowed: valid until the next
# read). A head that was cut, or whose request outlives its first step, is moved into `own`
# (a pooled buffer) by keep_c; offsets stay the same, so nothing else has to change.

from libc.stdint cimport uint32_t, int64_t
from highperf.wire.buffers cimport Buffer, BufferPool
from highperf.wire.methods cimport (
    METHOD_CONNECT, METHOD_COUNT, METHOD_DELETE, METHOD_GET, METHOD_HEAD, METHOD_OPTIONS,
    METHOD_OTHER, METHOD_PATCH, METHOD_POST, METHOD_PUT, METHOD_TRACE, Method,
)


cdef enum ParseResult:
    PARSE_NEED_MORE = 0
    PARSE_DONE = 1
    PARSE_FAILED = -1           # Head.error says why


cdef struct Span:
    uint32_t start              # from Head.base
    uint32_t size


cdef struct Field:
    Span name                   # as sent; compare case-insensitively
    Span value                  # without surrounding OWS


cdef struct Limits:
    Py_ssize_t line_bytes       # request line -> 414
    Py_ssize_t field_bytes      # one field line -> 431
    Py_ssize_t fields           # number of field lines -> 431
    Py_ssize_t head_bytes       # request line and fields together -> 431


cdef class Head:
    # the octets
    cdef const char* base       # borrowed from the reader, or == own.data
    cdef Buffer own             # None while borrowed; comes from and goes back to a BufferPool
    cdef Py_ssize_t size        # octets of the whole head, once PARSE_DONE; leading CRLFs included

    # the request line
    cdef int method             # Method; METHOD_OTHER is a token of at most 32 octets
    cdef Span method_token
    cdef Span target            # request-target as sent
    cdef Span path              # raw path of origin- or absolute-form; size 0 means "/"
    cdef Span query             # after the "?", without it
    cdef bint has_query
    cdef bint asterisk          # OPTIONS *
    cdef int minor              # HTTP/1.minor

    # fields
    cdef Field* fields          # owned, grows up to Limits.fields
    cdef int field_count
    cdef int field_capacity
    cdef Span authority         # Host, or the authority of an absolute-form target

    # what they mean for the connection (RFC 9112 sections 6 and 9)
    cdef bint keep_alive
    cdef bint chunked
    cdef int64_t content_length # -1: no Content-Length
    cdef bint expects_continue
    cdef bint has_upgrade

    # failure
    cdef int error              # ParseError, 0 = none

    # progress of an unfinished head (private to parser.pyx)
    cdef int state
    cdef Py_ssize_t line_start
    cdef Py_ssize_t scanned
    cdef uint32_t seen

    cdef void reset_c(self) noexcept
    cdef int parse_c(self, const char* data, Py_ssize_t size, const Limits* limits) noexcept
    cdef int keep_c(self, BufferPool pool, Py_ssize_t size) except -1
    cdef int drop_c(self, BufferPool pool) except -1
    cdef int find_c(self, const char* lower_name, Py_ssize_t size, int start) noexcept


# status and words of a ParseError
cdef int error_status_c(int error) noexcept
cdef str error_reason_c(int error)
