# FileCache: from a decoded path to a FileEntry. One per mount and worker; not for several threads,
# but for warm, which is for any.

from highperf.files.entry cimport FileEntry
from highperf.files.lookup cimport Rules
from highperf.files.root cimport FileRoot
from highperf.files.table cimport PathTable, Slot


cdef class FileCache:
    cdef readonly FileRoot root
    cdef bytes index            # rules borrows from it
    cdef bytes fallback         # what is served where nothing is; or None
    cdef bytes cache_control    # or None
    cdef Rules rules
    cdef PathTable files        # path -> FileEntry, when it was looked at, what it weighs
    cdef PathTable names        # of what is missing, and when that was seen
    cdef readonly Py_ssize_t limit_descriptors
    cdef readonly Py_ssize_t limit_bytes
    cdef readonly Py_ssize_t content_bytes  # what is no larger than this is kept in memory
    cdef readonly Py_ssize_t descriptors    # that cached entries hold
    cdef FileEntry refused      # the answers that are no file, made once
    cdef FileEntry missing
    cdef FileEntry cold
    cdef FileEntry redirect
    cdef FileEntry listing
    cdef tuple unserved         # by Found: what else is missing, with its reason; or what failed

    # path as for allowed_c (see paths.pxd), or any path where the root is not confined. Borrowed for
    # the call. now_ns: monotonic; what was looked at a second before it is looked at again.
    #
    # Never None; see EntryKind. The entry is the caller's to keep (a reference), and stays usable
    # when the cache has dropped it: its descriptor is closed with its last reference.
    # Raises MemoryError alone.
    #
    # waits False: never waits for a disk; ENTRY_COLD says that it would have had to. True: may block.
    # A reason why something there is missing (FileEntry.why) is given once a second and path.
    cdef FileEntry find_c(self, const char* path, Py_ssize_t size, long long now_ns, bint waits)
    # The same by one who has seen that what is known of it is out of date.
    cdef FileEntry find_anew_c(self, const char* path, Py_ssize_t size, long long now_ns, bint waits)
    # Drops everything.
    cdef int clear_c(self) except -1

    cdef int set_names_c(self, str index, str fallback) except -1
    cdef FileEntry find_own_c(self, const char* path, Py_ssize_t size, long long now_ns, bint waits)
    cdef FileEntry again_c(self, Slot* slot, const char* path, Py_ssize_t size, long long now_ns, bint waits)
    cdef FileEntry look_c(self, const char* path, Py_ssize_t size, long long now_ns, bint waits)
    cdef int keep_c(self, const char* path, Py_ssize_t size, FileEntry entry, long long now_ns) except -1
    cdef int note_missing_c(self, const char* path, Py_ssize_t size, long long now_ns) except -1
    cdef int forget_c(self, const char* path, Py_ssize_t size) except -1
    cdef int evict_c(self, Slot* slot) except -1
