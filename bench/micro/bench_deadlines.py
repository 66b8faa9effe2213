"""Timers and permits alone: what each request pays for its deadline and for its place.

*one armed* has a single timer in the cache of the processor; *10,000 armed* has as many requests in flight,
whose timers stand far apart in memory.
"""

import asyncio
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import pytest
import uvloop

from bench.micro.conftest import Loop, Tight
from highperf.guards.deadlines import TimeoutList, TimerWheel
from highperf.guards.shedder import Shedder
from tests import compiled

GROUP = "guards"
ARMED = {"one armed": 1, "10,000 armed": 10_000}
ARM_AND_DISARM_GOAL_NS = 60
MS = 1_000_000


@pytest.fixture(scope="module")
def loop(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "bench/micro/deadline_loop.pyx")


def call_later_loop(event_loop: asyncio.AbstractEventLoop) -> Loop:
    """A timer of uvloop for each request, cancelled at its end."""

    async def timers(calls: int) -> None:
        for _ in repeat(None, calls):
            event_loop.call_later(0.08, id).cancel()

    return lambda calls: event_loop.run_until_complete(timers(calls))


def timeout_loop(event_loop: asyncio.AbstractEventLoop) -> Loop:
    timeout = asyncio.timeout

    async def timeouts(calls: int) -> None:
        for _ in repeat(None, calls):
            async with timeout(0.08):
                pass

    return lambda calls: event_loop.run_until_complete(timeouts(calls))


@pytest.fixture
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    event_loop = uvloop.new_event_loop()
    yield event_loop
    event_loop.close()


@pytest.mark.parametrize("armed", ARMED)
def bench_disarm_and_arm_in_list(tight: Tight, loop: Any, event_loop: asyncio.AbstractEventLoop, armed: str) -> None:
    timers, timeouts = loop.Timers(ARMED[armed]), TimeoutList(80 * MS)
    others = {"loop.call_later": call_later_loop(event_loop), "asyncio.timeout": timeout_loop(event_loop)}
    tight(
        lambda calls: loop.in_list(timers, timeouts, calls),
        goal_ns=ARM_AND_DISARM_GOAL_NS,
        against=others if ARMED[armed] == 1 else None,
    )
    assert len(timeouts) == ARMED[armed]


@pytest.mark.parametrize("armed", ARMED)
def bench_disarm_and_arm_in_wheel(tight: Tight, loop: Any, armed: str) -> None:
    timers, wheel = loop.Timers(ARMED[armed]), TimerWheel()
    tight(lambda calls: loop.in_wheel(timers, wheel, calls), goal_ns=ARM_AND_DISARM_GOAL_NS)
    assert len(wheel) == ARMED[armed]


def bench_arm_and_expire_in_wheel(tight: Tight, loop: Any) -> None:
    timers = loop.Timers(10_000)

    def arm_and_expire(calls: int) -> None:
        # Each time on a wheel of its own: the loop's time begins at 0.
        assert loop.expired(timers, TimerWheel(), calls) == calls

    tight(arm_and_expire)


def bench_permit(tight: Tight, loop: Any) -> None:
    shedder = Shedder(512)
    tight(lambda calls: loop.permits(shedder, calls))
    assert shedder.running == 0


def bench_refusal_while_a_queue_stands(tight: Tight, loop: Any) -> None:
    shedder = Shedder(512)
    loop.stand(shedder)
    tight(lambda calls: loop.refusals(shedder, calls))
    assert shedder.standing


def bench_turn_of_the_loop(tight: Tight, loop: Any) -> None:
    shedder = Shedder()
    tight(lambda calls: loop.turns(shedder, calls))
