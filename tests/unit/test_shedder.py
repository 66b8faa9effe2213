"""Shedder: a hard cap with a reserve, and refusals while a queue stands before the loop."""

import random
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from highperf.guards.shedder import Shedder
from tests import compiled

MS = 1_000_000
TARGET_NS = 5 * MS
INTERVAL_NS = 100 * MS


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/shedder_probe.pyx")


# ---- permits --------------------------------------------------------------------------------------


def enter_many(probe: Any, shedder: Shedder, count: int, *, critical: bool = False) -> int:
    """How many of `count` requests were admitted."""
    return sum(probe.enter(shedder, critical, 0) == probe.NONE for _ in range(count))


def test_as_many_requests_as_the_limit_are_admitted_and_the_next_is_refused(probe: Any) -> None:
    shedder = Shedder(3)
    assert enter_many(probe, shedder, 3) == 3
    assert probe.enter(shedder, False, 0) == probe.FULL
    assert shedder.running == 3


def test_permit_that_is_given_back_admits_another(probe: Any) -> None:
    shedder = Shedder(2)
    assert enter_many(probe, shedder, 3) == 2
    probe.leave(shedder, False)
    assert shedder.running == 1
    assert enter_many(probe, shedder, 2) == 1


def test_limit_zero_admits_any_number(probe: Any) -> None:
    for reserving in (False, True):
        shedder = Shedder(0, reserving=reserving)
        assert shedder.reserve == 0
        assert enter_many(probe, shedder, 10_000) == 10_000
        assert enter_many(probe, shedder, 10_000, critical=True) == 10_000
        assert (shedder.running, shedder.critical_running) == (20_000, 10_000)


@pytest.mark.parametrize(("limit", "reserve"), [(1, 0), (4, 0), (5, 1), (9, 1), (10, 2), (512, 102)])
def test_a_fifth_of_the_permits_is_for_critical_requests_when_there_are_such_routes(
    probe: Any, limit: int, reserve: int
) -> None:
    shedder = Shedder(limit, reserving=True)
    assert shedder.reserve == reserve
    assert enter_many(probe, shedder, 2 * limit) == limit - reserve
    assert enter_many(probe, shedder, 2 * limit, critical=True) == reserve
    assert probe.enter(shedder, True, 0) == probe.FULL


def test_without_critical_routes_ordinary_requests_may_have_all_permits(probe: Any) -> None:
    shedder = Shedder(10)
    assert shedder.reserve == 0
    assert enter_many(probe, shedder, 20) == 10


def test_critical_requests_may_have_all_permits(probe: Any) -> None:
    shedder = Shedder(10, reserving=True)
    assert enter_many(probe, shedder, 20, critical=True) == 10
    assert shedder.critical_running == 10


def test_permits_of_critical_requests_count_for_the_ordinary(probe: Any) -> None:
    shedder = Shedder(10, reserving=True)
    assert enter_many(probe, shedder, 7, critical=True) == 7
    assert enter_many(probe, shedder, 5) == 1
    probe.leave(shedder, True)
    probe.leave(shedder, True)
    assert (shedder.running, shedder.critical_running) == (6, 5)
    assert enter_many(probe, shedder, 5) == 2


# ---- when a queue stands --------------------------------------------------------------------------


class Turns:
    """Turns of a loop, one right after the other."""

    def __init__(self, probe: Any, shedder: Shedder) -> None:
        self.probe, self.shedder, self.now_ns = probe, shedder, 10**15

    def pass_by(self, *lengths_ms: float) -> None:
        for length_ms in lengths_ms:
            self.now_ns += int(length_ms * MS)
            self.probe.turn(self.shedder, int(length_ms * MS), self.now_ns)

    def idle(self, ms: float) -> None:
        """The loop waits for events, and nobody measures."""
        self.now_ns += int(ms * MS)

    def until_patience(self, patience_ms: float) -> None:
        while self.shedder.patience_ns > patience_ms * MS or not self.shedder.standing:
            self.pass_by(10)

    def enter(self, after_ms: float, *, critical: bool = False) -> int:
        """What is said to a request that the turn comes to after so long; it leaves at once."""
        said: int = self.probe.enter(self.shedder, critical, self.now_ns + int(after_ms * MS))
        if said == self.probe.NONE:
            self.probe.leave(self.shedder, critical)
        return said


@pytest.fixture
def turns(probe: Any) -> Turns:
    return Turns(probe, Shedder())


def test_turns_up_to_the_target_are_no_queue(probe: Any, turns: Turns) -> None:
    turns.pass_by(*[5] * 1_000)
    assert not turns.shedder.standing
    assert turns.enter(10_000) == probe.NONE


def test_one_long_turn_begins_the_watch_with_an_interval_of_patience(probe: Any, turns: Turns) -> None:
    turns.pass_by(5.000001)
    assert turns.shedder.standing
    assert turns.shedder.patience_ns == INTERVAL_NS
    assert turns.enter(99.999999) == probe.NONE
    assert turns.enter(100) == probe.DELAY


def test_one_long_turn_alone_is_no_interval_of_long_turns_however_long_it_was(turns: Turns) -> None:
    turns.pass_by(10_000)
    assert turns.shedder.patience_ns == INTERVAL_NS


def test_short_turn_at_full_patience_ends_the_watch(probe: Any, turns: Turns) -> None:
    turns.pass_by(60, 99, 5)
    assert not turns.shedder.standing
    assert turns.enter(10_000) == probe.NONE


def test_patience_halves_with_each_interval_of_long_turns_down_to_the_target(turns: Turns) -> None:
    turns.pass_by(10)
    seen = []
    for _ in range(7):
        turns.pass_by(*[10] * 9)
        before = turns.shedder.patience_ns
        turns.pass_by(10)
        seen.append((before / MS, turns.shedder.patience_ns / MS))
    assert seen == [(100, 50), (50, 25), (25, 12.5), (12.5, 6.25), (6.25, 5), (5, 5), (5, 5)]


def test_each_interval_is_judged_by_its_own_turns(turns: Turns) -> None:
    turns.until_patience(25)
    turns.pass_by(1, *[10] * 10)  # 101 ms with a short turn
    assert turns.shedder.patience_ns == 50 * MS
    turns.pass_by(*[10] * 10)  # and 100 ms without one
    assert turns.shedder.patience_ns == 25 * MS


def test_patience_doubles_with_each_interval_in_which_the_queue_was_empty_once(turns: Turns) -> None:
    turns.until_patience(5)
    seen = []
    for _ in range(5):
        turns.pass_by(*[10] * 5, 5, *[10] * 5)
        seen.append(turns.shedder.patience_ns / MS)
    assert seen == [10, 20, 40, 80, 100]
    assert turns.shedder.standing
    turns.pass_by(5)
    assert not turns.shedder.standing


def test_interval_without_a_long_turn_ends_the_watch(probe: Any, turns: Turns) -> None:
    turns.until_patience(5)
    turns.pass_by(*[5] * 19)
    assert turns.shedder.standing
    turns.pass_by(5)
    assert not turns.shedder.standing
    assert turns.enter(10_000) == probe.NONE


def test_requests_are_served_at_the_beginning_of_each_turn_and_refused_in_its_rest(probe: Any, turns: Turns) -> None:
    turns.until_patience(5)
    for _ in range(3):
        assert turns.enter(0) == turns.enter(4.999999) == probe.NONE
        assert turns.enter(5) == turns.enter(50) == probe.DELAY
        turns.pass_by(6)


def test_refused_request_takes_no_permit(probe: Any) -> None:
    shedder = Shedder(10)
    turns = Turns(probe, shedder)
    turns.until_patience(5)
    assert turns.enter(7) == probe.DELAY
    assert (shedder.running, shedder.critical_running) == (0, 0)


def test_full_is_said_rather_than_delay(probe: Any) -> None:
    shedder = Shedder(1)
    turns = Turns(probe, shedder)
    turns.until_patience(5)
    assert probe.enter(shedder, False, turns.now_ns) == probe.NONE
    assert turns.enter(7) == probe.FULL


def test_critical_requests_pass_while_the_reserve_has_room(probe: Any) -> None:
    shedder = Shedder(10, reserving=True)
    turns = Turns(probe, shedder)
    turns.until_patience(5)
    late_ns = turns.now_ns + 50 * MS
    assert [probe.enter(shedder, True, late_ns) for _ in range(3)] == [probe.NONE, probe.NONE, probe.DELAY]
    assert turns.enter(0, critical=True) == probe.NONE  # in time, as everybody
    probe.leave(shedder, True)
    assert turns.enter(50, critical=True) == probe.NONE
    assert turns.enter(50) == probe.DELAY


def test_critical_requests_pass_without_a_limit(probe: Any, turns: Turns) -> None:
    turns.until_patience(5)
    late_ns = turns.now_ns + 50 * MS
    assert {probe.enter(turns.shedder, True, late_ns) for _ in range(1_000)} == {probe.NONE}


def test_critical_requests_have_no_exemption_without_a_reserve(probe: Any) -> None:
    turns = Turns(probe, Shedder(4, reserving=True))
    turns.until_patience(5)
    assert turns.enter(50, critical=True) == probe.DELAY


def test_what_was_not_measured_for_an_interval_was_no_queue(probe: Any, turns: Turns) -> None:
    turns.until_patience(5)
    turns.idle(100)
    turns.pass_by(1)
    assert not turns.shedder.standing
    assert turns.enter(10_000) == probe.NONE


def test_long_turn_after_a_gap_begins_a_new_watch(turns: Turns) -> None:
    turns.until_patience(5)
    turns.idle(100)
    turns.pass_by(30)
    assert turns.shedder.standing
    assert turns.shedder.patience_ns == INTERVAL_NS


def test_gap_shorter_than_an_interval_is_not_taken_for_one(turns: Turns) -> None:
    turns.until_patience(5)
    turns.idle(99)
    turns.pass_by(30)
    assert turns.shedder.patience_ns == TARGET_NS


def test_target_zero_looks_at_no_turns(probe: Any) -> None:
    turns = Turns(probe, Shedder(target_ns=0))
    turns.pass_by(*[1_000] * 20)
    assert not turns.shedder.standing
    assert turns.enter(10_000) == probe.NONE


def test_other_targets_and_intervals_are_kept_to(probe: Any) -> None:
    turns = Turns(probe, Shedder(target_ns=20 * MS, interval_ns=50 * MS))
    turns.pass_by(20)
    assert not turns.shedder.standing
    turns.pass_by(21)
    assert turns.enter(49) == probe.NONE
    assert turns.enter(50) == probe.DELAY
    turns.pass_by(*[21] * 6)
    assert turns.shedder.patience_ns == 20 * MS


# ---- what may be asked for ------------------------------------------------------------------------


def test_defaults_are_no_limit_and_the_figures_of_codel() -> None:
    shedder = Shedder()
    assert (shedder.limit, shedder.target_ns, shedder.interval_ns) == (0, TARGET_NS, INTERVAL_NS)
    assert (shedder.running, shedder.critical_running, shedder.standing) == (0, 0, False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", -1),
        ("limit", 1_000_000_001),
        ("target_ns", -1),
        ("target_ns", 100 * MS + 1),
        ("interval_ns", 0),
        ("interval_ns", -1),
        ("interval_ns", 3_600_000_000_001),
    ],
)
def test_what_is_out_of_bounds_is_refused_by_name_and_value(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be .* not {value}$"):
        Shedder(**{name: value})


@pytest.mark.parametrize("arguments", [{"limit": "5"}, {"limit": None}, {"limit": 2**31}, {"target_ns": 2**63}])
def test_what_is_no_number_is_refused(arguments: Any) -> None:
    with pytest.raises((TypeError, OverflowError)):
        Shedder(**arguments)


def test_shedder_may_be_made_without_init(probe: Any) -> None:
    assert probe.enter(Shedder.__new__(Shedder), False, 0) == probe.NONE


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    st.integers(0, 12),
    st.booleans(),
    st.lists(
        st.one_of(
            st.tuples(st.just("enter"), st.booleans(), st.integers(0, 120)),
            st.tuples(st.just("leave"), st.booleans(), st.just(0)),
            st.tuples(st.just("turn"), st.booleans(), st.sampled_from([0, 1, 5, 6, 10, 40, 120])),
        ),
        max_size=120,
    ),
)
def test_permits_balance_and_the_reserve_is_kept(
    probe: Any, limit: int, reserving: bool, events: list[tuple[str, bool, int]]
) -> None:
    shedder = Shedder(limit, reserving=reserving)
    turns = Turns(probe, shedder)
    out = {False: 0, True: 0}
    for event, critical, ms in events:
        if event == "turn":
            turns.pass_by(ms)
        elif event == "leave" and out[critical]:
            probe.leave(shedder, critical)
            out[critical] -= 1
        elif event == "enter":
            said = probe.enter(shedder, critical, turns.now_ns + ms * MS)
            running, room = sum(out.values()), limit - (0 if critical else shedder.reserve)
            late = shedder.standing and ms * MS >= shedder.patience_ns
            exempt = critical and (not limit or out[True] < shedder.reserve)
            expected = probe.DELAY if late and not exempt else probe.NONE
            assert said == (probe.FULL if limit and running >= room else expected)
            out[critical] += said == probe.NONE
        assert shedder.running == sum(out.values()) >= shedder.critical_running == out[True] >= 0
        assert not limit or shedder.running <= limit
        assert TARGET_NS <= shedder.patience_ns <= INTERVAL_NS


# ---- a server of one thread, with a clock of its own ----------------------------------------------

SERVE_NS = 1 * MS
REFUSE_NS = 20_000
IDLE_TURN_NS = 10_000
DEADLINE_NS = 80 * MS


class Answer(NamedTuple):
    arrived_ns: int
    answered_ns: int
    served: bool

    @property
    def good(self) -> bool:
        return self.served and self.answered_ns - self.arrived_ns <= DEADLINE_NS


class Server:
    """An event loop whose turn serves what was ready at its beginning; requests arrive whatever it does."""

    def __init__(self, probe: Any) -> None:
        self.probe, self.shedder, self.now_ns = probe, Shedder(), 0
        self.stalls: list[tuple[int, int]] = []  # (not before, length)

    def run(self, arrivals_ns: list[int]) -> list[Answer]:
        answers: list[Answer] = []
        while len(answers) < len(arrivals_ns):
            began_ns = self.now_ns
            if self.stalls and self.stalls[0][0] <= began_ns:
                self.now_ns += self.stalls.pop(0)[1]
            for arrived_ns in arrivals_ns[len(answers) :]:
                if arrived_ns > began_ns:
                    break
                answers.append(self.answer(arrived_ns))
            if self.now_ns == began_ns and not self.shedder.standing:
                self.now_ns = arrivals_ns[len(answers)]  # nothing to measure: the loop waits
                continue
            self.now_ns = max(self.now_ns, began_ns + IDLE_TURN_NS)
            self.probe.turn(self.shedder, self.now_ns - began_ns, self.now_ns)
        return answers

    def answer(self, arrived_ns: int) -> Answer:
        served = self.probe.enter(self.shedder, False, self.now_ns) == self.probe.NONE
        self.now_ns += SERVE_NS if served else REFUSE_NS
        if served:
            self.probe.leave(self.shedder, False)
        return Answer(arrived_ns, self.now_ns, served)


Arrivals = Callable[[float, float, float], list[int]]


def even(load: float, begin_s: float, end_s: float) -> list[int]:
    count = int((end_s - begin_s) * 1_000 * load)
    return [int((begin_s * 1_000 + number / load) * MS) for number in range(count)]


def poisson(load: float, begin_s: float, end_s: float) -> list[int]:
    chance, times_ns, now_ms = random.Random(f"{load} {begin_s} {end_s}"), [], begin_s * 1_000
    while (now_ms := now_ms + chance.expovariate(load)) < end_s * 1_000:
        times_ns.append(int(now_ms * MS))
    return times_ns


def goodput(answers: Iterable[Answer], begin_s: float, end_s: float) -> float:
    """Answers within the deadline, of those that the time would be enough for."""
    good = sum(answer.good and begin_s * 1e9 <= answer.answered_ns < end_s * 1e9 for answer in answers)
    return good / ((end_s - begin_s) * 1_000)


@pytest.mark.parametrize("arrivals", [even, poisson])
@pytest.mark.parametrize(("load", "goal"), [(1, 0.95), (1.1, 0.95), (2, 0.95), (5, 0.9), (10, 0.8)])
def test_goodput_under_overload(probe: Any, arrivals: Arrivals, load: float, goal: float) -> None:
    answers = Server(probe).run(arrivals(load, 0, 5))
    assert goodput(answers, 1, 5) >= goal
    assert goodput(answers, 0, 5) >= goal - 0.03  # the second in which the overload was found out


def test_goodput_under_overload_is_nothing_without_shedding(probe: Any) -> None:
    server = Server(probe)
    server.shedder = Shedder(target_ns=0)
    assert goodput(server.run(even(2, 0, 5)), 0, 5) < 0.05


@pytest.mark.parametrize("arrivals", [even, poisson])
@pytest.mark.parametrize("load", [1.1, 2, 5, 10])
def test_admitted_requests_meet_their_deadline_under_overload(probe: Any, arrivals: Arrivals, load: float) -> None:
    answers = Server(probe).run(arrivals(load, 0, 5))
    served = [answer for answer in answers if answer.served and answer.answered_ns >= 1e9]
    assert sum(answer.good for answer in served) >= 0.99 * len(served)


@pytest.mark.parametrize("arrivals", [even, poisson])
@pytest.mark.parametrize("load", [2, 5, 10])
def test_server_recovers_within_two_seconds_after_the_load_falls(probe: Any, arrivals: Arrivals, load: float) -> None:
    answers = Server(probe).run(arrivals(load, 0, 3) + arrivals(0.8, 3, 8))
    after = [answer for answer in answers if answer.arrived_ns >= 5e9]
    assert sum(answer.good for answer in after) >= 0.99 * len(after)


def test_nothing_is_shed_below_capacity(probe: Any) -> None:
    for load in (0.5, 0.8, 0.9, 0.95):
        assert all(answer.served for answer in Server(probe).run(even(load, 0, 5)))


def test_random_arrivals_near_capacity_are_hardly_shed(probe: Any) -> None:
    for load, most in [(0.8, 0), (0.9, 0.002)]:
        answers = Server(probe).run(poisson(load, 0, 20))
        assert sum(not answer.served for answer in answers) <= most * len(answers)


@pytest.mark.parametrize("load", [0.2, 0.5, 0.8, 0.9])
def test_nothing_is_shed_for_one_stall(probe: Any, load: float) -> None:
    server = Server(probe)
    server.stalls = [(1_000 * MS, 50 * MS)]
    assert all(answer.served for answer in server.run(even(load, 0, 3)))


@pytest.mark.parametrize("load", [0.2, 0.5, 0.8, 0.9])
def test_nothing_is_shed_for_one_burst(probe: Any, load: float) -> None:
    answers = Server(probe).run(sorted(even(load, 0, 3) + [1_000 * MS] * 50))
    assert all(answer.served for answer in answers)


def test_watch_ends_soon_after_the_load_is_gone(probe: Any) -> None:
    server = Server(probe)
    server.run(even(10, 0, 2))
    ended_ns = server.now_ns
    while server.shedder.standing:
        server.now_ns += IDLE_TURN_NS
        probe.turn(server.shedder, IDLE_TURN_NS, server.now_ns)
    assert server.now_ns - ended_ns <= 2 * INTERVAL_NS + IDLE_TURN_NS
