"""A circuit breaker that is slow and obvious: it remembers every call, and counts them when asked.

The oracle of the compiled breaker; shares no code with it. One twin stands for the breaker of all
workers. Time is whole nanoseconds and never comes round. Chance is left to the compiled one: in the
ramp a call may pass or not, and how long it stays open after a failed probe is learned from it,
within bounds.
"""

from dataclasses import dataclass, field
from fractions import Fraction

MS = 1_000_000
S = 1_000 * MS
RAMP_NS = 2 * S
WINDOW_S = 10
PROBES = 3
JITTER = Fraction(1, 5)

CLOSED, OPEN, PROBING, RAMP = "closed", "open", "probing", "ramp"


@dataclass
class Result:
    generation: int
    second: int
    worker: int
    failed: bool
    public: bool  # a success is its worker's own until the worker sees that some call failed


@dataclass
class BreakerTwin:
    failures: int
    volume: int
    ratio: Fraction
    open_for_ns: int
    longest_open_ns: int
    lease_ns: int

    state: str = CLOSED
    generation: int = 0
    until_ms: int | None = 0  # None: not learned yet
    open_bounds_ns: tuple[Fraction, Fraction] = (Fraction(0), Fraction(0))
    successes: int = 0
    openings: int = 0  # since it was last closed
    row: int = 0
    results: list[Result] = field(default_factory=list)
    opened: dict[int, int] = field(default_factory=dict)  # by worker
    probes: dict[int, int] = field(default_factory=dict)
    closed: dict[int, int] = field(default_factory=dict)

    # ---- asking -------------------------------------------------------------------------------

    def allow(self, worker: int, now_ns: int) -> str:
        """ "pass", "open", or "either" in the ramp."""
        if self.state == RAMP and not self.lasts(now_ns):
            self.state, self.openings = CLOSED, 0
        if self.state == CLOSED:
            return "pass"
        if self.state == RAMP:
            return "either"
        if self.lasts(now_ns):
            return "open"
        self.enter(PROBING, now_ns + self.lease_ns)
        self.probes[worker] = self.probes.get(worker, 0) + 1
        return "pass"

    def lasts(self, now_ns: int) -> bool:
        assert self.until_ms is not None
        return now_ns < self.until_ms * MS

    def retry_after_ns(self, now_ns: int) -> int:
        if self.state == CLOSED:
            return 0
        assert self.until_ms is not None
        return max(self.until_ms * MS - now_ns, 1)

    def name(self) -> str:
        if self.state == PROBING or (self.state == OPEN and self.successes):
            return "half-open"
        return self.state

    # ---- reporting ----------------------------------------------------------------------------

    def report(self, worker: int, generation: int, outcome: str, now_ns: int) -> None:
        if generation != self.generation or self.state == OPEN:
            return
        if self.state == PROBING:
            self.end_probe(worker, outcome, now_ns)
        elif outcome == "success":
            self.row = 0
            self.remember(worker, now_ns, failed=False)
            if any(result.failed for result in self.window(now_ns)):
                self.publish(worker)
        elif outcome == "failure":
            self.row += 1
            self.publish(worker)
            self.remember(worker, now_ns, failed=True)
            if self.too_many(now_ns):
                again = self.state == RAMP and self.lasts(now_ns)
                self.openings = self.openings + 1 if again else 1
                self.opened[worker] = self.opened.get(worker, 0) + 1
                self.open(now_ns)

    def end_probe(self, worker: int, outcome: str, now_ns: int) -> None:
        if outcome == "failure":
            self.successes = 0
            self.openings += 1
            self.open(now_ns)
            return
        self.successes += outcome == "success"
        if self.successes == PROBES:
            self.successes = 0
            self.closed[worker] = self.closed.get(worker, 0) + 1
            self.enter(RAMP, now_ns + RAMP_NS)
        else:
            self.enter(OPEN, now_ns)
            self.until_ms = now_ns // MS

    def enter(self, state: str, until_ns: int) -> None:
        self.state = state
        self.generation += 1
        self.until_ms = -(-until_ns // MS)
        self.row = 0

    def open(self, now_ns: int) -> None:
        length = Fraction(min(self.open_for_ns * 2 ** (self.openings - 1), max(self.longest_open_ns, self.open_for_ns)))
        self.enter(OPEN, now_ns + self.open_for_ns)
        if self.openings > 1:
            self.until_ms = None
            self.open_bounds_ns = max(length * (1 - JITTER), Fraction(self.open_for_ns)), length * (1 + JITTER)

    def learn(self, now_ns: int, left_ns: int) -> None:
        """What the compiled one says that is left of the time, right after it opened."""
        least, most = self.open_bounds_ns
        assert least - 1_000 <= left_ns < most + MS  # lengths are whole microseconds, instants whole milliseconds
        assert (now_ns + left_ns) % MS == 0
        self.until_ms = (now_ns + left_ns) // MS

    # ---- counting -----------------------------------------------------------------------------

    def remember(self, worker: int, now_ns: int, failed: bool) -> None:
        self.results.append(Result(self.generation, now_ns // S, worker, failed, public=failed))

    def publish(self, worker: int) -> None:
        for result in self.results:
            result.public |= result.worker == worker

    def window(self, now_ns: int) -> list[Result]:
        oldest = now_ns // S - WINDOW_S + 1
        return [
            result
            for result in self.results
            if result.public and result.generation == self.generation and result.second >= oldest
        ]

    def too_many(self, now_ns: int) -> bool:
        calls = self.window(now_ns)
        failed = sum(result.failed for result in calls)
        return self.row >= self.failures or (len(calls) >= self.volume and failed >= self.ratio * len(calls))
