# Reaches the C-level interfaces of highperf/files.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MIN, int64_t
from libc.string cimport memset
from posix.unistd cimport close

from highperf.clock cimport files_s
from highperf.files.cache cimport FileCache
from highperf.files.codings cimport (
    CODING_BR, CODING_GZIP, CODING_IDENTITY, CODING_ZSTD, Weights, choose_coding_c, no_weights_c, weigh_codings_c,
)
from highperf.files.conditions cimport (
    FAILED, NOT_MODIFIED, PROCEED, Conditions, Text, Validators, judge_c, parse_date_c, still_holds_c, tags_match_c,
)
from highperf.files.entry cimport (
    ENTRY_COLD, ENTRY_FAILED, ENTRY_FILE, ENTRY_LISTING, ENTRY_MISSING, ENTRY_REDIRECT, FileEntry,
)
from highperf.files.paths cimport allowed_c, name_allowed_c
from highperf.files.plan cimport FilePlan
from highperf.files.ranges cimport (
    RANGE_PARTS, RANGE_UNSATISFIABLE, RANGE_WHOLE, RANGES_MAX, ByteRange, parse_ranges_c,
)
from highperf.files.root cimport FOUND_COLD as COLD_LOOK, FOUND_FILE as FILE_LOOK, FileRoot, Identity
from highperf.files.system cimport O_NONBLOCK, O_RDONLY, read_at
from highperf.files.table cimport PathTable, Slot
from highperf.files.walk cimport walk_c
from highperf.wire.parser cimport PARSE_DONE, Head, Limits
from highperf.wire.request cimport decode_path_c
from highperf.wire.response cimport ResponseHeaders

import os

cdef extern from *:
    """
    #include <fcntl.h>
    #include <unistd.h>
    #include <sys/syscall.h>
    static int hp_renameat2(int from, const char* one, int to, const char* other, unsigned int flags) {
        return (int)syscall(SYS_renameat2, from, one, to, other, flags);
    }
    """
    int renameat2 "hp_renameat2"(int at, const char* one, int to, const char* other, unsigned int flags) nogil
    int AT_FDCWD

cdef enum:
    RENAME_EXCHANGE = 2

FILE, REDIRECT, LISTING, MISSING = ENTRY_FILE, ENTRY_REDIRECT, ENTRY_LISTING, ENTRY_MISSING
COLD, BROKEN = ENTRY_COLD, ENTRY_FAILED
BR, ZSTD, GZIP, IDENTITY = CODING_BR, CODING_ZSTD, CODING_GZIP, CODING_IDENTITY
VERDICTS = {PROCEED: "proceed", NOT_MODIFIED: "not modified", FAILED: "failed"}
FOUND_FILE, FOUND_COLD = FILE_LOOK, COLD_LOOK
RANGES = {RANGE_WHOLE: "whole", RANGE_UNSATISFIABLE: "unsatisfiable"}


# ---- octets ---------------------------------------------------------------------------------------


def allowed(bytes path not None):
    return bool(allowed_c(PyBytes_AS_STRING(path), PyBytes_GET_SIZE(path)))


def decode(bytes raw not None):
    """As the router does it: once, an encoded slash becomes NUL."""
    out = bytearray(len(raw))
    return bytes(out[:decode_path_c(PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw), <char*>out)])


def parse_ranges(bytes value not None, int64_t length):
    cdef ByteRange parts[RANGES_MAX + 1]
    cdef int count
    result = parse_ranges_c(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), length, parts, &count)
    return [(parts[at].offset, parts[at].size) for at in range(count)] if result == RANGE_PARTS else RANGES[result]


def choose_coding(list values not None, set available not None):
    cdef Weights weights
    cdef int bits = 0
    for coding in available:
        bits |= 1 << <int>coding
    no_weights_c(&weights)
    for value in values:
        weigh_codings_c(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), &weights)
    return choose_coding_c(&weights, bits)


# ---- conditions -----------------------------------------------------------------------------------


cdef Text text_of(bytes value):
    cdef Text text
    text.at = NULL if value is None else PyBytes_AS_STRING(value)
    text.size = 0 if value is None else PyBytes_GET_SIZE(value)
    return text


cdef Validators validators_of(bytes tag, bytes exact, int64_t modified_s):
    cdef Validators ours
    ours.tag = text_of(tag)
    ours.exact = text_of(exact)
    ours.modified_s = modified_s
    return ours


def parse_date(bytes value not None, int64_t now_s):
    date = parse_date_c(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), now_s)
    return None if date == INT64_MIN else date


def tags_match(bytes value not None, bytes tag not None, bytes exact not None, *, bint strong):
    cdef Validators ours = validators_of(tag, exact, 0)
    cdef Text text = text_of(value)
    return bool(tags_match_c(&text, &ours, strong))


def still_holds(bytes value not None, bytes tag not None, int64_t modified_s, int64_t now_s):
    cdef Validators ours = validators_of(tag, tag, modified_s)
    cdef Text text = text_of(value)
    return bool(still_holds_c(&text, &ours, now_s))


def judge(bytes match, bytes none_match, bytes modified_since, bytes unmodified_since, *,
          bytes tag not None, int64_t modified_s, int64_t now_s, bint reads=True):
    cdef Conditions conditions
    cdef Validators ours = validators_of(tag, tag, modified_s)
    conditions.match = text_of(match)
    conditions.none_match = text_of(none_match)
    conditions.modified_since = text_of(modified_since)
    conditions.unmodified_since = text_of(unmodified_since)
    return VERDICTS[judge_c(&conditions, &ours, reads, now_s)]


def read_everything_at(size_t address, Py_ssize_t size):
    """Reads what lies there as everything that it might be."""
    cdef const char* octets = <const char*>address
    cdef ByteRange parts[RANGES_MAX + 1]
    cdef Weights weights
    cdef Validators ours = validators_of(b'"a"', b'"bc"', 0)
    cdef Text text
    cdef int count
    text.at = octets
    text.size = size
    allowed_c(octets, size)
    name_allowed_c(octets, size)
    parse_ranges_c(octets, size, 1000, parts, &count)
    parse_date_c(octets, size, 1_795_500_000)
    tags_match_c(&text, &ours, False)
    tags_match_c(&text, &ours, True)
    still_holds_c(&text, &ours, 1_795_500_000)
    no_weights_c(&weights)
    weigh_codings_c(octets, size, &weights)


# ---- entries and plans ----------------------------------------------------------------------------


def descriptor(FileEntry entry not None):
    return entry.fd


def unchanged(FileEntry entry not None):
    return bool(entry.unchanged_c())


def sibling(FileEntry entry not None, int coding):
    return None if entry.siblings is None else entry.siblings[coding]


def files_second():
    return files_s()


def look(FileRoot root not None, bytes path not None, bint waits):
    """The number of a Found, and (inode, size)."""
    cdef Identity identity
    found = root.look_c(path, waits, &identity)
    return found, (identity.inode, identity.size) if found <= 1 else None


def exchange(bytes one not None, bytes other not None, int[::1] over not None):
    """Lets two names change places over and over, until told that it is over; says how often."""
    cdef const char* first = one
    cdef const char* second = other
    cdef long times = 0
    with nogil:
        while not over[0] and renameat2(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE) == 0:
            times += 1
    return times


def first_octets(FileRoot root not None, bytes path not None, int times, *, bint walk):
    """What the files began with that a path led to, and how often; walk: by the walk alone, which looks at no identity."""
    cdef const char* name = path
    cdef long counts[256]
    cdef Identity identity
    cdef char octet
    cdef int fd, at
    memset(counts, 0, sizeof(counts))
    with nogil:
        for at in range(times):
            if walk:
                fd = walk_c(root.fd, name, O_RDONLY | O_NONBLOCK, True)
            else:
                root.open_c(name, True, &identity, &fd)
            if fd >= 0:
                if read_at(fd, &octet, 1, 0, True) == 1:
                    counts[<unsigned char>octet] += 1
                close(fd)
    return {chr(at): counts[at] for at in range(256) if counts[at]}


cdef Head head_of(bytes request):
    cdef Head head = Head()
    cdef Limits limits = Limits(8190, 16384, 100, 65536)
    assert head.parse_c(PyBytes_AS_STRING(request), PyBytes_GET_SIZE(request), &limits) == PARSE_DONE, request
    return head


class Answer:
    """A FilePlan's content, read as a sender would read it."""

    def __init__(self, status, headers, length, parts, entry):
        self.status = status
        self.headers = headers
        self.length = length
        self.parts = parts
        self.entry = entry

    @property
    def body(self):
        return b"".join(lead + octets for lead, octets in self.parts)


cdef bytes octets_of(FileEntry entry, int64_t offset, int64_t size):
    if entry.content is not None:
        return entry.content[offset:offset + size]
    return os.pread(entry.fd, size, offset)


def plan(FileEntry entry not None, bytes request not None, *, int64_t now_s=0, bytes content_type=None,
         ResponseHeaders fields=None, FilePlan plan=None):
    cdef Head head = head_of(request)       # borrows from request
    plan = plan or FilePlan()
    plan.make_c(entry, head, now_s, content_type, fields)
    parts = []
    for at in range(plan.count):
        part = plan.parts[at]
        lead = plan.framing[part.lead_start:part.lead_start + part.lead_size] if part.lead_size else b""
        parts.append((lead, octets_of(plan.entry, part.offset, part.size) if part.size else b""))
    headers = None if plan.headers is None else plan.headers.items()
    answer = Answer(plan.status, headers, plan.length, parts, plan.entry)
    plan.clear_c()
    return answer


cdef class Asker:
    """Asks for one file again and again, as a worker does."""

    cdef FileCache cache
    cdef FilePlan plan
    cdef Head head
    cdef bytes path
    cdef bytes request

    def __init__(self, FileCache cache not None, bytes path not None, bytes request not None):
        self.cache = cache
        self.plan = FilePlan()
        self.path = path
        self.request = request
        self.head = head_of(request)

    def find(self, int times):
        for _ in range(times):
            self.cache.find_c(PyBytes_AS_STRING(self.path), PyBytes_GET_SIZE(self.path), 0, False)

    def answer(self, int times):
        cdef FileEntry entry
        for _ in range(times):
            entry = self.cache.find_c(PyBytes_AS_STRING(self.path), PyBytes_GET_SIZE(self.path), 0, False)
            self.plan.make_c(entry, self.head, 0, None, None)

    @property
    def status(self):
        return self.plan.status

    @property
    def entry(self):
        return self.plan.entry


# ---- the table ------------------------------------------------------------------------------------


def put(PathTable table not None, bytes key not None, value, long long time_ns=0, Py_ssize_t weight=0):
    table.weigh_c(table.put_c(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), value, time_ns), weight)


def get(PathTable table not None, bytes key not None):
    cdef Slot* slot = table.find_c(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
    return None if slot == NULL else (<object>slot.value, slot.time_ns)


def drop(PathTable table not None, bytes key not None):
    cdef Slot* slot = table.find_c(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key))
    if slot != NULL:
        table.drop_c(slot)


def coldest(PathTable table not None):
    cdef Slot* slot = table.coldest_c()
    return None if slot == NULL else slot.key[:slot.size]


def clear(PathTable table not None):
    table.clear_c()
