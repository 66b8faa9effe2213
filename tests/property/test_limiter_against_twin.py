"""The compiled bucket and its exact twin agree on every decision, and no window holds too much."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from highperf.guards.limiter import TokenBucket
from highperf.segment import Segment
from tests.reference.bucket_twin import SECOND_NS, BucketTwin, worst_excess

RATES = [0.0005, 1 / 3, 1.0, 7.3, 1000.0, 44_100.0, 1e6 / 3, 123_456.789, 1e9]
CAPACITIES = [1, 2, 3, 10, 250]
# A bucket asks the clock only where it is owed more than it holds. All instants of a test lie on one side of
# what the clock may say: before it, whoever asks may be late; behind it, nobody is.
LONG_AGO_NS, FAR_AHEAD_NS = -(10**15), 10**18

costs = st.integers(0, 4) | st.integers(0, 260)
# Time in tokens and nanoseconds: what matters happens one nanosecond around whole tokens.
spans = st.tuples(st.integers(0, 4) | st.integers(0, 260), st.integers(-2, 2) | st.integers(0, 10**6))


class Buckets(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        # (instant, cost, by whom) of what was not given back.
        self.taken: list[tuple[int, int, TokenBucket]] = []

    def begin(self, rate: float, capacity: int, now_ns: int, segment: Segment | None) -> None:
        self.rate, self.now_ns, self.segment = rate, now_ns, segment
        self.bucket = TokenBucket(rate, capacity, segment=segment)
        self.twin = BucketTwin(rate, capacity)
        self.most = capacity

    def length_ns(self, span: tuple[int, int]) -> int:
        tokens, ns = span
        return max(0, int(tokens * self.twin.interval_ns) + ns)

    @rule(span=spans)
    def advance(self, span: tuple[int, int]) -> None:
        self.now_ns += self.length_ns(span)

    @rule(cost=costs)
    def take(self, cost: int) -> None:
        wait_ns = self.bucket.take(cost, now_ns=self.now_ns)
        assert wait_ns == self.twin.take(cost, self.now_ns)
        if wait_ns == 0 and cost:
            self.taken.append((self.now_ns, cost, self.bucket))

    @rule()
    def take_all_there_is(self) -> None:
        self.take(self.twin.available(self.now_ns))

    @rule(cost=costs)
    def wait(self, cost: int) -> None:
        wait_ns = self.bucket.wait(cost, now_ns=self.now_ns)
        assert wait_ns == self.twin.wait(cost, self.now_ns)
        believed = self.twin.missing(self.now_ns) > self.twin.capacity
        if wait_ns > 0 and not believed:
            assert self.bucket.wait(cost, now_ns=self.now_ns + wait_ns) == 0
            assert self.bucket.wait(cost, now_ns=self.now_ns + wait_ns - 1) == 1

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def refund(self, data: Any) -> None:
        taken_ns, cost, bucket = self.taken.pop(data.draw(st.integers(0, len(self.taken) - 1), "which"))
        bucket.refund(cost, taken_ns, now_ns=self.now_ns)
        self.twin.refund(cost, taken_ns, self.now_ns)

    @invariant()
    def tokens_agree(self) -> None:
        assert self.bucket.available(self.now_ns) == self.twin.available(self.now_ns)

    @invariant()
    def no_window_holds_too_much(self) -> None:
        taken = [(instant, cost) for instant, cost, _ in self.taken]
        assert worst_excess(taken, self.most, self.twin.interval_ns) <= self.twin.forgiven


class BucketsWithLateCallers(Buckets):
    """Some come with a time that lies behind that of others."""

    @initialize(rate=st.sampled_from(RATES[1:]), capacity=st.sampled_from(CAPACITIES))
    def start(self, rate: float, capacity: int) -> None:
        self.begin(rate, capacity, LONG_AGO_NS, None)

    @rule(cost=costs, span=spans)
    def take_late(self, cost: int, span: tuple[int, int]) -> None:
        then_ns = self.now_ns - self.length_ns(span)
        before = self.twin.wait(cost, self.now_ns)
        wait_ns = self.bucket.take(cost, now_ns=then_ns)
        assert wait_ns == self.twin.take(cost, then_ns, late=True)
        if wait_ns == 0 and cost:
            assert before == 0
            self.taken.append((then_ns, cost, self.bucket))


class BucketsAcrossReloads(Buckets):
    """Other capacities on the same tokens."""

    @initialize(rate=st.sampled_from(RATES), capacity=st.sampled_from(CAPACITIES))
    def start(self, rate: float, capacity: int) -> None:
        self.begin(rate, capacity, FAR_AHEAD_NS, Segment.create(2**20, epoch_ns=FAR_AHEAD_NS))

    @rule(capacity=st.sampled_from(CAPACITIES))
    def reload(self, capacity: int) -> None:
        self.bucket = TokenBucket(self.rate, capacity, segment=self.segment)
        self.twin.capacity = capacity
        self.most = max(self.most, capacity)

    @rule(ns=st.integers(-1, 1))
    def advance_about_a_second(self, ns: int) -> None:
        self.now_ns += SECOND_NS + ns


PROFILE = settings(max_examples=150, stateful_step_count=40, derandomize=True, deadline=None, print_blob=True)


TestLateCallers = BucketsWithLateCallers.TestCase
TestLateCallers.settings = PROFILE
TestReloads = BucketsAcrossReloads.TestCase
TestReloads.settings = PROFILE
