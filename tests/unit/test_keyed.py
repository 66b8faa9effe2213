"""KeyedBuckets: a bucket for each key, in a table that forgets nothing that matters."""

from fractions import Fraction
from itertools import islice
from typing import Any

import pytest

from highperf.guards.keyed import KeyedBuckets
from highperf.segment import Segment
from tests import compiled

SECOND = 1_000_000_000
SECRET = [0x0706050403020100, 0x0F0E0D0C0B0A0908]
RATES = [0.0001, 1 / 3, 10.0, 999.7, 976_563, 1_000_000]


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/keyed_probe.pyx")


@pytest.fixture
def segment() -> Segment:
    """One whose secret is known, so that every run hashes alike."""
    made = Segment.create(2**20, epoch_ns=0)
    for at, word in enumerate(SECRET):
        made.write_word(32 + 8 * at, word)
    return Segment.attach(made.fd)


def small(segment: Segment, rate: float = 10, capacity: int = 3, **options: Any) -> KeyedBuckets:
    """A table of 64 sets. An interval of 10 per second is 1526 units of 65,536 ns, one of them spare."""
    return KeyedBuckets(rate, capacity, table_bytes=4096, segment=segment, **options)


def same_set(probe: Any, buckets: KeyedBuckets, count: int, number: int = 0) -> list[bytes]:
    keys = (b"key %d" % number for number in range(100_000))
    return list(islice((key for key in keys if probe.set_of(buckets, key) == number), count))


def drain(buckets: KeyedBuckets, key: bytes | str, now_ns: int) -> int:
    """Takes until nothing is left; returns how much that was."""
    passed = 0
    while buckets.take(key, now_ns=now_ns) == 0:
        passed += 1
    return passed


# ---- one key ----------------------------------------------------------------------------------


@pytest.mark.parametrize("capacity", [1, 2, 1000])
@pytest.mark.parametrize("rate", RATES)
def test_a_key_begins_with_a_full_bucket_and_gets_no_more_than_that_at_once(rate: float, capacity: int) -> None:
    if capacity / rate < 86400 * 100:
        assert drain(KeyedBuckets(rate, capacity, table_bytes=4096), "a", 5 * SECOND) == capacity


def test_keys_do_not_share_their_buckets() -> None:
    buckets = KeyedBuckets(10, 3)
    assert [drain(buckets, f"client {number}", SECOND) for number in range(1000)] == [3] * 1000


@pytest.mark.parametrize("late_ns", [0, 1, 65_535])
def test_a_token_is_not_back_before_its_interval_is_over_however_the_clock_is_rounded(late_ns: int) -> None:
    buckets = KeyedBuckets(10, 3, table_bytes=4096)
    start_ns = 65_536 * 1000 + late_ns  # the last ns of a unit loses most of it
    assert drain(buckets, "a", start_ns) == 3
    assert buckets.take("a", now_ns=start_ns + SECOND // 10 - 1) > 0
    assert buckets.take("a", now_ns=start_ns + SECOND // 10 + SECOND // 5000) == 0


@pytest.mark.parametrize("rate", RATES)
def test_over_a_long_time_a_key_gets_its_rate_but_for_two_thousandths_and_never_more(rate: float) -> None:
    buckets, now_ns, passed = KeyedBuckets(rate, 1, table_bytes=4096), 12345, 0
    for _ in range(5000):
        wait_ns = buckets.take("a", now_ns=now_ns)
        passed += wait_ns == 0
        now_ns += wait_ns
    bound = 1 + Fraction(rate) * (now_ns - 12345) / SECOND
    assert Fraction(998, 1000) * bound <= passed <= bound


@pytest.mark.parametrize("cost", [1, 2, 3])
def test_the_wait_is_exact_to_the_nanosecond(cost: int) -> None:
    buckets, now_ns = KeyedBuckets(10, 3, table_bytes=4096), SECOND + 777
    drain(buckets, "a", now_ns)
    wait_ns = buckets.take("a", cost, now_ns=now_ns)
    assert cost * SECOND // 10 < wait_ns < cost * SECOND // 10 * 1.003
    assert buckets.wait("a", cost, now_ns=now_ns + 12) == wait_ns - 12
    assert buckets.take("a", cost, now_ns=now_ns + wait_ns - 1) == 1
    assert buckets.take("a", cost, now_ns=now_ns + wait_ns) == 0


def test_refused_takes_and_questions_cost_nothing() -> None:
    buckets = KeyedBuckets(10, 3, table_bytes=4096)
    assert drain(buckets, "a", SECOND) == 3
    wait_ns = buckets.wait("a", now_ns=SECOND)
    assert {buckets.take("a", cost, now_ns=SECOND) > 0 for cost in (1, 2, 3)} == {True}
    assert [buckets.wait("b", cost, now_ns=SECOND) for cost in (1, 2, 3)] == [0, 0, 0]
    assert buckets.wait("a", now_ns=SECOND) == wait_ns
    assert drain(buckets, "b", SECOND) == 3


def test_a_cost_is_taken_whole_or_not_at_all() -> None:
    buckets = KeyedBuckets(10, 3)
    assert buckets.take("a", 2, now_ns=SECOND) == 0
    assert buckets.take("a", 2, now_ns=SECOND) > 0
    assert buckets.take("a", 1, now_ns=SECOND) == 0


def test_what_costs_nothing_passes_and_what_costs_more_than_there_is_never_does(probe: Any) -> None:
    buckets = KeyedBuckets(10, 3)
    drain(buckets, "a", SECOND)
    for key in ("a", "b"):
        assert buckets.take(key, 0, now_ns=SECOND) == buckets.wait(key, 0, now_ns=SECOND) == 0
        assert buckets.take(key, 4, now_ns=SECOND) == buckets.wait(key, 4, now_ns=SECOND) == -1
    assert probe.take_c(buckets, b"b", -1, SECOND) == -1
    assert drain(buckets, "b", SECOND) == 3


def test_without_a_time_the_clock_is_read() -> None:
    buckets = KeyedBuckets(0.001, 2)
    assert [buckets.take("a") for _ in range(2)] == [0, 0]
    assert 0 < buckets.take("a") <= buckets.wait("a", now_ns=0)
    buckets.refund("a", 1, 2**62)
    assert buckets.wait("a") == 0


# ---- refunds ----------------------------------------------------------------------------------


def test_what_is_refunded_at_once_is_there_again() -> None:
    buckets = KeyedBuckets(10, 3, table_bytes=4096)
    assert buckets.take("a", 3, now_ns=SECOND) == 0
    buckets.refund("a", 2, SECOND, now_ns=SECOND)
    assert drain(buckets, "a", SECOND) == 2


def test_what_time_has_brought_back_is_not_refunded_again(probe: Any) -> None:
    buckets = KeyedBuckets(10, 10, table_bytes=4096)
    interval_ns = probe.interval_units(buckets) * probe.unit_ns(buckets)
    start_ns = probe.unit_ns(buckets) * 1000
    assert buckets.take("a", 3, now_ns=start_ns) == 0
    later_ns = start_ns + 5 * interval_ns  # full again for two intervals
    assert buckets.take("a", 10, now_ns=later_ns) == 0
    buckets.refund("a", 3, start_ns, now_ns=later_ns)
    assert drain(buckets, "a", later_ns) == 0
    buckets.refund("a", 7, start_ns, now_ns=later_ns)
    assert drain(buckets, "a", later_ns) == 2


@pytest.mark.parametrize("refund", [(4, SECOND), (0, SECOND), (1, -(2**63)), (1, 0)])
def test_a_refund_that_cannot_be_changes_nothing(refund: tuple[int, int]) -> None:
    buckets = KeyedBuckets(10, 3)
    drain(buckets, "a", SECOND)
    for key in ("a", "b"):
        buckets.refund(key, *refund, now_ns=SECOND)
    assert (drain(buckets, "a", SECOND), drain(buckets, "b", SECOND)) == (0, 3)


def test_a_bucket_gets_no_fuller_than_full() -> None:
    buckets = KeyedBuckets(10, 3)
    assert buckets.take("a", now_ns=SECOND) == 0
    for _ in range(5):
        buckets.refund("a", 3, SECOND, now_ns=SECOND)
    assert drain(buckets, "a", SECOND) == 3


def test_a_refund_never_leads_back_before_the_present(probe: Any, segment: Segment) -> None:
    buckets = small(segment)
    key, now = same_set(probe, buckets, 1)[0], 10**6
    assert buckets.take(key, now_ns=now * probe.unit_ns(buckets)) == 0
    buckets.refund(key, 3, now * probe.unit_ns(buckets), now_ns=now * probe.unit_ns(buckets))
    assert probe.words(buckets, 0)[0] == (probe.tag_of(buckets, key), now)


# ---- a full set, and eviction -----------------------------------------------------------------


def test_eight_keys_of_a_set_have_their_own_buckets_and_the_ninth_the_overflow(probe: Any, segment: Segment) -> None:
    buckets = small(segment)
    keys = same_set(probe, buckets, 11)
    assert [drain(buckets, key, SECOND) for key in keys] == [3] * 9 + [0] * 2
    assert buckets.overflows == 6  # three that passed, three that did not
    assert [drain(buckets, key, SECOND) for key in keys] == [0] * 11


def test_a_live_key_is_never_evicted_whoever_floods(probe: Any, segment: Segment) -> None:
    buckets = small(segment, capacity=100)
    keys, now_ns, passed = same_set(probe, buckets, 508), SECOND, [0] * 8
    start_ns = now_ns
    for number in range(200):
        for index in range(8):
            passed[index] += drain(buckets, keys[index], now_ns)
        for stranger in keys[8 + number :: 200]:
            buckets.take(stranger, now_ns=now_ns)
        now_ns += SECOND // 31
    assert buckets.overflows > 400
    bound = 100 + 10 * Fraction(now_ns - start_ns, SECOND)
    assert all(0.99 * bound <= count <= bound for count in passed)


def test_an_idle_key_makes_room_and_loses_nothing(probe: Any, segment: Segment) -> None:
    buckets = small(segment)
    keys = same_set(probe, buckets, 300)
    for step in range(0, 296, 8):
        now_ns = (step + 1) * SECOND  # all that were there are full again
        assert [drain(buckets, key, now_ns) for key in keys[step : step + 8]] == [3] * 8
        assert drain(buckets, keys[step], now_ns) == 0
    assert buckets.overflows == 0
    assert [drain(buckets, key, 1000 * SECOND) for key in keys[:8]] == [3] * 8


@pytest.mark.parametrize("early_units", [0, 1])
def test_a_key_is_evicted_when_its_bucket_is_full_and_no_unit_earlier(
    probe: Any, segment: Segment, early_units: int
) -> None:
    buckets = small(segment)
    keys, unit_ns = same_set(probe, buckets, 9), probe.unit_ns(buckets)
    interval_units = probe.interval_units(buckets)
    start = 5000
    for at, key in enumerate(keys[:8]):
        assert buckets.take(key, 1 + (at != 3), now_ns=start * unit_ns) == 0
    full_again = start + interval_units
    assert buckets.take(keys[8], 3, now_ns=(full_again + 1 - early_units) * unit_ns) == 0
    assert buckets.overflows == early_units
    held = {tag for tag, _ in probe.words(buckets, 0)}
    assert (probe.tag_of(buckets, keys[3]) in held) == bool(early_units)


def test_the_overflow_bucket_has_the_rate_of_one_key(probe: Any, segment: Segment) -> None:
    buckets = small(segment)
    keys = same_set(probe, buckets, 30)
    for key in keys[:8]:
        for _ in range(3):
            buckets.take(key, now_ns=SECOND)
    wait_ns = 0
    assert sum(drain(buckets, key, SECOND) for key in keys[8:]) == 3
    wait_ns = buckets.wait(keys[8], now_ns=SECOND)
    assert wait_ns == buckets.wait(keys[20], now_ns=SECOND) == buckets.take(keys[9], now_ns=SECOND)
    assert buckets.wait(keys[9], now_ns=SECOND + wait_ns - 1) == 1
    assert buckets.take(keys[9], now_ns=SECOND + wait_ns) == 0
    assert buckets.take(keys[10], now_ns=SECOND + wait_ns) > 0


def test_what_was_taken_of_the_overflow_bucket_is_refunded_to_it(probe: Any, segment: Segment) -> None:
    buckets = small(segment)
    keys = same_set(probe, buckets, 10)
    for key in keys[:8]:
        assert drain(buckets, key, SECOND) == 3
    assert drain(buckets, keys[8], SECOND) == 3
    buckets.refund(keys[8], 2, SECOND, now_ns=SECOND)
    assert [drain(buckets, key, SECOND) for key in keys] == [0] * 8 + [2, 0]


def test_keys_of_the_same_set_and_tag_share_a_bucket(probe: Any, segment: Segment) -> None:
    buckets, seen = small(segment), {}
    for number in range(300_000):
        key = b"%d" % number
        hashed = probe.hash_of(buckets, key)
        other = seen.setdefault((hashed >> 40, hashed & 63), key)
        if other != key:
            break
    assert other != key, "no two keys collide"
    assert (drain(buckets, key, SECOND), drain(buckets, other, SECOND)) == (3, 0)


# ---- time that comes round --------------------------------------------------------------------

GAPS = [2**36, 2**37 - 1, 2**37, 2**38, 2**39 - 1, 2**39, 2**39 + 1, 2**40 - 4500, 2**40 - 1, 2**40, 2**40 + 1]


@pytest.mark.parametrize("gap", [*GAPS, 2**40 + 2**39, 3 * 2**40 - 2000, 5 * 2**40 + 77])
def test_after_a_silence_of_any_length_a_key_has_its_whole_bucket(probe: Any, segment: Segment, gap: int) -> None:
    buckets = small(segment)
    keys = same_set(probe, buckets, 9)
    start_ns, unit_ns = 10 * SECOND, probe.unit_ns(buckets)
    assert [drain(buckets, key, start_ns) for key in keys] == [3] * 9
    now_ns = start_ns + gap * unit_ns
    assert [drain(buckets, key, now_ns) for key in keys] == [3] * 9
    assert [drain(buckets, key, now_ns) for key in keys] == [0] * 9


@pytest.mark.parametrize("now", [1, 2**24, 2**39 - 1, 2**39 + 1, 2**40 - 10, 2**40, 3 * 2**40 - 4000])
def test_a_new_table_has_room_whatever_the_time(probe: Any, segment: Segment, now: int) -> None:
    buckets = small(segment)
    keys = same_set(probe, buckets, 8)
    assert [drain(buckets, key, now * probe.unit_ns(buckets)) for key in keys] == [3] * 8
    assert buckets.overflows == 0


@pytest.mark.parametrize("gap", [2**37, 2**38 + 5, 2**39 + 2**31])
def test_after_a_silence_the_hand_goes_over_every_set(probe: Any, segment: Segment, gap: int) -> None:
    buckets = small(segment)
    unit_ns, start = probe.unit_ns(buckets), 2**37
    buckets.take("clock", now_ns=start * unit_ns)
    for number in range(64):
        probe.set_word(buckets, number, 5, 7, start - 1000)
    buckets.take("clock", now_ns=(start + gap) * unit_ns)
    assert {probe.words(buckets, number)[5] for number in range(64)} == {(7, (start + gap - 1) % 2**40)}


@pytest.mark.parametrize("step", [2**24 + 1, 2**30, 2**35, 2**36 + 12345])
def test_a_forgotten_word_does_not_come_alive_while_others_go_on(probe: Any, segment: Segment, step: int) -> None:
    buckets = small(segment)
    key, other = same_set(probe, buckets, 1)[0], same_set(probe, buckets, 1, 1)[0]
    unit_ns, now = probe.unit_ns(buckets), 10**6
    assert drain(buckets, key, now * unit_ns) == 3
    end = now + 2**40 - 4000  # in the middle of the burst that it would seem to have spent
    steps = min(3000, (end - now) // step)
    for turn in range(1, steps + 1):
        assert buckets.take(other, now_ns=(now + (end - now) * turn // steps) * unit_ns) == 0
    assert buckets.wait(key, 3, now_ns=end * unit_ns) == 0
    assert drain(buckets, key, end * unit_ns) == 3


def test_the_hand_goes_once_round_and_leaves_live_words_alone(probe: Any, segment: Segment) -> None:
    buckets = small(segment)
    unit_ns, start = probe.unit_ns(buckets), 2**37
    buckets.take("clock", now_ns=start * unit_ns)
    for number in range(64):
        probe.set_word(buckets, number, 5, 7, start - 1000)  # idle
        probe.set_word(buckets, number, 6, 8, start + 2**37 - 1)  # live, until the hand has gone round
    for step in range(1, 64):
        now = start + step * 2**31
        buckets.take("clock", now_ns=now * unit_ns)
        renewed = [probe.words(buckets, number)[5] == (7, now - 1) for number in range(64)]
        assert renewed[step]
        assert probe.words(buckets, step)[6] == (8, start + 2**37 - 1)
        assert probe.words(buckets, step + 1 & 63)[5] == (7, start - 1000)
    assert probe.words(buckets, 9)[4] == (0, 0)
    buckets.take("clock", now_ns=(start + 2**37) * unit_ns)
    assert probe.words(buckets, 0)[5:7] == [(7, start + 2**37 - 1), (8, start + 2**37 - 1)]


def test_whoever_comes_with_an_old_time_takes_a_word_of_the_future_for_no_past_one(
    probe: Any, segment: Segment
) -> None:
    buckets = small(segment)
    unit_ns, old = probe.unit_ns(buckets), 10**6
    for gap in (1, 2000, 2**24, 2**30, 2**39, 2**39 + 1000, 2**40 - 1):
        assert drain(buckets, "a", (old + gap) * unit_ns) == 3
        assert buckets.take("a", now_ns=old * unit_ns) > 0
        assert buckets.take("a", now_ns=(old + gap) * unit_ns) > 0
        old += gap + 10**6


def test_an_old_time_brings_back_nothing_that_was_evicted_since(probe: Any, segment: Segment) -> None:
    buckets = small(segment)
    keys = same_set(probe, buckets, 10)
    assert drain(buckets, keys[0], SECOND) == 3
    for seconds, key in enumerate(keys[1:], 100):
        assert drain(buckets, key, seconds * SECOND) == 3
    assert probe.tag_of(buckets, keys[0]) not in {tag for tag, _ in probe.words(buckets, 0)}
    clock_ns = probe.newest(buckets) * probe.unit_ns(buckets)
    assert clock_ns > 100 * SECOND
    assert buckets.take(keys[0], 3, now_ns=SECOND) == 0  # by one who was stopped; counts as of the table's time
    assert buckets.take(keys[0], now_ns=clock_ns) > 0
    assert drain(buckets, keys[0], 110 * SECOND) == 3


# ---- processes that die in the middle ---------------------------------------------------------


def test_a_copy_whose_maker_died_does_not_count(probe: Any, segment: Segment) -> None:
    buckets = small(segment)
    keys, unit_ns, now = same_set(probe, buckets, 3), probe.unit_ns(buckets), 10**6
    assert buckets.take(keys[0], now_ns=now * unit_ns) == 0
    (tag, time), *_ = probe.words(buckets, 0)
    probe.set_word(buckets, 0, 1, tag, time)  # about to let another in, and killed
    assert drain(buckets, keys[0], now * unit_ns) == 2
    assert drain(buckets, keys[1], now * unit_ns) == 3  # brings the copy up to date
    tags = [tag for tag, _ in probe.words(buckets, 0)]
    assert tags == [probe.tag_of(buckets, keys[1]), probe.tag_of(buckets, keys[0])] + [0] * 6
    assert drain(buckets, keys[0], now * unit_ns) == 0


def test_a_copy_is_brought_up_to_date_in_a_set_that_has_no_other_room(probe: Any, segment: Segment) -> None:
    buckets = small(segment)
    keys, unit_ns, now = same_set(probe, buckets, 9), probe.unit_ns(buckets), 10**6
    for key in keys[:7]:
        assert buckets.take(key, 2, now_ns=now * unit_ns) == 0
    tag, time = probe.words(buckets, 0)[0]
    probe.set_word(buckets, 0, 7, tag, time)
    assert drain(buckets, keys[6], now * unit_ns) == 1
    assert drain(buckets, keys[7], now * unit_ns) == 3
    assert buckets.overflows == 0
    assert [drain(buckets, key, now * unit_ns) for key in keys[:8]] == [1] * 6 + [0] * 2


# ---- shared memory ----------------------------------------------------------------------------


def test_tables_of_one_name_are_one_and_of_two_names_are_two(segment: Segment) -> None:
    one, same, other = small(segment), small(Segment.attach(segment.fd)), small(segment, name="other")
    assert drain(one, "a", SECOND) == 3
    assert (drain(same, "a", SECOND), drain(other, "a", SECOND)) == (0, 3)


def test_after_a_reload_with_another_rate_and_capacity_keys_go_on_with_what_they_spent(segment: Segment) -> None:
    assert drain(small(segment, 10, 100), "a", SECOND) == 100
    smaller = small(segment, 10.5, 5)
    wait_ns = smaller.take("a", now_ns=SECOND)
    assert 96 * SECOND / 10.5 < wait_ns < 96.5 * SECOND / 10
    assert smaller.take("a", now_ns=SECOND + wait_ns - 1) == 1
    assert smaller.take("a", now_ns=SECOND + wait_ns) == 0
    assert drain(small(segment, 10, 200), "b", SECOND) == 200
    assert drain(smaller, "b", SECOND) == 0


def test_time_counts_from_the_epoch_of_the_segment() -> None:
    epoch_ns = 2**62
    buckets = KeyedBuckets(10, 3, table_bytes=4096, segment=Segment.create(2**20, epoch_ns=epoch_ns))
    assert drain(buckets, "a", epoch_ns + 5) == 3
    wait_ns = buckets.wait("a", now_ns=epoch_ns + 5)
    assert buckets.wait("a", now_ns=epoch_ns + 5 + wait_ns - 1) == 1
    assert buckets.take("a", now_ns=epoch_ns + 5 + wait_ns) == 0


def test_a_segment_without_room_is_refused(segment: Segment) -> None:
    with pytest.raises(Exception, match="no room"):
        KeyedBuckets(10, 3, table_bytes=2**20, segment=segment)


# ---- what is given ----------------------------------------------------------------------------


@pytest.mark.parametrize("key", [b"", "", b"\0", b"\xff" * 7, "é\udc80", "k" * 1_000_000, bytes(10_000)])
def test_any_octets_and_any_text_are_a_key(key: bytes | str) -> None:
    buckets = KeyedBuckets(10, 3)
    assert drain(buckets, key, SECOND) == 3
    assert drain(buckets, key + (b"x" if isinstance(key, bytes) else "x"), SECOND) == 3


def test_text_stands_for_its_utf_8() -> None:
    buckets = KeyedBuckets(10, 3)
    assert drain(buckets, "Zürich", SECOND) == 3
    assert drain(buckets, "Zürich".encode(), SECOND) == 0


def test_a_key_whose_hash_has_no_tag_is_limited_like_others(probe: Any, segment: Segment) -> None:
    buckets, key = small(segment), b"4011459"
    assert probe.tag_of(buckets, key) == 0
    assert drain(buckets, key, SECOND) == 3
    assert probe.words(buckets, probe.set_of(buckets, key))[0][0] == 1
    keys = same_set(probe, buckets, 8, probe.set_of(buckets, key))
    assert [drain(buckets, other, SECOND) for other in keys] == [3] * 8
    assert drain(buckets, key, SECOND) == 0


@pytest.mark.parametrize("key", [None, 1, bytearray(b"a"), memoryview(b"a"), ["a"]])
def test_what_is_no_key_is_refused(key: Any) -> None:
    buckets = KeyedBuckets(10, 3)
    for call in (buckets.take, buckets.wait):
        with pytest.raises(TypeError, match=f"key must be bytes or str, not {type(key).__name__}"):
            call(key)
    with pytest.raises(TypeError, match="key must be bytes or str"):
        buckets.refund(key, 1, 0)


@pytest.mark.parametrize("cost", [1.0, "1", None, 2**63])
def test_what_is_no_cost_is_refused(cost: Any) -> None:
    buckets = KeyedBuckets(10, 3)
    for call in (buckets.take, buckets.wait):
        with pytest.raises((TypeError, OverflowError)):
            call("a", cost)
    with pytest.raises(ValueError, match="cost must be 0 or more, not -1"):
        buckets.take("a", -1)


@pytest.mark.parametrize("now_ns", [-(10**18), -1, 2**63 - 1])
def test_absurd_times_break_nothing(now_ns: int) -> None:
    buckets = KeyedBuckets(0.0001, 3)
    assert drain(buckets, "a", now_ns) == 3
    assert buckets.wait("a", now_ns=now_ns) > 0
    buckets.refund("a", 1, -now_ns - 1, now_ns=now_ns)


@pytest.mark.parametrize("rate", [0, -1, 0.00009, 1_000_001, 1e30, float("inf"), float("nan"), 10**400])
def test_a_rate_out_of_bounds_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=r"rate must be from 0\.0001 to 1000000 per second for each key, not "):
        KeyedBuckets(rate, 10)


@pytest.mark.parametrize("capacity", [0, -1, 100_000_001, 2**70, 1.5, "10", None])
def test_a_capacity_out_of_bounds_is_refused(capacity: Any) -> None:
    with pytest.raises(ValueError, match="capacity must be a whole number from 1 to 100000000 for each key, not "):
        KeyedBuckets(1000, capacity)


def test_a_bucket_that_takes_more_than_a_hundred_days_to_fill_is_refused() -> None:
    KeyedBuckets(1, 8_640_000)
    with pytest.raises(ValueError, match="capacity 8640001 at rate 1 per second takes more than 100 days to fill"):
        KeyedBuckets(1, 8_640_001)


def test_the_largest_burst_is_kept() -> None:
    buckets = KeyedBuckets(1_000_000, 100_000_000)
    assert buckets.take("a", 100_000_000, now_ns=SECOND) == 0
    assert buckets.take("a", 100_000_000, now_ns=SECOND + 100 * SECOND) > 0
    assert buckets.take("a", 100_000_000, now_ns=SECOND + 101 * SECOND) == 0


@pytest.mark.parametrize("table_bytes", [0, 64, 2048, 4097, 6144, 2**28, -4096, 2**80])
def test_a_table_size_out_of_bounds_is_refused(table_bytes: int) -> None:
    with pytest.raises(ValueError, match=f"power of two from 4096 to 134217728, not {table_bytes}"):
        KeyedBuckets(10, 10, table_bytes=table_bytes)


@pytest.mark.parametrize("table_bytes", [4096, 8192, 2**27])
def test_table_sizes_within_bounds_are_taken(table_bytes: int) -> None:
    buckets = KeyedBuckets(10, 3, table_bytes=table_bytes)
    assert (buckets.table_bytes, drain(buckets, "a", SECOND)) == (table_bytes, 3)


@pytest.mark.parametrize("arguments", [(), (1,), ("fast", 1), (None, 1), (1, 1, 4096)])
def test_what_makes_no_table_is_refused(arguments: Any) -> None:
    with pytest.raises(TypeError):
        KeyedBuckets(*arguments)
    with pytest.raises(TypeError):
        KeyedBuckets.__new__(KeyedBuckets)


@pytest.mark.parametrize("options", [{"table_bytes": "1m"}, {"table_bytes": 4096.0}, {"name": None}, {"segment": 1}])
def test_options_of_another_type_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        KeyedBuckets(10, 3, **options)


def test_what_was_given_can_be_read_back() -> None:
    buckets = KeyedBuckets(7.5, 20, table_bytes=8192, name="by client")
    assert (buckets.rate, buckets.capacity, buckets.table_bytes, buckets.name) == (7.5, 20, 8192, "by client")
    assert repr(buckets) == "<KeyedBuckets 'by client' rate=7.5 capacity=20>"
