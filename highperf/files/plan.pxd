# FilePlan: what is to be sent for one request: status, fields, parts. Knows what, not how.

from libc.stdint cimport int64_t

from highperf.files.conditions cimport Text, Verdict
from highperf.files.entry cimport FileEntry
from highperf.files.ranges cimport RANGES_MAX, ByteRange
from highperf.wire.parser cimport Head
from highperf.wire.response cimport ResponseHeaders


cdef enum AskedField:
    ASKED_RANGE
    ASKED_IF_RANGE
    ASKED_IF_MATCH
    ASKED_IF_NONE_MATCH
    ASKED_IF_MODIFIED_SINCE
    ASKED_IF_UNMODIFIED_SINCE
    ASKED_ACCEPT_ENCODING
    ASKED_COUNT


cdef struct Asked:
    unsigned int seen           # bits (1 << AskedField)
    unsigned int repeated       # likewise: stood there more than once
    Text first[ASKED_COUNT]     # borrowed from the head


cdef struct FilePart:
    Py_ssize_t lead_start       # octets of FilePlan.framing that go before it
    Py_ssize_t lead_size        # 0: none
    int64_t offset              # in the file
    int64_t size                # 0 for the last part of a multipart, which is framing alone


cdef class FilePlan:
    # Filled by make_c, and used again for the next request; a sender that goes on later keeps the
    # plan itself and lets the mount make another.
    cdef readonly int status    # 200, 206, 304; 301; 412, 416: the caller writes the problem's content
    cdef readonly FileEntry entry   # what is sent: the sibling, where one was chosen. None unless parts are sent
    cdef readonly ResponseHeaders headers   # for start_c, with content_type None (it is among them, where there is one)
    cdef readonly int64_t length    # of the content: for start_c. What HEAD tells too; LENGTH_NONE for 304
    cdef int count              # parts to be sent, in order; 0 after HEAD, and where there is no content
    cdef FilePart parts[RANGES_MAX + 1]
    cdef readonly bytes framing     # delimiters of multipart/byteranges, or None
    cdef list joined            # what fields that stood there more than once were joined to, until clear_c

    # entry: ENTRY_FILE or ENTRY_REDIRECT. head: HEAD, or anything else, which is taken for GET.
    # now_s: unix time. Never blocks. content_type, fields: in place of the entry's own type, and
    # besides or in place of its fields (Response.file); None, None is the fast way.
    cdef int make_c(
        self, FileEntry entry, Head head, int64_t now_s, bytes content_type, ResponseHeaders fields
    ) except -1
    # Lets go of entry, headers and framing.
    cdef int clear_c(self) except -1

    cdef int take_list_c(self, Head head, Asked* asked, int field, Text* text) except -1
    cdef FileEntry choose_c(self, FileEntry entry, Head head, Asked* asked)
    cdef int verdict_c(self, FileEntry entry, Head head, Asked* asked, int64_t now_s) except -1
    cdef int refuse_c(self, int status, ResponseHeaders headers) except -1
    cdef int redirect_c(self, Head head) except -1
    cdef int whole_c(self, FileEntry entry, bint head_only) except -1
    cdef int ranges_c(self, FileEntry entry, Asked* asked, int64_t now_s) except -1
    cdef int one_part_c(self, FileEntry entry, ByteRange part) except -1
    cdef int multipart_c(self, FileEntry entry, ByteRange* parts, int count) except -1
    cdef int dress_c(self, FileEntry entry, bytes content_type, ResponseHeaders fields) except -1
