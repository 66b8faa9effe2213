"""Inside a handler ordinary asyncio works from its first line.

Each test that takes `run` says the same of a handler as of an asyncio.Task: it runs as both, the
handler on several loops and in debug mode too. What only a handler can do stands in test_handlers.py.
"""

import asyncio
import contextvars
import io
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from highperf import Request
from tests.handlers import LOOPS, PATIENCE_S, Served

Body = Callable[[], Coroutine[Any, Any, Any]]
Run = Callable[[Body], Any]


class Boom(Exception):
    pass


def run_as_task(body: Body) -> Any:
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(loop.create_task(body()), PATIENCE_S))
    finally:
        loop.close()


def run_as_handler(body: Body, loop: str = "uvloop") -> Any:
    """What the body returns, as a handler's first and only coroutine; its exception is raised here."""
    outcome: list[Any] = []

    async def handler(request: Request) -> None:
        try:
            outcome.extend((await body(), None))
        except BaseException as error:
            outcome.extend((None, error))

    with Served(handler, LOOPS[loop]) as served:
        assert served.get().status == 204
    value, error = outcome
    if error is not None:
        raise error
    return value


@pytest.fixture(params=["task", *LOOPS])
def run(request: pytest.FixtureRequest) -> Run:
    if request.param == "task":
        return run_as_task
    return lambda body: run_as_handler(body, request.param)


def current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


# ---- the current task -----------------------------------------------------------------------------


def test_current_task_is_the_same_before_and_after_waiting(run: Run) -> None:
    async def body() -> None:
        first = current()
        assert first.get_loop() is asyncio.get_running_loop()
        await asyncio.sleep(0)
        assert current() is first
        await asyncio.sleep(0.001)
        assert current() is first
        assert not first.done()
        assert not first.cancelled()
        assert first.cancelling() == 0

    run(body)


def test_current_task_of_a_callback_is_none(run: Run) -> None:
    async def body() -> None:
        seen = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: seen.set_result(asyncio.current_task()))
        assert await seen is None

    run(body)


def test_tasks_started_from_it_have_tasks_of_their_own(run: Run) -> None:
    async def body() -> None:
        async def child() -> asyncio.Task[Any]:
            return current()

        task = asyncio.create_task(child())
        assert await task is task
        assert task is not current()

    run(body)


def test_it_is_among_all_tasks_once_it_has_waited(run: Run) -> None:
    async def body() -> None:
        await asyncio.sleep(0)
        assert current() in asyncio.all_tasks()

    run(body)


def test_result_and_exception_are_refused_while_it_runs(run: Run) -> None:
    async def body() -> None:
        with pytest.raises(asyncio.InvalidStateError):
            current().result()
        with pytest.raises(asyncio.InvalidStateError):
            current().exception()

    run(body)


# ---- timeouts -------------------------------------------------------------------------------------


def test_timeout_fires_on_the_first_wait(run: Run) -> None:
    async def body() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await forever()
        assert current().cancelling() == 0
        await asyncio.sleep(0)

    run(body)


def test_timeout_that_does_not_fire_leaves_nothing_behind(run: Run) -> None:
    async def body() -> None:
        async with asyncio.timeout(60) as scope:
            await asyncio.sleep(0)
        assert not scope.expired()
        assert current().cancelling() == 0

    run(body)


def test_timeout_that_has_passed_fires_at_the_first_wait(run: Run) -> None:
    async def body() -> list[str]:
        log = []
        try:
            async with asyncio.timeout(-1):
                log.append("entered")
                await turns(2)
                log.append("not reached")
        except TimeoutError:
            log.append("timed out")
        return log

    assert run(body) == ["entered", "timed out"]


def test_inner_timeout_fires_alone(run: Run) -> None:
    async def body() -> None:
        async with asyncio.timeout(60) as outer:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001) as inner:
                    await forever()
            assert inner.expired()
            await asyncio.sleep(0)
        assert not outer.expired()

    run(body)


def test_outer_timeout_passes_through_the_inner_one(run: Run) -> None:
    async def body() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001) as outer:
                async with asyncio.timeout(60) as inner:
                    await forever()
        assert outer.expired()
        assert not inner.expired()
        assert current().cancelling() == 0

    run(body)


def test_two_timeouts_at_one_time_are_both_undone(run: Run) -> None:
    async def body() -> None:
        when = asyncio.get_running_loop().time() + 0.001
        with pytest.raises(TimeoutError):
            async with asyncio.timeout_at(when):
                async with asyncio.timeout_at(when):
                    await forever()
        assert current().cancelling() == 0
        await asyncio.sleep(0)

    run(body)


def test_timeout_can_be_rescheduled(run: Run) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(0.001) as scope:
            scope.reschedule(None)
            await asyncio.sleep(0.002)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as scope:
                scope.reschedule(loop.time() + 0.001)
                await forever()

    run(body)


def test_cancellation_from_outside_goes_before_a_timeout(run: Run) -> None:
    async def body() -> None:
        task = current()
        asyncio.get_running_loop().call_soon(task.cancel, "outside")
        with pytest.raises(asyncio.CancelledError, match="outside"):
            async with asyncio.timeout(-1):
                await forever()
        assert task.cancelling() == 1
        task.uncancel()

    run(body)


def test_wait_for(run: Run) -> None:
    async def body() -> None:
        async def answer() -> int:
            await asyncio.sleep(0)
            return 42

        assert await asyncio.wait_for(answer(), 60) == 42
        for timeout in (0.001, 0, -1):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(forever(), timeout)
        assert current().cancelling() == 0

    run(body)


# ---- waiting for several --------------------------------------------------------------------------


def test_task_group_waits_for_its_children(run: Run) -> None:
    async def body() -> list[int]:
        done = []

        async def child(number: int) -> None:
            await turns(number)
            done.append(number)

        async with asyncio.TaskGroup() as group:
            for number in (3, 1, 2):
                group.create_task(child(number))
        return done

    assert run(body) == [1, 2, 3]


def test_failing_child_cancels_the_body_of_its_group(run: Run) -> None:
    async def body() -> None:
        async def fail() -> None:
            raise Boom

        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await forever()
        assert [type(error) for error in caught.value.exceptions] == [Boom]
        assert current().cancelling() == 0
        await asyncio.sleep(0)

    run(body)


def test_failing_body_cancels_the_children(run: Run) -> None:
    async def body() -> list[str]:
        log = []

        async def child() -> None:
            try:
                await forever()
            except asyncio.CancelledError:
                log.append("cancelled")
                raise

        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(child())
                await asyncio.sleep(0)
                raise Boom
        return log

    assert run(body) == ["cancelled"]


def test_cancelling_the_task_of_a_group_cancels_all_of_it(run: Run) -> None:
    async def body() -> None:
        child = None
        with pytest.raises(asyncio.CancelledError, match="from outside"):
            async with asyncio.TaskGroup() as group:
                child = group.create_task(forever())
                asyncio.get_running_loop().call_soon(current().cancel, "from outside")
        assert child is not None
        assert child.cancelled()
        assert current().cancelling() == 1
        current().uncancel()

    run(body)


def test_nested_task_groups(run: Run) -> None:
    async def body() -> None:
        async def fail() -> None:
            await asyncio.sleep(0)
            raise Boom

        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as outer:
                outer.create_task(forever())
                async with asyncio.TaskGroup() as inner:
                    inner.create_task(fail())
                    await forever()
        assert caught.group_contains(Boom, depth=2)
        assert current().cancelling() == 0

    run(body)


def test_gather(run: Run) -> None:
    async def body() -> None:
        async def value(number: int) -> int:
            await turns(number)
            return number

        async def fail() -> None:
            raise Boom

        assert await asyncio.gather(value(2), value(0), value(1)) == [2, 0, 1]
        with pytest.raises(Boom):
            await asyncio.gather(value(1), fail())
        results = await asyncio.gather(value(1), fail(), return_exceptions=True)
        assert [type(result) for result in results] == [int, Boom]

    run(body)


def test_cancelling_the_one_that_gathers_cancels_the_gathered(run: Run) -> None:
    async def body() -> None:
        children = [asyncio.create_task(forever()) for _ in range(2)]
        asyncio.get_running_loop().call_soon(current().cancel)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.gather(*children)
        assert all(child.cancelled() for child in children)
        current().uncancel()

    run(body)


def test_shield(run: Run) -> None:
    async def body() -> None:
        inner = asyncio.create_task(asyncio.sleep(0.001, "kept"))
        asyncio.get_running_loop().call_soon(current().cancel)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.shield(inner)
        current().uncancel()
        assert await inner == "kept"

    run(body)


def test_wait_and_as_completed(run: Run) -> None:
    async def body() -> None:
        quick, slow = asyncio.create_task(turns(1)), asyncio.create_task(forever())
        done, pending = await asyncio.wait({quick, slow}, return_when=asyncio.FIRST_COMPLETED)
        assert (done, pending) == ({quick}, {slow})
        slow.cancel()
        for soonest in asyncio.as_completed([turns(2), turns(1)]):
            await soonest

    run(body)


# ---- primitives -----------------------------------------------------------------------------------


def test_sleep_zero_lets_others_run_once(run: Run) -> None:
    async def body() -> list[str]:
        log = []
        asyncio.get_running_loop().call_soon(log.append, "other")
        await asyncio.sleep(0)
        log.append("back")
        return log

    assert run(body) == ["other", "back"]


def test_threads(run: Run) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        here = threading.get_ident()
        assert await asyncio.to_thread(threading.get_ident) != here
        assert await loop.run_in_executor(None, threading.get_ident) != here
        with pytest.raises(Boom):
            await asyncio.to_thread(_raise, Boom())
        pending = loop.create_future()
        await asyncio.to_thread(loop.call_soon_threadsafe, pending.set_result, "from a thread")
        assert await pending == "from a thread"
        future = await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(asyncio.sleep(0, 7), loop))
        assert await asyncio.wrap_future(future) == 7

    run(body)


def _raise(error: Exception) -> None:
    raise error


def test_event_and_condition(run: Run) -> None:
    async def body() -> None:
        event, condition = asyncio.Event(), asyncio.Condition()
        asyncio.get_running_loop().call_soon(event.set)
        await event.wait()

        async def notify() -> None:
            async with condition:
                condition.notify_all()

        async with condition:
            task = asyncio.create_task(notify())
            await condition.wait()
        await task

    run(body)


def test_lock_and_semaphore(run: Run) -> None:
    async def body() -> None:
        lock, semaphore = asyncio.Lock(), asyncio.Semaphore(1)
        for guard in (lock, semaphore):
            await guard.acquire()
            asyncio.get_running_loop().call_soon(guard.release)
            async with guard:
                assert guard.locked()
            assert not guard.locked()

    run(body)


def test_cancelled_waiter_leaves_the_lock_usable(run: Run) -> None:
    async def body() -> None:
        lock = asyncio.Lock()
        await lock.acquire()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await lock.acquire()
        lock.release()
        async with lock:
            pass

    run(body)


def test_queue(run: Run) -> None:
    async def body() -> list[int]:
        queue: asyncio.Queue[int] = asyncio.Queue(maxsize=1)

        async def produce() -> None:
            for number in range(3):
                await queue.put(number)

        task = asyncio.create_task(produce())
        numbers = [await queue.get() for _ in range(3)]
        await task
        return numbers

    assert run(body) == [0, 1, 2]


def test_async_generators_are_closed_with_their_consumer(run: Run) -> None:
    async def body() -> list[str]:
        log = []

        async def numbers() -> Any:
            try:
                for number in range(9):
                    await asyncio.sleep(0)
                    yield number
            finally:
                await asyncio.sleep(0)
                log.append("closed")

        source = numbers()
        async for number in source:
            if number == 1:
                break
        await source.aclose()
        return log

    assert run(body) == ["closed"]


# ---- cancellation ---------------------------------------------------------------------------------


def test_cancelling_oneself_is_felt_at_the_next_wait(run: Run) -> None:
    async def body() -> list[str]:
        log = []
        assert current().cancel("enough")
        log.append("goes on")
        try:
            await asyncio.sleep(0)
            log.append("not reached")
        except asyncio.CancelledError as error:
            log.append(error.args[0])
        assert current().uncancel() == 0
        await asyncio.sleep(0)
        return log

    assert run(body) == ["goes on", "enough"]


def test_cancelling_oneself_before_waiting_for_a_future_cancels_the_future(run: Run) -> None:
    async def body() -> None:
        future = asyncio.get_running_loop().create_future()
        current().cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await future
        assert future.cancelled()
        current().uncancel()

    run(body)


def test_cancellation_without_a_message_has_none(run: Run) -> None:
    async def body() -> None:
        asyncio.get_running_loop().call_soon(current().cancel)
        with pytest.raises(asyncio.CancelledError) as caught:
            await forever()
        assert caught.value.args == ()
        current().uncancel()

    run(body)


def test_message_comes_through_a_task_that_is_awaited(run: Run) -> None:
    async def body() -> None:
        asyncio.get_running_loop().call_later(0.001, current().cancel, "with a reason")
        with pytest.raises(asyncio.CancelledError, match="with a reason"):
            await asyncio.create_task(forever())
        current().uncancel()

    run(body)


def test_cancellation_may_be_swallowed(run: Run) -> None:
    async def body() -> str:
        asyncio.get_running_loop().call_soon(current().cancel)
        try:
            await forever()
        except asyncio.CancelledError:
            pass
        await asyncio.sleep(0)
        return f"survived, cancelling() is {current().cancelling()}"

    assert run(body) == "survived, cancelling() is 1"


def test_two_cancellations_in_one_turn_are_felt_once(run: Run) -> None:
    async def body() -> None:
        task, loop = current(), asyncio.get_running_loop()
        loop.call_soon(task.cancel, "first")
        loop.call_soon(task.cancel, "second")
        with pytest.raises(asyncio.CancelledError):
            await forever()
        await turns(2)
        assert task.cancelling() == 2
        assert [task.uncancel(), task.uncancel(), task.uncancel()] == [1, 0, 0]

    run(body)


def test_cancellation_while_cleaning_up_is_felt_there(run: Run) -> None:
    async def body() -> list[str]:
        log = []
        task, loop = current(), asyncio.get_running_loop()
        loop.call_soon(task.cancel, "first")
        try:
            try:
                await forever()
            finally:
                loop.call_soon(task.cancel, "second")
                await forever()
        except asyncio.CancelledError as error:
            log.append(error.args[0])
        return log

    assert run(body) == ["second"]


def test_cancellation_goes_through_to_what_is_awaited(run: Run) -> None:
    async def body() -> list[str]:
        log = []

        async def stubborn() -> str:
            try:
                await forever()
            except asyncio.CancelledError:
                log.append("inner")
            return "refused"

        inner = asyncio.create_task(stubborn())
        asyncio.get_running_loop().call_soon(current().cancel)  # after the first step of inner
        log.append(await inner)
        assert current().uncancel() == 0
        return log

    assert run(body) == ["inner", "refused"]


def test_cancellation_of_a_task_whose_future_is_done_already(run: Run) -> None:
    async def body() -> None:
        future = asyncio.get_running_loop().create_future()

        def finish() -> None:
            future.set_result(None)
            task.cancel("too late for the future, not for the task")

        task = current()
        asyncio.get_running_loop().call_soon(finish)
        with pytest.raises(asyncio.CancelledError, match="too late for the future"):
            await future
        task.uncancel()

    run(body)


def test_what_is_awaited_may_be_cancelled_by_others(run: Run) -> None:
    async def body() -> None:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.cancel, "not the task's own")
        with pytest.raises(asyncio.CancelledError, match="not the task's own"):
            await future
        assert current().cancelling() == 0
        await asyncio.sleep(0)

    run(body)


# ---- exceptions -----------------------------------------------------------------------------------


def test_exceptions_of_futures_are_raised_where_they_are_awaited(run: Run) -> None:
    async def body() -> None:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, Boom())
        with pytest.raises(Boom):
            await future

    run(body)


def test_handled_exception_is_no_context_of_a_later_one(run: Run) -> None:
    async def body() -> BaseException | None:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, Boom())
        try:
            await future
        except Boom:
            pass
        try:
            raise KeyError
        except KeyError as error:
            return error.__context__

    assert run(body) is None


# ---- other things to wait for ---------------------------------------------------------------------


class Yields:
    """Awaitable that yields a value to whoever drives the coroutine."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __await__(self) -> Iterator[Any]:
        yield self.value


@pytest.mark.parametrize("value", [1, "text", object(), (number for number in ())])
def test_bad_yields_raise_in_the_coroutine(run: Run, value: object) -> None:
    async def body() -> None:
        with pytest.raises(RuntimeError):
            await Yields(value)
        await asyncio.sleep(0)

    run(body)


def test_future_that_is_yielded_instead_of_awaited_raises(run: Run) -> None:
    async def body() -> None:
        with pytest.raises(RuntimeError):
            await Yields(asyncio.get_running_loop().create_future())

    run(body)


@pytest.mark.parametrize("loop_kind", LOOPS)
def test_awaiting_oneself_raises(loop_kind: str) -> None:
    async def body() -> None:
        with pytest.raises(RuntimeError):
            await current()

    run_as_handler(body, loop_kind)


def test_future_of_another_loop_raises(run: Run) -> None:
    async def body() -> None:
        other = asyncio.SelectorEventLoop()
        try:
            with pytest.raises(RuntimeError):
                await other.create_future()
        finally:
            other.close()

    run(body)


def test_generator_based_coroutines(run: Run) -> None:
    import types

    @types.coroutine
    def old_style() -> Any:
        yield
        value = yield from asyncio.sleep(0, "old").__await__()
        return value

    async def body() -> Any:
        return await old_style()

    assert run(body) == "old"


class ForeignFuture:
    """The least that asyncio asks of a future that is not its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asyncio_future_blocking = False
        self.callbacks: list[tuple[Any, Any]] = []
        self.is_done = self.is_cancelled = False

    def add_done_callback(self, callback: Any, *, context: Any = None) -> None:
        self.callbacks.append((callback, context))

    def finish(self) -> None:
        self.is_done = True
        for callback, context in self.callbacks:
            self._loop.call_soon(callback, self, context=context)

    def cancel(self, msg: object = None) -> bool:
        self.is_cancelled = True
        self.finish()
        return True

    def result(self) -> str:
        if self.is_cancelled:
            raise asyncio.CancelledError("foreign")
        return "foreign"

    def __await__(self) -> Iterator[Any]:
        self._asyncio_future_blocking = True
        yield self
        return self.result()


def test_foreign_future_without_get_loop(run: Run) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        future = ForeignFuture(loop)
        loop.call_soon(future.finish)
        assert await future == "foreign"
        future = ForeignFuture(loop)
        loop.call_soon(current().cancel)
        with pytest.raises(asyncio.CancelledError, match="foreign"):
            await future
        current().uncancel()

    run(body)


# ---- seen by others -------------------------------------------------------------------------------


def test_another_task_may_await_it(run: Run) -> None:
    async def body() -> None:
        async def wait_for(task: asyncio.Task[Any]) -> str:
            try:
                await task
            except asyncio.CancelledError as error:
                return f"cancelled: {error.args[0]}"
            return "returned"

        watched = current()
        watcher = asyncio.create_task(wait_for(watched))
        await turns(2)
        watcher.cancel("tired of it")
        # A task that is cancelled cancels what it awaits, which is this one.
        with pytest.raises(asyncio.CancelledError, match="tired of it"):
            await forever()
        watched.uncancel()
        assert not watcher.done()

    run(body)


def test_done_callbacks_can_be_removed(run: Run) -> None:
    async def body() -> None:
        def callback(task: asyncio.Task[Any]) -> None:
            raise AssertionError("removed")

        assert current().remove_done_callback(callback) == 0
        current().add_done_callback(callback)
        current().add_done_callback(print)
        current().add_done_callback(callback)
        assert current().remove_done_callback(callback) == 2
        assert current().remove_done_callback(print) == 1

    run(body)


def test_names(run: Run) -> None:
    async def body() -> None:
        assert isinstance(current().get_name(), str)
        assert current().get_name() == current().get_name()
        current().set_name(7)
        assert current().get_name() == "7"

    run(body)


def test_weak_references(run: Run) -> None:
    async def body() -> None:
        reference = weakref.ref(current())
        keyed = weakref.WeakKeyDictionary({current(): "mine"})
        await asyncio.sleep(0)
        assert reference() is current()
        assert keyed[current()] == "mine"

    run(body)


def test_stack_is_that_of_the_waiting_coroutine(run: Run) -> None:
    async def body() -> str:
        out = io.StringIO()

        def look() -> None:
            assert task.get_stack(limit=1)
            task.print_stack(file=out)
            task.cancel()

        task = current()
        asyncio.get_running_loop().call_soon(look)
        try:
            await forever()
        except asyncio.CancelledError:
            task.uncancel()
        return out.getvalue()

    text = run(body)
    assert text.startswith("Stack for <")
    assert "test_task.py" in text


def test_repr_names_it_and_says_what_it_does(run: Run) -> None:
    async def body() -> list[str]:
        texts = []

        def look() -> None:
            texts.append(repr(task))
            task.cancel()
            texts.append(repr(task))

        task = current()
        task.set_name("watched")
        asyncio.get_running_loop().call_soon(look)
        try:
            await forever()
        except asyncio.CancelledError:
            task.uncancel()
        return [*texts, repr(task)]

    waiting, cancelled, running = run(body)
    assert "pending name='watched'" in waiting
    assert "wait_for=<Future pending" in waiting
    assert "cancelling name='watched'" in cancelled
    assert "pending name='watched'" in running


# ---- context variables ----------------------------------------------------------------------------

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_context_variables_last_across_waits_and_can_be_reset(run: Run) -> None:
    async def body() -> list[str]:
        seen = []
        token = variable.set("set")
        await asyncio.sleep(0)
        seen.append(variable.get())
        await asyncio.sleep(0.001)
        seen.append(variable.get())
        variable.reset(token)
        seen.append(variable.get())
        return seen

    assert run(body) == ["set", "set", "unset"]


def test_children_see_the_variables_and_keep_their_own(run: Run) -> None:
    async def body() -> list[str]:
        async def child() -> str:
            seen = variable.get()
            variable.set("of the child")
            await asyncio.sleep(0)
            return seen

        variable.set("of the parent")
        seen = [await asyncio.create_task(child()), await asyncio.to_thread(variable.get)]
        return [*seen, variable.get()]

    assert run(body) == ["of the parent", "of the parent", "of the parent"]


def test_callbacks_see_the_variables(run: Run) -> None:
    async def body() -> str:
        variable.set("seen")
        seen = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: seen.set_result(variable.get()))
        return await seen

    assert run(body) == "seen"


def test_task_knows_its_context(run: Run) -> None:
    async def body() -> None:
        if not hasattr(asyncio.Task, "get_context"):
            pytest.skip("Task.get_context is new in Python 3.12")
        variable.set("mine")
        assert current().get_context()[variable] == "mine"
        assert current().get_context().copy().run(variable.get) == "mine"

    run(body)


# ---- eager tasks ----------------------------------------------------------------------------------


def eager_factory(loop: Any, coro: Any, *, eager_start: object = None, **options: Any) -> Any:
    # uvloop passes eager_start on from Python 3.13 on, whose first releases know no such argument.
    return asyncio.eager_task_factory(loop, coro, **options)


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="eager tasks are new in Python 3.12")
def test_eager_tasks_in_a_handler(run: Run) -> None:
    async def body() -> None:
        loop, task = asyncio.get_running_loop(), current()
        loop.set_task_factory(eager_factory)

        async def child(waits: int) -> asyncio.Task[Any]:
            mine = current()
            await turns(waits)
            assert current() is mine
            return mine

        quick = asyncio.create_task(child(0))
        assert quick.done()
        assert current() is task
        slow = asyncio.create_task(child(2))
        assert current() is task
        assert await slow is slow
        async with asyncio.TaskGroup() as group:
            children = [group.create_task(child(number)) for number in range(3)]
        assert [child.done() for child in children] == [True] * 3
        assert await asyncio.gather(child(0), child(1))
        async with asyncio.timeout(60):
            await asyncio.wait_for(child(1), 60)
        assert current() is task

    run(body)
