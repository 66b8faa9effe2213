"""TimeoutList: arming order is expiry order. TimerWheel: any due time, a slot late at most. Both: one
number says when to look again."""

from typing import Any

import pytest

from highperf.guards.deadlines import TimeoutList, TimerOwner, TimerWheel
from tests import compiled
from tests.effort import effort

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


def test_timers_can_be_looked_at_in_their_order(probe: Any) -> None:
    timeouts, owner = TimeoutList(100), probe.Owner(3)
    assert probe.at(timeouts, 0) is None
    for now_ns, index in enumerate([2, 0, 1]):
        owner.arm(timeouts, index, now_ns)
    assert [probe.at(timeouts, place) for place in range(5)] == [2, 0, 1, None, None]
    assert owner.armed() == [0, 1, 2]


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


# ---- owners ---------------------------------------------------------------------------------------


def test_owners_are_told_which_of_their_timers_have_run_out(probe: Any) -> None:
    timeouts, one, other = TimeoutList(100), probe.Owner(2), probe.Owner(1)
    one.arm(timeouts, 1, 0)
    other.arm(timeouts, 0, 1)
    one.arm(timeouts, 0, 2)
    probe.tell_owners(timeouts, 101)
    assert (one.expired, other.expired) == ([1], [0])


def test_owner_that_does_not_say_what_to_do_about_a_timer_fails_loudly(probe: Any) -> None:
    with pytest.raises(NotImplementedError, match="expired_c"):
        probe.tell(TimerOwner(), 0)


def test_streams_and_tasks_own_timers() -> None:
    from highperf.core.stream import Stream
    from highperf.core.task import StepTask

    assert issubclass(Stream, TimerOwner)
    assert issubclass(StepTask, TimerOwner)


# ---- the wheel ------------------------------------------------------------------------------------

ROUND_MS = 1024  # a wheel's round, in its slots of 1 ms


@pytest.mark.parametrize(
    ("due_ns", "handed_out_ns"),
    [
        (1, MS),
        (MS - 1, MS),
        (MS, MS),
        (MS + 1, 2 * MS),
        (5 * MS, 5 * MS),
        (80 * MS + 1, 81 * MS),
        (10**18 + 1, 10**18 + MS),
    ],
)
def test_wheel_hands_a_timer_out_at_the_end_of_its_slot_and_not_before(
    probe: Any, due_ns: int, handed_out_ns: int
) -> None:
    wheel, owner = TimerWheel(), probe.Owner(1)
    owner.arm(wheel, 0, 0, due_ns)
    assert owner.due_ns(0) == handed_out_ns
    assert probe.pop_all(wheel, handed_out_ns - 1) == []
    assert probe.pop_all(wheel, handed_out_ns) == [0]
    assert probe.pop_all(wheel, handed_out_ns) == []


def test_wheel_is_told_the_time_in_any_steps(probe: Any) -> None:
    for step_ns in (MS // effort(1_000), 333_333, MS, 7 * MS + 1, 500 * MS):
        wheel, owner = TimerWheel(), probe.Owner(40)
        for index in range(40):
            owner.arm(wheel, index, 0, index * index * 700_001)
        found = {}
        for now_ns in range(0, 1_200 * MS + step_ns, step_ns):
            assert len(wheel) == 40 - len(found)
            found.update(dict.fromkeys(probe.pop_all(wheel, now_ns), now_ns))
        for index, found_ns in found.items():
            assert index * index * 700_001 <= found_ns < index * index * 700_001 + MS + step_ns + (index == 0)
        assert len(found) == 40


def test_wheel_hands_timers_out_in_the_order_of_their_slots(probe: Any) -> None:
    wheel, owner = TimerWheel(), probe.Owner(5)
    for index, due_ms in enumerate([900, 3, 64, 63, 128]):
        owner.arm(wheel, index, 0, due_ms * MS)
    assert probe.pop_all(wheel, 1_000 * MS) == [1, 3, 2, 4, 0]


@pytest.mark.parametrize("start_ms", [0, 1, 63, 64, 1000, 1023, 1024, 10**9 + 17])
def test_wheel_is_next_due_at_the_slot_of_its_earliest_timer(probe: Any, start_ms: int) -> None:
    for ahead_ms in (1, 2, 62, 63, 64, 65, 127, 960, 1000, 1022, 1023):
        wheel, owner = TimerWheel(), probe.Owner(2)
        assert probe.pop_all(wheel, start_ms * MS) == []
        owner.arm(wheel, 1, start_ms * MS, (start_ms + ROUND_MS) * MS)
        owner.arm(wheel, 0, start_ms * MS, (start_ms + ahead_ms) * MS - 1)
        assert probe.next_due(wheel) == (start_ms + ahead_ms) * MS
        owner.disarm(0)
        assert probe.next_due(wheel) == (start_ms + ROUND_MS) * MS
        owner.disarm(1)
        assert probe.next_due(wheel) is None


def test_empty_wheel_is_never_due_and_hands_nothing_out(probe: Any) -> None:
    wheel = TimerWheel()
    assert len(wheel) == 0
    assert probe.next_due(wheel) is None
    assert probe.pop_expired(wheel, 10**18) is None
    assert probe.next_due(wheel) is None


def test_timer_of_a_later_round_is_passed_over_until_its_round(probe: Any) -> None:
    wheel, owner = TimerWheel(), probe.Owner(3)
    for index, rounds in enumerate([3, 0, 1]):
        owner.arm(wheel, index, 0, (7 + rounds * ROUND_MS) * MS)
    found = {}
    for now_ms in range(4 * ROUND_MS):
        found.update(dict.fromkeys(probe.pop_all(wheel, now_ms * MS), now_ms))
    assert found == {1: 7, 2: 7 + ROUND_MS, 0: 7 + 3 * ROUND_MS}


def test_wheel_asks_to_be_looked_at_once_a_round_for_a_timer_of_a_later_round(probe: Any) -> None:
    wheel, owner = TimerWheel(), probe.Owner(1)
    owner.arm(wheel, 0, 0, 5_000 * MS)
    looks = []
    while (due_ns := probe.next_due(wheel)) is not None:
        looks.append(due_ns // MS)
        probe.pop_all(wheel, due_ns)
    assert looks == [5_000 - rounds * ROUND_MS for rounds in (4, 3, 2, 1, 0)]


def test_whoever_asks_when_the_wheel_says_gets_every_timer_at_its_slot(probe: Any) -> None:
    wheel, owner = TimerWheel(), probe.Owner(50)
    due = {index: index * index * 3 * MS + 1 for index in range(50)}
    for index, due_ns in due.items():
        owner.arm(wheel, index, 0, due_ns)
    found = {}
    while (now_ns := probe.next_due(wheel)) is not None:
        found.update(dict.fromkeys(probe.pop_all(wheel, now_ns), now_ns))
    assert found == {index: due_ns + MS - 1 for index, due_ns in due.items()}


def test_rearming_in_a_wheel_moves_the_timer(probe: Any) -> None:
    wheel, owner = TimerWheel(), probe.Owner(2)
    owner.arm(wheel, 0, 0, 10 * MS)
    owner.arm(wheel, 0, 5 * MS, 30 * MS)
    owner.arm(wheel, 1, 5 * MS, 20 * MS)
    assert len(wheel) == 2
    assert probe.pop_all(wheel, 29 * MS) == [1]
    owner.arm(wheel, 0, 29 * MS, 30 * MS)
    assert probe.pop_all(wheel, 30 * MS) == [0]


def test_timer_disarmed_in_a_wheel_does_not_expire_and_leaves_the_others(probe: Any) -> None:
    wheel, owner = TimerWheel(), probe.Owner(4)
    for index in range(4):
        owner.arm(wheel, index, 0, 10 * MS)
    owner.disarm(2)
    owner.disarm(0)
    assert probe.pop_all(wheel, 10 * MS) == [1, 3]


def test_timer_may_be_disarmed_between_its_time_and_its_turn(probe: Any) -> None:
    wheel, owner = TimerWheel(), probe.Owner(3)
    for index in range(3):
        owner.arm(wheel, index, 0, (1 + index) * MS)
    assert probe.pop_expired(wheel, 10 * MS) == (owner, 0)
    assert len(wheel) == 2
    assert probe.next_due(wheel) == 2 * MS
    owner.disarm(1)
    assert probe.pop_all(wheel, 10 * MS) == [2]
    assert probe.next_due(wheel) is None


def test_timer_moves_between_list_and_wheel(probe: Any) -> None:
    timeouts, wheel, other, owner = TimeoutList(100 * MS), TimerWheel(), TimerWheel(), probe.Owner(1)
    owner.arm(timeouts, 0, 0)
    owner.arm(wheel, 0, 10 * MS, 300 * MS)
    assert (len(timeouts), len(wheel)) == (0, 1)
    owner.arm(other, 0, 10 * MS, 200 * MS)
    assert (len(wheel), len(other)) == (0, 1)
    owner.arm(timeouts, 0, 20 * MS)
    assert (len(timeouts), len(other)) == (1, 0)
    assert [probe.next_due(where) for where in (timeouts, wheel, other)] == [120 * MS, None, None]


@pytest.mark.parametrize("due_ns", [-(2**63), -1, 0, 1, 500 * MS - 1, 500 * MS])
def test_what_is_due_already_is_handed_out_with_the_slot_of_now(probe: Any, due_ns: int) -> None:
    for now_ns in (500 * MS, 500 * MS + 1, 501 * MS - 1):
        wheel, owner = TimerWheel(), probe.Owner(1)
        assert probe.pop_all(wheel, now_ns) == []
        owner.arm(wheel, 0, now_ns, due_ns)
        assert probe.next_due(wheel) == 501 * MS
        assert probe.pop_all(wheel, 501 * MS - 1) == []
        assert probe.pop_all(wheel, 501 * MS) == [0]


def test_timer_that_is_armed_for_now_whenever_it_expires_does_not_keep_the_wheel_busy(probe: Any) -> None:
    wheel, owner = TimerWheel(), probe.Owner(1)
    owner.arm(wheel, 0, 0, 0)
    for now_ms in range(1, 2_000):
        assert probe.pop_expired(wheel, now_ms * MS) == (owner, 0)
        owner.arm(wheel, 0, now_ms * MS, 0)
        assert probe.pop_expired(wheel, now_ms * MS) is None


@pytest.mark.parametrize("leap_ms", [1023, 1024, 1025, 5_000, 10**12])
def test_after_a_leap_of_time_everything_that_is_due_is_handed_out_once(probe: Any, leap_ms: int) -> None:
    wheel, owner = TimerWheel(), probe.Owner(60)
    due_ms = [1 + index * 97 for index in range(60)]
    for index in range(60):
        owner.arm(wheel, index, 0, due_ms[index] * MS)
    assert sorted(probe.pop_all(wheel, leap_ms * MS)) == [n for n in range(60) if due_ms[n] <= leap_ms]
    assert owner.armed() == [n for n in range(60) if due_ms[n] > leap_ms]
    assert sorted(probe.pop_all(wheel, (leap_ms + 10**4) * MS)) == [n for n in range(60) if due_ms[n] > leap_ms]


def test_wheel_that_nobody_looked_at_for_long_is_asked_in_time(probe: Any) -> None:
    wheel, owner, now_ns = TimerWheel(), probe.Owner(1), 10**15 + 1
    owner.arm(wheel, 0, now_ns, now_ns + 80 * MS)
    assert probe.next_due(wheel) <= owner.due_ns(0) == 10**15 + 81 * MS
    assert probe.pop_all(wheel, now_ns) == []
    assert probe.next_due(wheel) == owner.due_ns(0)


@pytest.mark.parametrize("due_ns", [YEAR_NS, 100 * YEAR_NS + 1, 2**63 - 1 - MS])
def test_timer_due_in_years_waits_for_years(probe: Any, due_ns: int) -> None:
    wheel, owner = TimerWheel(), probe.Owner(1)
    owner.arm(wheel, 0, 0, due_ns)
    assert due_ns <= owner.due_ns(0) < due_ns + MS
    assert probe.pop_all(wheel, due_ns - 1) == []
    assert probe.pop_all(wheel, owner.due_ns(0)) == [0]


@pytest.mark.parametrize("due_ns", [2**63 - 1, 2**63 - MS])
def test_timer_that_is_never_due_is_only_disarmed(probe: Any, due_ns: int) -> None:
    timeouts, wheel, owner = TimeoutList(100), TimerWheel(), probe.Owner(1)
    owner.arm(timeouts, 0, 0)
    owner.arm(wheel, 0, 0, due_ns)
    assert owner.armed() == []
    assert (len(timeouts), len(wheel)) == (0, 0)


def test_wheel_that_dies_first_leaves_its_timers_idle(probe: Any) -> None:
    wheel, owner = TimerWheel(), probe.Owner(4)
    for index, due_ms in enumerate([1, 2, 50, 5_000]):
        owner.arm(wheel, index, 0, due_ms * MS)
    assert probe.pop_expired(wheel, 10 * MS) == (owner, 0)
    assert owner.armed() == [1, 2, 3]  # 1 has run out and was not handed out
    del wheel
    assert owner.armed() == []


def test_owner_that_dies_first_disarms_its_timers_in_a_wheel(probe: Any) -> None:
    wheel, owner, other = TimerWheel(), probe.Owner(2), probe.Owner(1)
    owner.arm(wheel, 0, 0, 10 * MS)
    other.arm(wheel, 0, 0, 10 * MS)
    owner.arm(wheel, 1, 0, 5 * MS)
    del owner
    assert len(wheel) == 1
    assert probe.pop_expired(wheel, 10 * MS) == (other, 0)


def test_wheel_may_be_made_without_init() -> None:
    assert len(TimerWheel.__new__(TimerWheel)) == 0
