# FileRoot: the directory below which files are opened, and nothing outside of it ever.

from libc.stdint cimport int64_t, uint64_t


cdef enum Found:
    FOUND_FILE = 0              # a regular file
    FOUND_DIRECTORY
    FOUND_NOTHING               # no such name, or what cannot be one: too long, a loop of links
    FOUND_FORBIDDEN             # there, but this process may not read it
    FOUND_OUTSIDE               # a symbolic link leads out of the root
    FOUND_SPECIAL               # a device, FIFO or socket; was not opened
    FOUND_COLD                  # would have to wait for the disk
    FOUND_EXHAUSTED             # no descriptor or memory to look with
    FOUND_FAILED                # the file system failed


cdef struct Identity:
    # What tells a file from another, or from itself after it was changed.
    uint64_t device
    uint64_t inode
    int64_t size
    int64_t mtime_ns
    int64_t ctime_ns


cdef class FileRoot:
    cdef readonly str path
    cdef int fd                 # owned, closed in __dealloc__; O_PATH where the system has it
    cdef readonly bint confined     # False: paths may lead anywhere (the handler vouches for them)
    cdef readonly bint follows  # symbolic links inside the root
    cdef readonly bint walks    # there is no openat2: component by component
    cdef readonly bint tells    # the kernel says when a look would have to wait (RESOLVE_CACHED)

    # path is NUL-terminated and without slash at its end; "." is the root; relative, if confined.
    # Both may be called from any thread. waits False: FOUND_COLD rather than wait, where the root tells.
    # Returns a Found; identity is filled for FOUND_FILE and FOUND_DIRECTORY.
    cdef int look_c(self, const char* path, bint waits, Identity* identity) noexcept nogil
    # The same, and opens a file for reading: fd is the caller's where FOUND_FILE is returned, else -1.
    cdef int open_c(self, const char* path, bint waits, Identity* identity, int* fd) noexcept nogil

    cdef int reach_c(self, const char* path, int flags, bint waits) noexcept nogil
    cdef int probe_c(self, bint openat2) except -1


cdef bint same_file_c(const Identity* one, const Identity* other) noexcept nogil
# The identity of an open file: a Found.
cdef int identify_c(int fd, Identity* identity) noexcept nogil
