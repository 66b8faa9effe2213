# The chunked transfer coding (RFC 9112 section 7.1), decoded in place: next_c hands out spans
# of the input, it copies nothing and makes no object per chunk.

from libc.stdint cimport int64_t
from highperf.wire.parser cimport Limits


cdef enum ChunkResult:
    CHUNK_NEED_MORE = 0         # all input consumed
    CHUNK_DATA = 1              # [*data, *data + *size) is body
    CHUNK_DONE = 2              # last chunk and trailers seen; what was not consumed is the next request
    CHUNK_FAILED = -1           # decoder.error (a ParseError) says why


cdef struct ChunkDecoder:
    int state                   # 0 at the start: memset to zero begins a body
    int error
    int64_t left                # of the current chunk
    int digits
    int line                    # octets of the current chunk line or trailer line
    int64_t overhead            # octets that were not data, so far
    int64_t received            # octets of data, so far
    int trailers
    int name_size
    char name[20]               # of the current trailer, lower case, as far as it matters


# Consumes from input; returns a ChunkResult. *consumed is how many octets were used; for
# CHUNK_DATA the span lies in the consumed part.
cdef int chunk_next_c(ChunkDecoder* decoder, const char* input, Py_ssize_t size, const Limits* limits,
                      Py_ssize_t* consumed, const char** data, Py_ssize_t* data_size) noexcept
