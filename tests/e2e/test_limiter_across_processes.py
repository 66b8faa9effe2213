"""One bucket, four processes: exact while they race for it, and while they are killed and stopped.

Every admission tells its arrival time, which is its place in the order that the bucket's one word
hands out. So the check is exact: no two places are the same, or closer than the rate allows.
"""

import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from mmap import mmap
from typing import Any

import pytest

from highperf.guards.limiter import TokenBucket
from highperf.segment import Segment
from tests import compiled
from tests.processes import fork, join, kill, wait_for
from tests.reference.bucket_twin import worst_excess

PROCESSES = 4
SECOND = 1_000_000_000
STOPPED_S = 1.0
RACES = 10  # at least, or nothing was tested; on a busy machine the four may run one after the other for long
SEVERAL_CPUS = len(os.sched_getaffinity(0)) > 1 if hasattr(os, "sched_getaffinity") else True


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/limiter_probe.pyx")


@pytest.fixture
def children() -> Iterator[list[int]]:
    """Process ids; what still runs at the end is killed."""
    pids: list[int] = []
    yield pids
    kill(pids)


def check(probe: Any, bucket: TokenBucket, epoch_ns: int, logs: list[Any]) -> None:
    """Every admission of these logs has its own place, and no window holds too much."""
    interval = probe.interval_units(bucket)
    admissions = [admission for log in logs for admission in probe.read(log)]
    arrivals = sorted(arrival for arrival, _ in admissions)
    assert min(later - earlier for earlier, later in pairwise(arrivals)) >= interval
    instants = [256 * (before_ns - epoch_ns) for _, before_ns in admissions]
    for (arrival, _), instant in zip(admissions, instants, strict=True):
        assert interval <= arrival - instant <= bucket.capacity * interval
    assert worst_excess([(instant, 1) for instant in instants], bucket.capacity, interval) <= 0


def stop_when_raced(probe: Any, children: list[int], logs: list[Any]) -> None:
    if SEVERAL_CPUS:
        wait_for(lambda: sum(probe.raced(log) for log in logs) >= RACES)
    for log in logs:
        probe.stop(log)
    join(children)


def test_takes_and_refunds_that_race_are_all_counted(probe: Any, children: list[int]) -> None:
    segment = Segment.create(2**20)
    bucket = TokenBucket(1e6, 10**9, segment=segment)  # enough for all that these can take
    start_ns = time.monotonic_ns()
    first = 10**8  # so much that the bucket is never full while they race
    bucket.take(first, now_ns=start_ns)
    logs = [mmap(-1, probe.log_bytes(0)) for _ in range(PROCESSES)]
    for log in logs:
        fork(children, lambda log=log: probe.take_and_give_back(bucket, log))
    wait_for(lambda: all(probe.decisions(log) > 1000 for log in logs))
    stop_when_raced(probe, children, logs)
    taken = first + 2 * sum(probe.decisions(log) for log in logs)
    arrival = 256 * (start_ns - segment.epoch_ns) + taken * probe.interval_units(bucket)
    assert segment.read_word(segment.area("bucket ", 64)) == arrival


def test_one_killed_and_one_stopped_among_four_that_race_change_nothing(probe: Any, children: list[int]) -> None:
    segment = Segment.create(2**20)
    bucket = TokenBucket(100_000, 500, segment=segment)
    logs = [mmap(-1, probe.log_bytes(2_000_000)) for _ in range(PROCESSES)]
    pids = [fork(children, lambda log=log: probe.hammer(bucket, log)) for log in logs]
    wait_for(lambda: all(probe.count(log) > 500 for log in logs))

    killed, stopped, *others = range(PROCESSES)
    os.kill(pids[stopped], signal.SIGSTOP)
    os.waitpid(pids[stopped], os.WUNTRACED)
    stopped_at_s = time.monotonic()
    wait_for(lambda: time.monotonic() > stopped_at_s + STOPPED_S / 2)
    os.kill(pids[killed], signal.SIGKILL)
    os.waitpid(pids[killed], 0)
    children.remove(pids[killed])
    before = [probe.count(log) for log in logs]
    wait_for(lambda: all(probe.count(logs[other]) > before[other] + 500 for other in others))
    wait_for(lambda: time.monotonic() > stopped_at_s + STOPPED_S)
    assert probe.count(logs[stopped]) == before[stopped]
    os.kill(pids[stopped], signal.SIGCONT)
    wait_for(lambda: probe.count(logs[stopped]) > before[stopped] + 500)

    stop_when_raced(probe, children, logs)
    check(probe, bucket, segment.epoch_ns, logs)


@pytest.mark.parametrize("rate", [1000, 999.7])
def test_twenty_times_the_rate_over_ten_seconds_is_admitted_to_the_last_percent(
    probe: Any, children: list[int], rate: float
) -> None:
    capacity, span_s, overload = 1000, 10, 20
    segment = Segment.create(2**20, epoch_ns=0)
    bucket = TokenBucket(rate, capacity, segment=segment)
    calls = int(span_s * overload * rate)
    logs = [mmap(-1, probe.log_bytes(calls)) for _ in range(PROCESSES)]
    for log in logs:
        fork(children, lambda log=log: probe.drive(bucket, segment, log, span_s * SECOND // calls, calls))
    probe.open_gate(segment)
    join(children)
    check(probe, bucket, 0, logs)
    assert sum(probe.decisions(log) for log in logs) == calls
    bound = capacity + rate * span_s
    assert 0.99 * bound <= sum(probe.count(log) for log in logs) <= bound
