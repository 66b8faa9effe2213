"""One decision of a token bucket, clock included: alone, and while another process takes from the same one.

A server at twenty times its limit reads the word nineteen times for each time it is written; *admitted*
is the worst case, in which every decision writes it and each process takes the cache line from the other.
Of the rounds with two processes only those count in which this one was not interrupted (its CPU time is its
wall time) and the other one decided about as often: in the rest the word was left alone.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from types import ModuleType

import pytest

from bench.micro.conftest import CALLS, FIGURES, Tight
from bench.micro.table import Figure
from highperf.guards.limiter import TokenBucket
from highperf.segment import Segment
from tests import compiled

GROUP = "guards"
ALONE_NS = 60
CONTENDED_NS = 150
ROUNDS_CONTENDED = 1000


@pytest.fixture(scope="module")
def loop(pytestconfig: pytest.Config) -> ModuleType:
    return compiled.load(pytestconfig, "bench/micro/limiter_loop.pyx")


@pytest.fixture
def segment() -> Segment:
    return Segment.create(2**20)


def endless(segment: Segment) -> TokenBucket:
    """Admits whatever can be asked of it: a token a nanosecond."""
    return TokenBucket(1e9, 10**9, segment=segment)


def drained(segment: Segment) -> TokenBucket:
    """Refuses for the next hours."""
    bucket = TokenBucket(0.0001, 1, segment=segment)
    bucket.take()
    return bucket


def overloaded(segment: Segment) -> TokenBucket:
    """Admits one in about twenty of two processes that ask as fast as they can."""
    return TokenBucket(1e6, 1000, segment=segment)


@contextmanager
def contender(loop: ModuleType, bucket: TokenBucket, segment: Segment) -> Iterator[None]:
    pid = os.fork()
    if pid == 0:
        loop.contend(bucket, segment)
    try:
        while loop.decisions_of_contender(segment) < CALLS:
            time.sleep(0.001)
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def bench_clock_alone(tight: Tight, loop: ModuleType) -> None:
    tight(loop.read_clock)


def bench_bucket_admits(tight: Tight, loop: ModuleType, segment: Segment) -> None:
    bucket = endless(segment)
    tight(lambda calls: loop.take(bucket, calls), goal_ns=ALONE_NS)
    assert loop.take(bucket, CALLS) == CALLS


def bench_bucket_refuses(tight: Tight, loop: ModuleType, segment: Segment) -> None:
    bucket = drained(segment)
    tight(lambda calls: loop.take(bucket, calls), goal_ns=ALONE_NS)
    assert loop.take(bucket, CALLS) == 0


def bench_bucket_admits_without_clock(tight: Tight, loop: ModuleType, segment: Segment) -> None:
    bucket, now_ns = endless(segment), time.monotonic_ns()
    tight(lambda calls: loop.take_at(bucket, now_ns, calls))


def bench_bucket_refuses_without_clock(tight: Tight, loop: ModuleType, segment: Segment) -> None:
    bucket, now_ns = drained(segment), time.monotonic_ns()
    tight(lambda calls: loop.take_at(bucket, now_ns, calls))


def bench_bucket_admits_and_is_refunded(tight: Tight, loop: ModuleType, segment: Segment) -> None:
    bucket = endless(segment)
    tight(lambda calls: loop.take_and_refund(bucket, calls))


@pytest.mark.parametrize("kind", [endless, overloaded, drained])
def bench_bucket_with_two_processes(
    request: pytest.FixtureRequest, loop: ModuleType, segment: Segment, kind: Callable[[Segment], TokenBucket]
) -> None:
    bucket, rounds = kind(segment), []
    with contender(loop, bucket, segment):
        for _ in range(ROUNDS_CONTENDED):
            before = loop.decisions_of_contender(segment)
            start_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
            loop.take(bucket, CALLS)
            cpu_ns, took_ns = time.process_time_ns() - cpu_ns, time.perf_counter_ns() - start_ns
            others = loop.decisions_of_contender(segment) - before
            if took_ns < 1.05 * cpu_ns and 0.7 * CALLS < others < 1.5 * CALLS:
                rounds.append(took_ns / CALLS)
    if not rounds:
        pytest.skip("the other process never had a CPU of its own")
    name = f"bucket with two processes, {kind.__name__}"
    request.config.stash[FIGURES].append(Figure(name, GROUP, min(rounds), median(rounds), CONTENDED_NS))
