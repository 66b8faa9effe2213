"""What a handler may be and do, and what becomes of its task: the tests of StepTask and RequestCycle."""

import asyncio
import contextvars
import gc
import logging
import os
import subprocess
import sys
import threading
import types
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from highperf import App, HTTPError, Request, Response
from highperf.core.body import BodyReader
from highperf.core.cycle import RequestCycle
from tests.handlers import GET, LOOPS, PATIENCE_S, Served

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


class Boom(Exception):
    pass


def current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Makes the handler's Served and ends it."""
    opened: list[Served] = []

    def serve(handler: Any, loop: str = "uvloop") -> Served:
        opened.append(Served(handler, LOOPS[loop]))
        return opened[-1]

    yield serve
    for one in opened:
        one.__exit__(None)


# ---- what a handler may be ------------------------------------------------------------------------


def test_def_handler_has_a_current_task(served: Any) -> None:
    def handler(request: Request) -> str:
        assert not current().done()
        return current().get_name()

    assert served(handler).get().text.startswith("request-")


def test_task_of_a_def_handler_is_that_of_the_coroutine_it_returns(served: Any) -> None:
    def handler(request: Request) -> Any:
        before = current()

        async def rest() -> str:
            assert current() is before
            await asyncio.sleep(0)
            return "same" if current() is before else "other"

        return rest()

    assert served(handler).get().text == "same"


class Awaitable:
    def __await__(self) -> Iterator[Any]:
        yield from asyncio.sleep(0).__await__()
        return "awaitable"


@types.coroutine
def old_style(request: Request) -> Any:
    yield
    return "old style"


def future(request: Request) -> Any:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, "future")
    return future


async def text(value: str) -> str:
    return value


class Callable:
    async def __call__(self, request: Request) -> str:
        await asyncio.sleep(0)
        return "object"


@pytest.mark.parametrize(
    ("handler", "answer"),
    [
        (future, "future"),
        (lambda request: asyncio.ensure_future(text("task")), "task"),
        (lambda request: Awaitable(), "awaitable"),
        (lambda request: request.body(), ""),  # a compiled coroutine
        (old_style, "old style"),
        (Callable(), "object"),
        (lambda request: text("lambda"), "lambda"),
    ],
)
def test_handlers_may_return_anything_that_can_be_awaited(served: Any, handler: Any, answer: str) -> None:
    assert served(handler).get().text == answer


@pytest.mark.parametrize("value", [object(), 1, (1, 2), {1}])
def test_handler_that_returns_no_answer_gives_500(served: Any, caplog: pytest.LogCaptureFixture, value: object) -> None:
    async def handler(request: Request) -> object:
        return value

    assert served(handler).get().status == 500
    assert f"a handler returned {type(value).__name__}; it may return dict, list" in caplog.text


@pytest.mark.parametrize("kind", [Request, RequestCycle, BodyReader])
def test_what_the_server_makes_cannot_be_made_by_others(kind: type) -> None:
    with pytest.raises(TypeError, match="made by the server"):
        kind()


# ---- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", [0, 1])
def test_failing_handler_gives_500_and_one_log_line(served: Any, caplog: pytest.LogCaptureFixture, waits: int) -> None:
    async def handler(request: Request) -> None:
        for _ in range(waits):
            await asyncio.sleep(0)
        raise Boom("why")

    answer = served(handler).get()
    assert (answer.status, answer.json()["title"]) == (500, "Internal Server Error")
    (record,) = caplog.records
    assert record.name == "highperf.error"
    assert answer.json()["request_id"] in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is Boom


@pytest.mark.parametrize("waits", [0, 1])
def test_logged_traceback_begins_in_the_handler(served: Any, caplog: pytest.LogCaptureFixture, waits: int) -> None:
    async def handler(request: Request) -> None:
        for _ in range(waits):
            await asyncio.sleep(0)
        raise Boom

    served(handler).get()
    frames = []
    traceback = caplog.records[0].exc_info[2]  # type: ignore[index]
    while traceback is not None:
        frames.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert frames == ["handler"]


def test_exit_of_a_handler_is_a_failure_like_any_other(served: Any) -> None:
    async def handler(request: Request) -> None:
        sys.exit(3)

    one = served(handler)
    assert one.get().status == 500
    assert one.get().status == 500


@pytest.mark.parametrize("waits", [0, 1])
@pytest.mark.parametrize("loop", LOOPS)
def test_keyboard_interrupt_reaches_whoever_runs_the_loop(served: Any, waits: int, loop: str) -> None:
    async def handler(request: Request) -> str:
        if request.path == "/again":
            return "ready for more"
        for _ in range(waits):
            await asyncio.sleep(0)
        raise KeyboardInterrupt

    one = served(handler, loop)
    peer = one.connect()
    peer.send(GET)
    with pytest.raises(KeyboardInterrupt):
        one.until(lambda: False)
    assert peer.answers[0].status == 500
    peer.send(b"GET /again HTTP/1.1\r\nHost: a\r\n\r\n")
    one.until(lambda: len(peer.answers) == 2)
    assert peer.answers[1].text == "ready for more"


def test_handled_exception_of_one_request_is_none_of_the_next(served: Any) -> None:
    seen = []

    async def handler(request: Request) -> str:
        seen.append(sys.exc_info()[1])
        if len(seen) % 2:
            await asyncio.sleep(0)
            raise HTTPError(400)
        return "fine"

    one = served(handler)
    peer = one.connect()
    peer.send(4 * GET)
    one.until(lambda: len(peer.answers) == 4)
    assert [answer.status for answer in peer.answers] == [400, 200, 400, 200]
    assert seen == [None] * 4


# ---- the life of the task -------------------------------------------------------------------------


def test_task_is_known_to_asyncio_and_the_worker_while_it_waits(served: Any) -> None:
    tasks = []

    async def handler(request: Request) -> None:
        tasks.append(current())
        assert current() not in asyncio.all_tasks()
        await asyncio.sleep(0)
        assert current() in asyncio.all_tasks()
        assert one.worker.in_flight == 1

    one = served(handler)
    assert one.get().status == 204
    assert tasks[0].done()
    assert one.worker.in_flight == 0
    assert not asyncio.all_tasks(one.loop)


@pytest.mark.parametrize("waits", [0, 1])
def test_task_has_what_the_handler_returned(served: Any, waits: int) -> None:
    tasks = []

    async def handler(request: Request) -> dict[str, int]:
        tasks.append(current())
        for _ in range(waits):
            await asyncio.sleep(0)
        return {"a": 1}

    served(handler).get()
    (task,) = tasks
    assert (task.done(), task.cancelled(), task.result(), task.exception()) == (True, False, {"a": 1}, None)
    assert task.cancel() is False
    assert task.get_coro() is None
    assert task.get_stack() == []
    assert "finished" in repr(task)


@pytest.mark.parametrize("waits", [0, 1])
def test_task_has_the_exception_of_its_handler(served: Any, waits: int) -> None:
    tasks = []

    async def handler(request: Request) -> None:
        tasks.append(current())
        for _ in range(waits):
            await asyncio.sleep(0)
        raise Boom

    served(handler).get()
    (task,) = tasks
    assert (task.done(), task.cancelled()) == (True, False)
    assert isinstance(task.exception(), Boom)
    assert [frame.f_code.co_name for frame in task.get_stack()] == ["handler"]
    for _ in range(2):
        with pytest.raises(Boom) as caught:
            task.result()
        assert [entry.name for entry in caught.traceback].count("handler") == 1
        assert len(caught.traceback) < 5
    assert "exception=Boom()" in repr(task)


def test_cancelled_task(served: Any) -> None:
    tasks = []

    async def handler(request: Request) -> None:
        tasks.append(current())
        current().cancel("enough")
        await asyncio.sleep(0)

    assert served(handler).get().status == 500
    (task,) = tasks
    assert (task.done(), task.cancelled()) == (True, True)
    for method in (task.result, task.exception):
        with pytest.raises(asyncio.CancelledError, match="enough"):
            method()
    assert "cancelled" in repr(task)


@pytest.mark.parametrize("waits", [0, 1])
def test_handler_that_cancels_itself_and_returns_is_cancelled(served: Any, waits: int) -> None:
    tasks = []

    async def handler(request: Request) -> str:
        tasks.append(current())
        for _ in range(waits):
            await asyncio.sleep(0)
        current().cancel("at the last moment")
        return "lost"

    assert served(handler).get().status == 500
    assert tasks[0].cancelled()


def test_def_handler_that_cancels_itself_does_not_start_its_coroutine(served: Any) -> None:
    async def rest() -> None:
        raise AssertionError("not reached")

    def handler(request: Request) -> Any:
        current().cancel("before the start")
        return rest()

    assert served(handler).get().status == 500


def test_others_may_wait_for_it(served: Any) -> None:
    results: list[Any] = []
    watchers = []

    async def watch(task: asyncio.Task[Any]) -> None:
        done, _ = await asyncio.wait({task})
        results.append(done == {task})
        results.append(await task)
        results.extend(await asyncio.gather(task, asyncio.shield(task)))
        results.append(await asyncio.wait_for(task, 60))

    async def handler(request: Request) -> str:
        watchers.append(asyncio.create_task(watch(current())))
        await asyncio.sleep(0.001)
        return "value"

    one = served(handler)
    one.get()
    one.until(watchers[0].done)
    assert watchers[0].exception() is None
    assert results == [True, "value", "value", "value", "value"]


def test_others_may_wait_for_one_that_is_cancelled(served: Any) -> None:
    results: list[Any] = []
    watchers = []

    async def watch(task: asyncio.Task[Any]) -> None:
        results.extend(await asyncio.gather(task, return_exceptions=True))
        try:
            await asyncio.gather(task)
        except asyncio.CancelledError as error:
            results.append(error)

    async def handler(request: Request) -> None:
        watchers.append(asyncio.create_task(watch(current())))
        asyncio.get_running_loop().call_later(0.001, current().cancel, "enough")
        await forever()

    one = served(handler)
    one.get()
    one.until(watchers[0].done)
    assert watchers[0].exception() is None
    assert [(type(result), result.args) for result in results] == [(asyncio.CancelledError, ("enough",))] * 2


@pytest.mark.parametrize("waits", [0, 1])
def test_done_callbacks_run_after_the_answer_each_in_its_context(served: Any, waits: int) -> None:
    calls: list[Any] = []
    mine = contextvars.copy_context()
    mine.run(variable.set, "given")

    def callback(task: asyncio.Task[Any]) -> None:
        calls.append((task.done(), variable.get(), asyncio.current_task()))

    async def handler(request: Request) -> None:
        variable.set("first")
        current().add_done_callback(callback)
        variable.set("second")
        current().add_done_callback(callback)
        current().add_done_callback(callback, context=mine)
        for _ in range(waits):
            await asyncio.sleep(0)
        assert not calls

    one = served(handler)
    one.get()
    one.until(lambda: len(calls) == 3)
    assert calls == [(True, "first", None), (True, "second", None), (True, "given", None)]


def test_done_callback_of_a_finished_task_runs_soon(served: Any) -> None:
    tasks = []
    calls: list[Any] = []

    async def handler(request: Request) -> None:
        tasks.append(current())

    one = served(handler)
    one.get()
    tasks[0].add_done_callback(calls.append)
    assert not calls
    one.until(lambda: calls)
    assert calls == tasks


def test_coroutine_is_the_handlers_own(served: Any) -> None:
    async def handler(request: Request) -> str:
        await asyncio.sleep(0)
        return current().get_coro().__qualname__

    assert served(handler).get().text.endswith("<locals>.handler")


# ---- nothing is left behind -----------------------------------------------------------------------


async def returns_at_once(request: Request) -> str:
    return "at once"


async def returns_later(request: Request) -> str:
    task = current()  # a reference of the frame to its own task
    await asyncio.sleep(0)
    return task.get_name()


async def raises_at_once(request: Request) -> None:
    raise Boom


async def raises_later(request: Request) -> None:
    await asyncio.sleep(0)
    raise Boom


async def is_cancelled(request: Request) -> None:
    asyncio.get_running_loop().call_soon(current().cancel)
    await forever()


async def times_out(request: Request) -> str:
    try:
        async with asyncio.timeout(0.001):
            await forever()
    except TimeoutError:
        pass
    return "too late"


async def streams(request: Request) -> Response:
    async def parts() -> AsyncIterator[str]:
        yield "a"
        await asyncio.sleep(0)
        yield "b"

    return Response.stream(parts())


@pytest.mark.parametrize(
    "handler", [returns_at_once, returns_later, raises_at_once, raises_later, is_cancelled, times_out, streams]
)
def test_task_and_request_die_with_the_answer(served: Any, handler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("highperf.error"), "disabled", True)  # pytest keeps what is logged

    class Mark:
        """Lives as long as the context of the request."""

    alive: list[weakref.ref[Any]] = []

    def watched(request: Request) -> Any:
        mark = Mark()
        contextvars.ContextVar[Mark]("mark").set(mark)
        alive.extend((weakref.ref(current()), weakref.ref(mark)))
        return handler(request)

    one = served(watched)
    one.get()  # what is made once and kept
    alive.clear()
    gc.collect()
    gc.disable()
    try:
        one.get()
        one.turn()
        assert [reference() for reference in alive] == [None, None]
    finally:
        gc.enable()


# ---- context variables ----------------------------------------------------------------------------


@pytest.mark.parametrize("waits", [0, 1])
@pytest.mark.parametrize("together", [True, False])
def test_variables_of_one_request_are_not_seen_by_the_next(served: Any, waits: int, together: bool) -> None:
    async def handler(request: Request) -> str:
        before = variable.get()
        variable.set("of another request")
        for _ in range(waits):
            await asyncio.sleep(0)
        assert variable.get() == "of another request"
        return before

    one = served(handler)
    peer = one.connect()
    if together:
        peer.send(3 * GET)
    else:
        for count in range(3):
            peer.send(GET)
            one.until(lambda count=count: len(peer.answers) == count + 1)
    one.until(lambda: len(peer.answers) == 3)
    assert [answer.text for answer in peer.answers] == ["unset"] * 3
    assert one.get().text == "unset"


def test_variables_of_a_request_are_seen_while_its_answer_streams(served: Any) -> None:
    async def parts() -> AsyncIterator[str]:
        yield variable.get()
        await asyncio.sleep(0)
        variable.set("set by the source")
        yield variable.get()

    async def handler(request: Request) -> Response:
        variable.set("set by the handler,")
        return Response.stream(parts())

    assert served(handler).get().text == "set by the handler,set by the source"


def test_variables_set_before_the_server_started_are_seen() -> None:
    async def handler(request: Request) -> str:
        return variable.get()

    def serve() -> str:
        variable.set("of the program")
        with Served(handler) as served:
            return served.get().text

    assert contextvars.copy_context().run(serve) == "of the program"


def test_variables_of_the_lifespan_are_not_seen() -> None:
    async def lifespan(app: App) -> AsyncIterator[None]:
        variable.set("of the lifespan")
        yield

    app = App(health=False, lifespan=lifespan)
    app.get("/")(lambda request: variable.get())
    with Served(app) as served:
        assert served.get().text == "unset"


# ---- the client leaves ----------------------------------------------------------------------------


class Left:
    """A handler that waits; its client leaves; what the handler saw."""

    def __init__(self, served: Any, wait: Any = forever) -> None:
        self.errors: list[BaseException] = []
        self.requests: list[Request] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.one = served(self.handler)
        self.wait = wait
        peer = self.one.connect()
        peer.send(GET)
        self.one.until(lambda: self.requests)
        assert self.requests[0].cancel_reason is None
        peer.leave()
        self.one.until(self.tasks[0].done)

    async def handler(self, request: Request) -> str:
        self.requests.append(request)
        self.tasks.append(current())
        try:
            await self.wait()
        except BaseException as error:
            self.errors.append(error)
            raise
        return "for nobody"


def test_handler_is_cancelled_when_its_client_leaves(served: Any, caplog: pytest.LogCaptureFixture) -> None:
    left = Left(served)
    (error,) = left.errors
    assert isinstance(error, asyncio.CancelledError)
    assert error.args == ("client disconnected",)
    assert left.requests[0].cancel_reason == "client disconnected"
    assert left.tasks[0].cancelled()
    assert left.one.worker.cancelled == 1
    assert not caplog.records


def test_reason_comes_through_tasks_and_scopes(served: Any) -> None:
    async def wait() -> None:
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            await group.create_task(forever())

    left = Left(served, wait)
    assert left.errors[0].args == ("client disconnected",)


def test_handler_may_clean_up_when_its_client_has_left(served: Any, caplog: pytest.LogCaptureFixture) -> None:
    log = []

    async def wait() -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0.001)
            log.append("cleaned up")

    Left(served, wait)
    assert log == ["cleaned up"]
    assert not caplog.records


def test_handler_may_go_on_though_its_client_has_left(served: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def wait() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            await asyncio.sleep(0)

    left = Left(served, wait)
    assert left.tasks[0].result() == "for nobody"
    assert not caplog.records


def test_request_of_a_blocking_handler_lasts_as_long_as_its_thread(served: Any) -> None:
    begun, gate, done = threading.Event(), threading.Event(), threading.Event()
    app = App(health=False)

    @app.get("/", blocking=True)
    def handler(request: Request) -> None:
        begun.set()
        assert gate.wait(PATIENCE_S)
        done.set()

    one = served(app)
    peer = one.connect()
    peer.send(GET)
    one.until(begun.is_set)
    peer.leave()
    one.until(lambda: not one.worker.connections)
    assert (one.worker.in_flight, one.worker.cancelled) == (1, 1)
    gate.set()
    one.until(lambda: not one.worker.in_flight)
    assert done.is_set()


def test_failure_after_the_client_has_left_is_logged(served: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def wait() -> None:
        try:
            await forever()
        finally:
            raise Boom

    Left(served, wait)
    (record,) = caplog.records
    assert "unhandled exception after the client left in GET /" in record.getMessage()


def test_reading_the_body_ends_when_the_client_leaves(served: Any) -> None:
    errors = []

    async def handler(request: Request) -> None:
        try:
            await request.body()
        except BaseException as error:
            errors.append(error)
            raise

    one = served(handler)
    peer = one.connect()
    peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
    one.until(lambda: one.worker.in_flight)
    peer.leave()
    one.until(lambda: errors)
    assert isinstance(errors[0], asyncio.CancelledError)
    assert errors[0].args == ("client disconnected",)


def test_shutdown_cancels_with_a_reason_and_tells_the_client(served: Any) -> None:
    errors = []

    async def handler(request: Request) -> None:
        try:
            await forever()
        except asyncio.CancelledError as error:
            errors.append((error.args, request.cancel_reason))
            raise

    one = served(handler)
    peer = one.connect()
    peer.send(GET)
    one.until(lambda: one.worker.in_flight)
    one.worker.cancel_requests("the server is shutting down")
    one.until(lambda: peer.answers)
    assert errors == [(("the server is shutting down",), "the server is shutting down")]
    answer = peer.answers[0]
    assert (answer.status, answer.json()["detail"]) == (503, "the server is shutting down")
    assert answer.headers["retry-after"] == "1"


# ---- streams --------------------------------------------------------------------------------------


def test_source_runs_in_the_task_of_its_request(served: Any) -> None:
    tasks = []

    async def parts() -> AsyncIterator[bytes]:
        tasks.append(current())
        yield b"a"
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
        tasks.append(current())
        yield b"b"

    async def handler(request: Request) -> Response:
        tasks.append(current())
        return Response.stream(parts())

    assert served(handler).get().content == b"ab"
    assert len(tasks) == 3
    assert len(set(tasks)) == 1


def test_parts_may_be_octets_or_text(served: Any) -> None:
    async def parts() -> AsyncIterator[Any]:
        for part in (b"a", bytearray(b"b"), memoryview(b"c"), "d\u00e9", b"", ""):
            yield part

    async def handler(request: Request) -> Response:
        return Response.stream(parts())

    assert served(handler).get().text == "abcd\u00e9"


@pytest.mark.parametrize("part", [3, None, ["a"], {"a": 1}])
def test_other_parts_are_refused(served: Any, part: object, caplog: pytest.LogCaptureFixture) -> None:
    async def parts() -> AsyncIterator[Any]:
        yield part

    async def handler(request: Request) -> Response:
        return Response.stream(parts())

    assert served(handler).get().status == 500
    assert f"a part of a stream must be bytes or str, not {type(part).__name__}" in caplog.text


def test_head_leaves_with_the_first_part(served: Any) -> None:
    gates: list[asyncio.Future[None]] = []

    async def parts() -> AsyncIterator[bytes]:
        for letter in (b"a", b"b"):
            gates.append(asyncio.get_running_loop().create_future())
            await gates[-1]
            yield letter

    async def handler(request: Request) -> Response:
        return Response.stream(parts())

    one = served(handler)
    peer = one.connect()
    peer.send(GET)
    one.until(lambda: gates)
    assert peer.received == b""
    gates[0].set_result(None)
    one.until(lambda: len(gates) == 2)
    head, _, content = peer.received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert content == b"1\r\na\r\n"
    gates[1].set_result(None)
    one.until(lambda: peer.answers)
    assert peer.answers[0].content == b"ab"


def test_source_that_fails_at_once_gives_500(served: Any) -> None:
    async def parts() -> AsyncIterator[bytes]:
        raise HTTPError(404, "nothing to stream")
        yield b""

    async def handler(request: Request) -> Response:
        return Response.stream(parts())

    assert served(handler).get().status == 404


def test_source_that_fails_later_leaves_the_answer_incomplete(served: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"a"
        raise Boom

    async def handler(request: Request) -> Response:
        return Response.stream(parts())

    one = served(handler)
    peer = one.connect()
    peer.send(GET)
    one.until(lambda: peer.closed)
    assert peer.received.endswith(b"\r\n\r\n1\r\na\r\n")
    assert "unhandled exception while streaming the answer of GET /" in caplog.text


def test_source_is_closed_when_the_client_leaves(served: Any, caplog: pytest.LogCaptureFixture) -> None:
    log: list[Any] = []

    async def parts() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            await forever()
        except asyncio.CancelledError as error:
            log.append(error.args)
            raise
        finally:
            await asyncio.sleep(0)
            log.append("closed")

    async def handler(request: Request) -> Response:
        return Response.stream(parts())

    one = served(handler)
    peer = one.connect()
    peer.send(GET)
    one.until(lambda: peer.received)
    peer.leave()
    one.until(lambda: len(log) == 2)
    assert log == [("client disconnected",), "closed"]
    assert not caplog.records


def test_source_is_not_asked_for_head_but_closed(served: Any) -> None:
    class Source:
        closed = False

        def __aiter__(self) -> Any:
            raise AssertionError("not reached")

        async def aclose(self) -> None:
            self.closed = True

    source = Source()

    async def handler(request: Request) -> Response:
        return Response.stream(source)

    one = served(handler)
    peer = one.connect()
    peer.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    one.until(lambda: peer.received)
    assert source.closed
    assert peer.received.endswith(b"\r\n\r\n")


# ---- an app around it -----------------------------------------------------------------------------


def test_middleware_and_handler_share_one_task(served: Any) -> None:
    tasks = []
    app = App(health=False)

    @app.middleware
    async def outer(request: Request, call_next: Any) -> Any:
        tasks.append(current())
        async with asyncio.timeout(60):
            return await call_next(request)

    @app.get("/")
    async def handler(request: Request) -> None:
        tasks.append(current())
        await asyncio.sleep(0)
        tasks.append(current())

    assert served(app).get().status == 204
    assert len(set(tasks)) == 1


def test_log_is_quiet_when_all_is_well(served: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    one = served(returns_later, "uvloop-debug")
    one.get()
    assert [record for record in caplog.records if record.name != "asyncio"] == []


IN_DEBUG_MODE = """
import asyncio
from highperf import App

app = App()

@app.get("/")
async def handler(request):
    assert asyncio.get_running_loop().get_debug()
    await asyncio.sleep(0)
    async with asyncio.timeout(0.001):
        await asyncio.get_running_loop().create_future()

with app.test_client() as client:
    assert client.get("/").status == 500
"""


def test_debug_mode_of_the_interpreter() -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", IN_DEBUG_MODE]
    environment = {**os.environ, "PYTHONASYNCIODEBUG": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("unhandled exception in GET /") == 1
    assert ran.stderr.endswith("\nTimeoutError\n")
    assert "Warning" not in ran.stderr
