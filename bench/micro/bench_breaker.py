"""The circuit breaker: asking and reporting, without the reading of a clock.

*healthy* is what every call of a route pays while all is well. *after a failure* is what successes
cost for the ten seconds after one, when each is published to the other workers. *open* is a refusal.
"""

from typing import Any

import pytest

from bench.micro.conftest import Tight
from highperf.guards.breaker import CircuitBreaker
from highperf.segment import Segment
from tests import compiled

GROUP = "guards"
S = 1_000_000_000


@pytest.fixture(scope="module")
def loop(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "bench/micro/breaker_loop.pyx")


@pytest.fixture
def segment() -> Segment:
    return Segment.create(1 << 20, epoch_ns=0)


def fail(breaker: CircuitBreaker, times: int, now_ns: int) -> None:
    for _ in range(times):
        breaker.report(breaker.allow(now_ns=now_ns), "failure", now_ns=now_ns)


def bench_breaker_healthy(tight: Tight, loop: Any, segment: Segment) -> None:
    breaker = CircuitBreaker("db", segment=segment)
    tight(lambda calls: loop.call(breaker, calls, 5 * S, apart_ns=10_000), goal_ns=40)
    assert breaker.state == "closed"


def bench_breaker_after_a_failure(tight: Tight, loop: Any, segment: Segment) -> None:
    breaker = CircuitBreaker("db", segment=segment)
    fail(breaker, 1, 5 * S)
    tight(lambda calls: loop.call(breaker, calls, 5 * S))
    assert breaker.state == "closed"


def bench_breaker_open(tight: Tight, loop: Any, segment: Segment) -> None:
    breaker = CircuitBreaker("db", segment=segment)
    fail(breaker, 20, 5 * S)
    tight(lambda calls: loop.call(breaker, calls, 6 * S))
    assert breaker.state == "open"
