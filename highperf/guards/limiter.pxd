# TokenBucket: a rate and a burst for all workers together, in one 64-bit word of shared memory.

from libc.stdint cimport int64_t, uint64_t
from highperf.segment cimport Segment

cdef enum:
    NEVER_ADMITTED = -1         # costs more than the bucket ever holds


cdef class TokenBucket:
    cdef uint64_t* words        # [0]: the theoretical arrival time; [1]: until when no debt is forgiven
    cdef uint64_t own[2]        # where words points without a segment
    cdef Segment segment        # keeps the memory of words alive
    cdef long long epoch_ns     # times in the words count from here
    cdef int64_t interval       # that one token takes to come back, in 1/256 ns, rounded up
    cdef int64_t burst          # that all of them take
    cdef readonly double rate
    cdef readonly long long capacity
    cdef readonly str name

    # now_ns is CLOCK_MONOTONIC. It may have been read a while ago, at the beginning of a loop's turn: who
    # comes with an older time than others did is refused more, never admitted more.
    # 0: admitted, the cost is taken. > 0: refused, nothing is taken, and after so many ns, and not one
    # earlier, the same take would pass. NEVER_ADMITTED: it never would, nor would a negative cost.
    cdef long long take_c(self, long long cost, long long now_ns) noexcept nogil
    # The same without taking.
    cdef long long wait_c(self, long long cost, long long now_ns) noexcept nogil
    # Gives back what was taken at taken_ns for something that did not happen; once for each take. What
    # time has brought back since is not given again. Here now_ns should be read anew: if another
    # process took between now_ns and the call, that time is not seen, and may be given twice.
    cdef void refund_c(self, long long cost, long long taken_ns, long long now_ns) noexcept nogil
    # Whole tokens in the bucket.
    cdef long long available_c(self, long long now_ns) noexcept nogil

    # take_c that also tells which place in the order of all admissions it got: the word's new value,
    # in 1/256 ns since the epoch, modulo 2**64. Meaningful where something was taken.
    cdef long long take_at_c(self, long long cost, long long now_ns, uint64_t* arrival) noexcept nogil
    cdef uint64_t units_c(self, long long now_ns) noexcept nogil
    cdef int64_t debt_c(self, uint64_t* seen, long long now_ns) noexcept nogil
    cdef int64_t overdrawn_c(self, uint64_t* seen, long long now_ns) noexcept nogil


# What a caller in Python gives as the cost of a request. ValueError below 0, TypeError for a float.
cdef long long checked_cost_c(object cost) except -1
