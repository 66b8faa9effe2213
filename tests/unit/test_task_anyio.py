"""anyio works inside a handler from its first line; each test says the same of an asyncio.Task."""

import asyncio
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
import sniffio

from tests.unit.test_task import Run, current, forever, run

__all__ = ["run"]  # the fixture


def test_library_is_detected(run: Run) -> None:
    async def body() -> str:
        return sniffio.current_async_library()

    assert run(body) == "asyncio"


def test_move_on_after(run: Run) -> None:
    async def body() -> None:
        with anyio.move_on_after(0.001) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        with anyio.move_on_after(60) as scope:
            await anyio.lowlevel.checkpoint()
        assert not scope.cancel_called
        assert current().cancelling() == 0
        await anyio.lowlevel.checkpoint()

    run(body)


def test_move_on_after_that_has_passed(run: Run) -> None:
    async def body() -> None:
        with anyio.move_on_after(0) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        with anyio.move_on_after(-1):
            pass
        await anyio.lowlevel.checkpoint()
        assert current().cancelling() == 0

    run(body)


def test_fail_after(run: Run) -> None:
    async def body() -> None:
        with pytest.raises(TimeoutError), anyio.fail_after(0.001):
            await forever()
        with anyio.fail_after(60):
            await anyio.lowlevel.checkpoint()

    run(body)


def test_nested_scopes(run: Run) -> None:
    async def body() -> None:
        with anyio.CancelScope() as outer:
            with anyio.CancelScope() as inner:
                inner.cancel()
                await anyio.sleep_forever()
            assert inner.cancelled_caught
            await anyio.lowlevel.checkpoint()
            with anyio.CancelScope():
                outer.cancel()
                await anyio.sleep_forever()
            raise AssertionError("not reached")
        assert outer.cancelled_caught

    run(body)


def test_shielded_scope_finishes(run: Run) -> None:
    async def body() -> list[str]:
        log = []
        with anyio.move_on_after(0.001) as outer:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.001)
                    log.append("cleaned up")
        assert outer.cancelled_caught
        return log

    assert run(body) == ["cleaned up"]


def test_cancellation_is_felt_at_every_checkpoint(run: Run) -> None:
    async def body() -> int:
        felt = 0
        with anyio.CancelScope() as scope:
            scope.cancel()
            for _ in range(3):
                try:
                    await anyio.lowlevel.checkpoint()
                except asyncio.CancelledError:
                    felt += 1
            await anyio.sleep_forever()
        return felt

    assert run(body) == 3


def test_task_group(run: Run) -> None:
    async def body() -> list[int]:
        done: list[int] = []

        async def child(number: int) -> None:
            await anyio.lowlevel.checkpoint()
            done.append(number)

        async def service(*, task_status: Any) -> None:
            task_status.started("ready")
            await anyio.sleep_forever()

        async with anyio.create_task_group() as group:
            assert await group.start(service) == "ready"
            for number in range(3):
                group.start_soon(child, number)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        return sorted(done)

    assert run(body) == [0, 1, 2]


def test_failing_child_of_a_task_group(run: Run) -> None:
    async def body() -> None:
        async def fail() -> None:
            raise KeyError

        with pytest.raises(ExceptionGroup):
            async with anyio.create_task_group() as group:
                group.start_soon(fail)
                await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()
        assert current().cancelling() == 0

    run(body)


def test_native_cancellation_inside_a_scope_goes_through(run: Run) -> None:
    async def body() -> None:
        asyncio.get_running_loop().call_soon(current().cancel, "native")
        with pytest.raises(asyncio.CancelledError, match="native"):
            with anyio.CancelScope() as scope:
                await anyio.sleep_forever()
        assert not scope.cancelled_caught
        current().uncancel()

    run(body)


def test_threads(run: Run) -> None:
    async def body() -> None:
        async def double(number: int) -> int:
            await anyio.lowlevel.checkpoint()
            return 2 * number

        def in_thread() -> int:
            anyio.from_thread.check_cancelled()
            return anyio.from_thread.run(double, 4) + anyio.from_thread.run_sync(len, "ab")

        assert await anyio.to_thread.run_sync(in_thread) == 10
        with anyio.fail_after(60):
            assert await anyio.to_thread.run_sync(in_thread) == 10

    run(body)


def test_thread_that_is_first_of_all(run: Run) -> None:
    async def body() -> int:
        return await anyio.to_thread.run_sync(lambda: 7)

    assert run(body) == 7


def test_primitives(run: Run) -> None:
    async def body() -> None:
        event, lock, limiter = anyio.Event(), anyio.Lock(), anyio.CapacityLimiter(1)
        asyncio.get_running_loop().call_soon(event.set)
        await event.wait()
        async with lock, limiter:
            assert lock.statistics().owner.id == id(current())
        assert anyio.current_time() > 0
        assert anyio.get_current_task().id == id(current())
        assert id(current()) in {task.id for task in anyio.get_running_tasks()}

    run(body)


def test_memory_streams(run: Run) -> None:
    async def body() -> list[int]:
        send, receive = anyio.create_memory_object_stream[int]()

        async def produce() -> None:
            async with send:
                for number in range(3):
                    await send.send(number)

        async with anyio.create_task_group() as group, receive:
            group.start_soon(produce)
            return [number async for number in receive]

    assert run(body) == [0, 1, 2]
