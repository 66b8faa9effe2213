# FileEntry: what a path leads to, ready to be answered with. Never changes once it is made: a file
# that changed gets a new one, and whoever still sends from the old keeps it alive.

from libc.stdint cimport int64_t

from highperf.files.codings cimport CODING_COUNT
from highperf.files.conditions cimport Validators
from highperf.files.lookup cimport (
    ENTRY_COLD, ENTRY_FAILED, ENTRY_FILE, ENTRY_LISTING, ENTRY_MISSING, ENTRY_REDIRECT, EntryKind, Finding,
)
from highperf.files.root cimport Identity
from highperf.wire.response cimport ResponseHeaders


cdef class FileEntry:
    cdef readonly int kind      # the fields below are for ENTRY_FILE
    cdef readonly str why       # ENTRY_MISSING: there, but not served: 403 for the log. ENTRY_FAILED: what failed
    cdef int fd                 # owned, closed in __dealloc__; -1 where content is in memory
    cdef readonly int64_t size
    cdef readonly bytes content     # all of it, where it is small; else None
    cdef readonly int coding    # a Coding: what it is coded with
    cdef readonly bint settled  # opened when the second of its modification was over
    cdef readonly bytes tag     # ETag, with its quotes
    cdef readonly bytes exact   # the tag by nanoseconds; the same as tag while not settled
    cdef readonly int64_t modified_s    # Last-Modified
    cdef Validators validators  # borrows from tag and exact
    cdef readonly bytes content_type
    cdef list fields            # of a 200, without Content-Type and Content-Length: [(name, value)]
    cdef readonly ResponseHeaders headers   # frozen; of a 200: Content-Type and fields
    cdef readonly ResponseHeaders not_modified  # frozen; of a 304
    cdef int codings            # bits (1 << Coding) of the siblings that there are
    cdef tuple siblings         # by Coding: FileEntry or None; None where there are none at all

    # for the cache that made it
    cdef bytes file             # its path below the root
    cdef Identity identities[CODING_COUNT]  # of it (CODING_IDENTITY) and its siblings, as they were when opened

    # One fstat: False when size or time of modification are no longer what they were at opening,
    # so what was sent from fd may be of two versions. True where content is in memory.
    cdef bint unchanged_c(self) noexcept nogil

    cdef int load_c(self, Py_ssize_t limit_bytes, bint waits) except -1
    cdef int describe_c(self, bytes content_type, bytes cache_control, bytes mark) except -1


# An entry that is no file.
cdef FileEntry bare_entry_c(int kind, str why)
# The entry for an ENTRY_FILE, whose descriptors it takes; None: its octets would have to be waited for.
# limit_bytes: content of no more than that is read into memory.
cdef FileEntry file_entry_c(Finding* finding, bytes cache_control, Py_ssize_t limit_bytes, bint waits)
