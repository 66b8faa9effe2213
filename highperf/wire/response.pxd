# How an answer is written: octets into a Buffer. Knows no connection, no policy.

from libc.stdint cimport int64_t
from highperf.wire.buffers cimport Buffer


cdef enum Persistence:
    PERSIST_DEFAULT = 0         # the version's default holds: no Connection field
    PERSIST_KEEP = 1            # Connection: keep-alive (HTTP/1.0)
    PERSIST_CLOSE = 2           # Connection: close


cdef enum:
    LENGTH_NONE = -1            # neither Content-Length nor a coding: 1xx, 204, 304, or until close
    LENGTH_CHUNKED = -2         # Transfer-Encoding: chunked


cdef class StandingFields:
    # Server and Date, formatted once a second.
    cdef char text[96]
    cdef int size
    cdef int date_field         # offsets into text
    cdef int date_at
    cdef long long second

    cdef void refresh_c(self, long long unix_s) noexcept


cdef class ResponseHeaders:
    cdef list fields            # [(name: bytes, value: bytes)], validated
    cdef bytes lines            # all of them as they are sent, where they do not change any more; else None
    cdef bint names_server      # a Server of its own takes the place of the standing one

    cdef int add_c(self, object name, object value) except -1
    cdef int discard_c(self, object name) except -1
    # For fields of the server itself that are sent over and over and never changed again.
    cdef int freeze_c(self) except -1


cdef class Response:
    cdef int status_            # 200 to 599
    cdef object body_           # bytes; None when source or path_ is set
    cdef object source          # async iterable of the body's parts, or None
    cdef bytes path_            # of the file that is the body, or None
    cdef object root_           # below what it lies: a directory, None for the path alone, or what a server knows
    cdef bint precompressed_    # a coded sibling of the file will do
    cdef bytes content_type_    # None: no Content-Type
    cdef ResponseHeaders headers_   # None until asked for


# extra: a whole field besides.
cdef int write_head_c(Buffer out, StandingFields standing, int status, bytes content_type, int64_t length,
                      ResponseHeaders headers, int persistence, const char* extra, Py_ssize_t extra_size) except -1
cdef int write_chunk_size_c(Buffer out, Py_ssize_t size) except -1
cdef bytes encode_json_c(object value)
cdef bytes part_octets_c(object part)    # of a stream
cdef Response response_from_c(object value)
cdef int checked_status_c(object status) except -1
cdef str reason_c(int status)
