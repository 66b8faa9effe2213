# What the file system has for a path: everything that one request needs, in one go, without Python.

from highperf.files.codings cimport CODING_COUNT
from highperf.files.paths cimport PATH_BYTES_MAX, SEGMENT_BYTES_MAX
from highperf.files.root cimport FileRoot, Identity


cdef enum EntryKind:
    ENTRY_FILE = 0
    ENTRY_REDIRECT              # a directory asked for without its slash
    ENTRY_LISTING               # a directory without an index, where listings are on; see listing.py
    ENTRY_MISSING               # 404; why is a reason for the log, or None
    ENTRY_COLD                  # would wait for the disk: FileCache.warm in a thread, then find_c again, waits=True
    ENTRY_FAILED                # the system failed (why says how): 503, and a line in the log


cdef struct Rules:
    const char* index           # name of a directory's own page, borrowed; NULL: there is none
    Py_ssize_t index_size
    bint listing
    bint precompressed


cdef struct Finding:
    int kind                    # an EntryKind
    int found                   # the Found that explains ENTRY_MISSING and ENTRY_FAILED
    bint refused                # the path may not be asked for at all
    Py_ssize_t size             # octets of file
    char file[PATH_BYTES_MAX + SEGMENT_BYTES_MAX + 8]   # for ENTRY_FILE: its path below the root
    int fds[CODING_COUNT]       # for ENTRY_FILE: by Coding, what is sent; owned until taken; -1: none
    Identity identities[CODING_COUNT]


cdef enum Recheck:
    CHECK_SAME = 0
    CHECK_CHANGED = 1
    CHECK_COLD = 2


# From any thread. path as for FileCache.find_c; finding is filled, and to be released in any case.
cdef void explore_c(
    FileRoot root, const Rules* rules, const char* path, Py_ssize_t size, bint waits, Finding* finding
) noexcept nogil
cdef void release_finding_c(Finding* finding) noexcept nogil
# Is file, and are its siblings, what they were? present: bits of the codings that there are.
cdef int recheck_c(
    FileRoot root, const Rules* rules, const char* file, Py_ssize_t size, bint waits,
    const Identity* identities, int present
) noexcept nogil
# Has the octets of a finding's small files read from the disk, so that they need not be waited for.
cdef void read_ahead_c(const Finding* finding, Py_ssize_t limit_bytes) noexcept nogil
