# Owns the directory below which files are served, and how they are opened. Must not know HTTP, nor
# which names may be asked for (paths.pyx).
#
# Whether a path stays inside is answered by the kernel while it opens the file, not by comparing
# strings: openat2 with RESOLVE_BENEATH, or walk.pyx where there is none. What is found is looked at
# first (O_PATH) and opened for reading only if it is a regular file, without waiting (O_NONBLOCK) and
# only if it still is the same: opening a FIFO may hang, and a device may do anything.
#
# What happens here happens to a request, so it is a value, not an exception.

cimport cython
from libc.errno cimport (
    EACCES, EAGAIN, EINVAL, EILSEQ, ELOOP, EMFILE, ENAMETOOLONG, ENFILE, ENODEV, ENOENT, ENOMEM,
    ENOTDIR, ENXIO, EPERM, EXDEV,
)
from posix.unistd cimport close

from highperf.files.system cimport (
    HP_BENEATH, HP_CACHED, HP_NO_MAGICLINKS, HP_NO_SYMLINKS, HP_O_PATH, O_DIRECTORY, O_NOCTTY,
    O_NONBLOCK, O_RDONLY, Status, open_at, open_beneath, status_of,
)
from highperf.files.walk cimport walk_c

import os

cdef extern from "fcntl.h":
    int AT_FDCWD

cdef enum:
    ATTEMPTS = 16               # at what changes while it is looked at


cdef int found_by(int error, bint cached) noexcept nogil:
    # What -errno of an opening says.
    error = -error
    if error in (ENOENT, ENOTDIR, ENAMETOOLONG, ELOOP, EINVAL, EILSEQ):
        return FOUND_NOTHING
    if error in (EACCES, EPERM):
        return FOUND_FORBIDDEN
    if error == EXDEV:
        return FOUND_OUTSIDE
    if error in (ENXIO, ENODEV):
        return FOUND_SPECIAL
    if error == EAGAIN and cached:
        return FOUND_COLD
    return FOUND_EXHAUSTED if error in (EMFILE, ENFILE, ENOMEM) else FOUND_FAILED


cdef int identify_c(int fd, Identity* identity) noexcept nogil:
    cdef Status status
    if status_of(fd, &status) < 0:
        return FOUND_FAILED
    identity.device = status.device
    identity.inode = status.inode
    identity.size = status.size
    identity.mtime_ns = status.mtime_ns
    identity.ctime_ns = status.ctime_ns
    if status.is_file:
        return FOUND_FILE
    return FOUND_DIRECTORY if status.is_directory else FOUND_SPECIAL


cdef bint same_file_c(const Identity* one, const Identity* other) noexcept nogil:
    return (
        one.inode == other.inode and one.device == other.device and one.size == other.size
        and one.mtime_ns == other.mtime_ns and one.ctime_ns == other.ctime_ns
    )


@cython.final
cdef class FileRoot:
    def __cinit__(self, path, *, bint confined=True, bint follow_symlinks=True, bint openat2=True):
        cdef bytes octets
        cdef int fd
        self.fd = -1
        octets = os.fsencode(path)
        if 0 in octets:
            raise ValueError("a path has no NUL in it")
        self.path = os.fsdecode(octets)
        self.confined = confined
        self.follows = follow_symlinks
        fd = self.fd = open_at(AT_FDCWD, octets, HP_O_PATH | O_DIRECTORY)
        if fd >= 0:
            fd = open_at(self.fd, b".", O_RDONLY | O_DIRECTORY)     # it may be read and searched
        if fd < 0:
            raise OSError(-fd, os.strerror(-fd), self.path)
        close(fd)
        self.probe_c(openat2)

    def __dealloc__(self):
        if self.fd >= 0:
            close(self.fd)

    cdef int probe_c(self, bint openat2) except -1:
        # A kernel without openat2, or a filter of system calls that does not know it, says so each time.
        cdef int fd = open_beneath(self.fd, b".", HP_O_PATH, HP_BENEATH) if openat2 else -1
        self.walks = fd < 0
        if fd >= 0:
            close(fd)
            fd = open_beneath(self.fd, b".", HP_O_PATH, HP_BENEATH | HP_CACHED)
            self.tells = fd >= 0 or fd == -EAGAIN
            if fd >= 0:
                close(fd)
        return 0

    cdef int reach_c(self, const char* path, int flags, bint waits) noexcept nogil:
        # A descriptor or -errno.
        cdef int fd = -EAGAIN, resolve, _
        if self.walks:
            return walk_c(self.fd, path, flags, self.follows) if self.confined else open_at(self.fd, path, flags)
        resolve = HP_NO_MAGICLINKS
        if self.confined:
            resolve |= HP_BENEATH
        if not self.follows:
            resolve |= HP_NO_SYMLINKS
        if self.tells and not waits:
            return open_beneath(self.fd, path, flags, resolve | HP_CACHED)
        for _ in range(ATTEMPTS):           # EAGAIN: something was renamed on the way, so ".." is in doubt
            fd = open_beneath(self.fd, path, flags, resolve)
            if fd != -EAGAIN:
                break
        return fd

    cdef int look_c(self, const char* path, bint waits, Identity* identity) noexcept nogil:
        cdef int found
        cdef int fd = self.reach_c(path, HP_O_PATH, waits)
        if fd < 0:
            return found_by(fd, self.tells and not waits)
        found = identify_c(fd, identity)
        close(fd)
        return found

    cdef int open_c(self, const char* path, bint waits, Identity* identity, int* fd) noexcept nogil:
        cdef Identity looked
        cdef int opened, found = FOUND_FAILED, _
        fd[0] = -1
        for _ in range(ATTEMPTS):
            found = self.look_c(path, waits, identity)
            if found != FOUND_FILE:
                return found
            looked = identity[0]
            opened = self.reach_c(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, waits)
            if opened < 0:
                return found_by(opened, self.tells and not waits)
            found = identify_c(opened, identity)
            if found == FOUND_FILE and looked.inode == identity.inode and looked.device == identity.device:
                fd[0] = opened
                return found
            close(opened)
        return FOUND_FAILED

    # ---- for Python ---------------------------------------------------------------------------

    def look(self, bytes path not None):
        cdef Identity identity
        cdef const char* name = path
        cdef int found = FOUND_NOTHING
        if 0 not in path:
            with nogil:
                found = self.look_c(name, True, &identity)
        return NAMES[found]

    def open(self, bytes path not None):
        cdef Identity identity
        cdef const char* name = path
        cdef int fd = -1
        if 0 not in path:
            with nogil:
                self.open_c(name, True, &identity, &fd)
        return None if fd < 0 else fd

    def open_directory(self, bytes path not None):
        cdef const char* name = path
        cdef int fd = -1
        if 0 not in path:
            with nogil:
                fd = self.reach_c(name, O_RDONLY | O_DIRECTORY | O_NONBLOCK, True)
        return None if fd < 0 else fd


cdef tuple NAMES = (
    "file", "directory", "nothing", "forbidden", "outside", "special", "cold", "exhausted", "failed",
)
