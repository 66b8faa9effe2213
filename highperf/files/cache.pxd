# FileCache: from a decoded path to a FileEntry. One per mount and worker; not for several threads,
# but for warm, which is for any.

from highperf.files.entry cimport FileEntry
from highperf.files.root cimport FileRoot


cdef class FileCache:
    cdef readonly FileRoot root
    # path as for allowed_c (see paths.pxd), or any path where the root is not confined. Borrowed for
    # the call. now_ns: monotonic; what was looked at a second before it is looked at again.
    #
    # Never None; see EntryKind. The entry is the caller's to keep (a reference), and stays usable
    # when the cache has dropped it: its descriptor is closed with its last reference.
    # Raises MemoryError alone.
    #
    # waits False: never waits for a disk; ENTRY_COLD says that it would have had to. True: may block.
    cdef FileEntry find_c(self, const char* path, Py_ssize_t size, long long now_ns, bint waits)
    # Drops everything.
    cdef int clear_c(self) except -1
