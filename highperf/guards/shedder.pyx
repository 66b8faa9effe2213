# Owns the count of requests in flight in one worker, and the judgement whether a queue stands
# before it. Must not know what a request is, nor who measures the turns of the loop.
#
# A request that is ready waits for about one turn of the event loop, so the length of the turns is
# the delay of the queue. As in CoDel (RFC 8289) a long turn alone says nothing: bursts and stalls
# make a queue that goes away by itself. What counts is the shortest turn of an interval.
#
# While a queue stands, a turn serves requests for the time of `patience_ns` and refuses those that
# it comes to later: they have waited longest for least, and a refusal costs little. Patience is
# - a whole interval, from the first turn that is longer than the target on;
# - half of it (never less than the target) after each interval whose turns were all long;
# - twice that (never more than the interval) after each in which the queue was empty once;
# - without bound again after one without a long turn, and at full patience after one short turn.
#
# CoDel's own law, one drop and then more by a square root, is for senders that slow down. Clients
# of an HTTP server do not, so at ten times the load it would take minutes. To refuse everything that is older
# than the target after one interval takes no time but is wrong about queues that dissolve, as one
# does after a stall: at nine tenths of the load 50 ms of it need 500. Halving takes half a second at
# most to reach the target, and is outrun by a queue that dissolves.

cimport cython
from libc.limits cimport INT_MAX

from highperf.checks cimport must

cdef enum:
    RESERVE_SHARE = 5                   # one permit of so many is in reserve
    MOST_IN_FLIGHT = 1_000_000_000
    MS_NS = 1_000_000

# Bounds the interval, so that no sum of it and a clock's time overflows.
cdef long long HOUR_NS = 3600 * <long long>1_000_000_000


@cython.final
cdef class Shedder:
    def __cinit__(
        self,
        int limit=0,
        *,
        bint reserving=False,
        long long target_ns=5 * MS_NS,
        long long interval_ns=100 * MS_NS,
    ):
        if not 0 <= limit <= MOST_IN_FLIGHT:
            raise ValueError(f"limit must be 0 (off) or at most {MOST_IN_FLIGHT}, not {limit}")
        if not 1 <= interval_ns <= HOUR_NS:
            raise ValueError(f"interval_ns must be positive and at most an hour, not {interval_ns}")
        if not 0 <= target_ns <= interval_ns:
            raise ValueError(f"target_ns must be 0 (off) or at most interval_ns, not {target_ns}")
        self.limit = limit
        self.reserve = limit // RESERVE_SHARE if reserving else 0
        self.critical_cap = limit or INT_MAX
        self.ordinary_cap = self.critical_cap - self.reserve
        self.critical_share = self.reserve if limit else INT_MAX
        self.target_ns = target_ns
        self.interval_ns = interval_ns
        self.patience_ns = interval_ns

    cdef int enter_c(self, bint critical, long long now_ns) noexcept nogil:
        if self.running >= (self.critical_cap if critical else self.ordinary_cap):
            return SHED_FULL
        if self.standing and now_ns - self.turn_ns >= self.patience_ns:
            if not critical or self.critical_running >= self.critical_share:
                return SHED_DELAY
        self.running += 1
        self.critical_running += critical
        return SHED_NONE

    cdef void leave_c(self, bint critical) noexcept nogil:
        self.running -= 1
        self.critical_running -= critical
        must(self.running >= 0, "a permit is given back twice")
        must(0 <= self.critical_running <= self.running, "a permit is given back as one of the other kind")

    cdef void turn_c(self, long long length_ns, long long now_ns) noexcept nogil:
        cdef bint measured = now_ns - length_ns - self.turn_ns < self.interval_ns
        self.turn_ns = now_ns
        if not self.standing or not measured:       # whoever measured nothing for an interval had nothing to do
            self.standing = False
            if length_ns > self.target_ns > 0:
                self.begin_c(now_ns)
            return
        if length_ns > self.target_ns:
            self.saw_long = True
        elif self.patience_ns == self.interval_ns:
            self.standing = False
            return
        else:
            self.saw_short = True
        if now_ns - self.judged_ns >= self.interval_ns:
            self.judge_c(now_ns)

    cdef void begin_c(self, long long now_ns) noexcept nogil:
        self.standing = True
        self.patience_ns = self.interval_ns
        self.judged_ns = now_ns
        self.saw_long = False
        self.saw_short = False

    cdef void judge_c(self, long long now_ns) noexcept nogil:
        if not self.saw_short:
            self.patience_ns = max(self.target_ns, self.patience_ns // 2)
        elif self.saw_long:
            self.patience_ns = min(self.interval_ns, self.patience_ns * 2)
        else:
            self.standing = False
        self.judged_ns = now_ns
        self.saw_long = False
        self.saw_short = False
