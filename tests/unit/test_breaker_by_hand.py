"""CircuitBreaker as a context manager: which endings count, nested and in many tasks at once."""

import asyncio
import contextvars
import pickle
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from highperf.errors import DEADLINE_PASSED, BreakerOpen, HTTPError
from highperf.guards.breaker import CircuitBreaker

S = 1_000_000_000


def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        breaker.report(breaker.allow(), "failure")


def half_open() -> CircuitBreaker:
    """Its time is over: the next call is the probe."""
    breaker = CircuitBreaker("db", failures=1)
    long_ago_ns = time.monotonic_ns() - 60 * S
    breaker.report(breaker.allow(now_ns=long_ago_ns), "failure", now_ns=long_ago_ns)
    return breaker


def end_with(breaker: CircuitBreaker, problem: BaseException | None) -> None:
    if problem is None:
        with breaker:
            return
    with pytest.raises(type(problem)) as raised, breaker:
        raise problem
    assert raised.value is problem


@pytest.mark.parametrize(
    "problem",
    [
        ValueError(),
        TimeoutError(),
        OSError("no route"),
        HTTPError(500),
        HTTPError(503, "upstream"),
        HTTPError(599),
        asyncio.CancelledError(DEADLINE_PASSED),
    ],
)
def test_exceptions_errors_of_the_server_and_missed_deadlines_are_failures(problem: BaseException) -> None:
    breaker = CircuitBreaker()
    end_with(breaker, problem)
    assert breaker.streak == 1


@pytest.mark.parametrize(
    "problem", [None, HTTPError(400), HTTPError(404), HTTPError(429), HTTPError(499), HTTPError(501)]
)
def test_normal_endings_errors_of_the_client_and_501_are_successes(problem: BaseException | None) -> None:
    breaker = CircuitBreaker()
    fail(breaker, 19)
    end_with(breaker, problem)
    assert (breaker.state, breaker.streak) == ("closed", 0)


@pytest.mark.parametrize(
    "problem",
    [
        asyncio.CancelledError(),
        asyncio.CancelledError("the client left"),
        asyncio.CancelledError(None),
        asyncio.CancelledError(7, DEADLINE_PASSED),
        BreakerOpen("other", 2),
        KeyboardInterrupt(),
        SystemExit(1),
        GeneratorExit(),
    ],
)
def test_cancellations_refusals_of_other_breakers_and_endings_of_the_process_tell_nothing(problem: Any) -> None:
    breaker = CircuitBreaker()
    fail(breaker, 19)
    end_with(breaker, problem)
    assert (breaker.state, breaker.streak) == ("closed", 19)
    probed = half_open()
    end_with(probed, problem)
    assert probed.allow() >= 0  # its place was free at once


def test_block_of_an_open_breaker_does_not_run() -> None:
    breaker = CircuitBreaker("db", failures=3)
    fail(breaker, 3)
    with pytest.raises(BreakerOpen) as refused, breaker:
        pytest.fail("entered")
    assert (refused.value.name, breaker.state) == ("db", "open")


def test_refusal_answers_503_with_the_time_to_come_back_and_the_name() -> None:
    breaker = CircuitBreaker("db", failures=1, open_for_ns=90 * S)
    fail(breaker, 1)
    with pytest.raises(HTTPError) as refused, breaker:
        pass
    error = refused.value
    assert (error.status, error.detail) == (503, "the circuit breaker 'db' is open: too many calls failed")
    assert error.headers == {"Retry-After": "90", "Cache-Control": "no-store"}
    assert str(error) == "503 the circuit breaker 'db' is open: too many calls failed"
    again = pickle.loads(pickle.dumps(error))
    assert (again.name, again.retry_after_s, str(again)) == ("db", 90, str(error))


def test_time_to_come_back_is_rounded_up_to_a_second() -> None:
    breaker = CircuitBreaker("db", failures=1, open_for_ns=20_000_000)
    fail(breaker, 1)
    with pytest.raises(BreakerOpen) as refused, breaker:
        pass
    assert refused.value.retry_after_s == 1


def test_one_probe_at_a_time_by_hand_too() -> None:
    breaker = half_open()
    with breaker:
        assert breaker.state == "half-open"
        with pytest.raises(BreakerOpen), breaker:
            pass
    for _ in range(2):
        with breaker:
            pass
    assert breaker.state == "ramp"


def test_as_gives_the_breaker() -> None:
    breaker = CircuitBreaker()
    with breaker as entered:
        assert entered is breaker

    async def enter() -> None:
        async with breaker as entered:
            assert entered is breaker

    asyncio.run(enter())


def test_nested_breakers_each_learn_of_their_own_block() -> None:
    outer, inner = CircuitBreaker("outer"), CircuitBreaker("inner")
    with outer, pytest.raises(ValueError, match="inner"), inner:
        raise ValueError("inner")
    assert (outer.streak, inner.streak) == (0, 1)
    with pytest.raises(ValueError, match="both"), outer, inner:
        raise ValueError("both")
    assert (outer.streak, inner.streak) == (1, 2)


def test_open_inner_breaker_is_no_failure_of_the_outer_one() -> None:
    outer, inner = CircuitBreaker("outer"), CircuitBreaker("inner", failures=1)
    fail(inner, 1)
    for _ in range(30):
        with pytest.raises(BreakerOpen, match="inner"), outer, inner:
            pass
    assert (outer.state, outer.streak) == ("closed", 0)


def test_breaker_within_itself_counts_both_blocks() -> None:
    breaker = CircuitBreaker(failures=10, volume=10)
    with pytest.raises(ValueError, match="twice"), breaker, breaker:
        raise ValueError("twice")
    assert breaker.streak == 2


def test_tasks_inside_one_breaker_at_once_keep_their_passes_apart() -> None:
    breaker = half_open()
    late = CircuitBreaker("late", failures=1)

    async def call(entered: asyncio.Event, go_on: asyncio.Event, fails: bool) -> None:
        async with late:
            entered.set()
            await go_on.wait()
            if fails:
                raise ValueError

    async def probe(seen: list[str]) -> None:
        try:
            async with breaker:
                await asyncio.sleep(0)
                seen.append("probed")
        except BreakerOpen:
            seen.append("refused")

    async def main() -> None:
        seen: list[str] = []
        await asyncio.gather(*(probe(seen) for _ in range(10)))
        assert sorted(seen) == ["probed"] + ["refused"] * 9
        events = [(asyncio.Event(), asyncio.Event()) for _ in range(2)]
        tasks = [asyncio.ensure_future(call(*pair, fails=not number)) for number, pair in enumerate(events)]
        for entered, _ in events:
            await entered.wait()
        events[0][1].set()
        await asyncio.wait(tasks[:1])
        assert late.state == "open"
        events[1][1].set()  # began before it opened: its success closes nothing
        await asyncio.wait(tasks)
        assert late.state == "open"
        assert isinstance(tasks[0].exception(), ValueError)

    asyncio.run(main())


def test_tasks_begun_inside_a_block_neither_end_nor_inherit_it() -> None:
    breaker = CircuitBreaker("db")

    async def child() -> None:
        async with breaker:
            raise ValueError

    async def main() -> None:
        async with breaker:
            children = [asyncio.ensure_future(child()) for _ in range(3)]
            await asyncio.wait(children)
            assert all(isinstance(task.exception(), ValueError) for task in children)
            assert breaker.streak == 3
        assert breaker.streak == 0

    asyncio.run(main())


def test_timeout_inside_the_block_is_a_failure_and_one_around_it_is_not() -> None:
    breaker = CircuitBreaker("db")

    async def inside() -> None:
        async with breaker, asyncio.timeout(0):
            await asyncio.sleep(60)

    async def around() -> None:
        async with asyncio.timeout(0), breaker:
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        asyncio.run(inside())
    assert breaker.streak == 1
    with pytest.raises(TimeoutError):
        asyncio.run(around())
    assert breaker.streak == 1


def test_task_cancelled_by_its_deadline_is_a_failure_and_by_another_reason_is_not() -> None:
    breaker = CircuitBreaker("db")

    async def call() -> None:
        async with breaker:
            await asyncio.sleep(60)

    async def main(*reason: str) -> None:
        task = asyncio.ensure_future(call())
        await asyncio.sleep(0)
        task.cancel(*reason)
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main(DEADLINE_PASSED))
    assert breaker.streak == 1
    asyncio.run(main("the client left"))
    asyncio.run(main())
    assert breaker.streak == 1


def test_blocks_that_end_in_another_order_than_they_began_keep_their_passes() -> None:
    first, second = CircuitBreaker("first"), CircuitBreaker("second")

    async def rows() -> AsyncIterator[int]:
        async with first:
            yield 1
            raise ValueError("row")

    async def main() -> None:
        generator = rows()
        await anext(generator)
        async with second:
            with pytest.raises(ValueError, match="row"):
                await anext(generator)
            assert (first.streak, second.streak) == (1, 0)
        fail(second, 1)
        assert second.streak == 1

    asyncio.run(main())


def test_block_left_in_another_context_counts_for_nothing() -> None:
    breaker = half_open()
    contextvars.copy_context().run(breaker.__enter__)
    breaker.__exit__(None, None, None)
    assert breaker.state == "half-open"  # until the lease is over
    assert breaker.allow() == -1
    assert breaker.allow(now_ns=time.monotonic_ns() + 2 * S) >= 0


def test_left_blocks_leave_nothing_in_the_context() -> None:
    breaker = CircuitBreaker()

    def values() -> set[int]:
        return {id(value) for value in contextvars.copy_context().values()}

    with breaker:
        pass
    before = values()
    for _ in range(3):
        with breaker, breaker:
            assert values() != before
        assert values() == before
