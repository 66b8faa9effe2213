# How metrics lie in the segment. Each worker writes one area of its own, by plain stores; whoever is scraped
# reads them all. Nothing in it is ever moved or removed, so that a worker goes on with what the dead one before
# it on the same line of the board has counted.

from libc.stdint cimport int64_t, uint64_t

cdef enum:
    METRIC_LINES = 1024             # lines of the board; as many areas at most
    METRIC_LINE_WORDS = 16          # of 64 bits each
    METRIC_BLOCKS = 4096            # of one line
    METRIC_CELLS = 2048
    METRIC_NAMES = 1024
    NAME_BYTES = 256                # of one entry
    NAME_TEXT_BYTES = 240
    BUCKETS = 15                    # of a histogram: limits, and +Inf

    # Identities of names: what clients choose has none of its own.
    NAME_NONE = 0                   # no name; as a route: it is not counted
    NAME_UNMATCHED = 1              # requests that no route took, and what is no request
    NAME_OTHER = 2                  # what found no room
    NAME_FIRST = 3                  # that of the first entry of the table

# A block's key: what its requests have in common. Bits, from the lowest on:
#   status:10 ending:2 method:4 minor:2 secure:1 (unused):13 route:16 (unused):15 valid:1
cdef enum:
    KEY_ENDING_SHIFT = 10
    KEY_METHOD_SHIFT = 12
    KEY_MINOR_SHIFT = 16
    KEY_SECURE_SHIFT = 18
    KEY_ROUTE_SHIFT = 32
    KEY_VALID_SHIFT = 63
    STATUS_MASK = 0x3FF             # of each, once it is shifted
    ENDING_MASK = 0x3
    METHOD_MASK = 0xF
    NAME_MASK = 0xFFFF              # also of a cell's

# A cell's key: family:8 (unused):8 first name:16 second name:16 (unused):15 valid:1
cdef enum:
    CELL_FIRST_SHIFT = 16
    CELL_SECOND_SHIFT = 32
    FAMILY_MASK = 0xFF

# Of a name's state, beside its hash.
cdef enum:
    NAME_CLAIMED = 1
    NAME_WRITTEN = 2


cdef enum Family:
    # Counters only ever grow.
    FAMILY_CONNECTIONS = 1          # that were opened
    FAMILY_CONNECTION_ERRORS = 2    # reason
    FAMILY_REJECTED = 3             # reason
    FAMILY_RATE_LIMIT = 4           # policy, outcome
    FAMILY_BREAKER_TRANSITIONS = 5  # breaker, state that it came to
    FAMILY_DEADLINES_MISSED = 6
    FAMILY_POOL_HITS = 7
    FAMILY_POOL_MISSES = 8
    FAMILY_RESTARTS = 9             # reason; of the supervisor's line
    FAMILY_LOG_DROPPED = 10
    FAMILY_SPANS_DROPPED = 11
    # Gauges tell of a process that runs: zero where there is none. They are written once in a beat.
    FAMILY_GAUGES = 128
    FAMILY_ACTIVE_REQUESTS = 128
    FAMILY_OPEN_CONNECTIONS = 129   # state
    FAMILY_BREAKER_STATE = 130      # breaker: a BREAKER_ state. All workers share it: that of any one will do
    FAMILY_LOOP_LAG_NS = 131        # the longest turn of the loop in the last beats
    FAMILY_POOL_HELD_BYTES = 132
    FAMILY_POOL_IN_USE = 133
    FAMILY_RESIDENT_BYTES = 134


cdef enum:
    BREAKER_CLOSED = 1
    BREAKER_OPEN = 2
    BREAKER_HALF_OPEN = 3
    BREAKER_RAMP = 4


cdef struct Block:
    # A histogram of durations. The key is stored before anything is counted.
    uint64_t key                    # 0: this and all behind it are free
    uint64_t sum_ns
    uint64_t buckets[BUCKETS]       # not cumulative


cdef struct Cell:
    uint64_t key                    # as a block's
    int64_t value


cdef struct MetricLine:
    Block blocks[METRIC_BLOCKS]
    Cell cells[METRIC_CELLS]


cdef struct Name:
    uint64_t state                  # hash:62 written:1 claimed:1; 0: this and all behind it are free
    uint64_t size
    char text[NAME_TEXT_BYTES]      # UTF-8


cdef struct MetricNames:
    uint64_t lines[METRIC_LINE_WORDS]       # a bit for each line that has an area
    Name entries[METRIC_NAMES]      # one name may have several: by name, not by identity, is what is added up


cdef inline uint64_t spread(uint64_t key) noexcept nogil:
    # For hash tables of keys, which look at the higher bits of it: Knuth's, 2**64 divided by the golden ratio.
    return key * <uint64_t>0x9E3779B97F4A7C15
