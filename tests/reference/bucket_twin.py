"""A token bucket that is slow and obvious: fractions, one owner, and no end of time.

The oracle of the compiled bucket; shares no code with it. What it says in one line each:

- the bucket is full at `full_at`, and every `interval_ns` before that instant one token is missing;
- a take is refused where more would be missing than the bucket holds, else it puts the instant off;
- what is given back is what time has not brought back since the take, and never more than is missing;
- where more is missing than the bucket holds, it is empty from now on; but where the last such
  case is less than a second ago, it stays as it is, and the wait is told as if it were empty after that second.
"""

from collections.abc import Iterable
from fractions import Fraction
from math import ceil, floor

SECOND_NS = 10**9


def interval_of(rate: float) -> Fraction:
    """Nanoseconds per token, rounded up to 1/256 ns."""
    return Fraction(ceil(256 * SECOND_NS / Fraction(rate)), 256)


def worst_excess(admissions: Iterable[tuple[int, int]], capacity: int, interval: Fraction | int) -> Fraction:
    """By how many tokens the worst of all windows exceeds capacity + rate * its length; negative: by none.

    admissions: (instant, cost); interval: time per token, in the unit of the instants.
    """
    taken, least, worst = 0, None, -capacity * interval
    for instant, cost in sorted(admissions):
        ahead = taken * interval - instant  # of the rate; windows that begin here count from it
        least = ahead if least is None else min(least, ahead)
        taken += cost
        worst = max(worst, taken * interval - instant - least - capacity * interval)
    return Fraction(worst) / interval


class BucketTwin:
    def __init__(self, rate: float, capacity: int) -> None:
        self.interval_ns = interval_of(rate)
        self.capacity = capacity
        self.full_at = Fraction(-(10**30))
        self.forgiven_at = Fraction(-(10**30))
        self.forgiven = Fraction(0)  # tokens, all together

    def missing(self, now_ns: int) -> Fraction:
        return max(Fraction(0), self.full_at - now_ns) / self.interval_ns

    def forgive(self, now_ns: int) -> None:
        excess = self.missing(now_ns) - self.capacity
        if excess > 0 and now_ns >= self.forgiven_at + SECOND_NS:
            self.forgiven += excess
            self.forgiven_at = Fraction(now_ns)
            self.full_at = now_ns + self.capacity * self.interval_ns

    def wait(self, cost: int, now_ns: int, *, late: bool = False) -> int:
        if cost > self.capacity:
            return -1
        if cost == 0:
            return 0
        if not late:
            self.forgive(now_ns)
        missing_ns = self.missing(now_ns) * self.interval_ns
        if missing_ns > self.capacity * self.interval_ns and not late:
            pause_ns = self.forgiven_at + SECOND_NS - now_ns
            missing_ns = min(missing_ns, self.capacity * self.interval_ns + pause_ns)
        return max(0, ceil(missing_ns + (cost - self.capacity) * self.interval_ns))

    def take(self, cost: int, now_ns: int, *, late: bool = False) -> int:
        wait_ns = self.wait(cost, now_ns, late=late)
        if wait_ns == 0 and cost:
            self.full_at = max(self.full_at, Fraction(now_ns)) + cost * self.interval_ns
        return wait_ns

    def refund(self, cost: int, taken_ns: int, now_ns: int) -> None:
        back = max(Fraction(0), cost - max(0, now_ns - taken_ns) / self.interval_ns)
        self.full_at -= min(back, self.missing(now_ns)) * self.interval_ns

    def available(self, now_ns: int) -> int:
        self.forgive(now_ns)
        return max(0, floor(self.capacity - self.missing(now_ns)))
