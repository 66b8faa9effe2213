# FilePlan: what is to be sent for one request: status, fields, parts. Knows what, not how.

from libc.stdint cimport int64_t

from highperf.files.entry cimport FileEntry
from highperf.files.ranges cimport RANGES_MAX
from highperf.wire.parser cimport Head
from highperf.wire.response cimport ResponseHeaders


cdef struct FilePart:
    Py_ssize_t lead_start       # octets of FilePlan.framing that go before it
    Py_ssize_t lead_size        # 0: none
    int64_t offset              # in the file
    int64_t size                # 0 for the last part of a multipart, which is framing alone


cdef class FilePlan:
    # Filled by make_c, and used again for the next request; a sender that goes on later keeps the
    # plan itself and lets the mount make another.
    cdef int status             # 200, 206, 304; 301; 412, 416: the caller writes the problem's content
    cdef FileEntry entry        # what is sent: the sibling, where one was chosen. None unless parts are sent
    cdef ResponseHeaders headers    # for start_c, with content_type None (it is among them, where there is one)
    cdef int64_t length         # of the content: for start_c. What HEAD tells too; LENGTH_NONE for 304
    cdef int count              # parts to be sent, in order; 0 after HEAD, and where there is no content
    cdef FilePart parts[RANGES_MAX + 1]
    cdef bytes framing          # delimiters of multipart/byteranges, or None

    # entry: ENTRY_FILE or ENTRY_REDIRECT. head: GET or HEAD; anything else is taken for GET without
    # Range. now_s: unix time. Never blocks. content_type, fields: in place of the entry's own type,
    # and besides its fields (Response.file); None, None is the fast way.
    cdef int make_c(self, FileEntry entry, Head head, int64_t now_s, bytes content_type, ResponseHeaders fields) except -1
    # Lets go of entry, headers and framing.
    cdef int clear_c(self) noexcept
