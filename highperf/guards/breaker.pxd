# Circuit breakers: the words that all workers share, and what one worker counts for itself. How
# they work together is told in breaker.pyx. Times are nanoseconds of CLOCK_MONOTONIC, passed in.

from libc.stdint cimport uint32_t, uint64_t
from highperf.segment cimport Segment, load_word

cdef enum Outcome:
    OUTCOME_SUCCESS = 0
    OUTCOME_FAILURE = 1
    OUTCOME_IGNORED = 2         # the client left, another guard refused: says nothing of what is guarded


cdef inline bint failing_c(int status) noexcept nogil:
    # Whether an answer counts as a failure: 501 is what a handler is, not what befell it.
    return status >= 500 and status != 501


cdef enum:
    REFUSED_OPEN = -1           # what allow_c gives instead of a pass
    REFUSED_RAMP = -2

cdef enum:
    # The shared words, three cache lines; the healthy path reads the first two of them.
    STATE = 0                   # state:2 | generation:20 | until_ms:32 | successes:4 | backoff:6
    STREAK = 1                  # generation:20 | second of the last failure:28 | failures in a row:16
    RING = 2                    # per second one word of successes, one of failures,
                                # each generation:20 | turn of the ring:24 | calls:20
    RING_SECONDS = 11           # ten that count, and one for workers that are late by a moment
    BREAKER_WORDS = RING + 2 * RING_SECONDS
    STATE_SHIFT = 62


cdef class CircuitBreaker:
    cdef readonly str name
    cdef readonly int failures                  # in a row that open it
    cdef readonly int volume                    # calls in ten seconds from which on the ratio counts
    cdef readonly double ratio
    cdef readonly long long open_for_ns
    cdef readonly long long longest_open_ns
    cdef readonly long long lease_ns

    # Of this process alone.
    cdef readonly unsigned long long opened     # times that it opened from closed or ramp
    cdef readonly unsigned long long probes     # calls that passed as a probe
    cdef readonly unsigned long long closed     # times that a probe's success ended that

    cdef uint64_t* words                        # private_words, or an area of the segment
    cdef uint64_t private_words[BREAKER_WORDS]
    cdef Segment segment                        # keeps the words alive; None while they are private
    cdef long long epoch_ns                     # times in the words count from here
    cdef uint64_t ratio_ppm
    cdef uint64_t patience_ms                   # nothing lasts longer: of what is over, more than this is left
    cdef uint64_t seed
    cdef uint64_t draws

    # Successes of one generation that nobody else needs to know yet.
    cdef uint32_t own[RING_SECONDS]             # by second
    cdef long long own_generation               # -1: none yet
    cdef uint64_t own_second                    # the newest one
    cdef long long own_start_ns                 # when it began
    cdef uint64_t quiet                         # STREAK, as it was when it told of no failure that counts

    # A pass (>= 0) to hand to report_c, or REFUSED_...
    cdef long long allow_c(self, long long now_ns) noexcept nogil
    # Nanoseconds until a call may pass again; more than 0.
    cdef long long retry_after_c(self, long long now_ns) noexcept nogil
    # The same for a Retry-After field (RFC 9110 section 10.2.3): whole seconds, rounded up.
    cdef long long retry_after_s_c(self, long long now_ns) noexcept nogil
    # Exactly once for each pass. Of another generation than the current one, it is ignored.
    cdef void report_c(self, long long pass_, int outcome, long long now_ns) noexcept nogil
    # From here on the state is shared with all who bind a breaker of this name to this segment.
    cdef int bind_c(self, Segment segment) except -1

    # Plain closed: allow_c will admit. One load.
    cdef inline bint closed_c(self) noexcept nogil:
        return load_word(&self.words[STATE]) >> STATE_SHIFT == 0

    cdef long long decide_c(self, uint64_t word, long long now_ns) noexcept nogil
    cdef void judge_c(self, long long pass_, int outcome, long long now_ns) noexcept nogil
    cdef void end_probe_c(self, uint64_t word, int outcome, long long now_ns) noexcept nogil
    cdef void succeed_c(self, uint64_t generation, long long now_ns) noexcept nogil
    cdef void fail_c(self, uint64_t generation, long long now_ns) noexcept nogil
    cdef bint too_many_c(self, uint64_t generation, uint64_t second) noexcept nogil
    cdef void trip_c(self, uint64_t generation, long long now_ns) noexcept nogil
    cdef uint64_t turn_own_c(self, uint64_t generation, long long now_ns) noexcept nogil
    cdef void publish_own_c(self) noexcept nogil
    cdef uint64_t left_ms_c(self, uint64_t word, long long now_ns) noexcept nogil
    cdef uint64_t until_c(self, long long now_ns, uint64_t length_ns) noexcept nogil
    cdef uint64_t since_c(self, long long now_ns) noexcept nogil
    cdef uint64_t open_ns_c(self, uint64_t backoff, long long now_ns) noexcept nogil
    cdef bint ramp_admits_c(self, uint64_t left_ms, long long now_ns) noexcept nogil
    cdef uint64_t random_c(self, long long now_ns) noexcept nogil
    cdef int enter_c(self) except -1
    cdef int leave_c(self, object problem) except -1
