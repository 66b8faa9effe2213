# Owns the decision whether a rate limit has room for one more. Time is an argument. Must not know
# requests, keys, or what a refusal looks like.
#
# GCRA, which is a token bucket that keeps time instead of tokens: one word holds the theoretical
# arrival time, at which the bucket is full again. The debt is how far that lies ahead of now; a
# take puts it off by cost * interval, and passes unless the debt would exceed the burst, which is
# capacity * interval. So
#
#   - between any two instants, at most capacity + rate * time between them is admitted;
#   - a take is one compare-and-swap, in an order that the word itself hands out; a refusal stores nothing;
#   - a process that is killed or stopped between two instructions leaves a valid word and no lock;
#   - whoever comes with an older time than others used can only be refused more: time in the word
#     does not run back.
#
# The word counts 1/256 ns since the segment's epoch modulo 2**64 (834 days), and is compared by signed
# difference. The interval is rounded up to that unit, at most 0.4 % at a thousand million per second
# and nothing to speak of below a million: a limit errs by refusing. 0 is a bucket that was never
# used, which is full at any time, and never stored.
#
# A debt above the burst is no rounding matter: the word was written under other limits (a reload keeps
# it), has been idle for more than 417 days, or is damaged. It is then made a debt of one burst, the
# empty bucket, so that nobody waits for longer than one refill. Two cares:
#   - it must not be the caller who is late (a loop that was blocked, a process that was stopped). Since
#     nobody takes with a time that has not come, the clock, read after the word, is the proof;
#   - while workers of former and of new limits run side by side, each forgiving would hand the others
#     their burst again. So it happens once a second in all of them together, and in between the
#     debt is believed.

cimport cython
from cpython.number cimport PyNumber_Index
from libc.stdint cimport int64_t, uint64_t
from highperf.clock cimport instant_of, monotonic_ns
from highperf.segment cimport LINE_BYTES, Segment, load_word, swap_word

cdef enum:
    UNIT_BITS = 8                       # 256 units are a nanosecond
    MOST_CAPACITY = 1_000_000_000
    MOST_DAYS = 100                     # from empty to full; a word sees 417 ahead

cdef double LEAST_RATE = 1e-4           # per second
cdef double MOST_RATE = 1e9
cdef int64_t SECOND = <int64_t>1_000_000_000 << UNIT_BITS
cdef int64_t MOST_BURST = MOST_DAYS * 24 * 3600 * SECOND


@cython.final
cdef class TokenBucket:
    def __cinit__(self, rate, capacity, *, Segment segment=None, str name not None=""):
        self.rate = checked_rate(rate)
        self.capacity = checked_capacity(capacity)
        self.interval = interval_of(self.rate)
        if self.interval > MOST_BURST // self.capacity:
            raise ValueError(
                f"capacity {self.capacity} at rate {self.rate:g} per second takes more than {MOST_DAYS} days to fill"
            )
        self.burst = self.capacity * self.interval
        self.name = name
        self.segment = segment
        if segment is None:
            self.words = self.own
        else:
            self.words = <uint64_t*>segment.area_c(f"bucket {name}", LINE_BYTES)
            self.epoch_ns = segment.epoch_ns

    def __repr__(self):
        return f"<TokenBucket {self.name!r} rate={self.rate:g} capacity={self.capacity}>"

    cdef long long take_c(self, long long cost, long long now_ns) noexcept nogil:
        cdef uint64_t arrival
        return self.take_at_c(cost, now_ns, &arrival)

    cdef long long take_at_c(self, long long cost, long long now_ns, uint64_t* arrival) noexcept nogil:
        cdef uint64_t seen
        cdef int64_t debt, room
        if not 0 < cost <= self.capacity:
            return 0 if cost == 0 else NEVER_ADMITTED
        room = self.burst - cost * self.interval
        seen = load_word(self.words)
        while True:
            debt = self.debt_c(&seen, now_ns)
            if debt > room:
                return whole_ns(debt - room)
            arrival[0] = self.units_c(now_ns) + debt + (self.burst - room)
            arrival[0] += arrival[0] == 0
            if swap_word(self.words, &seen, arrival[0]):
                return 0

    cdef long long wait_c(self, long long cost, long long now_ns) noexcept nogil:
        cdef uint64_t seen
        cdef int64_t debt, room
        if not 0 < cost <= self.capacity:
            return 0 if cost == 0 else NEVER_ADMITTED
        room = self.burst - cost * self.interval
        seen = load_word(self.words)
        debt = self.debt_c(&seen, now_ns)
        return whole_ns(debt - room) if debt > room else 0

    cdef void refund_c(self, long long cost, long long taken_ns, long long now_ns) noexcept nogil:
        # Had the take not been, the debt would be less by its part that time has not brought back:
        # cost * interval at first, and each ns takes away one ns of it at most, namely while the
        # other debt is 0. Giving back that minimum makes no bucket fuller than without the take.
        cdef uint64_t passed_ns = <uint64_t>now_ns - <uint64_t>taken_ns if now_ns > taken_ns else 0
        cdef uint64_t seen, less
        cdef int64_t back, debt
        if not 0 < cost <= self.capacity or passed_ns > <uint64_t>(self.burst >> UNIT_BITS):
            return
        back = cost * self.interval - <int64_t>(passed_ns << UNIT_BITS)
        seen = load_word(self.words)
        while True:
            debt = <int64_t>(seen - self.units_c(now_ns))
            if back <= 0 or seen == 0 or debt <= 0:
                return
            less = seen - <uint64_t>min(back, debt)
            less += less == 0 and back < debt   # else it is full, which is what 0 says
            if swap_word(self.words, &seen, less):
                return

    cdef long long available_c(self, long long now_ns) noexcept nogil:
        cdef uint64_t seen = load_word(self.words)
        cdef int64_t debt = self.debt_c(&seen, now_ns)
        return (self.burst - debt) // self.interval if debt < self.burst else 0

    # ---- the word -----------------------------------------------------------------------------

    cdef inline uint64_t units_c(self, long long now_ns) noexcept nogil:
        return (<uint64_t>now_ns - <uint64_t>self.epoch_ns) << UNIT_BITS

    cdef inline int64_t debt_c(self, uint64_t* seen, long long now_ns) noexcept nogil:
        # How far the arrival time lies ahead of now; `seen` is brought up to date where it must change.
        cdef int64_t debt = <int64_t>(seen[0] - self.units_c(now_ns))
        if debt <= 0 or seen[0] == 0:
            return 0
        return debt if debt <= self.burst else self.overdrawn_c(seen, now_ns)

    cdef int64_t overdrawn_c(self, uint64_t* seen, long long now_ns) noexcept nogil:
        cdef uint64_t latest = self.units_c(max(now_ns, monotonic_ns()))
        cdef int64_t debt = <int64_t>(seen[0] - self.units_c(now_ns)), pause
        cdef uint64_t believed_until
        if <int64_t>(seen[0] - latest) <= self.burst:
            return debt                 # the caller is late
        believed_until = load_word(&self.words[1])
        pause = <int64_t>(believed_until - latest)
        if 0 < pause < 2 * SECOND:      # a second, and as much for a clock that was read long before
            return min(debt, self.burst + pause)
        if swap_word(&self.words[1], &believed_until, latest + SECOND):
            if swap_word(&self.words[0], seen, latest + self.burst):
                seen[0] = latest + self.burst
                return <int64_t>(seen[0] - self.units_c(now_ns))
        return self.burst               # another forgives it in this moment

    # ---- Python -------------------------------------------------------------------------------

    def take(self, cost=1, *, now_ns=None):
        return self.take_c(checked_cost_c(cost), instant_of(now_ns))

    def wait(self, cost=1, *, now_ns=None):
        return self.wait_c(checked_cost_c(cost), instant_of(now_ns))

    def refund(self, cost, taken_ns, *, now_ns=None):
        self.refund_c(checked_cost_c(cost), PyNumber_Index(taken_ns), instant_of(now_ns))

    def available(self, now_ns=None):
        return self.available_c(instant_of(now_ns))


cdef inline long long whole_ns(int64_t units) noexcept nogil:
    # Rounded up: one nanosecond earlier would be too early.
    return (units >> UNIT_BITS) + ((units & ((1 << UNIT_BITS) - 1)) != 0)


cdef long long checked_cost_c(object cost) except -1:
    cdef long long value = PyNumber_Index(cost)     # Cython alone would cut a float off
    if value < 0:
        raise ValueError(f"cost must be 0 or more, not {value}")
    return value


cdef double checked_rate(object rate) except -1:
    if not LEAST_RATE <= rate <= MOST_RATE:
        raise ValueError(f"rate must be from {LEAST_RATE} to {MOST_RATE:.0f} per second, not {rate!r}")
    return rate


cdef long long checked_capacity(object capacity) except -1:
    if not isinstance(capacity, int) or not 1 <= capacity <= MOST_CAPACITY:
        raise ValueError(f"capacity must be a whole number from 1 to {MOST_CAPACITY}, not {capacity!r}")
    return capacity


cdef int64_t interval_of(double rate) except -1:
    # Exact: a quotient of floats might be rounded down.
    numerator, denominator = rate.as_integer_ratio()
    return -(-SECOND * denominator // numerator)
