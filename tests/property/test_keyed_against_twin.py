"""The compiled table and its exact twin agree on every decision, and no key gets more than its own bucket has."""

from functools import cache
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from highperf.guards.keyed import KeyedBuckets
from highperf.segment import Segment
from tests.reference.bucket_twin import worst_excess
from tests.reference.keyed_twin import SECOND_NS, KeyedTwin, siphash

RATES = [0.0001, 1 / 3, 7.3, 1000.0, 44_100.0, 976_562.5, 1_000_000.0]
CAPACITIES = [1, 2, 3, 10]
SETS = 64
SECRET = bytes(range(16))

costs = st.integers(1, 2) | st.integers(0, 11)
# Time in tokens, units and nanoseconds: what matters happens around whole tokens and units.
spans = st.tuples(st.integers(0, 12), st.integers(-2, 2), st.integers(-1, 1))


@cache
def set_of(key: bytes) -> int:
    return siphash(SECRET, key, 1, 3) % SETS


@cache
def crowd() -> list[bytes]:
    """More keys of one set than it has words, and one of another."""
    numbers = [str(number).encode() for number in range(2000)]
    one = [key for key in numbers if set_of(key) == 0]
    return [*one[:12], next(key for key in numbers if set_of(key) == 1)]


def length_ns(twin: KeyedTwin, span: tuple[int, int, int]) -> int:
    tokens, units, ns = span
    return max(0, tokens * twin.interval_ns + units * twin.unit_ns + ns)


def segment() -> Segment:
    """One whose secret is known."""
    made = Segment.create(2**20, epoch_ns=0)
    for at in (0, 8):
        made.write_word(32 + at, int.from_bytes(SECRET[at : at + 8], "little"))
    return Segment.attach(made.fd)


class Table(RuleBasedStateMachine):
    @initialize(rate=st.sampled_from(RATES), capacity=st.sampled_from(CAPACITIES), start=st.integers(0, 10**12))
    def begin(self, rate: float, capacity: int, start: int) -> None:
        self.capacity, self.now_ns = capacity, start
        memory = segment()
        self.tables = [KeyedBuckets(rate, capacity, table_bytes=64 * SETS, segment=memory) for _ in range(2)]
        self.twin = KeyedTwin(rate, capacity, set_of)
        # What was taken and not given back: (key, instant, cost, whether from its own bucket).
        self.taken: list[tuple[bytes, int, int, bool]] = []

    @rule(span=spans)
    def advance(self, span: tuple[int, int, int]) -> None:
        self.now_ns += length_ns(self.twin, span)

    @rule(rounds=st.integers(1, 9), units=st.integers(-40, 1))
    def advance_by_what_a_word_can_hold(self, rounds: int, units: int) -> None:
        span_ns = 2**38 * rounds * self.twin.unit_ns + units * self.twin.burst_ns // 40
        if self.now_ns + span_ns < 2**62:
            self.now_ns += span_ns

    def take_one(self, which: int, key: bytes, cost: int) -> None:
        before = self.tables[which].overflows
        wait_ns = self.tables[which].take(key, cost, now_ns=self.now_ns)
        assert wait_ns == self.twin.take(key, cost, self.now_ns)
        if wait_ns == 0 and cost:
            self.taken.append((key, self.now_ns, cost, self.tables[which].overflows == before))

    @rule(which=st.integers(0, 1), key=st.sampled_from(range(13)), cost=costs)
    def take(self, which: int, key: int, cost: int) -> None:
        self.take_one(which, crowd()[key], cost)

    @rule(which=st.integers(0, 1), key=st.sampled_from(range(13)))
    def take_what_there_is(self, which: int, key: int) -> None:
        for cost in range(self.capacity, 0, -1):
            self.take_one(which, crowd()[key], cost)

    @rule(which=st.integers(0, 1), first=st.integers(0, 11), count=st.integers(2, 12), cost=costs)
    def take_of_many(self, which: int, first: int, count: int, cost: int) -> None:
        for key in range(first, first + count):
            self.take_one(which, crowd()[key % 12], cost)

    @rule(which=st.integers(0, 1), key=st.sampled_from(range(13)), cost=costs)
    def wait(self, which: int, key: int, cost: int) -> None:
        table, octets = self.tables[which], crowd()[key]
        wait_ns = table.wait(octets, cost, now_ns=self.now_ns)
        assert wait_ns == self.twin.wait(octets, cost, self.now_ns)
        if wait_ns > 0 and octets in self.twin.sets.get(set_of(octets), ()):
            assert table.wait(octets, cost, now_ns=self.now_ns + wait_ns) == 0
            assert table.wait(octets, cost, now_ns=self.now_ns + wait_ns - 1) == 1

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), which=st.integers(0, 1))
    def refund(self, data: Any, which: int) -> None:
        index = data.draw(st.integers(0, len(self.taken) - 1), "which take")
        key, taken_ns, cost, own = self.taken[index]
        if own or not self.twin.full_at.get(key):
            del self.taken[index]
            self.tables[which].refund(key, cost, taken_ns, now_ns=self.now_ns)
            self.twin.refund(key, cost, taken_ns, self.now_ns)

    @invariant()
    def no_window_of_a_key_or_of_the_overflow_holds_too_much(self) -> None:
        for name in [*crowd(), None]:
            taken = [(at, cost) for key, at, cost, own in self.taken if (key if own else None) == name]
            if taken:
                assert worst_excess(taken, self.capacity, SECOND_NS / self.twin.exact_rate) <= 0


class TableWithLateCallers(RuleBasedStateMachine):
    """Some come with a time that lies behind that of others, after what they knew has been evicted."""

    @initialize(rate=st.sampled_from(RATES), capacity=st.sampled_from(CAPACITIES), start=st.integers(0, 10**12))
    def begin(self, rate: float, capacity: int, start: int) -> None:
        self.now_ns, self.memory = start, segment()
        self.table = KeyedBuckets(rate, capacity, table_bytes=64 * SETS, segment=self.memory)
        self.ideal = KeyedTwin(rate, capacity, lambda key: key)  # room for everyone
        area = f"table  {self.ideal.unit_ns.bit_length() - 1}"
        self.clock = self.memory.area(area, 128 + 64 * SETS)

    @rule(span=spans)
    def advance(self, span: tuple[int, int, int]) -> None:
        self.now_ns += length_ns(self.ideal, span)

    @rule(first=st.integers(0, 11), count=st.integers(1, 9), cost=costs, late=spans)
    def take(self, first: int, count: int, cost: int, late: tuple[int, int, int]) -> None:
        then_ns = max(0, self.now_ns - length_ns(self.ideal, late))
        for number in range(first, first + count):
            key, before = crowd()[number % 12], self.table.overflows
            passed = self.table.take(key, cost, now_ns=then_ns) == 0
            if passed and self.table.overflows == before:
                # Whoever is late is taken for one who comes when the table's clock stands.
                counted_ns = max(then_ns, self.memory.read_word(self.clock) * self.ideal.unit_ns)
                assert counted_ns <= self.now_ns
                assert self.ideal.take(key, cost, counted_ns) == 0


PROFILE = settings(max_examples=100, stateful_step_count=30, derandomize=True, deadline=None, print_blob=True)

TestTable = Table.TestCase
TestTable.settings = PROFILE
TestLateCallers = TableWithLateCallers.TestCase
TestLateCallers.settings = PROFILE


@pytest.mark.parametrize("rate", RATES)
def test_the_twin_keeps_within_two_thousandths_of_the_rate(rate: float) -> None:
    twin = KeyedTwin(rate, 1, set_of)
    assert twin.unit_ns * 2048 >= SECOND_NS / twin.exact_rate
    assert 1 < twin.interval_ns * twin.exact_rate / SECOND_NS <= 1.002
