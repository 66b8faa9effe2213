"""Guards called from Python, as applications call them, beside libraries that are called the same way."""

from itertools import repeat
from typing import Any

from bench.micro import twins
from bench.micro.conftest import Loop, Tight
from highperf.guards.breaker import CircuitBreaker
from highperf.guards.limiter import TokenBucket

GROUP = "guards"
PER_SECOND = 1000


def limits_loop(strategy: str) -> Loop | None:
    """A hit of a limit that is kept in the memory of this process."""
    if (limits := twins.module("limits")) is None:
        return None
    hit = getattr(limits.strategies, strategy)(limits.storage.MemoryStorage()).hit
    limit = limits.RateLimitItemPerSecond(PER_SECOND)

    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            hit(limit, "client")

    return loop


def bench_bucket_from_python(tight: Tight) -> None:
    """The limit is the Go service's; asked as fast as can be, it refuses nearly all."""
    take: Any = TokenBucket(PER_SECOND, PER_SECOND).take

    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            take()

    windows = {"fixed window": "FixedWindowRateLimiter", "moving window": "MovingWindowRateLimiter"}
    tight(loop, against={f"limits, {name}": limits_loop(strategy) for name, strategy in windows.items()})


def pybreaker_loop() -> Loop | None:
    if (pybreaker := twins.module("pybreaker")) is None:
        return None
    breaker = pybreaker.CircuitBreaker(fail_max=20, reset_timeout=2)

    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            with breaker.calling():
                pass

    return loop


def bench_breaker_from_python(tight: Tight) -> None:
    """A block that succeeds, with the closed breaker around it."""
    breaker = CircuitBreaker("db")

    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            with breaker:
                pass

    tight(loop, against={"pybreaker": pybreaker_loop()})
    assert breaker.state == "closed"
