"""Circuit breakers: no more calls to what has been failing, until a few have succeeded again.

db = CircuitBreaker("db")

async with db:                      # BreakerOpen, which answers 503, while it is open
    await pool.execute(query)
"""

from types import TracebackType
from typing import Literal, Self, final

from highperf.segment import Segment

@final
class CircuitBreaker:
    """Counts failed calls, of all workers together, and refuses calls while there were too many.

    It opens on `failures` failed calls in a row, or when `ratio` of at least `volume` calls within
    ten seconds failed (counted in whole seconds). It stays open for `open_for_ns`; then one call at
    a time is let through as a probe. Three successful probes close it, over a ramp of two seconds
    that begins with a tenth of the calls. A failed probe opens it for twice as long as before, give
    or take a fifth, up to `longest_open_ns`. A probe that has not reported after `lease_ns` (its
    worker was killed, its call hangs) is replaced by the next call.

    As a context manager (with or async with; nested, and in any number of tasks at once) it is
    entered by a call that may pass, and learns from how the block is left: an exception is a failure,
    besides an HTTPError below 500 or of 501, which is a success. A BreakerOpen of another breaker,
    and a cancellation, tell nothing: unless it is one by a deadline of highperf, which is a failure.
    An asyncio.timeout belongs into the block: around it, it is seen as a cancellation.

    Times are nanoseconds of CLOCK_MONOTONIC; without now_ns, the clock is asked.

    Attributes:
        name: finds the shared state of the same breaker in other workers.
        failures, volume, ratio, open_for_ns, longest_open_ns, lease_ns: as configured.
        opened: times that this process opened it from closed or from its ramp.
        closed: times that a probe of this process was the third success.
        probes: calls that this process let through as a probe.
    """

    def __new__(
        cls,
        name: str = "",
        *,
        failures: int = 20,
        open_for_ns: int = 2_000_000_000,
        longest_open_ns: int = 30_000_000_000,
        lease_ns: int = 1_000_000_000,
        volume: int = 20,
        ratio: float = 0.5,
        segment: Segment | None = None,
    ) -> Self:
        """A closed breaker; of this process alone, unless there is a segment to bind it to.

        Args:
            name: what it guards; shown to clients that are refused.
            failures: failed calls in a row that open it, 1 to 10,000.
            open_for_ns: how long it stays open at first, a millisecond to a day.
            longest_open_ns: how long it stays open at most while probes fail, a millisecond to a day;
                open_for_ns where that is longer.
            lease_ns: how long a probe may take, a millisecond to a day; twice the call's own timeout is good.
            volume: calls within ten seconds below which the ratio does not count, 1 to 1,000,000.
            ratio: the failed share of calls that opens it, 0.000001 to 1; counts in millionths.
            segment: see bind.

        Raises:
            ValueError: a value is out of bounds.
            TypeError: a value is not an int, or ratio is no number.
            StartupError: the segment is full.
        """
    def __repr__(self) -> str: ...
    @property
    def name(self) -> str:
        """See the class."""
    @property
    def failures(self) -> int:
        """See the class."""
    @property
    def volume(self) -> int:
        """See the class."""
    @property
    def ratio(self) -> float:
        """See the class."""
    @property
    def open_for_ns(self) -> int:
        """See the class."""
    @property
    def longest_open_ns(self) -> int:
        """See the class."""
    @property
    def lease_ns(self) -> int:
        """See the class."""
    @property
    def opened(self) -> int:
        """See the class."""
    @property
    def closed(self) -> int:
        """See the class."""
    @property
    def probes(self) -> int:
        """See the class."""
    @property
    def state(self) -> Literal["closed", "open", "half-open", "ramp"]:
        """What it is since the last call; half-open means that a probe runs or has succeeded."""
    @property
    def streak(self) -> int:
        """Failed calls in a row by now, of all workers."""
    def configure(
        self,
        *,
        failures: int | None = None,
        open_for_ns: int | None = None,
        longest_open_ns: int | None = None,
        lease_ns: int | None = None,
        volume: int | None = None,
        ratio: float | None = None,
    ) -> None:
        """Changes what is given, see the constructor; nothing if it raises ValueError. State stays as it is."""
    def bind(self, segment: Segment) -> None:
        """Shares the state with every process that binds a breaker of this name to this segment.

        What was counted before is left behind.

        Raises:
            ValueError: the breaker has no name.
            StartupError: the segment is full.
        """
    def allow(self, *, now_ns: int | None = None) -> int:
        """Says whether a call may pass: a pass, 0 or more, or a refusal: -1 when open, -2 by the ramp's share.

        Each pass must be handed to report, once.
        """
    def report(
        self, pass_: int, outcome: Literal["success", "failure", "ignored"], *, now_ns: int | None = None
    ) -> None:
        """Ends a call. One that began before the breaker opened or closed last counts for nothing.

        Args:
            pass_: what allow gave.
            outcome: ignored means that the call tells nothing of what is guarded.
        """
    def retry_after(self, *, now_ns: int | None = None) -> int:
        """Nanoseconds until a call may pass again, or until all may in the ramp; 0 when it is closed."""
    def __enter__(self) -> Self:
        """Raises BreakerOpen when the call may not pass."""
    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    async def __aenter__(self) -> Self:
        """Raises BreakerOpen when the call may not pass."""
    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None: ...
