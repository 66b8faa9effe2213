"""The board: a line in the shared segment for each worker process, where it writes how it fares.

Owns the layout of the area. The supervisor reads a line to find out whether its worker's loop still
turns, and what became of its requests, even when it was killed. Must not know processes.
"""

from dataclasses import astuple, dataclass
from typing import Final, Self

from highperf.observe.metrics import clear_gauges, count_restart
from highperf.segment import Segment
from highperf.values import SECOND, counted

LINES: Final = 1023  # so many workers may live at once, retiring ones too; another is the supervisor's own

OWN_LINE: Final = 0  # of a process that serves alone, or did

BEATS_PER_TIMEOUT: Final = 4
BEAT_MOST_S: Final = 1.0

_AREA: Final = "workers"
_LINE_BYTES: Final = 64  # a cache line
_WORD_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of requests."""

    served: int = 0
    cancelled: int = 0
    dropped: int = 0
    in_flight: int = 0

    def __add__(self, other: Self) -> "Tally":
        return Tally(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __str__(self) -> str:
        left = f", {self.in_flight} left running" if self.in_flight else ""
        return f"{counted(self.served, 'request')} served, {self.cancelled} cancelled, {self.dropped} dropped{left}"


class Line:
    """One worker's line: the monotonic time of its last beat, and its tally."""

    def __init__(self, segment: Segment, number: int) -> None:
        self.number = number
        self._segment = segment
        self._offset = segment.area(_AREA, LINES * _LINE_BYTES) + number * _LINE_BYTES

    def write(self, beat_ns: int, tally: Tally) -> None:
        for place, value in enumerate((beat_ns, *astuple(tally))):
            self._segment.write_word(self._offset + place * _WORD_BYTES, value)

    @property
    def beat_ns(self) -> int:
        return self._segment.read_word(self._offset)

    @property
    def tally(self) -> Tally:
        words = range(self._offset + _WORD_BYTES, self._offset + 5 * _WORD_BYTES, _WORD_BYTES)
        return Tally(*map(self._segment.read_word, words))


class Board:
    """The supervisor's view: which lines are free.

    own: this process serves as well, and has the first line.
    """

    def __init__(self, segment: Segment, *, own: bool = False) -> None:
        self.segment = segment
        self._taken: set[int] = {OWN_LINE} if own else set()

    def take(self) -> Line:
        """A blank line that nobody has."""
        number = next(number for number in range(LINES) if number not in self._taken)
        self._taken.add(number)
        line = Line(self.segment, number)
        line.write(0, Tally())
        return line

    def give_back(self, line: Line) -> None:
        self.free(line.number)

    def free(self, number: int) -> None:
        """Who had this line is gone: what it counted stays, how it stood does not."""
        clear_gauges(self.segment, number)
        self._taken.discard(number)

    def restarted(self, reason: str) -> None:
        """Count that a worker took the place of another."""
        count_restart(self.segment, reason)


def beat_period_s(timeout_ns: int) -> float:
    """How often a worker writes its line, and the supervisor looks, where a loop may stand this long (0: for ever)."""
    return min(BEAT_MOST_S, timeout_ns / SECOND / BEATS_PER_TIMEOUT) if timeout_ns else BEAT_MOST_S
