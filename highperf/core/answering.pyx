# Owns how an answer is put into octets: its head, what frames its content, and the answers that are given over and
# over. Must not know who answers what, nor when the connection ends.

from libc.stdint cimport int64_t
from libc.string cimport memcpy
from highperf.core.file_sending cimport Sending
from highperf.core.incoming cimport BODY_NONE, Incoming
from highperf.core.stream cimport CANNED_TAIL, FILE_SENT, LENGTH_UNKNOWN, Canned, FileHolder
from highperf.wire.buffers cimport Buffer
from highperf.wire.response cimport (
    LENGTH_CHUNKED, LENGTH_NONE, PERSIST_CLOSE, PERSIST_DEFAULT, PERSIST_KEEP, ResponseHeaders, write_chunk_size_c,
    write_head_c,
)


cdef class Answering(Incoming):
    cdef int start_c(self, int status, bytes content_type, int64_t length, ResponseHeaders headers) except -1:
        cdef int persistence = PERSIST_DEFAULT
        cdef const char* field = NULL
        cdef Py_ssize_t field_size, before
        cdef Buffer out
        if self.transport is None:
            return 0
        if not self.processing:
            self.worker.touch_c()       # for Date: the request may have waited for long
        if self.body_kind != BODY_NONE and not self.worth_discarding():
            self.persistent = False
        if self.worker.announced and self.persistent:
            self.persistent = False
            self.wary = True            # the peer may have sent its next request
        if self.closing:
            self.persistent = False
        self.note_answer_c(status, content_type, headers)
        self.expects_continue = False
        self.chunked = False
        self.mute = self.head_only or status == 204 or status == 304
        if status == 204 or status == 304:
            length = LENGTH_NONE        # RFC 9110 section 8.6
        elif length == LENGTH_UNKNOWN:
            if self.exchange.minor == 0:
                length = LENGTH_NONE    # the end of the connection ends it
                self.persistent = False
            else:
                length = LENGTH_CHUNKED
                self.chunked = not self.mute
        if not self.persistent:
            persistence = PERSIST_CLOSE
        elif self.exchange.minor == 0:
            persistence = PERSIST_KEEP
        field_size = self.worker.ids.field_c(self, headers, &field)
        out = self.out_c()
        before = out.size
        write_head_c(
            out, self.worker.standing, status, content_type, length, headers, persistence, field, field_size
        )
        return <int>(out.size - before)

    cdef bint is_plain_c(self) noexcept:
        return (
            self.processing and self.persistent and not self.closing and not self.worker.announced
            and self.body_kind == BODY_NONE and self.exchange.minor == 1
            and not self.head_only and self.given_id is None
        )

    cdef bint repeat_c(self, Canned canned, int status) except -1:
        cdef const char* id_ = NULL
        cdef Buffer out
        cdef char* octets
        if canned.second != self.worker.standing.second or not self.is_plain_c() or self.transport is None:
            return False
        if self.request_id_octets_c(&id_) != canned.id_size:
            return False
        self.note_answer_c(status, None, canned.fields)
        self.expects_continue = False
        self.exchange.sent += canned.content_size
        out = self.out_c()
        out.append_c(canned.octets.data, canned.octets.size)
        octets = out.data + out.size - canned.octets.size
        memcpy(octets + canned.id_at, id_, canned.id_size)
        memcpy(octets + canned.octets.size - CANNED_TAIL - canned.id_size, id_, canned.id_size)
        return True

    cdef int can_c(self, Canned canned, Py_ssize_t head_size, Py_ssize_t content_size) except -1:
        cdef const char* id_ = NULL
        cdef Py_ssize_t size = head_size + content_size
        canned.octets.size = 0
        canned.second = -1
        if not self.is_plain_c() or self.out is None or self.out.size < size or not self.worker.ids.name_size:
            return 0
        canned.octets.append_c(self.out.data + self.out.size - size, size)
        canned.id_size = self.request_id_octets_c(&id_)
        canned.id_at = head_size - 4 - canned.id_size       # that field is the last one
        canned.content_size = content_size
        canned.second = self.worker.standing.second
        return 0

    cdef int send_c(self, const char* octets, Py_ssize_t size, object owner) except -1:
        if self.mute or size == 0 or self.transport is None:
            return 0
        self.exchange.sent += size
        if not self.chunked:
            return self.write_c(octets, size, owner)
        write_chunk_size_c(self.out_c(), size)
        self.write_c(octets, size, owner)
        return self.out_c().append_c(b"\r\n", 2)

    cdef int send_file_c(self, FileHolder holder, int fd, int64_t offset, int64_t size) except -1:
        return FILE_SENT if self.mute else Sending.send_file_c(self, holder, fd, offset, size)
