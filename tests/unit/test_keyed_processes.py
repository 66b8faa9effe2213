"""One table, several processes: exact while they race for it, and while they are killed and stopped."""

import os
import signal
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest

from highperf.guards.keyed import KeyedBuckets
from highperf.segment import Segment
from tests import compiled
from tests.effort import effort
from tests.processes import fork, join, kill, wait_for

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/keyed_probe.pyx")


@pytest.fixture
def children() -> Iterator[list[int]]:
    """Process ids; what still runs at the end is killed."""
    pids: list[int] = []
    yield pids
    kill(pids)


def race(probe: Any, children: list[int], parties: int, width: int, rounds: int, one_set: bool) -> list[int]:
    """What each key got for which all parties raced, in rounds of `width` fresh keys."""
    segment = Segment.create(2**22, epoch_ns=0)
    buckets = KeyedBuckets(10, 5, table_bytes=4096, segment=segment)
    keys = probe.keys_of_set(buckets, 11, width * rounds) if one_set else list(range(width * rounds))
    for party in range(parties):
        fork(children, lambda party=party: probe.race(buckets, segment, keys, width, party, parties, SECOND))
    join(children)
    assert buckets.overflows == 0
    return probe.counts(segment, "passed", len(keys))


def test_a_key_that_two_processes_bring_at_once_gets_one_bucket(probe: Any, children: list[int]) -> None:
    assert set(race(probe, children, 2, 1, 4000, False)) == {5}


@pytest.mark.parametrize("width", [2, 4, 8])
def test_keys_of_one_set_that_three_processes_bring_at_once_get_one_bucket_each(
    probe: Any, children: list[int], width: int
) -> None:
    assert set(race(probe, children, 3, width, 1500, True)) == {5}


def test_hot_keys_keep_their_bound_while_cold_ones_churn_and_one_of_three_is_killed_and_one_stopped(
    probe: Any, children: list[int]
) -> None:
    rate, capacity = 100, 15
    segment = Segment.create(2**20)
    buckets = KeyedBuckets(rate, capacity, table_bytes=256 * 1024, segment=segment)
    hot = [b"hot %d" % number for number in range(effort(200))]
    start_ns = time.monotonic_ns()
    for key in hot:
        while buckets.take(key) == 0:
            pass
    killed, stopped, _ = [
        fork(children, lambda seed=seed: probe.hammer(buckets, segment, hot, seed)) for seed in (1, 2, 3)
    ]

    def rounds() -> int:
        return probe.counts(segment, "rounds", 1)[0]

    def passed() -> list[int]:
        return probe.counts(segment, "passed", 1024)[: len(hot)]

    wait_for(lambda: rounds() > effort(1000))
    os.kill(killed, signal.SIGKILL)
    os.waitpid(killed, 0)
    children.remove(killed)
    os.kill(stopped, signal.SIGSTOP)
    before = rounds()
    wait_for(lambda: rounds() > before + effort(500))
    os.kill(stopped, signal.SIGCONT)
    before = rounds()
    wait_for(lambda: rounds() > before + effort(1000) and min(passed()) > 0)
    probe.tell(segment, "stop")
    join(children)
    bound = Fraction(rate) * (time.monotonic_ns() - start_ns) / SECOND
    assert max(passed()) <= bound
