# The memory that all workers share, and the few atomic operations that it is used with.
#
# Every structure in it is made of 64-bit words of which zero is the first valid state and each is
# changed by one atomic operation: so whoever is killed or stopped between two instructions leaves
# something valid behind, and there is no lock to be left held.

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    static inline uint64_t hp_load(const uint64_t* word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
    static inline void hp_store(uint64_t* word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
    static inline int hp_cas(uint64_t* word, uint64_t* expected, uint64_t desired) {
        return __atomic_compare_exchange_n(word, expected, desired, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    static inline uint64_t hp_add(uint64_t* word, uint64_t value) {
        return __atomic_fetch_add(word, value, __ATOMIC_ACQ_REL);
    }
    """
    uint64_t load_word "hp_load"(const uint64_t* word) noexcept nogil
    void store_word "hp_store"(uint64_t* word, uint64_t value) noexcept nogil
    # True: exchanged. False: `expected` now holds what was found instead.
    bint swap_word "hp_cas"(uint64_t* word, uint64_t* expected, uint64_t desired) noexcept nogil
    # Gives what was there before.
    uint64_t add_word "hp_add"(uint64_t* word, uint64_t value) noexcept nogil


cdef enum:
    LINE_BYTES = 64             # a cache line; areas begin on one, so that no two share it


cdef class Segment:
    cdef readonly int fd                # what another process attaches to; owned
    cdef readonly Py_ssize_t size
    cdef readonly long long epoch_ns    # monotonic time at which it was made; times in it count from here
    cdef uint64_t secret[2]             # of this segment alone: keys the hashes that clients must not foresee
    cdef char* memory                   # mapped; owned

    # The area of this name and size, for every process the same memory; zero when it is first asked
    # for. Lives as long as this Segment does. StartupError: the segment is full.
    cdef char* area_c(self, str name, Py_ssize_t size) except NULL
    cdef int format_c(self, long long epoch_ns) except -1
    cdef int read_header_c(self) except -1
    cdef uint64_t claim_c(self, uint64_t label, Py_ssize_t size) except 0
    cdef uint64_t take_lines_c(self, Py_ssize_t size) except 0
    cdef int check_offset_c(self, Py_ssize_t offset) except -1
