"""What fails costs its request: 500 with an id that the log has too, and the connection goes on."""

import asyncio
import logging
from typing import Any

import pytest

from highperf import HTTPError, Request, Response
from tests.protocol.harness import GET, Answer, Client, Wire, post


class Boom(Exception):
    pass


class Unprintable(Exception):
    def __str__(self) -> str:
        raise Boom

    __repr__ = __str__


ERRORS = [
    Boom("secret"),
    SystemExit(3),
    GeneratorExit(),
    asyncio.CancelledError(),
    StopAsyncIteration(),
    MemoryError(),
    RecursionError(),
    BaseException("base"),
    BaseExceptionGroup("group", [Boom("one"), SystemExit()]),
    ExceptionGroup("group", [HTTPError(404)]),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"),
]


def failing(wire: Wire, error: BaseException, waits: int) -> Client:
    @wire.app.route("/", "*")
    async def fail(request: Request) -> None:
        for _ in range(waits):
            await asyncio.sleep(0)
        raise error

    return wire.connect()


def assert_usable(client: Client) -> None:
    assert client.ask(GET % b"/now/next")[0].text == "next"


def assert_logged(answer: Answer, caplog: pytest.LogCaptureFixture, error: BaseException) -> None:
    [record] = caplog.records
    assert (record.name, record.levelno) == ("highperf.error", logging.ERROR)
    assert answer.json()["request_id"] in record.getMessage()
    assert record.exc_info
    assert record.exc_info[1] is error


@pytest.mark.parametrize("waits", [0, 1])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_failure_is_500_a_log_entry_and_nothing_else(
    wire: Wire, error: BaseException, waits: int, caplog: pytest.LogCaptureFixture
) -> None:
    client = failing(wire, error, waits)
    [answer] = client.ask(GET % b"/?q=secret")
    assert answer.status == 500
    assert not answer.closes
    assert b"secret" not in answer.content
    assert b"Boom" not in answer.content
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "instance", "request_id"}
    assert problem["instance"] == "/"
    assert_logged(answer, caplog, error)
    assert "GET / [request" in caplog.records[0].getMessage()
    assert_usable(client)


def test_error_that_cannot_be_printed_is_an_error_like_any_other(wire: Wire) -> None:
    client = failing(wire, Unprintable(), 0)
    assert client.ask(GET % b"/")[0].status == 500
    assert_usable(client)


@pytest.mark.parametrize("waits", [0, 1])
def test_failure_between_others_of_a_pipeline(wire: Wire, waits: int) -> None:
    client = failing(wire, Boom(), waits)
    answers = client.ask(GET % b"/now/a" + GET % b"/" + GET % b"/" + GET % b"/now/b")
    assert [answer.status for answer in answers] == [200, 500, 500, 200]


def test_failure_leaves_the_content_unread(wire: Wire) -> None:
    client = failing(wire, Boom(), 0)
    answers = client.ask(post(b"/", b"GET /wait/hidden HTTP/1.1\r\nHost: a\r\n\r\n") + GET % b"/now/a")
    assert [answer.status for answer in answers] == [500, 200]
    assert wire.began == []


def test_failure_of_a_head_request_has_no_content(wire: Wire) -> None:
    client = failing(wire, Boom(), 1)
    assert client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", ["HEAD"])[0].status == 500
    assert_usable(client)


def test_ids_are_different(wire: Wire) -> None:
    client = failing(wire, Boom(), 0)
    ids = {answer.json()["request_id"] for answer in client.ask((GET % b"/") * 20)}
    assert len(ids) == 20


def test_id_of_the_answer_is_that_of_the_request(wire: Wire) -> None:
    seen: list[str] = []

    @wire.app.get("/")
    async def fail(request: Request) -> None:
        seen.append(request.id)
        raise Boom

    assert wire.connect().ask(GET % b"/")[0].json()["request_id"] == seen[0]


# ---- HTTPError ------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", [0, 1])
def test_http_error_is_its_problem(wire: Wire, waits: int, caplog: pytest.LogCaptureFixture) -> None:
    error = HTTPError(
        409, "taken", headers={"Retry-After": "5"}, type="https://example.com/taken", title="Taken", errors=[1, "x"]
    )
    client = failing(wire, error, waits)
    [answer] = client.ask(GET % b"/?a=b")
    assert (answer.status, answer.headers["Retry-After"], answer.closes) == (409, "5", False)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.problem() == {
        "type": "https://example.com/taken",
        "title": "Taken",
        "status": 409,
        "detail": "taken",
        "instance": "/",
        "errors": [1, "x"],
    }
    assert not caplog.records
    assert_usable(client)


def test_http_error_without_words(wire: Wire) -> None:
    [answer] = failing(wire, HTTPError(404), 0).ask(GET % b"/")
    assert answer.problem() == {"type": "about:blank", "title": "Not Found", "status": 404, "instance": "/"}


@pytest.mark.parametrize(("status", "title"), [(413, "Content Too Large"), (422, "Unprocessable Content"), (499, None)])
def test_titles_are_those_of_rfc_9110(wire: Wire, status: int, title: str | None) -> None:
    [answer] = failing(wire, HTTPError(status), 0).ask(GET % b"/")
    if title:
        assert answer.json()["title"] == title
        assert f"{status} {title}\r\n".encode() in answer.head
    assert answer.status == status


@pytest.mark.parametrize("status", [0, 200, 399, 600, 1000])
def test_http_error_is_an_error(status: int) -> None:
    with pytest.raises(ValueError, match="400 to 599"):
        HTTPError(status)


def broken(**attributes: Any) -> HTTPError:
    error = HTTPError(404)
    vars(error).update(attributes)
    return error


@pytest.mark.parametrize(
    "error",
    [
        HTTPError(404, members=object()),
        HTTPError(404, errors={1j: 2}),
        HTTPError(404, headers={"X": "a\r\nb"}),
        HTTPError(404, headers={"Content-Length": "1"}),
        HTTPError(404, "\ud800"),
        broken(status=1000),
        broken(status=99),
        broken(status="x"),
        broken(members=None, detail=object()),
        broken(headers=1),
    ],
)
@pytest.mark.parametrize("middleware", [False, True])
def test_http_error_that_cannot_be_told_is_500(
    wire: Wire, error: HTTPError, middleware: bool, caplog: pytest.LogCaptureFixture
) -> None:
    if middleware:

        @wire.app.middleware
        async def passes(request: Request, call_next: Any) -> Response:
            return await call_next(request)

    client = failing(wire, error, 0)
    [answer] = client.ask(GET % b"/")
    assert (answer.status, answer.closes) == (500, False)
    [record] = caplog.records
    assert answer.json()["request_id"] in record.getMessage()
    assert_usable(client)


# ---- middleware -----------------------------------------------------------------------------------


def test_failure_of_middleware_is_like_that_of_a_handler(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    error = Boom()

    @wire.app.middleware
    async def fails(request: Request, call_next: Any) -> Response:
        await call_next(request)
        raise error

    client = wire.connect()
    for path in (b"/now/a", b"/nothing"):
        [answer] = client.ask(GET % path)
        assert answer.status == 500
        assert_logged(answer, caplog, error)
        caplog.clear()


def test_middleware_sees_an_unexpected_error_and_may_answer_it(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    @wire.app.middleware
    async def catches(request: Request, call_next: Any) -> Any:
        try:
            return await call_next(request)
        except Boom:
            return Response("caught", 502)

    client = failing(wire, Boom(), 1)
    assert client.ask(GET % b"/")[0].text == "caught"
    assert not caplog.records


def test_middleware_that_returns_nothing_useful_is_500(wire: Wire) -> None:
    @wire.app.middleware
    async def forgets(request: Request, call_next: Any) -> Any:
        await call_next(request)
        return object()

    client = wire.connect()
    assert client.ask(GET % b"/now/a")[0].status == 500
