from typing import final

from highperf.segment import Segment

@final
class MetricTable:
    """The names that metrics go by, shared by all workers of a segment.

    Args:
        segment: where they lie.
    """

    def __init__(self, segment: Segment) -> None: ...

@final
class Metrics:
    """What one worker counts, in its line of the shared memory.

    It goes on with what an earlier process counted on the same line.

    Args:
        segment: of all workers.
        line: the worker's line of the board, 0 to 1023; no other process may write to it meanwhile.
        secure: whether its connections are TLS.

    Raises:
        ValueError: line is out of bounds.
        StartupError: the segment has no room for another line.
    """

    def __init__(self, segment: Segment, line: int, *, secure: bool = False) -> None: ...
    @property
    def table(self) -> MetricTable:
        """The names."""

    @property
    def line(self) -> int:
        """As given."""

    def add(self, family: int, first: str | None = None, second: str | None = None, *, by: int = 1) -> None:
        """Adds to the number of this family (observe/layout.pxd) and of these labels."""

    def weigh(self) -> None:
        """Notes how much memory this process has."""

def resident_bytes() -> int:
    """Octets of this process that are in RAM; 0 where the system does not tell."""

def clear_gauges(segment: Segment, line: int) -> None:
    """Sets to zero what a process that is gone told of itself; what it counted stays."""

def count_restart(segment: Segment, reason: str) -> None:
    """Counts that a worker was replaced; for the supervisor alone."""
