# Loops around what reads and writes the octets of a message, so that the cost of a Python call does not hide theirs.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memset

from highperf.wire.buffers cimport Buffer, BufferPool
from highperf.wire.chunked cimport CHUNK_DATA, CHUNK_DONE, ChunkDecoder, chunk_next_c
from highperf.wire.parser cimport PARSE_DONE, Head, Limits
from highperf.wire.request cimport decode_path_c, path_text_c, query_of_c
from highperf.wire.response cimport PERSIST_DEFAULT, ResponseHeaders, StandingFields, write_head_c

cdef enum:
    ROOM = 1024


def decode_chunked(bytes body not None, int times):
    """Decodes the whole body over and over; returns how many octets of data it has."""
    cdef Limits limits = Limits(8190, 16384, 100, 65536)
    cdef ChunkDecoder decoder
    cdef const char* at
    cdef const char* end = PyBytes_AS_STRING(body) + PyBytes_GET_SIZE(body)
    cdef const char* data
    cdef Py_ssize_t consumed, size, total = 0
    cdef int turn, result
    for turn in range(times):
        memset(&decoder, 0, sizeof(decoder))
        at = PyBytes_AS_STRING(body)
        total = 0
        while True:
            result = chunk_next_c(&decoder, at, end - at, &limits, &consumed, &data, &size)
            at += consumed
            if result == CHUNK_DATA:
                total += size
            elif result == CHUNK_DONE:
                break
            else:
                raise ValueError("not a complete, valid body")
    return total


def decode_path(bytes source not None, int times):
    """Decodes the path, and makes text of it, over and over; returns the text."""
    cdef char out[ROOM]
    cdef Py_ssize_t size
    cdef int turn
    text = None
    if PyBytes_GET_SIZE(source) > ROOM:
        raise ValueError("too long")
    for turn in range(times):
        size = decode_path_c(PyBytes_AS_STRING(source), PyBytes_GET_SIZE(source), out)
        text = path_text_c(out, size)
    return text


def parse_query(bytes octets not None, int times):
    """Takes the query of the request with this head, parsed, over and over; returns its pairs."""
    cdef Head head = Head()
    cdef Limits limits = Limits(8190, 16384, 100, 65536)
    cdef int turn
    pairs = None
    head.reset_c()
    if head.parse_c(PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets), &limits) != PARSE_DONE:
        raise ValueError("not a complete, valid head")
    for turn in range(times):
        pairs = query_of_c(head).items()
    return pairs


def write_head(ResponseHeaders fields, int times):
    """Writes the head of the same answer over and over; returns it. fields: besides those that every answer has."""
    cdef Buffer out = Buffer(ROOM)
    cdef StandingFields standing = StandingFields()
    cdef int turn
    for turn in range(times):
        out.size = 0
        write_head_c(out, standing, 200, b"application/json", 27, fields, PERSIST_DEFAULT, b"", 0)
    return bytes(out)


def take_and_give(BufferPool pool not None, int times):
    """Takes a buffer from the pool and gives it back."""
    cdef int turn
    for turn in range(times):
        pool.release_c(pool.acquire_c(ROOM))
