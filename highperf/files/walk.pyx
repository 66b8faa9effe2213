# Owns the way from a directory to a file below it, one component at a time. Must not know what for.
#
# No component is ever opened through a symbolic link: the system is told not to follow (O_NOFOLLOW), and
# what turns out to be one is read and put into the path, which is then walked again from the root. So the
# way walked is always one of real directories, ".." is answered by the way itself, and a directory
# that is swapped for a link while we walk is an error or another turn, never a way out.

from libc.errno cimport (
    EINVAL, ELOOP, EMLINK, ENAMETOOLONG, ENOENT, ENOTDIR, ENXIO, EXDEV,
)
from libc.string cimport memcpy, memmove, strlen
from posix.unistd cimport close

from highperf.files.system cimport (
    HP_O_PATH, O_DIRECTORY, O_NOFOLLOW, Status, open_at, read_link, status_at,
)

cdef enum:
    LINKS_MAX = 40              # as Linux has it
    WAY_MAX = 8192              # of what was walked and what remains
    NAME_MAX = 256
    AGAIN = -100_000            # no -errno


cdef struct Walk:
    int root
    int here                    # the directory reached; root, or owned
    Py_ssize_t done             # octets of way that lead here, through real directories; no slash at their end
    Py_ssize_t at               # where in way the next component begins
    Py_ssize_t size
    int links
    bint follows
    char way[WAY_MAX]
    char name[NAME_MAX]


cdef void leave(Walk* walk) noexcept nogil:
    if walk.here != walk.root:
        close(walk.here)
    walk.here = walk.root


cdef int put_in(Walk* walk, Py_ssize_t kept, const char* target, Py_ssize_t size) noexcept nogil:
    # The first kept octets of the way, target, and what remains of it: to be walked from the root.
    cdef Py_ssize_t rest = walk.size - walk.at      # nothing, or it begins with a slash
    cdef Py_ssize_t at = kept + (kept > 0)
    if at + size + rest > WAY_MAX:
        return -ENAMETOOLONG
    memmove(walk.way + at + size, walk.way + walk.at, rest)
    if kept:
        walk.way[kept] = c"/"
    memcpy(walk.way + at, target, size)
    walk.size = at + size + rest
    return AGAIN


cdef int step_up(Walk* walk) noexcept nogil:
    cdef Py_ssize_t kept = walk.done
    if kept == 0:
        return -EXDEV
    while kept and walk.way[kept - 1] != c"/":
        kept -= 1
    return put_in(walk, kept - 1 if kept else 0, b".", 1)


cdef int follow(Walk* walk) noexcept nogil:
    # The name here is a link, or something else than its opener thought.
    cdef char target[4096]
    cdef Py_ssize_t size = read_link(walk.here, walk.name, target, sizeof(target))
    if size < 0:
        return -ENOTDIR if size == -EINVAL else <int>size
    walk.links += 1
    if not walk.follows or walk.links > LINKS_MAX:
        return -ELOOP
    if size == 0:
        return -ENOENT
    if size == sizeof(target):
        return -ENAMETOOLONG
    return -EXDEV if target[0] == c"/" else put_in(walk, walk.done, target, size)


cdef int take_name(Walk* walk) noexcept nogil:
    # The next component into name; 0: there is none.
    cdef Py_ssize_t start, size
    while walk.at < walk.size and walk.way[walk.at] == c"/":
        walk.at += 1
    start = walk.at
    while walk.at < walk.size and walk.way[walk.at] != c"/":
        walk.at += 1
    size = walk.at - start
    if size >= NAME_MAX:
        return -ENAMETOOLONG
    memcpy(walk.name, walk.way + start, size)
    walk.name[size] = 0
    return <int>size


cdef inline bint is_last(const Walk* walk) noexcept nogil:
    cdef Py_ssize_t at
    for at in range(walk.at, walk.size):
        if walk.way[at] != c"/":
            return False
    return True


cdef int step_down(Walk* walk, int size) noexcept nogil:
    cdef int below = open_at(walk.here, walk.name, HP_O_PATH | O_DIRECTORY | O_NOFOLLOW)
    if below < 0:
        return follow(walk) if below in (-ENOTDIR, -ELOOP, -EMLINK) else below
    leave(walk)
    walk.here = below
    if walk.done:
        walk.way[walk.done] = c"/"
        walk.done += 1
    memmove(walk.way + walk.done, walk.name, size)      # never beyond where it was read from
    walk.done += size
    return 0


cdef int arrive(Walk* walk, int flags) noexcept nogil:
    cdef Status status
    cdef int fd = status_at(walk.here, walk.name, &status)
    if fd < 0:
        return fd
    if status.is_link:
        return follow(walk)
    if not status.is_directory:
        if walk.at < walk.size:
            return -ENOTDIR     # a slash follows
        if not status.is_file:
            return -ENXIO
    fd = open_at(walk.here, walk.name, flags | O_NOFOLLOW)
    if fd in (-ELOOP, -EMLINK):         # a link now
        walk.links += 1
        return put_in(walk, walk.done, walk.name, strlen(walk.name)) if walk.links <= LINKS_MAX else fd
    return fd


cdef int walk_once(Walk* walk, int flags) noexcept nogil:
    # From the root along the way: a descriptor, -errno, or AGAIN when the way is another now.
    cdef int size, result
    walk.done = walk.at = 0
    while True:
        size = take_name(walk)
        if size < 0:
            return size
        if size == 0:
            return open_at(walk.here, b".", flags)
        if size == 1 and walk.name[0] == c".":
            continue
        if size == 2 and walk.name[0] == c"." and walk.name[1] == c".":
            return step_up(walk)
        if is_last(walk):
            return arrive(walk, flags)
        result = step_down(walk, size)
        if result < 0:
            return result


cdef int walk_c(int root, const char* path, int flags, bint follows) noexcept nogil:
    cdef Walk walk
    cdef int result = AGAIN
    walk.root = walk.here = root
    walk.size = strlen(path)
    walk.links = 0
    walk.follows = follows
    if walk.size >= WAY_MAX // 2:
        return -ENAMETOOLONG
    if walk.size == 0:
        return -ENOENT
    if path[0] == c"/":
        return -EXDEV
    memcpy(walk.way, path, walk.size)
    while result == AGAIN:
        result = walk_once(&walk, flags)
        leave(&walk)
    return result
