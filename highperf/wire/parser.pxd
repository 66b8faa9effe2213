# What a parsed HTTP/1.1 head is made of, and how it is fed. What can be wrong with it stands in
# parse_errors.pxd.
#
# A Head describes octets, it does not copy them: spans are offsets from `base`. While a head
# lies whole in the worker's read buffer, `base` points there (borrowed: valid until the next
# read). A head that was cut, or whose request outlives its first step, is moved into `own`
# (a pooled buffer) by keep_c; offsets stay the same, so nothing else has to change.

from libc.stdint cimport int64_t, uint32_t

from highperf.wire.authority cimport LastAuthority
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
    Py_ssize_t line_bytes       # request line, without its CRLF -> 414
    Py_ssize_t field_bytes      # one field line, without its CRLF -> 431
    Py_ssize_t fields           # number of field lines -> 431
    Py_ssize_t head_bytes       # everything up to and with the empty line -> 431; below 2**31


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
    cdef Span query             # after the "?", without it; size 0 if there is none
    cdef bint has_query
    cdef bint has_percent       # the path has percent-encoded octets
    cdef bint asterisk          # OPTIONS *, also in its absolute form (no path, no query)
    cdef int minor              # HTTP/1.minor

    # fields
    cdef Field* fields          # owned, grows up to Limits.fields, freed in __dealloc__; NULL: none was met yet
    cdef int field_count
    cdef int field_capacity
    cdef int content_type       # index of the first Content-Type; -1: none
    cdef uint32_t initials      # which letters names begin with: most that are absent are missed at once
    cdef Span authority          # from the target, else from Host; size 0: neither (HTTP/1.0)

    # what they mean for the connection (RFC 9112 sections 6 and 9)
    cdef bint keep_alive        # never after CONNECT: what follows it may be anything
    cdef bint chunked
    cdef int64_t content_length  # -1: no Content-Length
    cdef bint expects_continue
    cdef bint has_upgrade       # HTTP/1.1, Upgrade, and Connection: upgrade

    # failure
    cdef int error              # ParseError, 0 = none

    # kept from request to request
    cdef LastAuthority last_host

    # progress of an unfinished head (private to parser.pyx)
    cdef int state              # 0 until the request line is complete
    cdef Py_ssize_t line_start  # of the first line that is not complete
    cdef Py_ssize_t scanned     # no LF between line_start and here
    cdef uint32_t seen          # SEEN_ flags: fields and list members met so far
    cdef Py_ssize_t rescanned   # octets looked at in vain, because the end of their line was not there

    cdef void reset_c(self) noexcept nogil
    cdef int parse_c(self, const char* data, Py_ssize_t size, const Limits* limits) noexcept nogil
    cdef int keep_c(self, BufferPool pool, Py_ssize_t size) except -1
    cdef int drop_c(self, BufferPool pool) except -1
    cdef int find_c(self, const char* lower_name, Py_ssize_t size, int start) noexcept nogil
