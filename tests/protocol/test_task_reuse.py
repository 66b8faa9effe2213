"""What drives a handler serves the next request when nobody can tell: nothing of one request is seen in another."""

import asyncio
import contextvars
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from highperf import HTTPError, Request, Response
from tests.protocol.harness import GET, Wire

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="unset")


class Seen:
    """An application that does something to the first request's task, and keeps what the later ones look like."""

    def __init__(self, deed: Callable[[Any], object]) -> None:
        self.wire = Wire()
        self.names: list[str] = []
        self.deed = deed
        self.kept: list[Any] = []

        @self.wire.app.get("/first")
        async def first(request: Request) -> dict[str, str]:
            self.kept.append(self.deed(asyncio.current_task()))
            return {"first": "one"}

        @self.wire.app.get("/next")
        async def following(request: Request) -> dict[str, object]:
            task: Any = asyncio.current_task()
            self.names.append(task.get_name())
            return {"variable": VARIABLE.get(), "cancelling": task.cancelling(), "done": task.done()}

    def run(self) -> None:
        client = self.wire.connect()
        for path in (b"/first", b"/next", b"/next", b"/first", b"/next"):
            [answer] = client.ask(GET % path)
            assert answer.status == 200
            if path == b"/next":
                assert answer.json() == {"variable": "unset", "cancelling": 0, "done": False}
        assert not [name for name in self.names if not name.startswith("request-")]
        self.wire.close()


@pytest.mark.parametrize(
    "deed",
    [
        lambda task: None,
        lambda task: task,
        lambda task: task.set_name("mine"),
        lambda task: task.get_context(),
        lambda task: task.add_done_callback(lambda _: None),
        lambda task: (task.cancel(), task.uncancel()),
        lambda task: VARIABLE.set("first's own"),
    ],
    ids=["nothing", "kept", "named", "context kept", "callback", "cancelled and not", "variable set"],
)
def test_nothing_of_a_task_is_seen_in_the_next_request(deed: Callable[[Any], object]) -> None:
    Seen(deed).run()


def test_task_that_is_kept_stays_what_it_was() -> None:
    seen = Seen(lambda task: task)
    seen.run()
    first, second = seen.kept
    assert first is not second
    assert first.done()
    assert first.result() == second.result() == {"first": "one"}


def test_weak_reference_to_the_task_of_a_request_that_is_over_is_dead() -> None:
    seen = Seen(weakref.ref)
    seen.run()
    assert [reference() for reference in seen.kept] == [None, None]


def test_what_a_handler_returned_is_not_kept_for_the_next_request() -> None:
    class Answer(dict[str, str]):
        pass

    wire, answers = Wire(), []

    @wire.app.get("/mine")
    async def now(request: Request) -> Answer:
        answer = Answer(made="now")
        answers.append(weakref.ref(answer))
        return answer

    client = wire.connect()
    assert [client.ask(GET % b"/mine")[0].status for _ in range(3)] == [200, 200, 200]
    assert [reference() for reference in answers] == [None, None, None]
    wire.close()


def test_requests_that_fail_wait_or_stream_in_between_leave_nothing_behind() -> None:
    wire = Wire()

    @wire.app.get("/do/:what")
    async def handle(request: Request) -> Any:
        match request.params["what"]:
            case "fail":
                raise HTTPError(418, "as told")
            case "wait":
                await asyncio.sleep(0)
            case "stream":

                async def parts() -> Any:
                    yield b"part"
                    yield b"part"

                return Response.stream(parts())
        return {"what": request.params["what"]}

    client = wire.connect()
    words = ["now", "fail", "now", "wait", "now", "stream", "fail", "wait", "stream", "now"] * 3
    answers = [client.ask(GET % f"/do/{word}".encode())[0] for word in words]
    assert [answer.status for answer in answers] == [418 if word == "fail" else 200 for word in words]
    assert {answer.text for word, answer in zip(words, answers, strict=True) if word == "stream"} == {"partpart"}
    assert wire.worker.in_flight == 0
    wire.close()
