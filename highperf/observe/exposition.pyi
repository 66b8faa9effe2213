from collections.abc import Iterator, Mapping, Sequence
from typing import Self, final

from highperf.segment import Segment

_Fact = tuple[str, str, str, str, Sequence[tuple[Mapping[str, str], object]]]
_Family = tuple[int, str, str, str, str | None, str | None, str]
_Labels = tuple[tuple[str, str], ...]

@final
class Sums:
    """What all workers have counted, added up line by line.

    Args:
        segment: what the workers share.
        own_line: the board line of the process that reads.
    """

    def __new__(cls, segment: Segment, own_line: int) -> Self: ...
    def step(self) -> bool:
        """Adds what one worker has counted, within some 100 us; False: that was all."""

    @property
    def cells(self) -> dict[int, int]:
        """Single numbers by their keys."""

@final
class Exposition:
    """The metrics of all workers as text: Prometheus' format 0.0.4, or OpenMetrics 1.0.0 without its end.

    Args:
        segment: what the workers share.
        own_line: the board line of the process that reads.
        openmetrics: the format.
        facts: families that are told besides, each as name, kind, unit, words, and labels and value of each sample.
    """

    def __init__(
        self, segment: Segment, own_line: int, *, openmetrics: bool = False, facts: Sequence[_Fact] = ()
    ) -> None: ...
    def step(self) -> bool:
        """See :meth:`Sums.step`."""

    def parts(self) -> Iterator[bytes]:
        """The text, some 32 KiB at a time, once all is added up."""

    def put_fact(self, fact: _Fact) -> None:
        """Writes one of the families that were given."""

    def put_cells(self, family: _Family) -> None:
        """Writes a family of single numbers."""

    def values_of(self, number: int, first: str | None, second: str | None) -> dict[_Labels, int]:
        """The numbers of a family by their labels."""

    @property
    def families(self) -> frozenset[str]:
        """The names that are taken, with and without ``_total``."""
