# The chunked transfer coding (RFC 9112 section 7.1), decoded in place: chunk_next_c hands out
# spans of the input, it copies nothing and makes no object per chunk.

from libc.stdint cimport int64_t

from highperf.wire.parser cimport Limits


cdef enum:
    EXTENSION_LIMIT = 256       # octets of a chunk line after its size
    OVERHEAD_LIMIT = 16 * 1024  # octets of chunk lines beyond twice those of data
    TRAILER_NAME_SIZE = 20      # longer than every name that is refused


cdef enum ChunkResult:
    CHUNK_NEED_MORE = 0         # all input consumed
    CHUNK_DATA = 1              # [*data, *data + *data_size) is body
    CHUNK_DONE = 2              # last chunk and trailers seen; what was not consumed is the next request
    CHUNK_TRAILER = 3           # [*data, *data + *data_size) is a checked part of the trailer section,
                                # cut anywhere: collect or ignore it
    CHUNK_FAILED = -1           # decoder.error (a ParseError) says why; it stays so


cdef struct ChunkDecoder:
    int state                   # 0 at the start: memset to zero begins a body
    int error
    int64_t left                # of the current chunk
    int digits                  # of the current size
    int64_t line                # octets of the current chunk line after its size, or of the trailer line
    int64_t overhead            # octets of chunk lines so far, without their CRLFs
    int64_t received            # octets of data so far
    int64_t trailers            # trailer lines so far
    int64_t trailer_bytes       # octets of the trailer section so far
    int name_size
    char name[TRAILER_NAME_SIZE]    # of the current trailer, lower case, as far as it matters


# Consumes from input; returns a ChunkResult. *consumed is how many octets were used; for
# CHUNK_DATA and CHUNK_TRAILER the span lies in the consumed part. An error is found at the
# first octet that cannot stand where it does, however the input was cut.
cdef int chunk_next_c(ChunkDecoder* decoder, const char* input, Py_ssize_t size, const Limits* limits,
                      Py_ssize_t* consumed, const char** data, Py_ssize_t* data_size) noexcept nogil
