"""TimeoutList: arming order is expiry order, and one number says when to look again."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from highperf.guards.deadlines import TimeoutList
from tests import compiled

MS = 1_000_000
YEAR_NS = 365 * 24 * 3600 * 1_000_000_000


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/deadlines_probe.pyx")


def test_timer_is_due_one_timeout_after_it_was_armed(probe: Any) -> None:
    timeouts, owner = TimeoutList(100 * MS), probe.Owner(1)
    owner.arm(timeouts, 0, 5 * MS)
    assert probe.next_due(timeouts) == 105 * MS


@pytest.mark.parametrize(("now_ns", "expired"), [(0, []), (99, []), (100, [0]), (101, [0]), (10**15, [0])])
def test_timer_expires_at_its_due_time_and_not_before(probe: Any, now_ns: int, expired: list[int]) -> None:
    timeouts, owner = TimeoutList(100), probe.Owner(1)
    owner.arm(timeouts, 0, 0)
    assert probe.pop_all(timeouts, now_ns) == expired


def test_expired_timer_is_handed_out_once_with_its_owner_and_kind_and_is_idle_then(probe: Any) -> None:
    timeouts, owner = TimeoutList(100), probe.Owner(3)
    owner.arm(timeouts, 2, 0)
    assert owner.armed() == [2]
    assert probe.pop_expired(timeouts, 100) == (owner, 2)
    assert owner.armed() == []
    assert probe.pop_expired(timeouts, 100) is None


def test_timers_expire_in_the_order_they_were_armed(probe: Any) -> None:
    timeouts, owner = TimeoutList(100), probe.Owner(4)
    for now_ns, index in enumerate([2, 0, 3, 1]):
        owner.arm(timeouts, index, now_ns)
    assert len(timeouts) == 4
    assert probe.pop_all(timeouts, 102) == [2, 0, 3]
    assert probe.next_due(timeouts) == 103


def test_timers_armed_at_the_same_time_expire_in_the_order_they_were_armed(probe: Any) -> None:
    timeouts, owner = TimeoutList(100), probe.Owner(3)
    for index in (1, 2, 0):
        owner.arm(timeouts, index, 7)
    assert probe.pop_all(timeouts, 107) == [1, 2, 0]


def test_empty_list_is_never_due(probe: Any) -> None:
    timeouts, owner = TimeoutList(100), probe.Owner(1)
    assert probe.next_due(timeouts) is None
    owner.arm(timeouts, 0, 0)
    owner.disarm(0)
    assert probe.next_due(timeouts) is None


def test_rearming_moves_a_timer_to_the_end(probe: Any) -> None:
    timeouts, owner = TimeoutList(100), probe.Owner(2)
    owner.arm(timeouts, 0, 0)
    owner.arm(timeouts, 1, 10)
    owner.arm(timeouts, 0, 20)
    assert len(timeouts) == 2
    assert probe.next_due(timeouts) == 110
    assert probe.pop_all(timeouts, 1_000) == [1, 0]


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_disarmed_timer_does_not_expire_and_leaves_the_others(probe: Any, gone: int) -> None:
    timeouts, owner = TimeoutList(100), probe.Owner(3)
    for index in range(3):
        owner.arm(timeouts, index, index)
    owner.disarm(gone)
    rest = [index for index in range(3) if index != gone]
    assert owner.armed() == rest
    assert probe.pop_all(timeouts, 1_000) == rest


def test_disarming_an_idle_timer_does_nothing(probe: Any) -> None:
    timeouts, owner = TimeoutList(100), probe.Owner(2)
    owner.arm(timeouts, 0, 0)
    owner.disarm(1)
    owner.disarm(1)
    assert owner.armed() == [0]


def test_a_timer_is_in_one_list_at_a_time(probe: Any) -> None:
    reads, idles, owner = TimeoutList(2_000), TimeoutList(60_000), probe.Owner(1)
    owner.arm(idles, 0, 0)
    owner.arm(reads, 0, 10)
    assert (len(idles), len(reads)) == (0, 1)
    assert probe.next_due(reads) == 2_010


def test_a_list_with_timeout_zero_arms_nothing(probe: Any) -> None:
    off, owner = TimeoutList(0), probe.Owner(1)
    owner.arm(off, 0, 5)
    assert owner.armed() == []
    assert probe.next_due(off) is None


def test_moving_to_a_list_that_is_off_ends_the_former_timeout(probe: Any) -> None:
    idles, off, owner = TimeoutList(60_000), TimeoutList(0), probe.Owner(1)
    owner.arm(idles, 0, 0)
    owner.arm(off, 0, 10)
    assert len(idles) == 0
    assert owner.armed() == []


def test_timer_that_is_armed_again_while_expired_ones_are_handled_waits_its_full_time(probe: Any) -> None:
    timeouts, owner = TimeoutList(100), probe.Owner(2)
    owner.arm(timeouts, 0, 0)
    owner.arm(timeouts, 1, 0)
    assert probe.pop_expired(timeouts, 100) == (owner, 0)
    owner.arm(timeouts, 0, 100)
    assert probe.pop_all(timeouts, 100) == [1]
    assert probe.next_due(timeouts) == 200


def test_list_that_dies_first_leaves_its_timers_idle(probe: Any) -> None:
    timeouts, owner = TimeoutList(100), probe.Owner(3)
    for index in range(3):
        owner.arm(timeouts, index, 0)
    del timeouts
    assert owner.armed() == []


def test_owner_that_dies_first_disarms_its_timers(probe: Any) -> None:
    timeouts, owner, other = TimeoutList(100), probe.Owner(2), probe.Owner(1)
    owner.arm(timeouts, 0, 0)
    other.arm(timeouts, 0, 1)
    owner.arm(timeouts, 1, 2)
    del owner
    assert len(timeouts) == 1
    assert probe.next_due(timeouts) == 101


@pytest.mark.parametrize("timeout_ns", [0, 1, YEAR_NS])
def test_timeout_can_be_read_back(timeout_ns: int) -> None:
    assert TimeoutList(timeout_ns).timeout_ns == timeout_ns


@pytest.mark.parametrize("timeout_ns", [-1, YEAR_NS + 1, 2**63 - 1])
def test_timeout_that_is_negative_or_could_overflow_is_refused(timeout_ns: int) -> None:
    with pytest.raises(ValueError, match=f"not {timeout_ns}"):
        TimeoutList(timeout_ns)


@pytest.mark.parametrize("arguments", [(), (1, 2), ("1s",), (None,), (2**63,)])
def test_what_is_no_timeout_is_refused(arguments: Any) -> None:
    with pytest.raises((TypeError, OverflowError)):
        TimeoutList(*arguments)


TIMEOUTS_NS = (7, 20, 0)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("arm"), st.integers(0, 4), st.integers(0, len(TIMEOUTS_NS) - 1)),
        st.tuples(st.just("disarm"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("pass"), st.integers(1, 15), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(actions)
def test_lists_agree_with_a_dictionary_of_due_times(probe: Any, actions: list[tuple[str, int, int]]) -> None:
    lists = [TimeoutList(timeout_ns) for timeout_ns in TIMEOUTS_NS]
    owner = probe.Owner(5)
    now_ns = 0
    due: dict[int, tuple[int, int]] = {}  # number -> (list, due time), in order of arming
    for action, number, chosen in actions:
        if action == "pass":
            now_ns += number
            for which, timeouts in enumerate(lists):
                expected = [n for n, (where, when) in due.items() if where == which and when <= now_ns]
                assert probe.pop_all(timeouts, now_ns) == expected
                due = {n: entry for n, entry in due.items() if n not in expected}
        else:
            due.pop(number, None)
            if action == "disarm":
                owner.disarm(number)
            else:
                owner.arm(lists[chosen], number, now_ns)
                if TIMEOUTS_NS[chosen]:
                    due[number] = (chosen, now_ns + TIMEOUTS_NS[chosen])
        assert owner.armed() == sorted(due)
        for which, timeouts in enumerate(lists):
            times = [when for where, when in due.values() if where == which]
            assert len(timeouts) == len(times)
            assert probe.next_due(timeouts) == (min(times) if times else None)
