# Owns the sans-IO face of the wire: octets in, events out, for whoever brings their own transport
# (and for the tests). It drives the same Head and ChunkDecoder as the server's connections and
# adds to them only memory and the order of events.
#
# Input is kept in one buffer: what lies before `position` has been turned into events. Events own
# their octets. A broken stream stays broken, and nothing is parsed after a request that closes
# the connection (RFC 9112 section 9.6), so that no octets behind it are taken for a request.

import enum

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t
from libc.string cimport memmove, memset

from highperf.errors import ProtocolError

from highperf.wire.buffers cimport Buffer
from highperf.wire.chunked cimport (
    CHUNK_DATA, CHUNK_DONE, CHUNK_FAILED, CHUNK_TRAILER, ChunkDecoder, chunk_next_c,
)
from highperf.wire.parse_errors cimport ERROR_CUT, error_reason_c, error_status_c
from highperf.wire.parser cimport (
    Head, Limits, METHOD_CONNECT, PARSE_FAILED, PARSE_NEED_MORE, Span,
)
from highperf.wire.request cimport (
    decode_path_c, headers_of_c, path_text_c, query_of_c,
)

cdef enum:                      # RequestParser.state
    IN_HEAD = 0
    IN_SIZED_BODY
    IN_CHUNKED_BODY
    AT_MESSAGE_END
    AT_CLOSE                    # the last request said that the connection closes
    BROKEN

cdef enum:
    INPUT_CAPACITY = 4096
    LIMIT_MAXIMUM = 1 << 30


class Signal(enum.Enum):
    NEED_DATA = "NEED_DATA"
    CLOSED = "CLOSED"

    def __repr__(self):
        return self.name


NEED_DATA = Signal.NEED_DATA
CLOSED = Signal.CLOSED


@cython.final
cdef class RequestHead:
    # A view on a head that owns its octets.
    cdef Head head

    def __cinit__(self, Head head not None):
        self.head = head

    @property
    def method(self):
        return self.octets_c(self.head.method_token).decode("ascii")

    @property
    def target(self):
        return self.octets_c(self.head.target)

    @property
    def raw_path(self):
        if self.head.path.size or self.head.asterisk or self.head.method == METHOD_CONNECT:
            return self.octets_c(self.head.path)
        return b"/"

    @property
    def path(self):
        cdef bytes raw = self.raw_path
        cdef bytearray decoded
        cdef char* octets
        if not self.head.has_percent:
            return path_text_c(PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))
        decoded = bytearray(PyBytes_GET_SIZE(raw))
        octets = decoded
        return path_text_c(octets, decode_path_c(PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw), octets))

    @property
    def query(self):
        return self.octets_c(self.head.query) if self.head.has_query else b""

    @property
    def query_fields(self):
        return query_of_c(self.head)

    @property
    def version(self):
        return "1.1" if self.head.minor else "1.0"

    @property
    def authority(self):
        return self.octets_c(self.head.authority)

    @property
    def headers(self):
        return headers_of_c(self.head).raw

    @property
    def fields(self):
        return headers_of_c(self.head)

    @property
    def content_length(self):
        return None if self.head.content_length < 0 else self.head.content_length

    @property
    def chunked(self):
        return self.head.chunked

    @property
    def keep_alive(self):
        return self.head.keep_alive

    @property
    def expects_continue(self):
        return self.head.expects_continue

    @property
    def upgrade(self):
        return self.head.has_upgrade

    def __repr__(self):
        return f"<RequestHead {self.method} {self.target!r} HTTP/{self.version}>"

    cdef bytes octets_c(self, Span span):
        return PyBytes_FromStringAndSize(self.head.base + span.start, span.size)


@cython.final
cdef class Data:
    cdef readonly bytes data

    def __init__(self, bytes data not None):
        self.data = data

    def __repr__(self):
        return f"<Data {len(self.data)} bytes>"


@cython.final
cdef class EndOfMessage:
    cdef readonly list trailers

    def __init__(self, list trailers not None):
        self.trailers = trailers

    def __repr__(self):
        return f"<EndOfMessage trailers={self.trailers!r}>"


@cython.final
cdef class RequestParser:
    cdef Limits limits
    cdef Buffer input
    cdef Py_ssize_t position    # in input: what lies before it has become events
    cdef bint at_eof
    cdef int state
    cdef int error              # ParseError, once BROKEN
    cdef Head head              # of the current request; None while the next has not begun
    cdef int64_t left           # of a sized body
    cdef ChunkDecoder decoder
    cdef bytearray trailers     # the current trailer section, None if there is none
    cdef Py_ssize_t moved
    cdef Py_ssize_t rescanned   # by heads that are complete

    def __init__(self, Py_ssize_t limit_line=8190, Py_ssize_t limit_field_size=16384,
                 Py_ssize_t limit_fields=100, Py_ssize_t limit_head=65536):
        self.limits.line_bytes = checked("limit_line", limit_line)
        self.limits.field_bytes = checked("limit_field_size", limit_field_size)
        self.limits.fields = checked("limit_fields", limit_fields)
        self.limits.head_bytes = checked("limit_head", limit_head)
        self.input = Buffer(INPUT_CAPACITY)
        self.head = Head()

    def feed(self, data):
        cdef Py_buffer view
        if self.at_eof:
            raise ValueError("feed() after feed_eof()")
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            if self.state < AT_CLOSE and view.len:
                self.make_room_c(view.len)
                self.input.append_c(<const char*>view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    def feed_eof(self):
        self.at_eof = True

    def next_event(self):
        if self.state == IN_HEAD:
            return self.next_head_c()
        if self.state == IN_SIZED_BODY:
            return self.next_data_c()
        if self.state == IN_CHUNKED_BODY:
            return self.next_chunk_c()
        if self.state == AT_MESSAGE_END:
            return self.end_message_c()
        if self.state == AT_CLOSE:
            return CLOSED
        raise ProtocolError(error_status_c(self.error), error_reason_c(self.error))

    @property
    def reworked_bytes(self):
        return self.moved + self.rescanned + self.head.rescanned

    cdef int make_room_c(self, Py_ssize_t extra) except -1:
        # Moves what is left to the front only if that is not more than what has been used up,
        # so that every octet is moved at most once on average.
        cdef Py_ssize_t rest = self.input.size - self.position
        if self.position and (rest == 0 or (self.input.capacity - self.input.size < extra and rest <= self.position)):
            memmove(self.input.data, self.input.data + self.position, rest)
            self.moved += rest
            self.input.size = rest
            self.position = 0
        self.input.reserve_c(extra)
        return 0

    cdef object next_head_c(self):
        cdef const char* start = self.input.data + self.position
        cdef Py_ssize_t size = self.input.size - self.position
        cdef Head head = self.head
        cdef int result = head.parse_c(start, size, &self.limits)
        if result == PARSE_FAILED:
            return self.fail_c(head.error)
        if result == PARSE_NEED_MORE:
            if self.at_eof and head.state == 0 and head.line_start == size:
                self.state = AT_CLOSE
                return CLOSED
            return self.wait_c()
        head.keep_c(None, head.size)
        self.position += head.size
        if head.chunked:
            self.state = IN_CHUNKED_BODY
            memset(&self.decoder, 0, sizeof(ChunkDecoder))
        elif head.content_length > 0:
            self.state = IN_SIZED_BODY
            self.left = head.content_length
        else:
            self.state = AT_MESSAGE_END
        return RequestHead.__new__(RequestHead, head)

    cdef object next_data_c(self):
        cdef Py_ssize_t size = self.input.size - self.position
        if size == 0:
            return self.wait_c()
        if size > self.left:
            size = <Py_ssize_t>self.left
        self.left -= size
        if self.left == 0:
            self.state = AT_MESSAGE_END
        self.position += size
        return Data(self.input.data[self.position - size:self.position])

    cdef object next_chunk_c(self):
        cdef Py_ssize_t consumed = 0
        cdef Py_ssize_t size = 0
        cdef const char* data = NULL
        cdef int result = CHUNK_TRAILER
        while result == CHUNK_TRAILER:
            result = chunk_next_c(&self.decoder, self.input.data + self.position, self.input.size - self.position,
                                  &self.limits, &consumed, &data, &size)
            self.position += consumed
            if result == CHUNK_TRAILER:
                if self.trailers is None:
                    self.trailers = bytearray()
                self.trailers += data[:size]
        if result == CHUNK_DATA:
            return Data(data[:size])
        if result == CHUNK_FAILED:
            return self.fail_c(self.decoder.error)
        if result == CHUNK_DONE:
            return self.end_message_c()
        return self.wait_c()

    cdef object end_message_c(self):
        cdef list trailers = [] if self.trailers is None else pairs_of(bytes(self.trailers))
        self.state = IN_HEAD if self.head.keep_alive else AT_CLOSE
        self.trailers = None
        self.rescanned += self.head.rescanned
        self.head = Head()
        return EndOfMessage(trailers)

    cdef object wait_c(self):
        return self.fail_c(ERROR_CUT) if self.at_eof else NEED_DATA

    cdef object fail_c(self, int error):
        self.state = BROKEN
        self.error = error
        return self.next_event()


cdef Py_ssize_t checked(str name, Py_ssize_t limit) except -1:
    if not 1 <= limit <= LIMIT_MAXIMUM:
        raise ValueError(f"{name} must be between 1 and {<int>LIMIT_MAXIMUM}, not {limit}")
    return limit


cdef list pairs_of(bytes section):
    # Lines that the decoder has checked.
    cdef list pairs = []
    for line in section.removesuffix(b"\r\n").split(b"\r\n"):
        name, _, value = line.partition(b":")
        pairs.append((name, value.strip(b" \t")))
    return pairs
