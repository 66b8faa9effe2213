"""Rate limits that hold for each of many keys, over all workers, in memory of fixed size."""

from typing import Self, final

from highperf.segment import Segment

@final
class KeyedBuckets:
    """A token bucket for each key, for one process or, in a segment, for all that map it.

    Each is like a TokenBucket of this rate and capacity. A bucket that is full again needs no memory,
    so the table holds as many keys as are in use within ``capacity / rate`` seconds: one in eight octets.
    It never grows and never forgets what a key has spent. A key that finds its place in the table
    taken by eight others that are in use shares one overflow bucket, of the same rate and capacity, with
    all that fare alike.

    >>> buckets = KeyedBuckets(10, 20)
    >>> if wait_ns := buckets.take("192.0.2.7"):
    ...     ...  # refused: come back in wait_ns

    Between any two instants a key that stays in the table takes at most ``capacity + rate * seconds``.
    The rate is kept from above and up to 0.2 % lower than given; waits are exact. Two keys share a bucket by
    chance once in some two million; nobody can bring it about, because keys are hashed with a
    secret (SipHash-1-3).

    Args:
        rate: tokens per second for each key, 0.0001 to 1e6.
        capacity: how many each bucket holds, a whole number from 1 to 1e8, and at most 100 days' worth.
        table_bytes: size of the table, a power of two from 4 KiB to 128 MiB; an eighth of it is the
            number of keys in use that fit, a little less in practice, because a set of eight fills up
            before others. Spare twice the keys that you expect.
        segment: memory that workers share; without it the table is this process's own.
        name: which table of the segment it is. After a reload with a like rate it goes on with what was spent;
            where the capacity has become smaller, who spent more than that waits until it is made up for.

    Raises:
        ValueError: rate, capacity or table_bytes is out of bounds or not a number.
        StartupError: the segment is full.

    Attributes:
        rate: tokens per second, as given.
        capacity: as given.
        table_bytes: as given.
        name: as given.
        overflows: decisions of this process, passed and refused, that fell to the overflow bucket. A number
            that grows says that the table is too small, or that somebody makes keys up.
    """

    def __new__(
        cls,
        rate: float,
        capacity: int,
        *,
        table_bytes: int = 1048576,
        segment: Segment | None = None,
        name: str = "",
    ) -> Self:
        """See the class."""
    @property
    def rate(self) -> float:
        """See the class."""
    @property
    def capacity(self) -> int:
        """See the class."""
    @property
    def table_bytes(self) -> int:
        """See the class."""
    @property
    def name(self) -> str:
        """See the class."""
    @property
    def overflows(self) -> int:
        """See the class."""
    def take(self, key: bytes | str, cost: int = 1, *, now_ns: int | None = None) -> int:
        """Takes `cost` tokens of this key, all or none.

        Args:
            key: any octets, or text, which stands for its UTF-8. Empty is a key like any other.
            cost: 0 or more; 0 always passes.
            now_ns: CLOCK_MONOTONIC in nanoseconds; default: now. An earlier one than the table has seen
                counts as the latest of those.

        Returns:
            0: taken. More: refused, and how many nanoseconds it takes until the same take passes if
            nobody else takes, exactly. -1: refused for ever, because it costs more than `capacity`.

        Raises:
            ValueError: cost is negative.
            TypeError: key is neither bytes nor str.
        """
    def wait(self, key: bytes | str, cost: int = 1, *, now_ns: int | None = None) -> int:
        """What `take` would return, without taking."""
    def refund(self, key: bytes | str, cost: int, taken_ns: int, *, now_ns: int | None = None) -> None:
        """Gives back what was taken at taken_ns for something that did not happen then; once a take.

        What time has brought back since then is not given again. Refund before the key takes again, or at
        once: what it took from the overflow bucket comes back to the key itself, if it is in the table by then.

        Args:
            key: as taken.
            cost: as taken.
            taken_ns: the `now_ns` of the take.
            now_ns: CLOCK_MONOTONIC in nanoseconds; default: now.

        Raises:
            ValueError: cost is negative.
            TypeError: key is neither bytes nor str.
        """
