# Metrics: what one worker counts. MetricTable: the names that counts go by, and which lines there are.

from libc.stdint cimport int64_t, uint16_t, uint64_t

from highperf.observe.exchange cimport Exchange
from highperf.observe.layout cimport Block, Cell, Family, MetricLine, MetricNames
from highperf.segment cimport Segment


cdef enum Reason:
    # Why a request was rejected, or what went wrong with a connection, besides the guards' verdicts.
    REASON_BAD_REQUEST = 0
    REASON_HEADER_TIMEOUT = 1
    REASON_BODY_TIMEOUT = 2
    REASON_BODY_TOO_LARGE = 3
    REASON_URI_TOO_LONG = 4
    REASON_HEADER_TOO_LARGE = 5
    REASON_UNSUPPORTED = 6          # 501, 505, 417: what this server does not do
    REJECTED = 7                    # those before are of requests; from here on they are of connections
    REASON_WRITE_TIMEOUT = 7
    REASON_RESET = 8
    REASON_TLS_HANDSHAKE = 9
    REASON_TLS_TIMEOUT = 10
    REASONS = 11


cdef inline int reason_of_c(int status) noexcept nogil:
    # Of a request that the wire itself rejects.
    if status == 408:
        return REASON_HEADER_TIMEOUT
    if status == 413:
        return REASON_BODY_TOO_LARGE
    if status == 414:
        return REASON_URI_TOO_LONG
    if status == 431:
        return REASON_HEADER_TOO_LARGE
    return REASON_BAD_REQUEST if status == 400 else REASON_UNSUPPORTED


cdef class MetricTable:
    cdef Segment segment            # keeps the names alive
    cdef MetricNames* names             # lie in the segment

    # The identity of a name, which gets one if it has none yet; NAME_OTHER where there is no room.
    cdef int identity_c(self, str name) except -1
    cdef int join_c(self, int line) except -1
    cdef bint has_c(self, int line) noexcept


cdef class Metrics:
    cdef readonly MetricTable table
    cdef readonly int line
    cdef MetricLine* memory             # lies in the segment; written by this process alone
    cdef uint64_t secure                # as a key has it
    cdef int used_blocks
    cdef int used_cells
    cdef uint16_t* places               # owned: by hash of the key, number of the block and one; 0: none
    cdef int64_t spill                  # what finds no cell
    cdef int64_t* reasons[REASONS]      # cells
    cdef int64_t* connections
    cdef int64_t* resident

    # A request is over. Must be cheap: it runs for each.
    cdef void observe_c(self, const Exchange* exchange) noexcept nogil
    cdef Block* block_c(self, uint64_t key) noexcept nogil
    cdef Block* find_c(self, uint64_t key, int room) noexcept nogil
    cdef uint64_t place_c(self, uint64_t key) noexcept nogil
    cdef int take_over_c(self) except -1
    # Where a count or gauge is kept, for as long as the Segment lives: whoever holds it keeps the Metrics too.
    cdef int64_t* cell_c(self, int family, str first, str second) except NULL
    cdef int64_t* take_cell_c(self, uint64_t key) noexcept

    cdef inline void count_c(self, int reason) noexcept nogil:
        self.reasons[reason][0] += 1
