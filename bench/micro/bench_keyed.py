"""A decision of KeyedBuckets: hashing the key, reading the clock, finding and charging the bucket.

With 100,000 keys in use, asked in random order, each decision pays for the memory that it touches:
the table's set, and the key itself.
"""

import random
from collections.abc import Callable
from itertools import islice

import pytest

from bench.micro.conftest import Tight
from highperf.guards.keyed import KeyedBuckets
from tests import compiled

GROUP = "guards"
LIVE = 100_000
BATCH = 20_000

TakeInTurn = Callable[[KeyedBuckets, list[bytes], int], int]


@pytest.fixture(scope="module")
def take_in_turn(pytestconfig: pytest.Config) -> TakeInTurn:
    loop: TakeInTurn = compiled.load(pytestconfig, "bench/micro/keyed_loop.pyx").take_in_turn
    return loop


def addresses(count: int) -> list[bytes]:
    return [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}".encode() for number in range(count)]


@pytest.mark.parametrize("live", [1, 1_000, LIVE])
def bench_keyed_take(tight: Tight, take_in_turn: TakeInTurn, live: int) -> None:
    # An hour to fill: whoever has come once is in use.
    buckets = KeyedBuckets(1, 3600, table_bytes=2 * 1024 * 1024)
    keys = addresses(live)
    random.Random(1).shuffle(keys)
    assert take_in_turn(buckets, keys, 1) == live
    rounds = max(1, BATCH // live)
    tight(lambda calls: take_in_turn(buckets, keys, calls // live), calls=rounds * live, goal_ns=200)


def bench_keyed_refusal(tight: Tight, take_in_turn: TakeInTurn) -> None:
    buckets = KeyedBuckets(0.001, 1)
    key = addresses(1)
    take_in_turn(buckets, key, 1)
    assert take_in_turn(buckets, key, 1) == 0
    tight(lambda calls: take_in_turn(buckets, key, calls), goal_ns=200)


def bench_keyed_newcomer(tight: Tight, take_in_turn: TakeInTurn) -> None:
    """Every key is new, and moves one that is idle out: what a flood of made-up keys costs."""
    buckets = KeyedBuckets(1_000_000, 1)
    keys = addresses(50 * BATCH)
    parts = iter(keys[at : at + BATCH] for at in range(0, len(keys), BATCH))

    def loop(calls: int) -> None:
        for part in islice(parts, calls // BATCH):
            take_in_turn(buckets, part, 1)

    tight(loop, calls=BATCH)
