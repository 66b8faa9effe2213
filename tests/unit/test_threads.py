"""Functions that block: called in threads, and what becomes of them when nobody waits any more."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from highperf.errors import SHUTTING_DOWN
from highperf.threads import call_in_thread

PATIENCE_S = 10.0

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class Work:
    """A function that blocks until it is let go."""

    def __init__(self, outcome: Callable[[], Any] = lambda: "done") -> None:
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.ended = threading.Event()
        self.outcome = outcome

    def __call__(self, argument: object) -> Any:
        self.begun.set()
        try:
            assert self.gate.wait(PATIENCE_S)
            return self.outcome()
        finally:
            self.ended.set()


async def begun(work: Work) -> "asyncio.Task[Any]":
    task = asyncio.create_task(call_in_thread(work, None))
    await comes(work.begun)
    return task


async def comes(event: threading.Event) -> None:
    with ThreadPoolExecutor(1) as waiter:
        assert await asyncio.get_running_loop().run_in_executor(waiter, event.wait, PATIENCE_S)


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def run(coroutine: Coroutine[Any, Any, Any], threads: int = 4) -> Any:
    async def main() -> Any:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(threads))
        return await asyncio.wait_for(coroutine, PATIENCE_S)

    return asyncio.run(main())


def fail() -> None:
    raise OSError("disk is full")


def test_the_function_is_called_with_its_argument_in_a_thread_with_the_tasks_variables() -> None:
    async def main() -> Any:
        variable.set("set outside")
        return await call_in_thread(lambda argument: (argument, threading.get_ident(), variable.get()), 7)

    argument, thread, value = run(main())
    assert (argument, value) == (7, "set outside")
    assert thread != threading.get_ident()


def test_what_the_function_raises_is_raised() -> None:
    work = Work(fail)
    work.gate.set()
    with pytest.raises(OSError, match="disk is full"):
        run(call_in_thread(work, None))


def test_an_exception_that_no_future_can_hold_becomes_one_that_it_can() -> None:
    with pytest.raises(RuntimeError, match="the handler raised StopIteration"):
        run(call_in_thread(next, iter(())))


def test_a_cancelled_call_that_has_begun_lasts_until_its_thread_has_ended() -> None:
    async def main() -> None:
        work = Work()
        task = await begun(work)
        task.cancel("too late")
        await turns()
        assert not task.done()
        work.gate.set()
        with pytest.raises(asyncio.CancelledError, match="too late"):
            await task
        assert work.ended.is_set()

    run(main())


def test_a_failure_after_the_cancellation_is_not_lost() -> None:
    async def main() -> None:
        work = Work(fail)
        task = await begun(work)
        task.cancel()
        await turns()
        work.gate.set()
        with pytest.raises(OSError, match="disk is full"):
            await task

    run(main())


def test_a_cancelled_call_that_waits_for_a_thread_is_never_made() -> None:
    async def main() -> None:
        running, queued = Work(), Work()
        first = await begun(running)
        second = asyncio.create_task(call_in_thread(queued, None))
        await turns()
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        running.gate.set()
        assert await first == "done"
        assert await call_in_thread(str, "the thread is free") == "the thread is free"
        assert not queued.begun.is_set()

    run(main(), threads=1)


@pytest.mark.parametrize("outcome", [lambda: "done", fail])
def test_a_second_cancellation_ends_the_wait_and_what_comes_later_is_nobodys(outcome: Callable[[], Any]) -> None:
    noise: list[object] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: noise.append(context))
        work = Work(outcome)
        task = await begun(work)
        for _ in range(2):
            task.cancel()
            await turns()
        assert task.cancelled()
        assert not work.ended.is_set()
        work.gate.set()
        await comes(work.ended)
        await turns()

    run(main())
    assert noise == []


def test_the_end_of_the_server_is_not_waited_with() -> None:
    async def main() -> None:
        work = Work()
        task = await begun(work)
        task.cancel(SHUTTING_DOWN)
        with pytest.raises(asyncio.CancelledError, match=SHUTTING_DOWN):
            await task
        assert not work.ended.is_set()
        work.gate.set()

    run(main())


def test_a_thread_may_outlive_the_loop() -> None:
    work = Work(fail)

    async def main() -> None:
        task = await begun(work)
        for _ in range(2):
            task.cancel()
            await turns()

    loop = asyncio.new_event_loop()
    executor = ThreadPoolExecutor(2)
    loop.set_default_executor(executor)
    loop.run_until_complete(main())
    loop.close()
    work.gate.set()
    assert work.ended.wait(PATIENCE_S)
    executor.shutdown()


def test_a_timeout_around_the_call_is_told_once_the_thread_has_ended() -> None:
    async def main() -> None:
        work = Work()
        limit = asyncio.timeout(None)

        async def limited() -> None:
            async with limit:
                await call_in_thread(work, None)

        task = asyncio.create_task(limited())
        await comes(work.begun)
        limit.reschedule(0)
        await turns()
        assert not task.done()
        work.gate.set()
        with pytest.raises(TimeoutError):
            await task

    run(main())
