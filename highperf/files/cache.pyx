# Owns what is known of the files of one mount, for a second, and no more of it than it was told to.
# Must not know requests; time is an argument.
#
# Three bounds hold for what is there: entries, descriptors (only files that are too large to be kept in
# memory have one) and octets. What is not there is remembered as well, in a table of its own, so that
# asking for names at random drives out other such names only.

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from highperf.checks cimport must
from highperf.files.codings cimport CODING_IDENTITY
from highperf.files.entry cimport (
    ENTRY_COLD, ENTRY_FAILED, ENTRY_FILE, ENTRY_LISTING, ENTRY_MISSING, ENTRY_REDIRECT, FileEntry,
    bare_entry_c, file_entry_c,
)
from highperf.files.lookup cimport (
    CHECK_COLD, CHECK_SAME, Finding, explore_c, read_ahead_c, recheck_c, release_finding_c,
)
from highperf.files.paths cimport allowed_c, name_allowed_c
from highperf.files.root cimport (
    FOUND_EXHAUSTED, FOUND_FAILED, FOUND_FORBIDDEN, FOUND_OUTSIDE, FOUND_SPECIAL, FileRoot,
)
from highperf.files.table cimport PathTable, Slot
from highperf.wire.response cimport ResponseHeaders

cdef enum:
    SECOND_NS = 1_000_000_000
    ENTRY_WEIGHT = 2048         # octets of an entry's objects besides its content
    NAME_BYTES_MAX = 256        # of a missing path that is remembered
    NAMES_SHARE = 4             # one missing name to so many entries

cdef dict REASONS = {
    FOUND_FORBIDDEN: "permission denied",
    FOUND_OUTSIDE: "a symbolic link leads out of the root",
    FOUND_SPECIAL: "neither a file nor a directory",
    FOUND_EXHAUSTED: "no descriptor or memory left to open a file with",
    FOUND_FAILED: "the file system failed",
}


cdef inline int descriptors_of(FileEntry entry) noexcept:
    cdef FileEntry sibling
    cdef int count = entry.fd >= 0
    if entry.siblings is not None:
        for sibling in entry.siblings:
            count += sibling is not None and sibling.fd >= 0
    return count


cdef Py_ssize_t weight_of(FileEntry entry) noexcept:
    cdef FileEntry sibling
    cdef Py_ssize_t weight = ENTRY_WEIGHT + (PyBytes_GET_SIZE(entry.content) if entry.content is not None else 0)
    if entry.siblings is not None:
        for sibling in entry.siblings:
            if sibling is not None:
                weight += weight_of(sibling)
    return weight


cdef bint is_settled(FileEntry entry) noexcept:
    cdef FileEntry sibling
    if entry.siblings is not None:
        for sibling in entry.siblings:
            if sibling is not None and not sibling.settled:
                return False
    return entry.settled


@cython.final
cdef class FileCache:
    def __cinit__(
        self, FileRoot root not None, *, str index="index.html", str fallback=None, bint listing=False,
        str cache_control=None, bint precompressed=True, Py_ssize_t limit_entries=4096,
        Py_ssize_t limit_descriptors=256, Py_ssize_t limit_bytes=32 * 1024 * 1024, Py_ssize_t content_bytes=32 * 1024,
    ):
        self.root = root
        self.set_names_c(index, fallback)
        self.rules.listing = listing
        self.rules.precompressed = precompressed
        if cache_control is not None:
            ResponseHeaders({"Cache-Control": cache_control})
            self.cache_control = cache_control.encode("latin-1")
        if limit_descriptors < 0 or limit_bytes < 0 or content_bytes < 0:
            raise ValueError("limits must be 0 or more")
        self.limit_descriptors = limit_descriptors
        self.limit_bytes = limit_bytes
        self.content_bytes = content_bytes
        self.files = PathTable(limit_entries)
        self.names = PathTable(max(1, limit_entries // NAMES_SHARE))
        self.missing = bare_entry_c(ENTRY_MISSING, None)
        self.refused = bare_entry_c(ENTRY_MISSING, None)
        self.cold = bare_entry_c(ENTRY_COLD, None)
        self.redirect = bare_entry_c(ENTRY_REDIRECT, None)
        self.listing = bare_entry_c(ENTRY_LISTING, None)
        self.unserved = tuple([
            bare_entry_c(ENTRY_FAILED if found >= FOUND_EXHAUSTED else ENTRY_MISSING, REASONS.get(found))
            for found in range(FOUND_FAILED + 1)
        ])

    cdef int set_names_c(self, str index, str fallback) except -1:
        cdef bytes octets
        self.rules.index = NULL
        if index is not None:
            octets = index.encode("utf-8")
            if not name_allowed_c(octets, PyBytes_GET_SIZE(octets)):
                raise ValueError(f"index must be a plain file name, not {index!r}")
            self.index = octets
            self.rules.index = PyBytes_AS_STRING(octets)
            self.rules.index_size = PyBytes_GET_SIZE(octets)
        if fallback is not None:
            octets = fallback.encode("utf-8")
            if not octets or not allowed_c(octets, PyBytes_GET_SIZE(octets)):
                raise ValueError(f"fallback must be the path of a file below the root, not {fallback!r}")
            self.fallback = octets
        return 0

    # ---- finding ------------------------------------------------------------------------------

    cdef FileEntry find_c(self, const char* path, Py_ssize_t size, long long now_ns, bint waits):
        cdef FileEntry entry = self.find_own_c(path, size, now_ns, waits)
        if entry.kind == ENTRY_MISSING and self.fallback is not None and entry is not self.refused:
            entry = self.find_own_c(
                PyBytes_AS_STRING(self.fallback), PyBytes_GET_SIZE(self.fallback), now_ns, waits
            )
        return entry

    cdef FileEntry find_anew_c(self, const char* path, Py_ssize_t size, long long now_ns, bint waits):
        self.forget_c(path, size)
        if self.fallback is not None:
            self.forget_c(PyBytes_AS_STRING(self.fallback), PyBytes_GET_SIZE(self.fallback))
        return self.find_c(path, size, now_ns, waits)

    cdef int forget_c(self, const char* path, Py_ssize_t size) except -1:
        cdef Slot* slot = self.files.find_c(path, size)
        if slot != NULL:
            self.evict_c(slot)
        return 0

    cdef FileEntry find_own_c(self, const char* path, Py_ssize_t size, long long now_ns, bint waits):
        cdef Slot* slot = self.files.find_c(path, size)
        if slot != NULL:
            if now_ns - slot.time_ns < SECOND_NS:
                return <FileEntry>slot.value
            return self.again_c(slot, path, size, now_ns, waits)
        slot = self.names.find_c(path, size)
        if slot != NULL and now_ns - slot.time_ns < SECOND_NS:
            return self.missing
        return self.look_c(path, size, now_ns, waits)

    cdef FileEntry again_c(self, Slot* slot, const char* path, Py_ssize_t size, long long now_ns, bint waits):
        # What was known a second ago: does it still hold?
        cdef FileEntry entry = <FileEntry>slot.value
        cdef int check
        if entry.kind == ENTRY_FILE and is_settled(entry):
            check = recheck_c(
                self.root, &self.rules, PyBytes_AS_STRING(entry.file), PyBytes_GET_SIZE(entry.file), waits,
                entry.identities, entry.codings | 1 << CODING_IDENTITY,
            )
            if check == CHECK_SAME:
                slot.time_ns = now_ns
                return entry
            if check == CHECK_COLD:
                return self.cold
        self.evict_c(slot)
        return self.look_c(path, size, now_ns, waits)

    cdef FileEntry look_c(self, const char* path, Py_ssize_t size, long long now_ns, bint waits):
        cdef FileEntry entry
        cdef Finding finding
        if not waits and not self.root.tells:
            return self.refused if self.root.confined and not allowed_c(path, size) else self.cold
        explore_c(self.root, &self.rules, path, size, waits, &finding)
        if finding.refused:
            return self.refused
        if finding.found == FOUND_EXHAUSTED:
            release_finding_c(&finding)
            self.clear_c()
            explore_c(self.root, &self.rules, path, size, waits, &finding)
        try:
            if finding.kind == ENTRY_MISSING:
                self.note_missing_c(path, size, now_ns)
                entry = <FileEntry>self.unserved[finding.found]
                return entry if entry.why is not None else self.missing
            if finding.kind == ENTRY_COLD:
                return self.cold
            if finding.kind == ENTRY_FAILED:
                return <FileEntry>self.unserved[finding.found]
            if finding.kind == ENTRY_FILE:
                entry = file_entry_c(&finding, self.cache_control, self.content_bytes, waits)
                if entry is None:
                    return self.cold
            else:
                entry = self.redirect if finding.kind == ENTRY_REDIRECT else self.listing
            self.keep_c(path, size, entry, now_ns)
            return entry
        finally:
            release_finding_c(&finding)

    # ---- keeping ------------------------------------------------------------------------------

    cdef int keep_c(self, const char* path, Py_ssize_t size, FileEntry entry, long long now_ns) except -1:
        cdef Py_ssize_t weight = weight_of(entry) + size
        cdef int descriptors = descriptors_of(entry)
        cdef Slot* slot = self.names.find_c(path, size)
        if slot != NULL:
            self.names.drop_c(slot)
        if weight > self.limit_bytes or descriptors > self.limit_descriptors:
            return 0
        while (
            self.files.count == self.files.capacity
            or self.files.weight + weight > self.limit_bytes
            or self.descriptors + descriptors > self.limit_descriptors
        ):
            self.evict_c(self.files.coldest_c())
        slot = self.files.put_c(path, size, entry, now_ns)
        self.files.weigh_c(slot, weight)
        self.descriptors += descriptors
        return 0

    cdef int note_missing_c(self, const char* path, Py_ssize_t size, long long now_ns) except -1:
        cdef Slot* slot = self.names.find_c(path, size)
        if slot != NULL:
            slot.time_ns = now_ns
        elif size <= NAME_BYTES_MAX:
            self.names.put_c(path, size, self.missing, now_ns)
        return 0

    cdef int evict_c(self, Slot* slot) except -1:
        self.descriptors -= descriptors_of(<FileEntry>slot.value)
        must(self.descriptors >= 0, "a cache gives up more descriptors than it has")
        return self.files.drop_c(slot)

    cdef int clear_c(self) except -1:
        self.files.clear_c()
        self.names.clear_c()
        self.descriptors = 0
        return 0

    # ---- for Python ---------------------------------------------------------------------------

    def find(self, bytes path not None, long long now_ns, *, bint waits=True):
        return self.find_c(PyBytes_AS_STRING(path), PyBytes_GET_SIZE(path), now_ns, waits)

    def warm(self, bytes path not None):
        warm_path(self, path)
        if self.fallback is not None:
            warm_path(self, self.fallback)

    def clear(self):
        self.clear_c()

    @property
    def entries(self):
        return self.files.count

    @property
    def missing_names(self):
        return self.names.count

    @property
    def held_bytes(self):
        return self.files.weight


cdef int warm_path(FileCache cache, bytes path) except -1:
    cdef const char* octets = PyBytes_AS_STRING(path)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(path)
    cdef FileRoot root = cache.root
    cdef Finding finding
    with nogil:
        explore_c(root, &cache.rules, octets, size, True, &finding)
        read_ahead_c(&finding, cache.content_bytes)
        release_finding_c(&finding)
    return 0
