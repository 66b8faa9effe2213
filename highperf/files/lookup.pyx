# Owns the order in which the file system is asked about a path: the file, or the directory and its
# index, and the precompressed siblings. Must not know HTTP beyond the names of codings.
#
# A directory counts only if something can be shown for it: an index that can be read, or a listing where those
# are on. Otherwise it is missing, with or without its slash, so that nothing tells it from a name
# that is not there.

from libc.string cimport memchr, memcpy
from posix.unistd cimport close

from highperf.files.codings cimport (
    CODING_BR, CODING_COUNT, CODING_IDENTITY, CODING_ZSTD,
)
from highperf.files.paths cimport PATH_BYTES_MAX, allowed_c
from highperf.files.root cimport (
    FOUND_COLD, FOUND_DIRECTORY, FOUND_EXHAUSTED, FOUND_FAILED, FOUND_FILE, FOUND_NOTHING,
    FileRoot, Identity, same_file_c,
)
from highperf.files.system cimport read_at


cdef inline Py_ssize_t put_suffix(char* at, int coding) noexcept nogil:
    # The sibling's ending and a NUL.
    if coding == CODING_BR:
        memcpy(at, b".br", 4)
        return 3
    if coding == CODING_ZSTD:
        memcpy(at, b".zst", 5)
        return 4
    memcpy(at, b".gz", 4)
    return 3


cdef int settle(Finding* finding, int found) noexcept nogil:
    finding.found = found
    if found == FOUND_COLD:
        finding.kind = ENTRY_COLD
    elif found in (FOUND_EXHAUSTED, FOUND_FAILED):
        finding.kind = ENTRY_FAILED
    else:
        finding.kind = ENTRY_MISSING
    return found


cdef int open_file(FileRoot root, Finding* finding, bint waits) noexcept nogil:
    return root.open_c(finding.file, waits, &finding.identities[CODING_IDENTITY], &finding.fds[CODING_IDENTITY])


cdef void open_siblings(FileRoot root, const Rules* rules, Finding* finding, bint waits) noexcept nogil:
    cdef int coding, found
    finding.kind = ENTRY_FILE
    if not rules.precompressed:
        return
    for coding in range(CODING_IDENTITY):
        put_suffix(finding.file + finding.size, coding)
        found = root.open_c(finding.file, waits, &finding.identities[coding], &finding.fds[coding])
        if found in (FOUND_COLD, FOUND_EXHAUSTED, FOUND_FAILED):
            settle(finding, found)
            break
    finding.file[finding.size] = 0


cdef void add_index(const Rules* rules, Finding* finding) noexcept nogil:
    if finding.size and finding.file[finding.size - 1] != c"/":
        finding.file[finding.size] = c"/"
        finding.size += 1
    memcpy(finding.file + finding.size, rules.index, rules.index_size)
    finding.size += rules.index_size
    finding.file[finding.size] = 0


cdef void explore_directory(FileRoot root, const Rules* rules, Finding* finding, bint waits) noexcept nogil:
    # file ends in a slash, or is empty.
    cdef Py_ssize_t size = finding.size
    cdef int found
    cdef Identity identity
    if rules.index != NULL:
        add_index(rules, finding)
        found = open_file(root, finding, waits)
        if found == FOUND_FILE:
            open_siblings(root, rules, finding, waits)
            return
        if settle(finding, found) != FOUND_NOTHING:
            return
    if rules.listing:
        if size == 0:
            finding.file[0] = c"."
        finding.file[size - 1 if size else 1] = 0
        found = root.look_c(finding.file, waits, &identity)
        settle(finding, found)
        if found == FOUND_DIRECTORY:
            finding.kind = ENTRY_LISTING


cdef void explore_slashless(FileRoot root, const Rules* rules, Finding* finding, bint waits) noexcept nogil:
    # A directory, asked for as if it were a file.
    cdef int found
    if rules.listing:
        finding.kind = ENTRY_REDIRECT
    elif rules.index != NULL:
        add_index(rules, finding)
        found = open_file(root, finding, waits)
        settle(finding, found)
        if found == FOUND_FILE:
            release_finding_c(finding)
            finding.kind = ENTRY_REDIRECT


cdef void explore_c(
    FileRoot root, const Rules* rules, const char* path, Py_ssize_t size, bint waits, Finding* finding
) noexcept nogil:
    cdef int coding, found
    for coding in range(CODING_COUNT):
        finding.fds[coding] = -1
    settle(finding, FOUND_NOTHING)
    if root.confined:
        finding.refused = not allowed_c(path, size)
    else:
        finding.refused = not 0 < size <= PATH_BYTES_MAX or memchr(path, 0, size) != NULL
    if finding.refused:
        return
    memcpy(finding.file, path, size)
    finding.file[size] = 0
    finding.size = size
    if root.confined and (size == 0 or path[size - 1] == c"/"):
        explore_directory(root, rules, finding, waits)
        return
    found = settle(finding, open_file(root, finding, waits))
    if found == FOUND_FILE:
        open_siblings(root, rules, finding, waits)
    elif found == FOUND_DIRECTORY and root.confined:
        explore_slashless(root, rules, finding, waits)


cdef void release_finding_c(Finding* finding) noexcept nogil:
    cdef int coding
    for coding in range(CODING_COUNT):
        if finding.fds[coding] >= 0:
            close(finding.fds[coding])
            finding.fds[coding] = -1


cdef int recheck_c(
    FileRoot root, const Rules* rules, const char* file, Py_ssize_t size, bint waits,
    const Identity* identities, int present
) noexcept nogil:
    cdef char name[PATH_BYTES_MAX + SEGMENT_BYTES_MAX + 8]
    cdef Identity identity
    cdef int coding, found
    memcpy(name, file, size)
    for coding in range(CODING_COUNT):
        if coding == CODING_IDENTITY:
            name[size] = 0
        elif not rules.precompressed:
            continue
        else:
            put_suffix(name + size, coding)
        found = root.look_c(name, waits, &identity)
        if found == FOUND_COLD:
            return CHECK_COLD
        if (found == FOUND_FILE) != (present >> coding & 1):
            return CHECK_CHANGED
        if found == FOUND_FILE and not same_file_c(&identity, &identities[coding]):
            return CHECK_CHANGED
    return CHECK_SAME


cdef void read_ahead_c(const Finding* finding, Py_ssize_t limit_bytes) noexcept nogil:
    cdef char scratch[16 * 1024]
    cdef Py_ssize_t at, got
    cdef int coding
    for coding in range(CODING_COUNT):
        at = 0
        while finding.fds[coding] >= 0 and at < limit_bytes:
            got = read_at(finding.fds[coding], scratch, sizeof(scratch), at, True)
            if got <= 0:
                break
            at += got
