"""Three workers' breakers on one segment do what their slow twin does, whatever is called and when it ends."""

from fractions import Fraction
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from highperf.guards.breaker import CircuitBreaker
from highperf.segment import Segment
from tests.reference.breaker_twin import CLOSED, MS, OPEN, PROBING, RAMP, BreakerTwin, S

WORKERS = 3
STATES = [CLOSED, OPEN, PROBING, RAMP]
GENERATIONS = 2**20

workers = st.integers(0, WORKERS - 1)
outcomes = st.sampled_from(["success", "success", "failure", "failure", "failure", "ignored"])


class Breakers(RuleBasedStateMachine):
    passes: Bundle = Bundle("passes")  # (worker, pass, the twin's generation)

    @initialize(
        failures=st.sampled_from([1, 2, 3, 6, 1_000]),
        volume=st.sampled_from([1, 2, 5, 12, 1_000]),
        ratio=st.sampled_from([Fraction(1, 2), Fraction(1, 10), Fraction(3, 10), Fraction(1, 3), Fraction(1)]),
        open_for_ns=st.sampled_from([MS, 1_500_001, 2 * S, 60 * S]),
        lease_ns=st.sampled_from([MS, S, 7 * S]),
        now_ns=st.integers(0, 100 * S),
        state=st.sampled_from(STATES),
        generation=st.sampled_from([0, 5, GENERATIONS // 2 - 3, GENERATIONS - 4]),
        openings=st.integers(1, 5),
    )
    def begin(
        self,
        failures: int,
        volume: int,
        ratio: Fraction,
        open_for_ns: int,
        lease_ns: int,
        now_ns: int,
        state: str,
        generation: int,
        openings: int,
    ) -> None:
        ratio = Fraction(round(ratio * 10**6), 10**6)
        self.now_ns = now_ns
        self.twin = BreakerTwin(failures, volume, ratio, open_for_ns, 30 * S, lease_ns)
        self.segment = Segment.create(1 << 20, epoch_ns=0)
        self.put(state, generation, openings if state != CLOSED else 0)
        self.settings = {
            "failures": failures,
            "volume": volume,
            "ratio": float(ratio),
            "open_for_ns": open_for_ns,
            "lease_ns": lease_ns,
        }
        self.breakers = [self.make() for _ in range(WORKERS)]

    def put(self, state: str, generation: int, openings: int) -> None:
        """Begins in this state, which ends within a second and began with nobody who is left."""
        until_ms = self.now_ns // MS + 1_000 if state != CLOSED else 0
        word = STATES.index(state) << 62 | generation << 42 | until_ms << 10 | max(openings - 1, 0)
        self.segment.write_word(self.segment.area("breaker db", 192), word)
        self.twin.state, self.twin.generation, self.twin.openings = state, generation, openings
        self.twin.until_ms = until_ms

    def make(self) -> CircuitBreaker:
        with mock.patch("os.urandom", bytes):  # the same chance in every run
            return CircuitBreaker("db", segment=self.segment, **self.settings)

    # ---- calls ----------------------------------------------------------------------------------

    def allow(self, worker: int) -> tuple[int, int, int] | None:
        given, expected = self.breakers[worker].allow(now_ns=self.now_ns), self.twin.allow(worker, self.now_ns)
        assert given in {"pass": [self.now()], "open": [-1], "either": [self.now(), -2]}[expected]
        return (worker, given, self.twin.generation) if given >= 0 else None

    def now(self) -> int:
        return self.twin.generation % GENERATIONS

    def report(self, taken: tuple[int, int, int], outcome: str) -> None:
        worker, pass_, generation = taken
        self.breakers[worker].report(pass_, outcome, now_ns=self.now_ns)
        self.twin.report(worker, generation, outcome, self.now_ns)
        if self.twin.until_ms is None:
            self.twin.learn(self.now_ns, self.breakers[worker].retry_after(now_ns=self.now_ns))

    @rule(target=passes, worker=workers)
    def begin_call(self, worker: int) -> object:
        taken = self.allow(worker)
        return multiple() if taken is None else taken

    @rule(taken=consumes(passes), outcome=outcomes)
    def end_call(self, taken: tuple[int, int, int], outcome: str) -> None:
        self.report(taken, outcome)

    @rule(taken=consumes(passes))
    def lose_call(self, taken: tuple[int, int, int]) -> None:
        pass

    @rule(calls=st.lists(st.tuples(workers, outcomes), min_size=1, max_size=20))
    def call(self, calls: list[tuple[int, str]]) -> None:
        for worker, outcome in calls:
            if taken := self.allow(worker):
                self.report(taken, outcome)

    @rule(worker=workers, good=st.integers(1, 3))
    def probe(self, worker: int, good: int) -> None:
        for _ in range(good):
            self.pass_what_is_left(0)
            self.call([(worker, "success")])

    # ---- time -----------------------------------------------------------------------------------

    @rule(later_ns=st.sampled_from([1, MS, 100 * MS, S - 1, S, 3 * S, 9 * S, 10 * S, 11 * S, 3_600 * S]))
    def pass_time(self, later_ns: int) -> None:
        self.now_ns += later_ns

    @rule(early_ns=st.sampled_from([0, 1]))
    def pass_what_is_left(self, early_ns: int) -> None:
        self.now_ns += max(self.twin.retry_after_ns(self.now_ns) - early_ns, 0)

    @rule(worker=workers)
    def kill_and_replace(self, worker: int) -> None:
        self.breakers[worker] = self.make()
        for counts in (self.twin.opened, self.twin.probes, self.twin.closed):
            counts.pop(worker, None)
        self.twin.results = [result for result in self.twin.results if result.public or result.worker != worker]

    @invariant()
    def all_agree(self) -> None:
        if not hasattr(self, "twin"):
            return
        for worker, breaker in enumerate(self.breakers):
            assert (breaker.state, breaker.streak) == (self.twin.name(), self.twin.row)
            assert breaker.retry_after(now_ns=self.now_ns) == self.twin.retry_after_ns(self.now_ns)
            counts = [counts.get(worker, 0) for counts in (self.twin.opened, self.twin.probes, self.twin.closed)]
            assert [breaker.opened, breaker.probes, breaker.closed] == counts


TestBreakers = Breakers.TestCase
TestBreakers.settings = settings(max_examples=150, stateful_step_count=50, deadline=None, derandomize=True)
