# Owns whether calls may pass to what has been failing: counting failures, opening, probing,
# closing. Must not know what a call is, nor asyncio: time is an argument.
#
#   closed   all pass. `failures` in a row over all workers open it, or `volume` calls within ten
#            seconds of which `ratio` failed; both are asked when a call fails.
#   open     none pass. After open_for, the next caller becomes the probe: that step from OPEN to
#            PROBING, one compare-and-swap, is what makes it the only one.
#   probing  none pass besides the probe. Its lease is in the same word: a probe that never reports,
#            because its worker was killed or its call hangs, is replaced when the lease is over.
#            A failure opens for twice as long (up to longest_open, and give or take a fifth, so that
#            servers do not come back at once); three successes begin the
#   ramp     from a tenth of the calls to all of them within two seconds, then it is closed. Opened
#            from here, it stays open for twice as long as before.
#
# Each step but the one from ramp to closed begins a generation. A pass is the generation that the
# call began in, and a result counts in that one alone: what an outage's slow calls report after
# it can neither close nor open anything.
#
# The healthy path stores nothing shared: a worker counts its successes for itself, by second. Only
# when the shared words tell of a failure within ten seconds does it publish them, and each result
# from then on. So the ratio leaves out the successes of a worker that has had no result since the
# first of those failures: it can be taken for higher than it is, never for lower.
#
# until_ms is time modulo 2^32, which comes round in 49 days. An instant lies ahead only if it is no
# further than anything lasts, and a minute (patience_ms): an old one that comes round holds for that
# long at most.

cimport cython
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset
from highperf.checks cimport must
from highperf.clock cimport instant_of, monotonic_ns
from highperf.segment cimport Segment, load_word, swap_word

import os
from contextvars import ContextVar
from operator import index

from highperf import errors

cdef enum:
    CLOSED = 0
    OPEN = 1
    PROBING = 2
    RAMP = 3

    GENERATION_SHIFT = 42
    GENERATION_MASK = (1 << 20) - 1
    UNTIL_SHIFT = 10
    UNTIL_MASK = 0xFFFFFFFF
    SUCCESSES_SHIFT = 6
    SUCCESSES_MASK = (1 << 4) - 1
    BACKOFF_MASK = (1 << 6) - 1

    STREAK_GENERATION_SHIFT = 44
    STREAK_SECOND_SHIFT = 16
    STREAK_SECOND_BITS = 28
    STREAK_MASK = (1 << 16) - 1

    CALLS_BITS = 20
    CALLS_MASK = (1 << CALLS_BITS) - 1
    TURN_MASK = (1 << 24) - 1
    TURNS_AHEAD = 1 << 10       # three hours: a cell further ahead than that has come round

    BEHIND_MS = 60_000          # so much may a caller's time be behind that of who made the last step

    PROBES_TO_CLOSE = 3
    RAMP_MS = 2_000
    RAMP_FROM_PERMILLE = 100
    JITTER_PERMILLE = 200
    WINDOW_SECONDS = 10
    MS_NS = 1_000_000
    SECOND_NS = 1_000_000_000

    MOST_FAILURES = 10_000
    MOST_VOLUME = 1_000_000

cdef long long DAY_NS = 24 * 3600 * <long long>SECOND_NS

cdef tuple OUTCOMES = ("success", "failure", "ignored")     # by Outcome

# What `with` has taken in this context and not yet given back: (breaker, pass, those before) or None.
# In the context and not in the breaker, because several tasks are inside one breaker at once.
cdef object TAKEN = ContextVar("highperf_breaker_passes", default=None)


# ---- the state word -------------------------------------------------------------------------------


cdef inline uint64_t pack(uint64_t state, uint64_t generation, uint64_t until_ms,
                          uint64_t successes, uint64_t backoff) noexcept nogil:
    must(until_ms <= UNTIL_MASK, "until_ms runs over into the generation")
    must(successes <= SUCCESSES_MASK, "successes run over into until_ms")
    must(backoff <= BACKOFF_MASK, "backoff runs over into successes")
    return (
        state << STATE_SHIFT | (generation & GENERATION_MASK) << GENERATION_SHIFT
        | until_ms << UNTIL_SHIFT | successes << SUCCESSES_SHIFT | backoff
    )


cdef inline uint64_t state_of(uint64_t word) noexcept nogil:
    return word >> STATE_SHIFT


cdef inline uint64_t generation_of(uint64_t word) noexcept nogil:
    return word >> GENERATION_SHIFT & GENERATION_MASK


cdef inline uint64_t until_of(uint64_t word) noexcept nogil:
    return word >> UNTIL_SHIFT & UNTIL_MASK


cdef inline uint64_t successes_of(uint64_t word) noexcept nogil:
    return word >> SUCCESSES_SHIFT & SUCCESSES_MASK


cdef inline uint64_t backoff_of(uint64_t word) noexcept nogil:
    return word & BACKOFF_MASK


cdef inline uint64_t longer(uint64_t backoff) noexcept nogil:
    return backoff + (backoff < BACKOFF_MASK)


# ---- failures in a row ----------------------------------------------------------------------------


cdef inline bint tells_of_failure(uint64_t streak, uint64_t generation, uint64_t second) noexcept nogil:
    # Whether the last failure is one of this generation and of the last ten seconds. It may be ahead
    # of this caller's time by a moment.
    cdef uint64_t last = streak >> STREAK_SECOND_SHIFT & ((1 << STREAK_SECOND_BITS) - 1)
    cdef int64_t age = <int64_t>((second - last) << (64 - STREAK_SECOND_BITS)) >> (64 - STREAK_SECOND_BITS)
    return streak >> STREAK_GENERATION_SHIFT == generation and last != 0 and age < WINDOW_SECONDS


cdef uint64_t lengthen_streak(uint64_t* words, uint64_t generation, uint64_t second) noexcept nogil:
    # Gives its length with this failure; 0 when the generation is over.
    cdef uint64_t found = load_word(&words[STREAK]), length
    while True:
        length = 1
        if found >> STREAK_GENERATION_SHIFT == generation:
            length = min((found & STREAK_MASK) + 1, <uint64_t>STREAK_MASK)
        elif generation_of(load_word(&words[STATE])) != generation:
            return 0                    # what was found may be of a later one
        second &= (1 << STREAK_SECOND_BITS) - 1
        if swap_word(&words[STREAK], &found,
                     generation << STREAK_GENERATION_SHIFT | second << STREAK_SECOND_SHIFT | length):
            return length


cdef void end_streak(uint64_t* words, uint64_t generation) noexcept nogil:
    cdef uint64_t found = load_word(&words[STREAK])
    while found >> STREAK_GENERATION_SHIFT == generation and found & STREAK_MASK != 0:
        if swap_word(&words[STREAK], &found, found & ~<uint64_t>STREAK_MASK):
            return


# ---- calls of the last ten seconds ----------------------------------------------------------------


cdef inline uint64_t* cell_of(uint64_t* words, uint64_t second, bint failed) noexcept nogil:
    return &words[RING + 2 * (second % RING_SECONDS) + failed]


cdef inline uint64_t stamp_of(uint64_t generation, uint64_t second) noexcept nogil:
    return generation << 24 | (second // RING_SECONDS & TURN_MASK)


cdef void add_calls(uint64_t* words, uint64_t generation, uint64_t second,
                    bint failed, uint64_t calls) noexcept nogil:
    # To the cell of this second, which is begun anew if it holds an older one.
    cdef uint64_t* cell = cell_of(words, second, failed)
    cdef uint64_t stamp = stamp_of(generation, second), found = load_word(cell), there, ahead
    while True:
        there = 0
        if found >> CALLS_BITS == stamp:
            there = found & CALLS_MASK
        elif found >> (CALLS_BITS + 24) == generation:
            ahead = ((found >> CALLS_BITS) - stamp) & TURN_MASK
            if ahead < TURNS_AHEAD:
                return                  # this process was stopped for as long as the ring goes
        elif generation_of(load_word(&words[STATE])) != generation:
            return                      # what was found may be of a later one
        if swap_word(cell, &found, stamp << CALLS_BITS | min(there + calls, <uint64_t>CALLS_MASK)):
            return


cdef uint64_t calls_in_window(uint64_t* words, uint64_t generation, uint64_t second, bint failed) noexcept nogil:
    cdef uint64_t calls = 0, age, word
    for age in range(min(second, <uint64_t>WINDOW_SECONDS)):
        word = load_word(cell_of(words, second - age, failed))
        if word >> CALLS_BITS == stamp_of(generation, second - age):
            calls += word & CALLS_MASK
    return calls


@cython.final
cdef class CircuitBreaker:
    def __cinit__(self, str name not None="", *, failures=20, open_for_ns=2_000_000_000,
                  longest_open_ns=30_000_000_000, lease_ns=1_000_000_000, volume=20, ratio=0.5, Segment segment=None):
        self.name = name
        self.words = self.private_words
        self.own_generation = -1
        self.seed = int.from_bytes(os.urandom(8))
        self.configure(failures=failures, open_for_ns=open_for_ns, longest_open_ns=longest_open_ns,
                       lease_ns=lease_ns, volume=volume, ratio=ratio)
        if segment is not None:
            self.bind_c(segment)

    def __repr__(self):
        return f"<CircuitBreaker {self.name!r} {self.state}>"

    def configure(self, *, failures=None, open_for_ns=None, longest_open_ns=None, lease_ns=None,
                  volume=None, ratio=None):
        # All are weighed before the first is changed.
        failures = within("failures", self.failures if failures is None else failures, MOST_FAILURES)
        volume = within("volume", self.volume if volume is None else volume, MOST_VOLUME)
        open_for_ns = lasting("open_for_ns", self.open_for_ns if open_for_ns is None else open_for_ns)
        longest_ns = lasting("longest_open_ns", self.longest_open_ns if longest_open_ns is None else longest_open_ns)
        lease_ns = lasting("lease_ns", self.lease_ns if lease_ns is None else lease_ns)
        ratio = self.ratio if ratio is None else ratio
        if not 1e-6 <= ratio <= 1:
            raise ValueError(f"ratio must be from 0.000001 to 1, not {ratio!r}")
        self.ratio = ratio
        self.ratio_ppm = <uint64_t>(self.ratio * 1e6 + 0.5)
        self.failures = failures
        self.volume = volume
        self.open_for_ns = open_for_ns
        self.longest_open_ns = longest_ns
        self.lease_ns = lease_ns
        self.patience_ms = max(
            max(self.longest_open_ns, self.open_for_ns) // 1000 * (1000 + JITTER_PERMILLE),
            self.lease_ns,
            RAMP_MS * <long long>MS_NS,
        ) // MS_NS + BEHIND_MS

    def bind(self, Segment segment not None):
        self.bind_c(segment)

    cdef int bind_c(self, Segment segment) except -1:
        if not self.name:
            raise ValueError("a circuit breaker must have a name to be shared by it")
        self.words = <uint64_t*>segment.area_c(f"breaker {self.name}", sizeof(self.private_words))
        self.segment = segment
        self.epoch_ns = segment.epoch_ns
        self.own_generation = -1                # what was counted before belongs to the private words
        return 0

    # ---- asking -------------------------------------------------------------------------------

    cdef long long allow_c(self, long long now_ns) noexcept nogil:
        cdef uint64_t word = load_word(&self.words[STATE])
        if state_of(word) == CLOSED:
            return generation_of(word)
        return self.decide_c(word, now_ns)

    cdef long long decide_c(self, uint64_t word, long long now_ns) noexcept nogil:
        cdef uint64_t left_ms, next_word
        while state_of(word) != CLOSED:
            left_ms = self.left_ms_c(word, now_ns)
            if state_of(word) == RAMP:
                if left_ms:
                    return <long long>generation_of(word) if self.ramp_admits_c(left_ms, now_ns) else REFUSED_RAMP
                next_word = pack(CLOSED, generation_of(word), 0, 0, 0)
                if swap_word(&self.words[STATE], &word, next_word):
                    word = next_word
            else:
                if left_ms:
                    return REFUSED_OPEN
                next_word = pack(PROBING, generation_of(word) + 1, self.until_c(now_ns, self.lease_ns),
                                 successes_of(word), backoff_of(word))
                if swap_word(&self.words[STATE], &word, next_word):
                    self.probes += 1
                    return generation_of(next_word)
        return generation_of(word)

    cdef long long retry_after_c(self, long long now_ns) noexcept nogil:
        cdef uint64_t left_ms = self.left_ms_c(load_word(&self.words[STATE]), now_ns)
        return <long long>(left_ms * MS_NS - self.since_c(now_ns) % MS_NS) if left_ms else 1

    cdef long long retry_after_s_c(self, long long now_ns) noexcept nogil:
        # Whole milliseconds, so that two seconds are not three for the fraction that until_ms was rounded up by.
        return max((self.retry_after_c(now_ns) // MS_NS + 999) // 1000, 1)

    # ---- reporting ----------------------------------------------------------------------------

    cdef void report_c(self, long long pass_, int outcome, long long now_ns) noexcept nogil:
        # A closed state's uppermost bits are its generation alone. The rest is true while this
        # worker's own count is of this generation and second, and STREAK has not changed since it
        # was found quiet.
        if (
            outcome == OUTCOME_SUCCESS
            and load_word(&self.words[STATE]) >> GENERATION_SHIFT == <uint64_t>pass_
            and pass_ == self.own_generation
            and load_word(&self.words[STREAK]) == self.quiet
            and <uint64_t>(now_ns - self.own_start_ns) < SECOND_NS
        ):
            self.own[self.own_second % RING_SECONDS] += 1
        else:
            self.judge_c(pass_, outcome, now_ns)

    cdef void judge_c(self, long long pass_, int outcome, long long now_ns) noexcept nogil:
        cdef uint64_t word = load_word(&self.words[STATE])
        if pass_ < 0 or generation_of(word) != <uint64_t>pass_ or state_of(word) == OPEN:
            return
        if state_of(word) == PROBING:
            self.end_probe_c(word, outcome, now_ns)
        elif outcome == OUTCOME_SUCCESS:
            self.succeed_c(pass_, now_ns)
        elif outcome == OUTCOME_FAILURE:
            self.fail_c(pass_, now_ns)

    cdef void end_probe_c(self, uint64_t word, int outcome, long long now_ns) noexcept nogil:
        cdef uint64_t generation = generation_of(word) + 1, backoff = backoff_of(word)
        cdef uint64_t successes = successes_of(word) + (outcome == OUTCOME_SUCCESS)
        cdef uint64_t next_word
        if outcome == OUTCOME_FAILURE:
            backoff = longer(backoff)
            next_word = pack(OPEN, generation, self.until_c(now_ns, self.open_ns_c(backoff, now_ns)), 0, backoff)
        elif successes >= PROBES_TO_CLOSE:
            next_word = pack(RAMP, generation, self.until_c(now_ns, RAMP_MS * <uint64_t>MS_NS), 0, backoff)
        else:
            # Open, and over already: the next caller probes.
            next_word = pack(OPEN, generation, self.since_c(now_ns) // MS_NS & UNTIL_MASK, successes, backoff)
        # Whoever changed it meanwhile has taken the lease over.
        must(successes <= PROBES_TO_CLOSE, "a breaker counts more probes than it waits for")
        if swap_word(&self.words[STATE], &word, next_word):
            self.closed += state_of(next_word) == RAMP

    cdef void succeed_c(self, uint64_t generation, long long now_ns) noexcept nogil:
        cdef uint64_t second = self.turn_own_c(generation, now_ns), streak
        self.own[second % RING_SECONDS] += 1
        end_streak(self.words, generation)
        streak = load_word(&self.words[STREAK])
        if tells_of_failure(streak, generation, second):
            self.publish_own_c()
        else:
            self.quiet = streak

    cdef void fail_c(self, uint64_t generation, long long now_ns) noexcept nogil:
        cdef uint64_t second = self.turn_own_c(generation, now_ns)
        cdef uint64_t in_a_row = lengthen_streak(self.words, generation, second)
        if in_a_row == 0:
            return
        self.publish_own_c()
        add_calls(self.words, generation, second, True, 1)
        if in_a_row >= <uint64_t>self.failures or self.too_many_c(generation, second):
            self.trip_c(generation, now_ns)

    cdef bint too_many_c(self, uint64_t generation, uint64_t second) noexcept nogil:
        cdef uint64_t failed = calls_in_window(self.words, generation, second, True)
        cdef uint64_t calls = failed + calls_in_window(self.words, generation, second, False)
        return calls >= <uint64_t>self.volume and failed * 1_000_000 >= calls * self.ratio_ppm

    cdef void trip_c(self, uint64_t generation, long long now_ns) noexcept nogil:
        cdef uint64_t word = load_word(&self.words[STATE]), backoff
        while state_of(word) in (CLOSED, RAMP) and generation_of(word) == generation:
            backoff = longer(backoff_of(word)) if self.left_ms_c(word, now_ns) else 0
            if swap_word(&self.words[STATE], &word, pack(
                OPEN, generation + 1, self.until_c(now_ns, self.open_ns_c(backoff, now_ns)), 0, backoff
            )):
                self.opened += 1
                return

    # ---- this worker's own successes ----------------------------------------------------------

    cdef uint64_t turn_own_c(self, uint64_t generation, long long now_ns) noexcept nogil:
        # Gives the second that results count in now.
        cdef uint64_t since_ns = self.since_c(now_ns), step
        cdef uint64_t second = since_ns // SECOND_NS + 1            # 0 is never
        if self.own_generation != <long long>generation or second + RING_SECONDS < self.own_second:
            memset(self.own, 0, sizeof(self.own))
            self.own_generation = generation
        elif second > self.own_second:
            for step in range(min(second - self.own_second, <uint64_t>RING_SECONDS)):
                self.own[(second - step) % RING_SECONDS] = 0
        else:
            return self.own_second      # also for a time that another thread read a moment earlier
        self.own_second = second
        self.own_start_ns = now_ns - <long long>(since_ns % SECOND_NS)
        return second

    cdef void publish_own_c(self) noexcept nogil:
        cdef uint64_t age, second
        for age in range(min(self.own_second, <uint64_t>WINDOW_SECONDS)):
            second = self.own_second - age
            if self.own[second % RING_SECONDS]:
                add_calls(self.words, self.own_generation, second, False, self.own[second % RING_SECONDS])
                self.own[second % RING_SECONDS] = 0

    # ---- time and chance ----------------------------------------------------------------------

    cdef uint64_t since_c(self, long long now_ns) noexcept nogil:
        return <uint64_t>(now_ns - self.epoch_ns) if now_ns > self.epoch_ns else 0

    cdef uint64_t until_c(self, long long now_ns, uint64_t length_ns) noexcept nogil:
        # Rounded up, so that nothing ends early.
        return (self.since_c(now_ns) + length_ns + MS_NS - 1) // MS_NS & UNTIL_MASK

    cdef uint64_t left_ms_c(self, uint64_t word, long long now_ns) noexcept nogil:
        # What is left of the lease, of the ramp, or of the time that it stays open.
        cdef uint64_t left_ms = until_of(word) - self.since_c(now_ns) // MS_NS & UNTIL_MASK
        return 0 if left_ms > self.patience_ms or state_of(word) == CLOSED else left_ms

    cdef uint64_t open_ns_c(self, uint64_t backoff, long long now_ns) noexcept nogil:
        # The first opening lasts exactly as long as it was asked for. Later ones are jittered, so
        # that the probes of many servers to one service do not come at once.
        cdef uint64_t longest_ns = max(self.longest_open_ns, self.open_for_ns), length_ns = self.open_for_ns
        if backoff == 0:
            return length_ns
        while backoff and length_ns < longest_ns:
            length_ns *= 2
            backoff -= 1
        length_ns = min(length_ns, longest_ns) // 1000
        length_ns *= 1000 - JITTER_PERMILLE + self.random_c(now_ns) % (2 * JITTER_PERMILLE + 1)
        return max(length_ns, <uint64_t>self.open_for_ns)

    cdef bint ramp_admits_c(self, uint64_t left_ms, long long now_ns) noexcept nogil:
        cdef uint64_t passed_ms = RAMP_MS - min(left_ms, <uint64_t>RAMP_MS)
        cdef uint64_t permille = RAMP_FROM_PERMILLE + (1000 - RAMP_FROM_PERMILLE) * passed_ms // RAMP_MS
        return self.random_c(now_ns) % 1000 < permille

    cdef uint64_t random_c(self, long long now_ns) noexcept nogil:
        # SplitMix64. The time is in it because forked workers begin with the same seed.
        cdef uint64_t bits
        self.draws += 1
        bits = self.seed + <uint64_t>now_ns + self.draws * <uint64_t>0x9E3779B97F4A7C15
        bits = (bits ^ bits >> 30) * <uint64_t>0xBF58476D1CE4E5B9
        bits = (bits ^ bits >> 27) * <uint64_t>0x94D049BB133111EB
        return bits ^ bits >> 31

    # ---- for Python ---------------------------------------------------------------------------

    @property
    def state(self):
        cdef uint64_t word = load_word(&self.words[STATE])
        if state_of(word) == OPEN and successes_of(word):
            return "half-open"
        return ("closed", "open", "half-open", "ramp")[state_of(word)]

    @property
    def streak(self):
        cdef uint64_t streak = load_word(&self.words[STREAK])
        cdef bint current = streak >> STREAK_GENERATION_SHIFT == generation_of(load_word(&self.words[STATE]))
        return streak & STREAK_MASK if current else 0

    def allow(self, *, now_ns=None):
        return self.allow_c(instant_of(now_ns))

    def report(self, long long pass_, str outcome not None, *, now_ns=None):
        if outcome not in OUTCOMES:
            raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}, not {outcome!r}")
        self.report_c(pass_, OUTCOMES.index(outcome), instant_of(now_ns))

    def retry_after(self, *, now_ns=None):
        return 0 if self.closed_c() else self.retry_after_c(instant_of(now_ns))

    def __enter__(self):
        self.enter_c()
        return self

    def __exit__(self, kind, problem, trace):
        self.leave_c(problem)

    async def __aenter__(self):
        self.enter_c()
        return self

    async def __aexit__(self, kind, problem, trace):
        self.leave_c(problem)

    cdef int enter_c(self) except -1:
        cdef long long now_ns = monotonic_ns()
        cdef long long pass_ = self.allow_c(now_ns)
        if pass_ < 0:
            raise errors.BreakerOpen(self.name, self.retry_after_s_c(now_ns))
        TAKEN.set((self, pass_, TAKEN.get()))
        return 0

    cdef int leave_c(self, object problem) except -1:
        taken, pass_ = without(TAKEN.get(), self)
        TAKEN.set(taken)
        self.report_c(pass_, outcome_of(problem), monotonic_ns())
        return 0


cdef tuple without(tuple taken, CircuitBreaker breaker):
    # The passes without the breaker's latest, and that; -1, which report_c ignores, where it was not
    # taken in this context, such as by a generator that another task goes on with.
    if taken is None or taken[0] is breaker:
        return (None, -1) if taken is None else (taken[2], taken[1])
    others, pass_ = without(taken[2], breaker)
    return (taken[0], taken[1], others), pass_


cdef int outcome_of(object problem) except -1:
    if problem is None:
        return OUTCOME_SUCCESS
    if isinstance(problem, errors.BreakerOpen):
        return OUTCOME_IGNORED          # not called at all, because another breaker refused
    if isinstance(problem, errors.HTTPError):
        return OUTCOME_FAILURE if failing_c(problem.status) else OUTCOME_SUCCESS
    if isinstance(problem, Exception) or problem.args[:1] == (errors.DEADLINE_PASSED,):
        return OUTCOME_FAILURE
    return OUTCOME_IGNORED              # cancelled because the client left, or the process ends


cdef object within(str name, value, int most):
    if not 1 <= index(value) <= most:
        raise ValueError(f"{name} must be from 1 to {most}, not {value!r}")
    return value


cdef object lasting(str name, value_ns):
    if not MS_NS <= index(value_ns) <= DAY_NS:
        raise ValueError(f"{name} must be from a millisecond to a day in nanoseconds, not {value_ns!r}")
    return value_ns
