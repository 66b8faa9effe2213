"""Timers in lists and wheels expire as those in a dictionary that is sorted whenever somebody asks."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from highperf.guards.deadlines import TimeoutList, TimerWheel
from tests import compiled

MS = 1_000_000
ROUND_NS = 1024 * MS  # of a wheel
TIMERS = 6
TIMEOUTS_NS = (7 * MS + 1, 2_000 * MS, 0)
WHEELS = 2


class TimersTwin:
    """Where each armed timer stands and when it is due, in the order of arming."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.armed: dict[int, tuple[int, int]] = {}

    def arm_in_list(self, number: int, which: int) -> None:
        self.armed.pop(number, None)
        if TIMEOUTS_NS[which]:
            self.armed[number] = (which, self.now_ns + TIMEOUTS_NS[which])

    def arm_in_wheel(self, number: int, which: int, due_ns: int) -> None:
        self.armed.pop(number, None)
        slot = max(-(-due_ns // MS), self.now_ns // MS + 1)
        self.armed[number] = (which, slot * MS)

    def disarm(self, number: int) -> None:
        self.armed.pop(number, None)

    def due(self, which: int) -> list[int]:
        """Due times of what stands in one list or wheel, earliest first."""
        return sorted(when for where, when in self.armed.values() if where == which)

    def pop_all(self, which: int) -> list[int]:
        """Earliest first; of the same due time, as they were armed."""
        found = [number for number, (where, when) in self.armed.items() if where == which and when <= self.now_ns]
        found.sort(key=lambda number: self.armed[number][1])
        for number in found:
            del self.armed[number]
        return found


numbers = st.integers(0, TIMERS - 1)
delays_ns = st.one_of(
    st.integers(-3 * MS, 3 * MS),
    st.integers(0, 100).map(lambda ms: ms * MS),
    st.integers(0, 4_000 * MS),
    st.sampled_from([1023 * MS, 1024 * MS, 1025 * MS, 10**17]),
)
passing_ns = st.one_of(
    st.integers(1, 3 * MS), st.integers(0, 900 * MS), st.sampled_from([MS, 1023 * MS, 1024 * MS, 5_000 * MS, 10**15])
)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("list"), numbers, st.integers(0, len(TIMEOUTS_NS) - 1), st.just(0)),
        st.tuples(st.just("wheel"), numbers, st.integers(0, WHEELS - 1), delays_ns),
        st.tuples(st.just("disarm"), numbers, st.just(0), st.just(0)),
        st.tuples(st.just("pass"), st.just(0), st.just(0), passing_ns),
        st.tuples(st.just("next"), st.just(0), st.just(0), st.just(0)),
    ),
    max_size=50,
)


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/deadlines_probe.pyx")


def expect_popped(probe: Any, twin: TimersTwin, places: list[Any], leaps: bool) -> None:
    for which, place in enumerate(places):
        found, expected = probe.pop_all(place, twin.now_ns), twin.pop_all(which)
        if leaps and isinstance(place, TimerWheel):
            found, expected = sorted(found), sorted(expected)
        assert found == expected


def expect_next_due(probe: Any, twin: TimersTwin, places: list[Any]) -> None:
    for which, place in enumerate(places):
        due_ns = twin.due(which)
        if isinstance(place, TimerWheel):  # a timer of a later round is looked at in each of them
            due_ns = sorted(
                twin.now_ns // MS * MS + ((when - twin.now_ns // MS * MS - MS) % ROUND_NS) + MS for when in due_ns
            )
        assert probe.next_due(place) == (due_ns[0] if due_ns else None)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(actions)
def test_lists_and_wheels_agree_with_a_dictionary_of_due_times(
    probe: Any, actions: list[tuple[str, int, int, int]]
) -> None:
    places = [*(TimeoutList(timeout_ns) for timeout_ns in TIMEOUTS_NS), *(TimerWheel() for _ in range(WHEELS))]
    owner, twin = probe.Owner(TIMERS), TimersTwin()
    expect_popped(probe, twin, places, leaps=False)
    for action, number, which, ns in actions:
        if action == "list":
            owner.arm(places[which], number, twin.now_ns)
            twin.arm_in_list(number, which)
        elif action == "wheel":
            owner.arm(places[len(TIMEOUTS_NS) + which], number, twin.now_ns, twin.now_ns + ns)
            twin.arm_in_wheel(number, len(TIMEOUTS_NS) + which, twin.now_ns + ns)
        elif action == "disarm":
            owner.disarm(number)
            twin.disarm(number)
        elif action == "pass":
            twin.now_ns += ns
            expect_popped(probe, twin, places, leaps=ns > 1023 * MS)
        elif asked_ns := [due_ns for place in places if (due_ns := probe.next_due(place)) is not None]:
            leaps = min(asked_ns) - twin.now_ns > 1023 * MS
            twin.now_ns = max(twin.now_ns, min(asked_ns))
            expect_popped(probe, twin, places, leaps)
        assert owner.armed() == sorted(twin.armed)
        assert [len(place) for place in places] == [len(twin.due(which)) for which in range(len(places))]
        assert all(owner.due_ns(number) == when for number, (_, when) in twin.armed.items())
        expect_next_due(probe, twin, places)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 5_000 * MS)), min_size=1, max_size=40))
def test_whoever_looks_when_told_to_is_never_early_and_a_slot_late_at_most(
    probe: Any, armings: list[tuple[int, int]]
) -> None:
    wheel, owner, now_ns = TimerWheel(), probe.Owner(len(armings)), 0
    asked: dict[int, int] = {}
    for number, (passing_ms, delay_ns) in enumerate(armings):
        now_ns += passing_ms * MS // 3
        while (due_ns := probe.next_due(wheel)) is not None and due_ns <= now_ns:
            for found in probe.pop_all(wheel, due_ns):
                assert asked[found] <= due_ns <= asked.pop(found) + MS
        assert probe.pop_all(wheel, now_ns) == []
        asked[number] = now_ns + delay_ns
        owner.arm(wheel, number, now_ns, asked[number])
    while (due_ns := probe.next_due(wheel)) is not None:
        for found in probe.pop_all(wheel, due_ns):
            assert asked[found] <= due_ns <= asked.pop(found) + MS
    assert not asked
