# Owns what one worker counts: histograms of its requests by route, method, status, scheme, version and ending,
# and single numbers, all in its line of the shared memory (layout.pxd). Must not know who reads it.
#
# One process writes to a line at a time, by plain stores. A block or cell is published by its key, before
# anything is counted in it: so a process that is killed between any two instructions leaves counts that are
# valid, and the next one on that line goes on with them.
#
# Nothing that a client sends makes a series: routes, statuses and policies come from the application, methods are
# the known ones, and what finds no room is counted as NAME_OTHER.

cimport cython
from libc.stdint cimport int64_t, uint16_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy
from highperf.observe.exchange cimport Exchange
from highperf.observe.layout cimport (
    BUCKETS, CELL_FIRST_SHIFT, CELL_SECOND_SHIFT, FAMILY_CONNECTIONS, FAMILY_CONNECTION_ERRORS, FAMILY_GAUGES,
    FAMILY_MASK, FAMILY_REJECTED, FAMILY_RESIDENT_BYTES, FAMILY_RESTARTS, KEY_ENDING_SHIFT, KEY_METHOD_SHIFT,
    KEY_MINOR_SHIFT, KEY_ROUTE_SHIFT, KEY_SECURE_SHIFT, KEY_VALID_SHIFT, METRIC_BLOCKS, METRIC_CELLS, METRIC_LINES,
    METRIC_NAMES, NAME_CLAIMED, NAME_FIRST, NAME_NONE, NAME_OTHER, NAME_TEXT_BYTES, NAME_WRITTEN, STATUS_MASK, Block,
    MetricLine, MetricNames, Name, spread,
)
from highperf.segment cimport Segment, load_word, store_word, swap_word
from highperf.siphash cimport siphash13

cdef extern from *:
    """
    #include <fcntl.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <unistd.h>
    /* Octets of this process's memory that are in RAM; 0 where the system does not say. */
    static long long hp_resident(void) {
        char text[128], *second;
        ssize_t size = 0;
        int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            size = read(fd, text, sizeof(text) - 1);
            close(fd);
        }
        if (size <= 0)
            return 0;
        text[size] = 0;
        second = strchr(text, ' ');
        return second == NULL ? 0 : atoll(second) * sysconf(_SC_PAGESIZE);
    }
    """
    long long hp_resident() noexcept nogil

cdef enum:
    PLACES = 2 * METRIC_BLOCKS      # half of them stay free: searches are short
    PLACE_SHIFT = 64 - 13           # log2(PLACES)
    LAST_ROOM = 64                  # blocks for what finds no other: by status alone

cdef uint64_t VALID = <uint64_t>1 << KEY_VALID_SHIFT

# Upper limits of the buckets: those of OpenTelemetry's conventions for http.server.request.duration.
cdef uint64_t[BUCKETS - 1] LIMITS_NS = [
    5_000_000, 10_000_000, 25_000_000, 50_000_000, 75_000_000, 100_000_000, 250_000_000, 500_000_000, 750_000_000,
    1_000_000_000, 2_500_000_000, 5_000_000_000, 7_500_000_000, 10_000_000_000,
]

cdef tuple REASON_NAMES = (             # by Reason
    "bad_request", "header_timeout", "body_timeout", "body_too_large", "uri_too_long", "header_too_large",
    "unsupported", "write_timeout", "reset", "tls_handshake", "tls_timeout",
)


@cython.final
cdef class MetricTable:
    def __init__(self, Segment segment not None):
        self.segment = segment
        self.names = <MetricNames*>segment.area_c("metric names", sizeof(MetricNames))

    cdef int identity_c(self, str name) except -1:
        # Append-only. Who is killed between claiming and writing leaves an entry that nobody reads; who asks in
        # between takes another one, and readers add up by name.
        cdef bytes text = name.encode()
        cdef uint64_t hash_ = siphash13(self.segment.secret, <const char*>text, len(text))
        cdef uint64_t claimed = hash_ & ~<uint64_t>NAME_WRITTEN | NAME_CLAIMED, written = claimed | NAME_WRITTEN
        cdef uint64_t state
        cdef Name* entry
        cdef int index
        if len(text) > NAME_TEXT_BYTES:
            return NAME_OTHER
        for index in range(METRIC_NAMES):
            entry = &self.names.entries[index]
            state = load_word(&entry.state)
            if state == 0 and swap_word(&entry.state, &state, claimed):
                entry.size = len(text)
                memcpy(entry.text, <const char*>text, len(text))
                store_word(&entry.state, written)
                return NAME_FIRST + index
            if state == written and entry.size == <uint64_t>len(text):
                if memcmp(entry.text, <const char*>text, len(text)) == 0:
                    return NAME_FIRST + index
        return NAME_OTHER

    cdef int join_c(self, int line) except -1:
        cdef uint64_t* word = &self.names.lines[line // 64]
        cdef uint64_t seen = load_word(word)
        while not swap_word(word, &seen, seen | <uint64_t>1 << (line % 64)):
            pass
        return 0

    cdef bint has_c(self, int line) noexcept:
        return load_word(&self.names.lines[line // 64]) >> (line % 64) & 1


@cython.final
cdef class Metrics:
    def __cinit__(self, *args, **kwargs):
        self.places = <uint16_t*>calloc(PLACES, sizeof(uint16_t))
        if self.places == NULL:
            raise MemoryError()

    def __init__(self, Segment segment not None, int line, *, bint secure=False):
        cdef int reason
        if not 0 <= line < METRIC_LINES:
            raise ValueError(f"line must be from 0 to {METRIC_LINES - 1}, not {line}")
        self.table = MetricTable(segment)
        self.line = line
        self.secure = <uint64_t>secure << KEY_SECURE_SHIFT
        self.memory = <MetricLine*>segment.area_c(f"metrics {line}", sizeof(MetricLine))
        self.table.join_c(line)
        self.take_over_c()
        self.connections = self.cell_c(FAMILY_CONNECTIONS, None, None)
        self.resident = self.cell_c(FAMILY_RESIDENT_BYTES, None, None)
        for reason in range(<int>REASONS):
            family = FAMILY_REJECTED if reason < REJECTED else FAMILY_CONNECTION_ERRORS
            self.reasons[reason] = self.cell_c(family, REASON_NAMES[reason], None)

    def __dealloc__(self):
        free(self.places)

    cdef int take_over_c(self) except -1:
        # What another process counted before is gone on with; what it was is over.
        cdef uint64_t key
        while self.used_blocks < METRIC_BLOCKS:
            key = self.memory.blocks[self.used_blocks].key
            if key == 0:
                break
            self.places[self.place_c(key)] = <uint16_t>(self.used_blocks + 1)
            self.used_blocks += 1
        while self.used_cells < METRIC_CELLS and self.memory.cells[self.used_cells].key:
            self.used_cells += 1
        clear_gauges_c(self.memory)
        return 0

    # ---- requests -----------------------------------------------------------------------------

    cdef void observe_c(self, const Exchange* exchange) noexcept nogil:
        cdef uint64_t key
        cdef long long spent_ns = exchange.ended_ns - exchange.begun_ns
        cdef Block* block
        cdef int bucket = 0
        if exchange.route_id == NAME_NONE:
            return
        if spent_ns < 0:
            spent_ns = 0
        key = (
            VALID | <uint64_t>exchange.route_id << KEY_ROUTE_SHIFT | self.secure
            | <uint64_t>exchange.minor << KEY_MINOR_SHIFT | <uint64_t>exchange.method << KEY_METHOD_SHIFT
            | <uint64_t>exchange.ending << KEY_ENDING_SHIFT | <uint64_t>exchange.status
        )
        block = self.block_c(key)
        while bucket < BUCKETS - 1 and <uint64_t>spent_ns > LIMITS_NS[bucket]:
            bucket += 1
        block.sum_ns += spent_ns
        block.buckets[bucket] += 1

    cdef Block* block_c(self, uint64_t key) noexcept nogil:
        cdef Block* block = self.find_c(key, METRIC_BLOCKS - LAST_ROOM)
        cdef uint64_t other = VALID | <uint64_t>NAME_OTHER << KEY_ROUTE_SHIFT
        if block == NULL:
            block = self.find_c(other | self.secure | (key & STATUS_MASK), METRIC_BLOCKS - 1)
        if block == NULL:
            block = self.find_c(other, METRIC_BLOCKS)
        return block if block != NULL else &self.memory.blocks[METRIC_BLOCKS - 1]

    cdef Block* find_c(self, uint64_t key, int room) noexcept nogil:
        # room: how many blocks there may be once this one is made; NULL: more than these.
        cdef uint64_t place = self.place_c(key)
        cdef Block* block
        if self.places[place]:
            return &self.memory.blocks[self.places[place] - 1]
        if self.used_blocks >= room:
            return NULL
        block = &self.memory.blocks[self.used_blocks]
        store_word(&block.key, key)
        self.used_blocks += 1
        self.places[place] = <uint16_t>self.used_blocks
        return block

    cdef uint64_t place_c(self, uint64_t key) noexcept nogil:
        # Where this key stands, or would.
        cdef uint64_t place = spread(key) >> PLACE_SHIFT
        while self.places[place] and self.memory.blocks[self.places[place] - 1].key != key:
            place = (place + 1) % PLACES
        return place

    # ---- single numbers -----------------------------------------------------------------------

    cdef int64_t* cell_c(self, int family, str first, str second) except NULL:
        cdef uint64_t key = VALID | <uint64_t>family
        if first is not None:
            key |= <uint64_t>self.table.identity_c(first) << CELL_FIRST_SHIFT
        if second is not None:
            key |= <uint64_t>self.table.identity_c(second) << CELL_SECOND_SHIFT
        return self.take_cell_c(key)

    cdef int64_t* take_cell_c(self, uint64_t key) noexcept:
        cdef int index
        for index in range(self.used_cells):
            if self.memory.cells[index].key == key:
                return &self.memory.cells[index].value
        if self.used_cells == METRIC_CELLS:
            return &self.spill
        store_word(&self.memory.cells[self.used_cells].key, key)
        self.used_cells += 1
        return &self.memory.cells[self.used_cells - 1].value

    def add(self, int family, str first=None, str second=None, *, long long by=1):
        self.cell_c(family, first, second)[0] += by

    def weigh(self):
        # How much memory this process has.
        self.resident[0] = hp_resident()


cdef void clear_gauges_c(MetricLine* memory) noexcept nogil:
    cdef int index
    for index in range(METRIC_CELLS):
        if memory.cells[index].key == 0:
            break
        if memory.cells[index].key & FAMILY_MASK >= FAMILY_GAUGES:
            memory.cells[index].value = 0


def resident_bytes():
    return hp_resident()


def clear_gauges(Segment segment not None, int line):
    # Nobody writes to this line any more: what was counted stays, what was is over.
    cdef MetricTable table = MetricTable(segment)
    if table.has_c(line):
        clear_gauges_c(<MetricLine*>segment.area_c(f"metrics {line}", sizeof(MetricLine)))


def count_restart(Segment segment not None, str reason not None):
    # Nobody but the supervisor writes to the last line.
    Metrics(segment, METRIC_LINES - 1).add(FAMILY_RESTARTS, reason)
