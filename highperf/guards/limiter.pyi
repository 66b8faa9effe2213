"""Rate limits that hold over all workers: the token bucket."""

from typing import Self, final

from highperf.segment import Segment

@final
class TokenBucket:
    """A token bucket, for one process or, in a segment, for all that map it.

    It begins full with `capacity` tokens, and `rate` of them come back per second. So between any two
    instants at most ``capacity + rate * seconds`` are taken, whoever takes them; 1000 per second with
    a capacity of 1000 may be 2000 in the first second. Refused takes cost nothing. It is the
    generic cell rate algorithm (ITU-T I.371) with a clock that nobody sets, CLOCK_MONOTONIC.

    >>> bucket = TokenBucket(100, 10)
    >>> if wait_ns := bucket.take():
    ...     ...  # refused: come back in wait_ns

    Args:
        rate: tokens per second, 0.0001 to 1e9; kept to 1/256 ns per token, rounded to the strict side.
        capacity: how many the bucket holds, a whole number from 1 to 1e9, and at most 100 days' worth.
        segment: memory that workers share; without it the bucket is this process's own.
        name: which bucket of the segment it is. One of the same name has the same tokens: after a
            reload with other limits it goes on with them, and where the new capacity cannot explain
            what was taken it goes on empty.

    Raises:
        ValueError: rate or capacity is out of bounds or not a number.
        StartupError: the segment is full.

    Attributes:
        rate: tokens per second, as given.
        capacity: as given.
        name: as given.
    """

    def __new__(cls, rate: float, capacity: int, *, segment: Segment | None = None, name: str = "") -> Self:
        """See the class."""
    @property
    def rate(self) -> float:
        """See the class."""
    @property
    def capacity(self) -> int:
        """See the class."""
    @property
    def name(self) -> str:
        """See the class."""
    def take(self, cost: int = 1, *, now_ns: int | None = None) -> int:
        """Takes `cost` tokens, all or none.

        Args:
            cost: 0 or more; 0 always passes.
            now_ns: CLOCK_MONOTONIC in nanoseconds; default: now. An earlier one than others used
                admits no more than it should.

        Returns:
            0: taken. More: refused, and how many nanoseconds it takes until the same take passes if
            nobody else takes, exactly. -1: refused for ever, because it costs more than `capacity`.

        Raises:
            ValueError: cost is negative.
        """
    def wait(self, cost: int = 1, *, now_ns: int | None = None) -> int:
        """What `take` would return, without taking."""
    def refund(self, cost: int, taken_ns: int, *, now_ns: int | None = None) -> None:
        """Gives back what was taken at taken_ns for something that did not happen then; once a take.

        What time has brought back since then is not given again: the bucket is never fuller than
        if the take had not been.

        Args:
            cost: as taken.
            taken_ns: the `now_ns` of the take.
            now_ns: CLOCK_MONOTONIC in nanoseconds; default: now.

        Raises:
            ValueError: cost is negative.
        """
    def available(self, now_ns: int | None = None) -> int:
        """Whole tokens that are in the bucket at now_ns (default: now)."""
