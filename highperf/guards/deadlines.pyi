"""Many timers behind one loop timer. Armed and asked from compiled code only."""

from typing import Self, final

class TimerOwner:
    """Whoever has a timer; abstract, and without methods for Python."""

@final
class TimeoutList:
    """The timers of one timeout class, in order of expiry."""

    def __new__(cls, timeout_ns: int) -> Self:
        """timeout_ns is how long after arming a timer of this list is due, in nanoseconds, at
        most a year; 0 turns the timeout off. Raises ValueError for anything else."""
    def __len__(self) -> int:
        """Number of armed timers; counts them one by one."""
    @property
    def timeout_ns(self) -> int:
        """The timeout that all timers of this list have, in nanoseconds."""

@final
class TimerWheel:
    """Timers of any due times, each rounded up to a whole millisecond."""

    def __new__(cls) -> Self:
        """A wheel without timers; it takes 40 KiB."""
    def __len__(self) -> int:
        """Number of armed timers; counts them one by one."""
