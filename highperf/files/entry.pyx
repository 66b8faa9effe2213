# Owns an open file and what is told of it: validators, fields, its content if it is small. Must not
# know paths of requests, nor when it is out of date.
#
# Entity-tags have nginx's form, "time-size" in hexadecimal. A file may be written twice within one
# second, and then seconds are not enough; so a file that was opened before the second of its modification was
# over is told by nanoseconds, and counts as settled only afterwards: then no writer can mark the file
# with that second any more, and whatever was seen during it got another tag. Conditions are
# compared with both forms. For the same reason the cache takes what is not settled for changed
# after its second, although nothing shows: its content may have been read halfway through a write.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN
from libc.stdint cimport int64_t, uint64_t
from posix.unistd cimport close

from highperf.clock cimport files_s
from highperf.files.codings cimport (
    CODING_COUNT, CODING_IDENTITY,
)
from highperf.files.lookup cimport Finding
from highperf.files.root cimport FOUND_FILE, Identity, identify_c, same_file_c
from highperf.files.system cimport read_at
from highperf.wire.response cimport ResponseHeaders

from highperf.files.mime import content_type_of
from highperf.wire.response import http_date

cdef enum:
    SECOND_NS = 1_000_000_000

cdef enum Loading:
    LOADED                      # or left in the file
    LOAD_COLD

cdef tuple CODINGS = (b"br", b"zstd", b"gzip", None)       # by Coding; RFC 9110 section 8.4.1
cdef int64_t LAST_S = 253402300799                          # of the year 9999


@cython.final
cdef class FileEntry:
    def __cinit__(self):
        self.fd = -1

    def __init__(self):
        raise TypeError("file entries are made by a FileCache")

    def __dealloc__(self):
        if self.fd >= 0:
            close(self.fd)

    cdef bint unchanged_c(self) noexcept nogil:
        cdef Identity now
        cdef const Identity* then = &self.identities[self.coding]
        if self.fd < 0:
            return True
        return identify_c(self.fd, &now) == FOUND_FILE and now.size == then.size and now.mtime_ns == then.mtime_ns

    cdef int load_c(self, Py_ssize_t limit_bytes, bint waits) except -1:
        # Reads small content into memory and closes the file. What changes meanwhile, or cannot be
        # read, is left to whoever sends it.
        cdef bytes content
        cdef Identity now
        cdef Py_ssize_t at = 0, got
        if self.size > limit_bytes:
            return LOADED
        content = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>self.size)
        while at < self.size:
            got = read_at(self.fd, PyBytes_AS_STRING(content) + at, <size_t>(self.size - at), at, waits)
            if got == -EAGAIN:
                return LOAD_COLD
            if got <= 0:
                return LOADED
            at += got
        if identify_c(self.fd, &now) == FOUND_FILE and same_file_c(&now, &self.identities[self.coding]):
            self.content = content
            close(self.fd)
            self.fd = -1
        return LOADED

    cdef int describe_c(self, bytes content_type, bytes cache_control, bytes mark) except -1:
        # mark: None where there are no siblings, else what is put behind the tag.
        cdef const Identity* identity = &self.identities[self.coding]
        cdef int64_t second = identity.mtime_ns // SECOND_NS, now_s = files_s()
        cdef bytes coding = <bytes>CODINGS[self.coding]
        self.settled = now_s > second
        self.exact = tag_of(identity.mtime_ns, self.size, mark)
        self.tag = tag_of(second, self.size, mark) if self.settled else self.exact
        # RFC 9110 section 8.8.2.1: never later than now.
        self.modified_s = max(0, min(second, now_s, LAST_S))
        fields = [(b"Last-Modified", http_date(self.modified_s).encode("ascii")), (b"ETag", self.tag)]
        if cache_control is not None:
            fields.append((b"Cache-Control", cache_control))
        if mark is not None:
            fields.append((b"Vary", b"Accept-Encoding"))
        self.not_modified = frozen(fields)
        fields.append((b"Accept-Ranges", b"bytes"))
        if coding is not None:
            fields.append((b"Content-Encoding", coding))
        self.fields = fields
        self.content_type = content_type
        self.headers = frozen([(b"Content-Type", content_type), *fields])
        self.validators.tag.at = PyBytes_AS_STRING(self.tag)
        self.validators.tag.size = PyBytes_GET_SIZE(self.tag)
        self.validators.exact.at = PyBytes_AS_STRING(self.exact)
        self.validators.exact.size = PyBytes_GET_SIZE(self.exact)
        self.validators.modified_s = self.modified_s
        return 0


cdef inline bytes tag_of(int64_t time, int64_t size, bytes mark):
    return b'"%x-%x%b"' % (<uint64_t>time, size, mark or b"")


cdef ResponseHeaders frozen(list fields):
    cdef ResponseHeaders headers = ResponseHeaders.__new__(ResponseHeaders)
    headers.fields = fields[:]
    headers.freeze_c()
    return headers


cdef FileEntry bare_entry_c(int kind, str why):
    cdef FileEntry entry = FileEntry.__new__(FileEntry)
    entry.kind = kind
    entry.why = why
    return entry


cdef FileEntry taken(Finding* finding, int coding):
    # The file of one coding, which is the entry's from here on.
    cdef FileEntry entry = FileEntry.__new__(FileEntry)
    entry.fd = finding.fds[coding]
    finding.fds[coding] = -1
    entry.coding = coding
    entry.identities = finding.identities
    entry.size = entry.identities[coding].size
    return entry


cdef FileEntry file_entry_c(Finding* finding, bytes cache_control, Py_ssize_t limit_bytes, bint waits):
    cdef list siblings = [None] * CODING_COUNT
    cdef FileEntry entry = taken(finding, CODING_IDENTITY)
    cdef FileEntry sibling
    cdef int coding
    entry.file = finding.file[:finding.size]
    content_type = content_type_of(entry.file)
    for coding in range(CODING_IDENTITY):
        if finding.fds[coding] >= 0:
            siblings[coding] = taken(finding, coding)
            entry.codings |= 1 << coding
    if entry.codings:
        entry.siblings = tuple(siblings)
    for sibling in [entry, *siblings]:
        if sibling is not None:
            if sibling.load_c(limit_bytes, waits) == LOAD_COLD:
                return None
            sibling.describe_c(content_type, cache_control, mark_of(entry, sibling.coding))
    return entry


cdef bytes mark_of(FileEntry entry, int coding):
    # Files made in one go may have one size and time, and yet must not have one tag.
    cdef const Identity* one = &entry.identities[coding]
    cdef const Identity* other
    cdef int at
    if entry.codings == 0:
        return None
    for at in range(CODING_COUNT):
        other = &entry.identities[at]
        if at != coding and (at == CODING_IDENTITY or entry.codings >> at & 1):
            if one.size == other.size and one.mtime_ns // SECOND_NS == other.mtime_ns // SECOND_NS:
                return b"-" + <bytes>CODINGS[coding] if coding != CODING_IDENTITY else b""
    return b""
