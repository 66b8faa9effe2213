"""Permits for requests in flight, and shedding by the delay of the event loop. Asked from compiled code only."""

from typing import Self, final

@final
class Shedder:
    """How much one worker takes on."""

    def __new__(
        cls,
        limit: int = 0,
        *,
        reserving: bool = False,
        target_ns: int = 5_000_000,
        interval_ns: int = 100_000_000,
    ) -> Self:
        """A shedder without requests in flight.

        Args:
            limit: how many requests may be in flight, at most 1,000,000,000; 0: any number.
            reserving: a fifth of these (rounded down) is for critical requests alone.
            target_ns: a turn of the loop that takes longer is a sign of a queue, in nanoseconds,
                at most interval_ns; 0: turns are not looked at.
            interval_ns: a queue that lasts so long stands, in nanoseconds, at most an hour.

        The defaults of target_ns and interval_ns are CoDel's for servers (5 ms, 100 ms).

        Raises:
            ValueError: an argument is out of its bounds.
        """
    @property
    def limit(self) -> int:
        """How many requests may be in flight; 0: any number."""
    @property
    def reserve(self) -> int:
        """How many of these are for critical requests alone."""
    @property
    def target_ns(self) -> int:
        """A turn of the loop that takes longer is a sign of a queue; 0: turns are not looked at."""
    @property
    def interval_ns(self) -> int:
        """A queue that lasts so long stands."""
    @property
    def running(self) -> int:
        """How many requests are in flight."""
    @property
    def critical_running(self) -> int:
        """How many of these are critical."""
    @property
    def standing(self) -> bool:
        """A queue stands, or may: the turns of the loop are watched, and requests refused."""
    @property
    def patience_ns(self) -> int:
        """How far into a turn of the loop requests are served while a queue stands, in nanoseconds."""
