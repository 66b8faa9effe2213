# Reaches the C interfaces of the wire: Head, chunk_next_c and the path functions, at any address.

from libc.stdlib cimport free, malloc
from libc.string cimport memset

from highperf.wire.buffers cimport BufferPool
from highperf.wire.chunked cimport (
    CHUNK_DATA, CHUNK_DONE, CHUNK_FAILED, CHUNK_NEED_MORE, ChunkDecoder, chunk_next_c,
)
from highperf.wire.parse_errors cimport ERROR_COUNT, error_reason_c, error_status_c
from highperf.wire.parser cimport Head, Limits, METHOD_COUNT, Span
from highperf.wire.request cimport decode_path_c, headers_of_c, path_text_c, query_of_c

METHODS = METHOD_COUNT
ERRORS = [(error_status_c(error), error_reason_c(error)) for error in range(ERROR_COUNT)]


cdef class HeadProbe:
    """A Head that is fed from memory by address."""

    cdef Head head
    cdef Limits limits

    def __init__(self, line_bytes=8190, field_bytes=16384, fields=100, head_bytes=65536):
        self.head = Head()
        self.limits = Limits(line_bytes, field_bytes, fields, head_bytes)

    def reset(self):
        self.head.reset_c()

    def parse(self, size_t address, Py_ssize_t size):
        """1: done, 0: needs more, -1: failed."""
        return self.head.parse_c(<const char*>address, size, &self.limits)

    def keep(self, BufferPool pool, Py_ssize_t size):
        self.head.keep_c(pool, size)

    def append(self, bytes octets):
        """Adds to the octets that were kept, and parses on."""
        self.head.own.append_c(octets, len(octets))
        return self.head.parse_c(self.head.own.data, self.head.own.size, &self.limits)

    def drop(self, BufferPool pool):
        self.head.drop_c(pool)

    def find(self, bytes lower_name, int start=0):
        return self.head.find_c(lower_name, len(lower_name), start)

    def headers(self):
        return headers_of_c(self.head)

    def query(self):
        return query_of_c(self.head)

    @property
    def size(self):
        return self.head.size

    @property
    def error(self):
        return ERRORS[self.head.error]

    @property
    def method(self):
        return self.head.method

    @property
    def target(self):
        return self.octets(self.head.target)

    @property
    def rescanned(self):
        return self.head.rescanned

    cdef bytes octets(self, Span span):
        return self.head.base[span.start:span.start + span.size]


def decode_chunked(size_t address, Py_ssize_t size, Py_ssize_t step):
    """(result of the last call, body, calls) of the octets, given `step` at a time."""
    cdef ChunkDecoder decoder
    cdef Limits limits = Limits(8190, 16384, 100, 65536)
    cdef const char* p = <const char*>address
    cdef const char* end = p + size
    cdef const char* data
    cdef Py_ssize_t consumed
    cdef Py_ssize_t data_size
    cdef int result = CHUNK_NEED_MORE
    cdef bytearray body = bytearray()
    cdef long calls = 0
    memset(&decoder, 0, sizeof(decoder))
    while p < end and result != CHUNK_DONE and result != CHUNK_FAILED:
        result = chunk_next_c(&decoder, p, min(step, end - p), &limits, &consumed, &data, &data_size)
        calls += 1
        if result == CHUNK_DATA:
            body += data[:data_size]
        p += consumed
    return result, bytes(body), calls


def decode_path(bytes source):
    """(decoded octets, their text)"""
    cdef char* out = <char*>malloc(len(source) + 1)
    try:
        size = decode_path_c(source, len(source), out)
        return out[:size], path_text_c(out, size)
    finally:
        free(out)


def decode_path_at(size_t address, Py_ssize_t size):
    """In place."""
    return decode_path_c(<const char*>address, size, <char*>address)
