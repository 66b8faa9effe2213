# FileEntry: what a path leads to, ready to be answered with. Never changes once it is made: a file
# that changed gets a new one, and whoever still sends from the old keeps it alive.

from libc.stdint cimport int64_t

from highperf.files.conditions cimport Validators
from highperf.files.root cimport Identity
from highperf.wire.response cimport ResponseHeaders


cdef enum EntryKind:
    ENTRY_FILE = 0
    ENTRY_REDIRECT              # a directory asked for without its slash
    ENTRY_LISTING               # a directory without an index, where listings are on; see listing.py
    ENTRY_MISSING               # 404; why is a reason for the log, or None
    ENTRY_COLD                  # would wait for the disk: FileCache.warm in a thread, then find_c again, waits=True
    ENTRY_FAILED                # the system failed (why says how): 503, and a line in the log


cdef class FileEntry:
    cdef readonly int kind      # the fields below are for ENTRY_FILE
    cdef readonly str why       # ENTRY_MISSING: there, but not served: 403 for the log. ENTRY_FAILED: what failed
    cdef int fd                 # owned, closed in __dealloc__; -1 where content is in memory
    cdef Identity identity
    cdef readonly int64_t size
    cdef readonly bytes content     # all of it, where it is small; else None
    cdef readonly int coding    # a Coding: what it is coded with
    cdef readonly bint settled  # opened when the second of its modification was over
    cdef readonly bytes tag     # ETag, with its quotes
    cdef readonly bytes exact   # the tag by nanoseconds; the same as tag while not settled
    cdef readonly int64_t modified_s    # Last-Modified
    cdef readonly bytes content_type
    cdef Validators validators  # borrows from tag and exact
    cdef readonly ResponseHeaders headers   # frozen; of a 200, with Content-Type, without Content-Length
    cdef readonly ResponseHeaders not_modified  # frozen; of a 304
    cdef int codings            # bits (1 << Coding) of the siblings that there are
    cdef tuple siblings         # by Coding: FileEntry or None; None where there are none at all

    # One fstat: False when size or time of modification are no longer what they were at opening,
    # so what was sent from fd may be of two versions. True where content is in memory.
    cdef bint unchanged_c(self) noexcept nogil
