"""Clients that leave, in every phase: nothing goes on for them, nothing is left of them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from highperf import Request, Response
from tests.protocol.harness import GET, Wire, post

POST_100 = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
CHUNKED = b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

PHASES = {
    "connected": b"",
    "in the request line": b"GET /now",
    "in the fields": b"GET /now/a HTTP/1.1\r\nHo",
    "before the content": POST_100 % b"/body",
    "in the content": POST_100 % b"/body" + b"x" * 50,
    "in a chunk size": CHUNKED % b"/body" + b"1",
    "in a chunk": CHUNKED % b"/body" + b"5\r\nab",
    "before the last chunk": CHUNKED % b"/body" + b"1\r\na\r\n",
    "in the trailers": CHUNKED % b"/body" + b"0\r\nX: y\r\n",
    "in content that is not read": POST_100 % b"/deaf" + b"x" * 50,
    "in content of no route": POST_100 % b"/nothing" + b"x" * 50,
    "told to continue": b"POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    "while the handler waits": GET % b"/wait/a",
    "with more requests waiting": GET % b"/wait/a" + GET % b"/now/b" + b"GET /now/c HT",
    "between requests": GET % b"/now/a",
    "after its last request": b"GET /now/a HTTP/1.1\r\nConnection: close\r\nHost: a\r\n\r\nmore",
    "after a refusal": b"bad\r\n",
    "while content is held back": b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + bytes(900_000),
    "while an answer waits to be taken": GET % b"/large" + GET % b"/now/a",
    "while a stream waits for its source": GET % b"/source",
    "while a stream waits for the client": GET % b"/endless",
}


def add_routes(wire: Wire) -> list[str]:
    ended: list[str] = []

    @wire.app.get("/large")
    def large(request: Request) -> bytes:
        return bytes(300_000)

    @wire.app.get("/source")
    async def source(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            try:
                yield b"first"
                await wire.gate("source")
            finally:
                ended.append("source")

        return Response.stream(parts())

    @wire.app.get("/endless")
    async def endless(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield bytes(10_000)
            finally:
                ended.append("endless")

        return Response.stream(parts())

    @wire.app.post("/slow")
    async def slow(request: Request) -> None:
        await wire.gate("slow")

    return ended


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("farewell", ["reset", "fin", "fin and reset", "server"])
def test_client_may_leave_in_every_phase(
    wire: Wire, phase: str, farewell: str, caplog: pytest.LogCaptureFixture
) -> None:
    ended = add_routes(wire)
    client = wire.connect()
    if phase in ("while an answer waits to be taken", "while a stream waits for the client"):
        client.window = 10_000
    client.send(PHASES[phase])
    waiting = wire.worker.in_flight
    if farewell == "server":
        wire.worker.abort()
        wire.settle()
    if "fin" in farewell:
        client.finish_sending()
    if "reset" in farewell:
        client.leave()
    wire.advance(3)
    wire.advance(3)
    if phase == "while a stream waits for its source" and farewell == "fin":
        assert not client.gone  # its answer has begun: see test_timeouts
        client.leave()
    elif phase == "while content is held back" and farewell == "fin":
        assert not client.gone  # its FIN lies behind content that is not read
        client.leave()
    assert client.gone
    worker = wire.worker
    assert (worker.connections, worker.in_flight, worker.pool.in_use) == (0, 0, 0)
    assert worker.cancelled <= waiting
    assert ended == [part for part in ("source", "endless") if part in PHASES[phase].decode("latin-1")]
    assert not [record for record in caplog.records if record.exc_info]


def test_handler_is_cancelled_with_a_reason(wire: Wire) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a")
    client.leave()
    assert wire.cancelled == ["client disconnected"]
    assert wire.worker.cancelled == 1
    assert wire.worker.served == 0


def test_reader_of_a_body_is_cancelled(wire: Wire) -> None:
    raised: list[BaseException] = []

    @wire.app.post("/")
    async def read(request: Request) -> None:
        try:
            await request.body()
        except BaseException as error:
            raised.append(error)
            raise

    client = wire.connect()
    client.send(POST_100 % b"/")
    client.leave()
    assert [type(error) for error in raised] == [asyncio.CancelledError]


def test_requests_behind_a_cancelled_one_are_dropped(wire: Wire) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a" + GET % b"/wait/b")
    client.leave()
    assert wire.began == ["a"]
    assert wire.worker.served == 0


def test_answer_of_a_handler_that_goes_on_reaches_nobody(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    @wire.app.get("/")
    async def stubborn(request: Request) -> Any:
        try:
            await wire.gate("never")
        except asyncio.CancelledError:
            await wire.gate("on")
        assert request.client is None
        return {"too": "late"}

    client = wire.connect()
    client.send(GET % b"/")
    client.leave()
    assert (wire.worker.connections, wire.worker.in_flight) == (0, 1)
    wire.open("on")
    assert wire.worker.in_flight == 0
    assert client.sent == b""
    assert not caplog.records


def test_half_closed_client_gets_its_answers(wire: Wire) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a" + GET % b"/now/b" + GET % b"/wait/c" + GET % b"/now/d")
    client.finish_sending()
    assert client.sent == b""
    wire.open("a")
    wire.advance(0.5)
    wire.open("c")
    assert [answer.text for answer in client.answers()] == ["a", "b", "c", "d"]
    assert client.gone


def test_half_closed_client_gets_what_it_takes_slowly(wire: Wire) -> None:
    add_routes(wire)
    client = wire.connect()
    client.window = 0
    client.send(GET % b"/large" + GET % b"/large" + GET % b"/now/b")
    client.finish_sending()
    for _ in range(20):
        wire.advance(1)
        client.take(10_000)
    assert not client.gone
    client.take()
    assert [len(answer.content) for answer in client.answers()] == [300_000, 300_000, 1]
    assert client.gone


def test_half_closed_client_with_half_a_request_is_closed(wire: Wire) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a" + b"GET /now/b HTTP/1.1\r\n")
    client.finish_sending()
    wire.open("a")
    assert [answer.text for answer in client.answers()] == ["a"]
    assert client.gone


@pytest.mark.parametrize("octets", [b"", b"GET /", GET % b"/now/a"])
def test_half_closed_client_without_a_request_is_closed_at_once(wire: Wire, octets: bytes) -> None:
    client = wire.connect()
    client.send(octets)
    client.finish_sending()
    assert client.gone


def test_peer_that_never_was(wire: Wire) -> None:
    # connection_lost may follow connection_made at once.
    client = wire.connect()
    client.leave()
    assert wire.worker.connections == 0


def test_other_clients_are_not_concerned(wire: Wire) -> None:
    staying, leaving = wire.connect(), wire.connect()
    staying.send(GET % b"/wait/a")
    leaving.send(GET % b"/wait/b" + post(b"/body", b"x"))
    leaving.leave()
    wire.open("a")
    assert staying.answers()[0].text == "a"
