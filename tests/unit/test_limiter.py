"""TokenBucket: exact to the nanosecond, strict where it must round, and not to be fooled by any clock."""

import time
from pathlib import Path
from typing import Any

import pytest

from highperf.errors import StartupError
from highperf.guards.limiter import TokenBucket
from highperf.segment import Segment
from tests import compiled

MS = 1_000_000
SECOND = 1_000 * MS
DAY = 86_400 * SECOND
WRAP_NS = 2**56  # the word counts 1/256 ns modulo 2**64
# Beyond what the clock may say: a bucket looks there before it forgives a debt, and finds nobody late.
AHEAD = 10**18
UNEVEN = [3, 7.3, 1e6 / 3, 44_100.0, 999_999_937.0]


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/limiter_probe.pyx")


@pytest.fixture
def segment() -> Segment:
    return Segment.create(2**20, epoch_ns=AHEAD)


def word_of(segment: Segment, name: str = "") -> int:
    """Offset of the bucket's first word."""
    return segment.area(f"bucket {name}", 64)


def test_a_new_bucket_is_full_and_holds_its_capacity() -> None:
    bucket = TokenBucket(1000, 10)
    assert bucket.available(0) == 10
    assert [bucket.take(now_ns=0) for _ in range(10)] == [0] * 10
    assert bucket.available(0) == 0
    assert bucket.take(now_ns=0) == MS


@pytest.mark.parametrize(("cost", "wait_ns"), [(0, 0), (1, 0), (9, 0), (10, 0), (11, -1), (10**9, -1), (2**63 - 1, -1)])
def test_up_to_its_capacity_is_admitted_and_more_never(cost: int, wait_ns: int) -> None:
    bucket = TokenBucket(1000, 10)
    assert bucket.wait(cost, now_ns=5) == wait_ns
    assert bucket.take(cost, now_ns=5) == wait_ns
    assert bucket.available(5) == (10 - cost if wait_ns == 0 else 10)


def test_nothing_is_always_admitted_and_takes_nothing() -> None:
    bucket = TokenBucket(1000, 10)
    bucket.take(10, now_ns=0)
    assert bucket.take(0, now_ns=0) == bucket.wait(0, now_ns=0) == 0
    assert bucket.wait(1, now_ns=0) == MS


def test_tokens_come_back_at_the_rate_and_up_to_the_capacity() -> None:
    bucket = TokenBucket(1000, 10)
    bucket.take(10, now_ns=0)
    assert [bucket.available(now) for now in (MS - 1, MS, 3 * MS + 1, 10 * MS, 10**12)] == [0, 1, 3, 10, 10]


@pytest.mark.parametrize("rate", [1000, 0.5, *UNEVEN])
@pytest.mark.parametrize("cost", [1, 4, 7])
@pytest.mark.parametrize("start", [0, 12_345_678_901, WRAP_NS - 5, AHEAD])
def test_the_wait_is_exact(rate: float, cost: int, start: int) -> None:
    bucket = TokenBucket(rate, 7)
    assert bucket.take(7, now_ns=start) == 0
    wait_ns = bucket.take(cost, now_ns=start)
    assert wait_ns > 0
    assert bucket.take(cost, now_ns=start + wait_ns - 1) == 1
    assert bucket.take(cost, now_ns=start + wait_ns) == 0


def test_a_refusal_changes_nothing(segment: Segment) -> None:
    bucket = TokenBucket(1000, 10, segment=segment)
    bucket.take(8, now_ns=AHEAD)
    word = segment.read_word(word_of(segment))
    for cost in (3, 10, 11):
        assert bucket.take(cost, now_ns=AHEAD)
    assert segment.read_word(word_of(segment)) == word
    assert bucket.take(2, now_ns=AHEAD) == 0


@pytest.mark.parametrize("rate", UNEVEN)
def test_a_rate_that_divides_no_nanosecond_is_kept_from_below(rate: float) -> None:
    # Takes, each as soon as it can be: neither early by a rounded nanosecond, nor late by more than 1/256.
    bucket, takes, now_ns = TokenBucket(rate, 1), 100_000, 0
    bucket.take(now_ns=0)
    for _ in range(takes):
        now_ns += bucket.wait(now_ns=now_ns)
        assert bucket.take(now_ns=now_ns) == 0
    exact_ns = takes * SECOND / rate
    assert exact_ns <= now_ns <= exact_ns + takes * (1 + 1 / 256)


@pytest.mark.parametrize(("rate", "units"), [(1e9, 256), (5e8, 512), (999_999_999.0, 257), (3, 85_333_333_334)])
def test_the_interval_is_rounded_up_to_256th_nanoseconds(probe: Any, rate: float, units: int) -> None:
    assert probe.interval_units(TokenBucket(rate, 1)) == units


def test_admissions_are_numbered_by_their_place_in_time(probe: Any) -> None:
    bucket = TokenBucket(1000, 3)
    assert probe.take_at(bucket, 1, 0) == (0, 256 * MS)
    assert probe.take_at(bucket, 2, 0) == (0, 3 * 256 * MS)
    assert probe.take_at(bucket, 1, 0) == (MS, None)
    assert probe.take_at(bucket, 1, 10 * MS) == (0, 11 * 256 * MS)
    assert probe.take_at(bucket, 0, 10 * MS) == (0, None)


def test_admissions_of_a_shared_bucket_count_from_the_epoch_of_its_segment(probe: Any, segment: Segment) -> None:
    bucket = TokenBucket(1000, 3, segment=segment)
    assert probe.take_at(bucket, 1, AHEAD + MS) == (0, 2 * 256 * MS)
    assert segment.read_word(word_of(segment)) == 2 * 256 * MS


def test_compiled_callers_may_ask_with_any_cost(probe: Any) -> None:
    bucket = TokenBucket(1000, 3)
    for cost in (-1, -(2**63), 4, 2**63 - 1):
        assert probe.take_at(bucket, cost, 0) == (-1, None)
        assert probe.wait_at(bucket, cost, 0) == -1
    assert bucket.available(0) == 3


# ---- late callers ---------------------------------------------------------------------------------


def test_a_late_caller_mints_nothing() -> None:
    bucket = TokenBucket(1000, 10)
    assert bucket.take(10, now_ns=SECOND) == 0
    for late_ns in (0, 1, MS, SECOND):
        assert bucket.take(now_ns=SECOND - late_ns) == MS + late_ns
    assert bucket.take(now_ns=SECOND + MS) == 0


def test_a_late_caller_is_not_taken_for_a_sign_of_other_limits(segment: Segment) -> None:
    # A loop that was blocked for 5 s asks with the time of its beginning; the bucket holds 10 ms only.
    shared = Segment.create(2**20)
    bucket = TokenBucket(1000, 10, segment=shared)
    now_ns = time.monotonic_ns()
    assert bucket.take(10, now_ns=now_ns) == 0
    word = shared.read_word(word_of(shared))
    assert bucket.take(now_ns=now_ns - 5 * SECOND) == MS + 5 * SECOND
    assert bucket.available(now_ns - 5 * SECOND) == 0
    assert shared.read_word(word_of(shared)) == word


# ---- refunds --------------------------------------------------------------------------------------


def test_what_is_given_back_at_once_was_never_taken() -> None:
    bucket = TokenBucket(1000, 10)
    bucket.take(4, now_ns=0)
    bucket.take(6, now_ns=0)
    bucket.refund(4, 0, now_ns=0)
    assert bucket.available(0) == 4
    bucket.refund(6, 0, now_ns=0)
    assert bucket.available(0) == 10


def test_what_time_has_brought_back_is_not_given_again() -> None:
    bucket = TokenBucket(1000, 10)
    bucket.take(10, now_ns=0)
    bucket.refund(10, 0, now_ns=4 * MS)
    assert bucket.available(4 * MS) == 10
    bucket.take(10, now_ns=4 * MS)
    bucket.refund(4, 0, now_ns=4 * MS)  # taken before: wholly brought back since
    assert bucket.available(4 * MS) == 0


def test_a_refund_after_an_idle_gap_mints_nothing() -> None:
    bucket = TokenBucket(1000, 10)
    bucket.take(10, now_ns=0)
    bucket.take(10, now_ns=10 * MS)
    bucket.refund(10, 0, now_ns=10 * MS)
    assert bucket.take(now_ns=10 * MS) == MS


def test_half_of_a_take_is_given_back_when_time_brought_the_other_half() -> None:
    bucket = TokenBucket(1000, 10)
    bucket.take(4, now_ns=0)
    bucket.take(6, now_ns=0)
    bucket.refund(4, 0, now_ns=2 * MS)
    assert bucket.available(2 * MS) == 4  # as if six had been taken


def test_the_last_fraction_of_a_nanosecond_is_given_back() -> None:
    bucket = TokenBucket(3, 1)
    bucket.take(now_ns=0)
    assert bucket.take(now_ns=333_333_333) == 1
    bucket.refund(1, 0, now_ns=333_333_333)
    assert bucket.take(now_ns=333_333_333) == 0


def test_a_bucket_never_holds_more_than_its_capacity() -> None:
    bucket = TokenBucket(1000, 10)
    bucket.take(2, now_ns=0)
    for _ in range(3):
        bucket.refund(10, 0, now_ns=0)
    assert bucket.available(0) == 10
    assert [bucket.take(5, now_ns=0) for _ in range(3)] == [0, 0, 5 * MS]


def test_a_refund_that_is_too_large_does_not_open_the_past_to_late_callers() -> None:
    bucket = TokenBucket(1000, 10)
    bucket.take(2, now_ns=10 * MS)
    bucket.refund(10, 10 * MS, now_ns=10 * MS)
    assert bucket.available(0) == 0
    assert bucket.available(10 * MS) == 10


def test_a_refund_to_a_bucket_that_is_full_stores_nothing(segment: Segment) -> None:
    bucket = TokenBucket(1000, 10, segment=segment)
    for taken in (0, 1):
        bucket.take(taken, now_ns=AHEAD)
        word = segment.read_word(word_of(segment))
        bucket.refund(10, AHEAD, now_ns=AHEAD + MS)
        bucket.refund(10, AHEAD, now_ns=AHEAD + 5 * MS)
        assert segment.read_word(word_of(segment)) == word


def test_a_refund_with_times_that_make_no_sense_gives_at_most_the_cost() -> None:
    bucket = TokenBucket(1000, 10)
    bucket.take(10, now_ns=0)
    bucket.refund(2, 2**63 - 1, now_ns=0)
    assert bucket.available(0) == 2
    bucket.refund(2, -(2**63), now_ns=2**62)
    bucket.refund(2, -(2**63), now_ns=0)
    assert bucket.available(0) == 2


@pytest.mark.parametrize("cost", [0, 11, 2**63 - 1])
def test_a_refund_of_what_cannot_have_been_taken_is_ignored(cost: int) -> None:
    bucket = TokenBucket(1000, 10)
    bucket.refund(cost, 0, now_ns=0)
    bucket.take(10, now_ns=0)
    bucket.refund(cost, 0, now_ns=0)
    assert bucket.available(0) == 0


# ---- shared memory and reloads --------------------------------------------------------------------


def test_buckets_of_one_name_share_their_tokens_and_others_do_not(segment: Segment) -> None:
    one, same = (TokenBucket(1000, 10, segment=segment, name="api") for _ in range(2))
    other, own = TokenBucket(1000, 10, segment=segment, name="users"), TokenBucket(1000, 10, name="api")
    one.take(7, now_ns=AHEAD)
    assert [bucket.available(AHEAD) for bucket in (one, same, other, own)] == [3, 3, 10, 10]


def test_a_bucket_keeps_its_segment_alive() -> None:
    bucket = TokenBucket(1000, 10, segment=Segment.create(2**20))
    assert bucket.take(10) == 0


def test_a_full_segment_refuses_another_bucket(segment: Segment) -> None:
    segment.area("the rest", 2**20 - 300_000)
    names = iter(range(10**6))
    with pytest.raises(StartupError, match="no room"):
        all(TokenBucket(1, 1, segment=segment, name=str(number)) for number in names)


def test_a_reload_with_the_same_limits_goes_on_with_the_tokens(segment: Segment) -> None:
    TokenBucket(1000, 10, segment=segment).take(10, now_ns=AHEAD)
    assert TokenBucket(1000, 10, segment=segment).take(now_ns=AHEAD) == MS


def test_a_larger_capacity_adds_the_difference(segment: Segment) -> None:
    TokenBucket(1000, 10, segment=segment).take(10, now_ns=AHEAD)
    assert TokenBucket(1000, 15, segment=segment).available(AHEAD) == 5


def test_a_smaller_capacity_goes_on_empty_and_nobody_waits_for_the_former_debt(segment: Segment) -> None:
    TokenBucket(1, 100, segment=segment).take(100, now_ns=AHEAD)
    bucket = TokenBucket(1000, 10, segment=segment)
    assert bucket.available(AHEAD) == 0
    assert bucket.wait(10, now_ns=AHEAD) == 10 * MS
    assert bucket.take(now_ns=AHEAD) == MS
    assert bucket.take(now_ns=AHEAD + MS - 1) == 1
    assert bucket.take(now_ns=AHEAD + MS) == 0


@pytest.mark.parametrize("first", ["take", "wait", "available"])
def test_whatever_asks_first_forgives_so_that_its_answer_holds(segment: Segment, first: str) -> None:
    TokenBucket(1, 100, segment=segment).take(100, now_ns=AHEAD)
    bucket = TokenBucket(1000, 10, segment=segment)
    getattr(bucket, first)(now_ns=AHEAD)
    assert bucket.take(now_ns=AHEAD + MS) == 0


def test_a_debt_of_exactly_one_burst_is_nothing_to_forgive(segment: Segment) -> None:
    former = TokenBucket(1000, 20, segment=segment)
    former.take(10, now_ns=AHEAD)
    bucket = TokenBucket(1000, 10, segment=segment)
    assert bucket.take(now_ns=AHEAD) == MS
    assert segment.read_word(word_of(segment) + 8) == 0
    former.take(1, now_ns=AHEAD)
    assert bucket.take(now_ns=AHEAD) == MS
    assert segment.read_word(word_of(segment) + 8) != 0


def test_former_and_new_limits_side_by_side_forgive_once_a_second(segment: Segment) -> None:
    former, bucket = (TokenBucket(1000, capacity, segment=segment) for capacity in (1000, 10))
    taken = 0
    for now_ns in range(AHEAD, AHEAD + 3 * SECOND, 10 * MS):
        for _ in range(20):
            bucket.take(now_ns=now_ns)
            while former.take(100, now_ns=now_ns) == 0:
                taken += 100
    assert taken <= 1000 + 3 * 1000 + 3 * 1000  # the bound of the former limits, and what was forgiven


def test_a_debt_that_was_forgiven_a_moment_ago_is_believed_for_the_rest_of_a_second(segment: Segment) -> None:
    former, bucket = (TokenBucket(1000, capacity, segment=segment) for capacity in (5000, 10))
    former.take(5000, now_ns=AHEAD)
    assert bucket.take(now_ns=AHEAD) == MS
    assert former.take(4990, now_ns=AHEAD) == 0
    assert bucket.wait(now_ns=AHEAD + 300 * MS) == 701 * MS
    assert bucket.take(now_ns=AHEAD + SECOND - 1) == 1 + MS
    assert bucket.take(now_ns=AHEAD + SECOND) == MS
    assert bucket.take(now_ns=AHEAD + SECOND + MS) == 0


@pytest.mark.parametrize("word", [1, 2**62, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_damaged_word_makes_nobody_wait_longer_than_one_refill(segment: Segment, word: int) -> None:
    bucket = TokenBucket(1000, 10, segment=segment)
    segment.write_word(word_of(segment), word)
    wait_ns = bucket.take(10, now_ns=AHEAD)
    assert 0 <= wait_ns <= 10 * MS
    assert bucket.take(10, now_ns=AHEAD + wait_ns) == (0 if wait_ns else 10 * MS)


@pytest.mark.parametrize("second", [1, 2**62, 2**63, 2**64 - 1])
def test_a_process_killed_while_it_forgives_delays_it_by_two_seconds_at_most(segment: Segment, second: int) -> None:
    bucket = TokenBucket(1000, 10, segment=segment)
    segment.write_word(word_of(segment), 2**62)
    segment.write_word(word_of(segment) + 8, second)
    wait_ns = bucket.take(10, now_ns=AHEAD)
    assert 10 * MS <= wait_ns <= 2 * SECOND + 10 * MS
    bucket.take(10, now_ns=AHEAD + wait_ns)
    assert bucket.take(10, now_ns=AHEAD + wait_ns + 10 * MS) == 0


# ---- the end of the word --------------------------------------------------------------------------


@pytest.mark.parametrize("days", [1, 99, 300, 400])
def test_an_idle_bucket_is_full(days: int) -> None:
    bucket = TokenBucket(1000, 10)
    bucket.take(10, now_ns=AHEAD)
    assert bucket.available(AHEAD + days * DAY) == 10


@pytest.mark.parametrize("days", [418, 500, 800])
def test_a_bucket_that_was_idle_for_longer_than_its_word_can_tell_is_empty_once(days: int) -> None:
    bucket = TokenBucket(1000, 10)
    bucket.take(10, now_ns=AHEAD)
    now_ns = AHEAD + days * DAY
    assert bucket.take(10, now_ns=now_ns) == 10 * MS
    assert bucket.take(10, now_ns=now_ns + 10 * MS) == 0


@pytest.mark.parametrize("years", [0, 1, 1.5, 2, 50])
def test_a_bucket_that_was_never_used_is_full_at_any_time(segment: Segment, years: float) -> None:
    bucket, now_ns = TokenBucket(1000, 10, segment=segment), AHEAD + int(years * 365) * DAY
    bucket.refund(10, now_ns, now_ns=now_ns)
    assert bucket.take(10, now_ns=now_ns) == 0


def test_an_arrival_time_that_would_read_as_never_used_is_put_off_by_the_least(probe: Any) -> None:
    bucket = TokenBucket(1000, 1)
    assert probe.take_at(bucket, 1, WRAP_NS - MS) == (0, 1)
    assert bucket.take(now_ns=WRAP_NS - MS) == MS + 1
    bucket = TokenBucket(1000, 2)
    bucket.take(2, now_ns=WRAP_NS - MS)
    bucket.refund(1, WRAP_NS - MS, now_ns=WRAP_NS - MS)
    assert bucket.take(2, now_ns=WRAP_NS - MS) == MS + 1


def test_a_refund_at_the_epoch_makes_the_bucket_full() -> None:
    bucket = TokenBucket(1000, 2)
    bucket.take(2, now_ns=0)
    bucket.refund(2, 0, now_ns=0)
    assert bucket.take(2, now_ns=0) == 0


def test_a_hundred_days_from_empty_to_full_are_counted_exactly() -> None:
    bucket = TokenBucket(0.0001, 864)
    assert bucket.take(864, now_ns=WRAP_NS - DAY) == 0
    assert bucket.take(864, now_ns=WRAP_NS - DAY) == 100 * DAY
    assert bucket.take(now_ns=WRAP_NS - DAY) == 10_000 * SECOND
    assert bucket.take(864, now_ns=WRAP_NS + 99 * DAY - 1) == 1
    assert bucket.take(864, now_ns=WRAP_NS + 99 * DAY) == 0


# ---- clocks ---------------------------------------------------------------------------------------


def test_the_default_clock_is_the_monotonic_one() -> None:
    bucket = TokenBucket(1, 1)
    before_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert bucket.take() == 0
    after_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert SECOND - (after_ns - before_ns) <= bucket.wait(now_ns=after_ns) <= SECOND
    assert 0 < bucket.wait() <= SECOND
    assert bucket.available() == 0
    bucket.refund(1, before_ns)
    assert bucket.wait() < SECOND


@pytest.mark.parametrize("step_s", [-3600, 3600])
def test_a_wall_clock_that_is_set_changes_nothing(monkeypatch: pytest.MonkeyPatch, step_s: int) -> None:
    bucket = TokenBucket(0.01, 2)
    assert bucket.take() == 0
    now_s = time.time()
    monkeypatch.setattr(time, "time", lambda: now_s + step_s)
    monkeypatch.setattr(time, "time_ns", lambda: int((now_s + step_s) * SECOND))
    assert bucket.take() == 0
    assert 90 * SECOND < bucket.take() <= 100 * SECOND


def test_no_guard_reads_the_wall_clock() -> None:
    guards = Path(compiled.ROOT, "highperf", "guards")
    for path in [*guards.glob("*.pyx"), *guards.glob("*.pxd")]:
        text = path.read_text()
        assert not any(word in text for word in ("unix_s", "CLOCK_REALTIME", "import time", "datetime")), path.name


# ---- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0, -1, 9.9e-5, 1.1e9, float("nan"), float("inf"), float("-inf"), 10**400])
def test_a_rate_out_of_bounds_is_refused_by_name(rate: float) -> None:
    with pytest.raises(ValueError, match=rf"rate must be from 0.0001 to 1000000000 per second, not {rate!r}"):
        TokenBucket(rate, 1)


@pytest.mark.parametrize("capacity", [0, -1, 10**9 + 1, 2**70, 1.5, 10.0, "10", None])
def test_a_capacity_out_of_bounds_is_refused_by_name(capacity: Any) -> None:
    with pytest.raises(ValueError, match=rf"capacity must be a whole number from 1 to 1000000000, not {capacity!r}"):
        TokenBucket(1, capacity)


def test_more_than_a_hundred_days_to_fill_are_refused() -> None:
    TokenBucket(0.0001, 864)
    with pytest.raises(ValueError, match=r"capacity 865 at rate 0.0001 per second takes more than 100 days to fill"):
        TokenBucket(0.0001, 865)
    with pytest.raises(ValueError, match="100 days"):
        TokenBucket(1, 10**9)


@pytest.mark.parametrize("arguments", [("1", 1), (None, 1), (1j, 1), (1,), ()])
def test_what_is_no_number_is_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError):
        TokenBucket(*arguments)
    with pytest.raises(TypeError):
        TokenBucket.__new__(TokenBucket)


@pytest.mark.parametrize("name", [None, b"api", 1])
def test_a_name_is_text(name: Any) -> None:
    with pytest.raises(TypeError):
        TokenBucket(1, 1, name=name)


def test_a_segment_is_a_segment() -> None:
    with pytest.raises(TypeError):
        TokenBucket(1, 1, segment=b"")  # type: ignore[arg-type]


def test_a_negative_cost_is_refused_and_takes_nothing() -> None:
    bucket = TokenBucket(1000, 10)
    for refused in (lambda: bucket.take(-1), lambda: bucket.wait(-1), lambda: bucket.refund(-1, 0)):
        with pytest.raises(ValueError, match="cost must be 0 or more, not -1"):
            refused()
    assert bucket.available() == 10


@pytest.mark.parametrize("value", [1.5, "1", None])
def test_a_cost_or_time_that_is_no_integer_is_refused(value: Any) -> None:
    bucket = TokenBucket(1000, 10)
    with pytest.raises(TypeError):
        bucket.take(value)
    if value is not None:
        with pytest.raises(TypeError):
            bucket.take(now_ns=value)
        with pytest.raises(TypeError):
            bucket.available(value)


def test_a_time_beyond_64_bits_is_refused() -> None:
    bucket = TokenBucket(1000, 10)
    with pytest.raises(OverflowError):
        bucket.take(now_ns=2**63)


def test_limits_can_be_read_back() -> None:
    bucket = TokenBucket(2.5, 7, name="api")
    assert (bucket.rate, bucket.capacity, bucket.name) == (2.5, 7, "api")
    assert repr(bucket) == "<TokenBucket 'api' rate=2.5 capacity=7>"
