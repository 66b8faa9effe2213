"""CircuitBreaker: what opens it, how long it stays open, who probes, what closes it. Time is passed in."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from highperf.guards.breaker import CircuitBreaker
from highperf.segment import Segment
from tests import compiled

MS = 1_000_000
S = 1_000 * MS
NOW = 1_000 * S
ROUND_MS = 2**32  # until_ms comes round after that many
OPEN, RAMP = -1, -2


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/breaker_probe.pyx")


@pytest.fixture
def segment() -> Segment:
    return Segment.create(1 << 20, epoch_ns=0)


def call(breaker: CircuitBreaker, outcome: str, now_ns: int, times: int = 1) -> None:
    for _ in range(times):
        pass_ = breaker.allow(now_ns=now_ns)
        assert pass_ >= 0
        breaker.report(pass_, outcome, now_ns=now_ns)


def opened(now_ns: int = NOW, **settings: Any) -> CircuitBreaker:
    breaker = CircuitBreaker("db", **settings)
    call(breaker, "failure", now_ns, times=breaker.failures)
    assert breaker.state == "open"
    return breaker


def ramping(now_ns: int = NOW, **settings: Any) -> CircuitBreaker:
    """The ramp begins at now_ns, after one opening."""
    breaker = opened(now_ns - 2 * S, **settings)
    call(breaker, "success", now_ns, times=3)
    assert breaker.state == "ramp"
    return breaker


def call_in_ramp(breaker: CircuitBreaker, outcome: str, now_ns: int) -> None:
    pass_ = next(given for _ in range(1_000) if (given := breaker.allow(now_ns=now_ns)) != RAMP)
    breaker.report(pass_, outcome, now_ns=now_ns)


def open_ns(breaker: CircuitBreaker, now_ns: int) -> int:
    """How long it stays open from now_ns on, asked without a change; exact to a millisecond."""
    assert breaker.state == "open"
    return breaker.retry_after(now_ns=now_ns)


def published_successes(segment: Segment, name: str = "db") -> int:
    offset = segment.area(f"breaker {name}", 192)
    return sum(segment.read_word(offset + 8 * at) & 2**20 - 1 for at in range(2, 24, 2))


# ---- failures in a row ----------------------------------------------------------------------------


def test_twentieth_failure_in_a_row_opens() -> None:
    breaker = CircuitBreaker()
    call(breaker, "failure", NOW, times=19)
    assert (breaker.state, breaker.streak) == ("closed", 19)
    call(breaker, "failure", NOW)
    assert (breaker.state, breaker.opened) == ("open", 1)
    assert breaker.allow(now_ns=NOW) == OPEN


def test_failures_in_a_row_may_lie_any_time_apart() -> None:
    breaker = CircuitBreaker()
    for number in range(20):
        assert breaker.state == "closed"
        call(breaker, "failure", NOW + number * 3_600 * S)
    assert breaker.state == "open"


def test_one_success_between_begins_the_row_anew() -> None:
    breaker = CircuitBreaker(volume=100)
    for _ in range(2):
        call(breaker, "failure", NOW, times=19)
        call(breaker, "success", NOW)
        assert (breaker.state, breaker.streak) == ("closed", 0)
    call(breaker, "failure", NOW, times=20)
    assert breaker.state == "open"


def test_row_is_counted_over_all_that_are_bound_to_the_segment(segment: Segment) -> None:
    workers = [CircuitBreaker("db", segment=segment) for _ in range(4)]
    for number in range(20):
        assert workers[0].state == "closed"
        call(workers[number % 4], "failure", NOW)
    assert {worker.state for worker in workers} == {"open"}
    assert [worker.opened for worker in workers] == [0, 0, 0, 1]


def test_ignored_results_neither_lengthen_nor_end_a_row() -> None:
    breaker = CircuitBreaker()
    call(breaker, "failure", NOW, times=19)
    call(breaker, "ignored", NOW, times=50)
    assert (breaker.state, breaker.streak) == ("closed", 19)
    call(breaker, "failure", NOW)
    assert breaker.state == "open"


def test_calls_that_have_not_ended_are_not_counted() -> None:
    breaker = CircuitBreaker()
    passes = [breaker.allow(now_ns=NOW) for _ in range(1_000)]
    assert breaker.state == "closed"
    for pass_ in passes[:20]:
        breaker.report(pass_, "failure", now_ns=NOW)
    assert breaker.state == "open"


# ---- the failed share -----------------------------------------------------------------------------


def test_half_of_twenty_calls_failed_opens() -> None:
    breaker = CircuitBreaker()
    for _ in range(9):
        call(breaker, "success", NOW)
        call(breaker, "failure", NOW)
    call(breaker, "success", NOW)
    assert breaker.state == "closed"
    call(breaker, "failure", NOW)
    assert breaker.state == "open"


def test_nineteen_calls_do_not_open_whatever_their_share() -> None:
    breaker = CircuitBreaker()
    call(breaker, "success", NOW)
    call(breaker, "failure", NOW, times=18)
    assert breaker.state == "closed"
    call(breaker, "failure", NOW)
    assert breaker.state == "open"


def test_less_than_half_failed_does_not_open() -> None:
    breaker = CircuitBreaker()
    for _ in range(1_000):
        call(breaker, "success", NOW, times=2)
        call(breaker, "failure", NOW)
    call(breaker, "success", NOW, times=50)
    assert breaker.state == "closed"


@pytest.mark.parametrize(("ratio", "successes", "failures"), [(0.1, 27, 3), (0.3, 21, 9), (1.0, 0, 25), (0.01, 99, 1)])
def test_share_that_opens_is_exact(ratio: float, successes: int, failures: int) -> None:
    breaker = CircuitBreaker(ratio=ratio, volume=25, failures=1_000)
    call(breaker, "failure", NOW, times=failures - 1)
    call(breaker, "success", NOW, times=successes)
    assert breaker.state == "closed"
    call(breaker, "failure", NOW)
    assert breaker.state == "open"


@pytest.mark.parametrize(
    ("later_s", "state"), [(0, "open"), (9, "open"), (10, "closed"), (11, "closed"), (3_600, "closed")]
)
def test_seconds_older_than_ten_do_not_count(later_s: int, state: str) -> None:
    breaker = CircuitBreaker()
    for _ in range(9):
        call(breaker, "failure", NOW)
        call(breaker, "success", NOW)
    call(breaker, "success", NOW + later_s * S)
    call(breaker, "failure", NOW + later_s * S)
    assert breaker.state == state


def test_successes_from_before_the_first_failure_count() -> None:
    breaker = CircuitBreaker()
    for second in range(10):
        call(breaker, "success", NOW + second * S, times=3)
    now_ns = NOW + 9 * S
    for _ in range(15):
        call(breaker, "failure", now_ns, times=2)  # of 30 + 45 calls 30 failed
        call(breaker, "success", now_ns)
    assert breaker.state == "closed"
    call(breaker, "failure", now_ns + S, times=11)
    assert breaker.state == "closed"
    call(breaker, "failure", now_ns + S)  # 3 of the successes are too old now: 42 of 84 failed
    assert breaker.state == "open"


def test_successes_of_nine_seconds_before_the_first_failure_count() -> None:
    breaker = CircuitBreaker(volume=5)
    call(breaker, "success", NOW, times=12)
    call(breaker, "failure", NOW + 9 * S, times=11)
    assert breaker.state == "closed"
    call(breaker, "failure", NOW + 9 * S)
    assert breaker.state == "open"


@pytest.mark.parametrize(("later_s", "published"), [(0, 1), (9, 1), (10, 0), (3_600, 0)])
def test_successes_are_published_for_ten_seconds_after_a_failure(
    segment: Segment, later_s: int, published: int
) -> None:
    breaker = CircuitBreaker("db", segment=segment)
    call(breaker, "failure", NOW)
    call(breaker, "success", NOW + later_s * S)
    assert published_successes(segment) == published


@pytest.mark.parametrize("later_s", [11, 12, 22, 3_600])
def test_successes_of_another_round_of_the_ring_are_not_published(segment: Segment, later_s: int) -> None:
    breaker = CircuitBreaker("db", segment=segment)
    for second in range(11):
        call(breaker, "success", NOW + second * S, times=5)
    now_ns = NOW + (10 + later_s) * S
    call(breaker, "success", now_ns)
    call(breaker, "failure", now_ns)
    assert published_successes(segment) == 1


def test_successes_of_the_first_second_of_all_count(segment: Segment) -> None:
    breaker = CircuitBreaker("db", segment=segment)
    call(breaker, "success", 5, times=3)
    call(breaker, "failure", 5)
    assert published_successes(segment) == 3


def test_successes_of_another_generation_are_not_published(segment: Segment) -> None:
    first, second = (CircuitBreaker("db", failures=2, open_for_ns=MS, segment=segment) for _ in range(2))
    call(first, "success", NOW, times=1_000)
    call(second, "failure", NOW, times=2)
    call(second, "success", NOW + MS, times=3)
    call(first, "success", NOW + 2 * S + MS)
    call(first, "failure", NOW + 2 * S + MS)
    assert (first.state, published_successes(segment)) == ("closed", 1)


def test_successes_of_a_worker_count_from_its_next_result_on(segment: Segment) -> None:
    healthy, failing = (CircuitBreaker("db", failures=5_000, segment=segment) for _ in range(2))
    call(healthy, "success", NOW, times=1_000)
    call(failing, "failure", NOW)
    call(healthy, "success", NOW)
    call(failing, "failure", NOW, times=999)
    assert failing.state == "closed"
    call(failing, "failure", NOW)
    assert failing.state == "open"


def test_worker_without_a_result_since_the_first_failure_is_not_heard(segment: Segment) -> None:
    idle, failing = (CircuitBreaker("db", failures=1_000, segment=segment) for _ in range(2))
    call(idle, "success", NOW, times=1_000)
    call(failing, "failure", NOW, times=20)
    assert failing.state == "open"


def test_worker_at_the_edge_of_the_next_second_loses_no_counts(segment: Segment) -> None:
    first, second = (CircuitBreaker("db", volume=4, ratio=1.0, segment=segment) for _ in range(2))
    call(first, "failure", NOW)
    call(second, "failure", NOW + 10 * S)  # its second has taken no cell that may still count
    call(first, "failure", NOW + 10 * S - 1, times=2)
    assert first.state == "closed"  # one is too old for the second that has begun, not for the one before
    call(second, "failure", NOW + 10 * S)
    assert second.state == "open"


def test_process_that_was_stopped_for_a_round_of_the_ring_does_not_erase_newer_counts(segment: Segment) -> None:
    stopped, running = (CircuitBreaker("db", segment=segment) for _ in range(2))
    call(running, "success", NOW + 11 * S, times=10)
    call(running, "failure", NOW + 11 * S, times=9)
    call(stopped, "success", NOW)
    call(running, "failure", NOW + 11 * S)
    assert running.state == "open"


# ---- open -----------------------------------------------------------------------------------------


def test_open_for_two_seconds_and_not_a_moment_less() -> None:
    breaker = opened()
    for later_ns in (0, 1, S, 2 * S - 1):
        assert breaker.allow(now_ns=NOW + later_ns) == OPEN
    assert breaker.allow(now_ns=NOW + 2 * S) >= 0


@pytest.mark.parametrize("begin_ns", [NOW + 1, NOW + 999_999, NOW + 123_456_789])
def test_instants_are_rounded_up_to_a_millisecond(begin_ns: int) -> None:
    breaker = opened(begin_ns)
    wait_ns = breaker.retry_after(now_ns=begin_ns)
    assert 2 * S <= wait_ns < 2 * S + MS
    assert breaker.allow(now_ns=begin_ns + wait_ns - 1) == OPEN
    assert breaker.allow(now_ns=begin_ns + wait_ns) >= 0


def test_time_open_runs_from_the_failure_that_opened_it_not_from_the_begin_of_its_call() -> None:
    breaker = CircuitBreaker(failures=1)
    pass_ = breaker.allow(now_ns=NOW)
    breaker.report(pass_, "failure", now_ns=NOW + 5 * S)
    assert breaker.allow(now_ns=NOW + 6 * S) == OPEN
    assert breaker.allow(now_ns=NOW + 7 * S) >= 0


def test_failed_probes_double_the_time_to_thirty_seconds_with_a_fifth_of_jitter() -> None:
    seen: dict[int, set[int]] = {}
    for _ in range(200):
        breaker, now_ns = opened(), NOW
        for step, asked_s in enumerate((2, 4, 8, 16, 30, 30, 30)):
            length_ns = open_ns(breaker, now_ns)
            if step == 0:
                assert length_ns == 2 * S
            assert asked_s * 0.8 * S <= length_ns <= asked_s * 1.2 * S + MS
            seen.setdefault(step, set()).add(length_ns)
            now_ns += length_ns
            call(breaker, "failure", now_ns)
    for step, asked_s in enumerate((4, 8, 16, 30, 30, 30), 1):
        assert min(seen[step]) < asked_s * 0.83 * S
        assert max(seen[step]) > asked_s * 1.17 * S


def test_time_is_never_shorter_than_the_first_whatever_the_longest() -> None:
    breaker, now_ns = opened(open_for_ns=60 * S), NOW
    for _ in range(50):
        assert 60 * S <= open_ns(breaker, now_ns) <= 72 * S + MS
        now_ns += 73 * S
        call(breaker, "failure", now_ns)


def test_hundred_failed_probes_overflow_nothing() -> None:
    breaker, now_ns = opened(open_for_ns=MS, longest_open_ns=24 * 3_600 * S), NOW
    for _ in range(100):
        length_ns = open_ns(breaker, now_ns)
        assert MS <= length_ns <= 1.2 * 24 * 3_600 * S + MS
        now_ns += length_ns
        call(breaker, "failure", now_ns)
    assert length_ns >= 24 * 3_600 * S * 4 // 5  # whole numbers: the least jitter gives just this


def test_it_is_open_until_its_time_is_over_and_looking_changes_nothing(probe: Any) -> None:
    breaker = CircuitBreaker("db")
    assert (probe.closed(breaker), probe.refuses(breaker, NOW)) == (True, False)
    call(breaker, "failure", NOW, times=20)
    assert (probe.closed(breaker), probe.refuses(breaker, NOW + 2 * S - 1)) == (False, True)
    for _ in range(3):
        assert not probe.refuses(breaker, NOW + 2 * S)
        assert breaker.state == "open"
    pass_ = breaker.allow(now_ns=NOW + 2 * S)
    assert probe.refuses(breaker, NOW + 3 * S - 1)
    assert not probe.refuses(breaker, NOW + 3 * S)
    breaker.report(pass_, "success", now_ns=NOW + 2 * S)
    call(breaker, "success", NOW + 2 * S, times=2)
    assert (breaker.state, probe.closed(breaker), probe.refuses(breaker, NOW + 2 * S)) == ("ramp", False, False)


def test_retry_after_is_more_than_nothing_in_every_state(probe: Any) -> None:
    breaker = CircuitBreaker("db")
    assert (breaker.retry_after(now_ns=NOW), probe.retry_after(breaker, NOW)) == (0, 1)
    call(breaker, "failure", NOW, times=20)
    assert probe.retry_after(breaker, NOW + S) == S
    assert probe.retry_after(breaker, NOW + 2 * S - 1) == 1
    assert probe.retry_after(breaker, NOW + 5 * S) == 1
    pass_ = breaker.allow(now_ns=NOW + 5 * S)
    assert probe.retry_after(breaker, NOW + 5 * S) == S  # the probe's lease
    breaker.report(pass_, "success", now_ns=NOW + 5 * S)
    assert probe.retry_after(breaker, NOW + 5 * S) == 1
    call(breaker, "success", NOW + 5 * S, times=2)
    assert probe.retry_after(breaker, NOW + 6 * S) == S  # the ramp's rest


@pytest.mark.parametrize(("left_ns", "seconds"), [(1, 1), (MS, 1), (S, 1), (S + MS, 2), (2 * S, 2)])
def test_retry_after_field_is_rounded_up_to_seconds(probe: Any, left_ns: int, seconds: int) -> None:
    breaker = opened()
    assert probe.retry_after_s(breaker, NOW + 2 * S - left_ns) == seconds


def test_retry_after_field_is_two_seconds_wherever_in_a_millisecond_it_opened(probe: Any) -> None:
    assert {probe.retry_after_s(opened(NOW + part_ns), NOW + part_ns) for part_ns in range(0, MS, 99_999)} == {2}


# ---- probes ---------------------------------------------------------------------------------------


def test_first_call_after_the_time_is_the_probe_and_the_only_one_of_all_workers(segment: Segment) -> None:
    first, second = (CircuitBreaker("db", segment=segment) for _ in range(2))
    call(first, "failure", NOW, times=20)
    now_ns = NOW + 2 * S
    pass_ = second.allow(now_ns=now_ns)
    assert pass_ >= 0
    assert [first.allow(now_ns=now_ns) for _ in range(100)] == [OPEN] * 100
    assert [second.allow(now_ns=now_ns) for _ in range(100)] == [OPEN] * 100
    assert (first.state, first.probes, second.probes) == ("half-open", 0, 1)
    second.report(pass_, "success", now_ns=now_ns)
    assert first.allow(now_ns=now_ns) >= 0
    assert second.allow(now_ns=now_ns) == OPEN


def test_three_successful_probes_close_by_way_of_the_ramp() -> None:
    breaker = opened()
    now_ns = NOW + 2 * S
    for _ in range(3):
        assert breaker.state in ("open", "half-open")
        call(breaker, "success", now_ns)
    assert (breaker.state, breaker.closed, breaker.probes) == ("ramp", 1, 3)
    call(breaker, "success", now_ns + 2 * S)
    assert breaker.state == "closed"


def test_failed_probe_makes_earlier_successes_void() -> None:
    breaker = opened()
    call(breaker, "success", NOW + 2 * S, times=2)
    call(breaker, "failure", NOW + 2 * S)
    assert (breaker.state, breaker.opened, breaker.closed) == ("open", 1, 0)
    now_ns = NOW + 2 * S + open_ns(breaker, NOW + 2 * S)
    call(breaker, "success", now_ns, times=2)
    assert breaker.state == "half-open"
    call(breaker, "success", now_ns)
    assert breaker.state == "ramp"


def test_ignored_probe_frees_its_place_at_once_and_keeps_successes() -> None:
    breaker = opened()
    now_ns = NOW + 2 * S
    call(breaker, "success", now_ns)
    call(breaker, "ignored", now_ns, times=5)
    assert breaker.state == "half-open"
    call(breaker, "success", now_ns, times=2)
    assert breaker.state == "ramp"


def test_probe_that_does_not_report_is_replaced_when_its_lease_is_over(segment: Segment) -> None:
    lost, other = (CircuitBreaker("db", segment=segment) for _ in range(2))
    call(lost, "failure", NOW, times=20)
    now_ns = NOW + 2 * S
    late = lost.allow(now_ns=now_ns)
    assert other.allow(now_ns=now_ns + S - 1) == OPEN
    replaced = other.allow(now_ns=now_ns + S)
    assert replaced >= 0
    assert lost.allow(now_ns=now_ns + S) == OPEN
    lost.report(late, "failure", now_ns=now_ns + S)
    assert other.state == "half-open"
    other.report(replaced, "success", now_ns=now_ns + S)
    call(other, "success", now_ns + S, times=2)
    assert lost.state == "ramp"


def test_probe_that_reports_after_its_lease_counts_while_nobody_has_taken_over() -> None:
    breaker = opened()
    pass_ = breaker.allow(now_ns=NOW + 2 * S)
    breaker.report(pass_, "failure", now_ns=NOW + 60 * S)
    assert breaker.state == "open"
    assert breaker.allow(now_ns=NOW + 63 * S) == OPEN


def test_lease_is_what_was_configured() -> None:
    breaker = opened(lease_ns=100 * MS)
    assert breaker.allow(now_ns=NOW + 2 * S) >= 0
    assert breaker.allow(now_ns=NOW + 2 * S + 100 * MS - 1) == OPEN
    assert breaker.allow(now_ns=NOW + 2 * S + 100 * MS) >= 0


def test_lease_given_by_another_configuration_is_respected(segment: Segment) -> None:
    patient = CircuitBreaker("db", lease_ns=20 * S, segment=segment)
    hasty = CircuitBreaker("db", lease_ns=100 * MS, segment=segment)
    call(patient, "failure", NOW, times=20)
    assert patient.allow(now_ns=NOW + 2 * S) >= 0
    assert hasty.allow(now_ns=NOW + 21 * S) == OPEN
    assert hasty.allow(now_ns=NOW + 22 * S) >= 0


# ---- generations ----------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["success", "failure", "ignored"])
def test_results_of_calls_from_before_it_opened_count_nowhere(outcome: str) -> None:
    breaker = CircuitBreaker("db")
    late = [breaker.allow(now_ns=NOW) for _ in range(100)]
    call(breaker, "failure", NOW, times=20)
    now_ns = NOW + 2 * S

    def report_late() -> None:
        before = breaker.state, breaker.streak, breaker.retry_after(now_ns=now_ns)
        for _ in range(20):
            breaker.report(late.pop(), outcome, now_ns=now_ns)
        assert (breaker.state, breaker.streak, breaker.retry_after(now_ns=now_ns)) == before

    report_late()  # while open
    pass_ = breaker.allow(now_ns=now_ns)
    report_late()  # while probing
    breaker.report(pass_, "success", now_ns=now_ns)
    call(breaker, "success", now_ns, times=2)
    report_late()  # in the ramp
    now_ns += 2 * S
    call(breaker, "success", now_ns)
    call(breaker, "failure", now_ns)
    report_late()  # closed again
    assert (breaker.state, breaker.streak) == ("closed", 1)


def test_second_report_of_a_probe_is_ignored() -> None:
    breaker = opened()
    pass_ = breaker.allow(now_ns=NOW + 2 * S)
    for outcome in ("success", "failure", "success", "success"):
        breaker.report(pass_, outcome, now_ns=NOW + 2 * S)
    assert breaker.state == "half-open"


@pytest.mark.parametrize("pass_", [-1, -2, 1, 2**20, 2**42, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_what_is_no_pass_is_ignored(pass_: int, outcome: str) -> None:
    breaker = CircuitBreaker(failures=1)
    breaker.report(pass_, outcome, now_ns=NOW)
    assert (breaker.state, breaker.streak) == ("closed", 0)
    call(breaker, "failure", NOW)
    breaker.report(pass_, outcome, now_ns=NOW)  # 1 is the generation now, and nobody has a pass of an open breaker
    assert (breaker.state, breaker.streak) == ("open", 0)


def test_outcome_that_is_none_is_ignored(probe: Any) -> None:
    breaker = CircuitBreaker(failures=1)
    assert probe.outcomes() == (0, 1, 2)
    probe.report(breaker, breaker.allow(now_ns=NOW), 7, NOW)
    assert breaker.state == "closed"


def test_counts_of_an_earlier_generation_do_not_help_to_open() -> None:
    breaker = opened(NOW - 2 * S)
    call(breaker, "success", NOW, times=3)
    call_in_ramp(breaker, "failure", NOW)
    assert (breaker.state, breaker.streak) == ("ramp", 1)


def test_generations_come_round_without_a_trace(segment: Segment) -> None:
    breaker = CircuitBreaker("db", volume=100, segment=segment)
    offset = segment.area("breaker db", 192)
    last = 2**20 - 1
    segment.write_word(offset, last << 42)
    assert breaker.allow(now_ns=NOW) == last
    call(breaker, "failure", NOW, times=20)
    assert (breaker.state, segment.read_word(offset) >> 42) == ("open", 1 << 20)
    call(breaker, "success", NOW + 2 * S, times=3)
    call(breaker, "success", NOW + 4 * S)
    assert breaker.state == "closed"
    call(breaker, "failure", NOW + 4 * S, times=20)
    assert breaker.state == "open"


def test_failures_count_whatever_generation_the_words_last_told_of(segment: Segment) -> None:
    # A service that is down for days makes generations faster than failures are counted in a row.
    offset = segment.area("breaker db", 192)
    for generation in (0, 1, 2**19 - 1, 2**19, 2**19 + 1, 2**20 - 1):
        for at in range(1, 24):
            segment.write_word(offset + 8 * at, 7 << 44 | 5 << 20 | 3)
        segment.write_word(offset, generation << 42)
        breaker = CircuitBreaker("db", segment=segment)
        call(breaker, "failure", NOW, times=19)
        assert (breaker.state, breaker.streak) == ("closed", 19)
        call(breaker, "failure", NOW)
        assert breaker.state == "open"


# ---- the ramp -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("later_ms", "share"), [(0, 0.1), (500, 0.325), (1_000, 0.55), (1_500, 0.775), (1_999, 1.0)])
def test_ramp_lets_a_tenth_pass_at_first_and_all_at_last(later_ms: int, share: float) -> None:
    breaker = ramping()
    given = [breaker.allow(now_ns=NOW + later_ms * MS) for _ in range(20_000)]
    assert set(given) <= {given[0], max(given), RAMP}
    assert sum(pass_ >= 0 for pass_ in given) / 20_000 == pytest.approx(share, abs=0.015)


def test_ramp_ends_after_two_seconds_by_the_next_call_alone(probe: Any) -> None:
    breaker = ramping()
    assert breaker.allow(now_ns=NOW + 2 * S) >= 0
    assert breaker.state == "closed"
    assert probe.closed(breaker)


def test_calls_of_the_ramp_count_on_when_it_is_over() -> None:
    breaker = ramping()
    passes = [pass_ for _ in range(2_000) if (pass_ := breaker.allow(now_ns=NOW + S)) >= 0][:20]
    call(breaker, "ignored", NOW + 2 * S)
    assert breaker.state == "closed"
    for pass_ in passes:
        breaker.report(pass_, "failure", now_ns=NOW + 3 * S)
    assert breaker.state == "open"


def test_reopening_in_the_ramp_doubles_the_time() -> None:
    breaker = ramping()
    for _ in range(20):
        call_in_ramp(breaker, "failure", NOW + S)
    assert (breaker.state, breaker.opened) == ("open", 2)
    assert 3.2 * S <= open_ns(breaker, NOW + S) <= 4.8 * S + MS


@pytest.mark.parametrize("closed_by_a_call", [True, False])
def test_reopening_after_the_ramp_begins_with_two_seconds(closed_by_a_call: bool) -> None:
    breaker = ramping()
    passes = [pass_ for _ in range(2_000) if (pass_ := breaker.allow(now_ns=NOW + S)) >= 0][:20]
    if closed_by_a_call:
        call(breaker, "success", NOW + 2 * S)
    for pass_ in passes:
        breaker.report(pass_, "failure", now_ns=NOW + 2 * S)
    assert open_ns(breaker, NOW + 2 * S) == 2 * S


# ---- time -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("before_ms", [0, 1, 500, 1_999, 2_000, 2_001])
def test_open_time_is_exact_where_milliseconds_come_round(before_ms: int) -> None:
    begin_ns = (ROUND_MS - before_ms) * MS
    breaker = opened(begin_ns)
    assert breaker.allow(now_ns=begin_ns + 2 * S - 1) == OPEN
    call(breaker, "success", begin_ns + 2 * S, times=3)
    assert breaker.allow(now_ns=begin_ns + 4 * S) >= 0
    assert breaker.state == "closed"


def left_open(now_ns: int) -> CircuitBreaker:
    return opened(now_ns)


def left_probing(now_ns: int) -> CircuitBreaker:
    breaker = opened(now_ns)
    assert breaker.allow(now_ns=now_ns + 2 * S) >= 0
    return breaker


@pytest.mark.parametrize("leave", [left_open, left_probing, ramping])
@pytest.mark.parametrize("idle_ms", [ROUND_MS // 2, ROUND_MS - 1, ROUND_MS, ROUND_MS + 2_500, 3 * ROUND_MS + 1])
def test_state_left_alone_for_49_days_passes_within_its_longest_time(
    leave: Callable[[int], CircuitBreaker], idle_ms: int
) -> None:
    breaker = leave(NOW)
    now_ns = NOW + idle_ms * MS
    for _ in range(150):
        if (pass_ := breaker.allow(now_ns=now_ns)) >= 0:
            breaker.report(pass_, "success", now_ns=now_ns)
        now_ns += S
    assert breaker.state == "closed"


def test_closed_refuses_nothing_where_milliseconds_come_round(probe: Any) -> None:
    breaker = CircuitBreaker()
    now_ns = (ROUND_MS - 5) * MS
    assert breaker.allow(now_ns=now_ns) >= 0
    assert (probe.refuses(breaker, now_ns), probe.retry_after(breaker, now_ns)) == (False, 1)


def test_time_before_the_epoch_and_at_the_end_of_its_range_is_survived(segment: Segment) -> None:
    late = Segment.create(1 << 20, epoch_ns=NOW)
    for now_ns in (-(2**63), -1, 0, NOW - 1, 2**63 - 1):
        breaker = CircuitBreaker("db", failures=2, segment=late)
        late.write_word(late.area("breaker db", 192), 0)
        call(breaker, "success", now_ns)
        call(breaker, "failure", now_ns, times=2)
        assert breaker.state == "open"
        assert breaker.allow(now_ns=now_ns) == OPEN


def test_time_that_runs_back_loses_no_failure() -> None:
    breaker = CircuitBreaker()
    for number in range(20):
        assert breaker.state == "closed"
        call(breaker, "failure", NOW - number * S // 2)
    assert breaker.state == "open"


@pytest.mark.parametrize("behind_ns", [1, MS, 100 * MS, 5 * S])
def test_worker_whose_time_is_behind_respects_what_another_began(segment: Segment, behind_ns: int) -> None:
    ahead, behind = (CircuitBreaker("db", open_for_ns=60 * S, lease_ns=90 * S, segment=segment) for _ in range(2))
    call(ahead, "failure", NOW, times=20)
    assert behind.allow(now_ns=NOW - behind_ns) == OPEN
    assert ahead.allow(now_ns=NOW + 60 * S) >= 0
    assert behind.allow(now_ns=NOW + 60 * S - behind_ns) == OPEN


def test_time_that_runs_back_by_hours_is_followed(segment: Segment) -> None:
    breaker = CircuitBreaker("db", segment=segment)
    call(breaker, "success", NOW + 3_600 * S)
    call(breaker, "success", NOW)
    call(breaker, "failure", NOW)
    assert published_successes(segment) == 1


def test_wall_clock_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    breaker = CircuitBreaker()
    begin_ns = time.monotonic_ns()
    for _ in range(20):
        breaker.report(breaker.allow(), "failure")
    for wall_s in (0.0, 4e9):
        monkeypatch.setattr(time, "time", lambda wall_s=wall_s: wall_s)
        monkeypatch.setattr(time, "time_ns", lambda wall_s=wall_s: int(wall_s * S))
        assert breaker.allow() == OPEN
        assert 0 < breaker.retry_after() <= 2 * S + MS
    assert breaker.allow(now_ns=begin_ns + 60 * S) >= 0  # nothing but CLOCK_MONOTONIC is its time


# ---- sharing and configuring ----------------------------------------------------------------------


def test_breakers_of_one_name_share_and_others_do_not(segment: Segment) -> None:
    one, same, other = (CircuitBreaker(name, segment=segment) for name in ("db", "db", "mail"))
    call(one, "failure", NOW, times=20)
    assert (same.state, other.state) == ("open", "closed")
    assert CircuitBreaker("db", segment=Segment.attach(segment.fd)).state == "open"


def test_binding_leaves_behind_what_was_counted_alone(segment: Segment) -> None:
    breaker = opened()
    breaker.bind(segment)
    assert (breaker.state, breaker.streak) == ("closed", 0)
    healthy = CircuitBreaker("healthy")
    call(healthy, "success", NOW, times=5)
    healthy.bind(segment)
    call(healthy, "success", NOW)
    call(healthy, "failure", NOW)
    assert published_successes(segment, "healthy") == 1
    call(breaker, "failure", NOW, times=20)
    breaker.bind(segment)
    assert breaker.state == "open"


def test_passes_of_before_binding_do_no_harm(segment: Segment) -> None:
    breaker = CircuitBreaker("db", failures=1)
    pass_ = breaker.allow(now_ns=NOW)
    breaker.bind(segment)
    call(CircuitBreaker("db", failures=1, segment=segment), "failure", NOW)
    breaker.report(pass_, "success", now_ns=NOW)
    assert breaker.state == "open"


def test_breaker_without_a_name_cannot_be_shared(segment: Segment) -> None:
    with pytest.raises(ValueError, match="a circuit breaker must have a name to be shared"):
        CircuitBreaker(segment=segment)
    with pytest.raises(ValueError, match="a circuit breaker must have a name to be shared"):
        CircuitBreaker().bind(segment)


def test_breaker_keeps_its_segment(segment: Segment) -> None:
    breaker = CircuitBreaker("db", segment=Segment.create(1 << 20))
    call(breaker, "failure", NOW, times=20)
    assert breaker.state == "open"


def test_sixteen_thousand_breakers_have_room_in_one_segment() -> None:
    segment = Segment.create(8 << 20)
    breakers = [CircuitBreaker(f"route {number}", segment=segment) for number in range(16_000)]
    call(breakers[7_777], "failure", NOW, times=20)
    assert [breaker.name for breaker in breakers if breaker.state == "open"] == ["route 7777"]


def test_settings_can_be_changed_before_serving(segment: Segment) -> None:
    breaker = CircuitBreaker("db")
    breaker.configure(failures=5, open_for_ns=10 * S, longest_open_ns=15 * S, lease_ns=3 * S, volume=50, ratio=0.25)
    assert (breaker.failures, breaker.open_for_ns, breaker.longest_open_ns) == (5, 10 * S, 15 * S)
    assert (breaker.lease_ns, breaker.volume, breaker.ratio) == (3 * S, 50, 0.25)
    breaker.configure(volume=60)
    assert (breaker.failures, breaker.volume, breaker.ratio) == (5, 60, 0.25)
    breaker.bind(segment)
    call(breaker, "failure", NOW, times=5)
    assert open_ns(breaker, NOW) == 10 * S
    call(breaker, "failure", NOW + 10 * S)
    assert 12 * S <= open_ns(breaker, NOW + 10 * S) <= 18 * S + MS
    assert breaker.allow(now_ns=NOW + 30 * S) >= 0
    assert breaker.retry_after(now_ns=NOW + 30 * S) == 3 * S


DEFAULTS = {
    "failures": 20,
    "open_for_ns": 2 * S,
    "longest_open_ns": 30 * S,
    "lease_ns": S,
    "volume": 20,
    "ratio": 0.5,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("failures", "volume") for value in (0, -1, 10**7, 2**40, -(2**70))),
        *(
            (name, value)
            for name in ("open_for_ns", "longest_open_ns", "lease_ns")
            for value in (0, -1, MS - 1, 24 * 3_600 * S + 1, 2**63, -(2**63) - 1)
        ),
        *(("ratio", value) for value in (0, -0.5, 1.000001, float("nan"), float("inf"), 1e-9)),
    ],
)
def test_settings_out_of_bounds_are_refused_and_change_nothing(name: str, value: Any) -> None:
    breaker = CircuitBreaker()
    with pytest.raises(ValueError, match=f"^{name} must be .*, not {value!r}".replace("+", r"\+")):
        CircuitBreaker(**{name: value})
    with pytest.raises(ValueError, match=f"^{name} must be"):
        breaker.configure(**{**dict.fromkeys(DEFAULTS), "failures": 7, name: value})
    assert {name: getattr(breaker, name) for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize("name", list(DEFAULTS))
@pytest.mark.parametrize("value", ["2s", 2.5, [1]])
def test_settings_of_another_type_are_refused(name: str, value: Any) -> None:
    if (name, value) != ("ratio", 2.5):
        with pytest.raises(TypeError):
            CircuitBreaker(**{name: value})


def test_arguments_of_another_kind_are_refused() -> None:
    breaker = CircuitBreaker("db")
    with pytest.raises(ValueError, match="outcome must be one of success, failure, ignored, not 'fail'"):
        breaker.report(0, "fail")
    for refused in (
        lambda: CircuitBreaker(None),
        lambda: CircuitBreaker(segment=3),
        lambda: breaker.bind(None),
        lambda: breaker.report(0, None),
        lambda: breaker.report("0", "success"),
        lambda: breaker.allow(now_ns="soon"),
    ):
        with pytest.raises(TypeError):
            refused()
    for refused in (lambda: breaker.report(2**63, "success"), lambda: breaker.allow(now_ns=2**63)):
        with pytest.raises(OverflowError):
            refused()


def test_it_is_whole_however_it_is_made() -> None:
    breaker = CircuitBreaker.__new__(CircuitBreaker)
    call(breaker, "failure", NOW, times=20)
    assert repr(breaker) == "<CircuitBreaker '' open>"
