# One rate limit for each of many keys (clients, API tokens), in a table of fixed size that all workers
# share. See keyed.pyx for how it stays exact.

from libc.stdint cimport int64_t, uint64_t
from highperf.segment cimport Segment

cdef enum:
    SET_WORDS = 8               # a cache line: what one decision looks at


cdef struct TableHead:
    uint64_t newest             # the table's clock: no decision is made with an earlier time
    uint64_t beside[SET_WORDS - 1]
    uint64_t overflow           # the bucket of keys that found no room; on a line of its own
    uint64_t beside_too[SET_WORDS - 1]


cdef class KeyedBuckets:
    cdef TableHead* head        # the area: head, then sets of words
    cdef uint64_t* words
    cdef void* own              # what head lies in without a segment; owned
    cdef Segment segment        # keeps the memory of head alive
    cdef uint64_t secret[2]     # that keys are hashed with
    cdef uint64_t last_set      # sets are numbered from 0; a mask
    cdef long long epoch_ns     # times in the table count from here
    cdef int shift              # a unit of time is 1 << shift ns
    cdef int turn_shift         # the hand moves by one set every 1 << turn_shift units
    cdef int64_t interval       # that one token takes to come back, in units
    cdef int64_t burst          # that all of them take, in units
    cdef readonly double rate
    cdef readonly long long capacity
    cdef readonly Py_ssize_t table_bytes
    cdef readonly str name
    cdef readonly long long overflows   # decisions of this process that fell to the overflow bucket

    # As TokenBucket.take_c, for one key: any octets, borrowed for the call.
    cdef long long take_c(self, const char* key, Py_ssize_t size, long long cost, long long now_ns) noexcept nogil
    # The same without taking.
    cdef long long wait_c(self, const char* key, Py_ssize_t size, long long cost, long long now_ns) noexcept nogil
    # As TokenBucket.refund_c.
    cdef void refund_c(self, const char* key, Py_ssize_t size, long long cost, long long taken_ns,
                       long long now_ns) noexcept nogil

    cdef long long decide_c(self, const char* key, Py_ssize_t size, long long cost, long long now_ns,
                            bint taking) noexcept nogil
    cdef int64_t units_c(self, long long now_ns) noexcept nogil
    cdef int64_t now_c(self, long long now_ns) noexcept nogil
    cdef uint64_t* set_c(self, uint64_t hashed) noexcept nogil
    cdef int room_c(self, const uint64_t* seen, int64_t now) noexcept nogil
    cdef void advance_c(self, int64_t now) noexcept nogil
    cdef void turn_hand_c(self, uint64_t newest, int64_t now) noexcept nogil
    cdef bint renew_c(self, uint64_t* word, uint64_t newest, int64_t now) noexcept nogil
    cdef int allocate_c(self) except -1
    cdef int map_c(self, Segment segment) except -1
    cdef void place_c(self, char* area) noexcept
