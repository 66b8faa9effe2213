"""The connection: order, keep-alive, timeouts and ends, on a wire of memory and a clock that the test moves."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import uvloop

from highperf import App, Request, Response
from highperf.config import Layers, resolve
from highperf.core.worker import Worker
from highperf.testing import MemoryTransport

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"


class Wire:
    """One worker on one loop, and as many connections to it as a test wants."""

    def __init__(self) -> None:
        self.app = App(limit_request_body="1m")
        self.loop = uvloop.new_event_loop()
        self.gates: dict[str, asyncio.Future[Any]] = {}
        self.cancelled: list[str | None] = []
        self._worker: Worker | None = None

        @self.app.get("/now/:name")
        async def now(request: Request) -> str:
            return request.params["name"]

        @self.app.get("/wait/:name")
        async def wait(request: Request) -> str:
            gate = self.gates[request.params["name"]] = self.loop.create_future()
            try:
                return str(await gate)
            except asyncio.CancelledError:
                self.cancelled.append(request.cancel_reason)
                raise

        @self.app.post("/body")
        async def body(request: Request) -> bytes:
            return await request.body()

        @self.app.post("/deaf")
        def deaf(request: Request) -> str:
            return "heard nothing"

    @property
    def worker(self) -> Worker:
        if self._worker is None:
            settings = resolve(Layers(app=self.app.defaults))
            self._worker = Worker(self.app.build(), settings, self.loop, app=self.app, fallback=self.app.fallback)
            self._worker.ready = True
            self._worker.advance(0)
        return self._worker

    def connect(self) -> MemoryTransport:
        transport = MemoryTransport(self.loop, self.worker.connection())
        self.turn()
        return transport

    def turn(self, turns: int = 30) -> None:
        async def idle() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(idle())

    def send(self, transport: MemoryTransport, octets: bytes) -> bytes:
        transport.feed(octets)
        self.turn()
        return self.taken(transport)

    def taken(self, transport: MemoryTransport) -> bytes:
        sent, transport.sent = bytes(transport.sent), bytearray()
        return sent

    def advance(self, seconds: float) -> None:
        self.loop.call_soon(self.worker.advance, seconds)
        self.turn()


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.worker.abort()
    wire.turn()
    assert wire.worker.connections == 0
    assert wire.worker.in_flight == 0
    assert wire.worker.pool.in_use == 0
    wire.worker.close()
    wire.loop.close()


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


def test_connection_serves_one_request_after_another(wire: Wire) -> None:
    client = wire.connect()
    for name in (b"a", b"b", b"c"):
        assert wire.send(client, GET % (b"/now/" + name)).endswith(b"\r\n\r\n" + name)
    assert not client.is_closing()


def test_connection_close_is_obeyed_and_said(wire: Wire) -> None:
    client = wire.connect()
    answer = wire.send(client, b"GET /now/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET % b"/now/b")
    assert statuses(answer) == [200]
    assert b"\r\nConnection: close\r\n" in answer
    assert client.closed.done()


def test_http_10_closes_unless_it_asks_to_keep_alive(wire: Wire) -> None:
    client = wire.connect()
    answer = wire.send(client, b"GET /now/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert b"\r\nConnection: keep-alive\r\n" in answer
    assert wire.send(client, b"GET /now/b HTTP/1.0\r\n\r\n").endswith(b"b")
    assert client.closed.done()


def test_pipelined_answers_leave_in_one_write(wire: Wire) -> None:
    client = wire.connect()
    writes: list[bytes] = []
    client.write = writes.append  # type: ignore[method-assign]
    wire.send(client, b"".join(GET % b"/now/%d" % number for number in range(16)))
    assert len(writes) == 1
    assert [part.rpartition(b"\r\n")[2] for part in writes[0].split(b"HTTP/1.1 200 OK")[1:]] == [
        b"%d" % number for number in range(16)
    ]


def test_second_request_waits_for_first_response(wire: Wire) -> None:
    client = wire.connect()
    assert wire.send(client, GET % b"/wait/first" + GET % b"/now/second" + GET % b"/wait/third") == b""
    assert "third" not in wire.gates
    wire.gates["first"].set_result("one")
    wire.turn()
    answers = wire.taken(client)
    assert answers.index(b"\r\n\r\none") < answers.index(b"\r\n\r\nsecond")
    wire.gates["third"].set_result("three")
    wire.turn()
    assert wire.taken(client).endswith(b"three")


def test_reading_stops_while_too_much_waits_behind_a_request(wire: Wire) -> None:
    client = wire.connect()
    many = 4000
    wire.send(client, GET % b"/wait/gate" + (GET % b"/now/x") * many)
    wire.turn(2 * many // 100)
    assert not client._reading
    wire.gates["gate"].set_result("open")
    wire.turn(200)
    assert statuses(wire.taken(client)) == [200] * (many + 1)
    assert client._reading


def test_request_that_waits_keeps_its_octets(wire: Wire) -> None:
    first, second = wire.connect(), wire.connect()
    wire.send(first, GET % b"/wait/aaaa")
    wire.send(second, GET % b"/now/bbbb")
    assert list(wire.gates) == ["aaaa"]
    wire.gates["aaaa"].set_result("a")
    wire.turn()
    assert wire.taken(first).endswith(b"a")


def test_client_that_leaves_cancels_the_handler(wire: Wire) -> None:
    client = wire.connect()
    wire.send(client, GET % b"/wait/gate")
    client.abort()
    wire.turn()
    assert wire.cancelled == ["client disconnected"]
    assert wire.worker.cancelled == 1


def test_half_closed_client_still_gets_its_answer(wire: Wire) -> None:
    client = wire.connect()
    wire.send(client, GET % b"/wait/gate")
    assert client._protocol.eof_received()
    wire.gates["gate"].set_result("late")
    wire.turn()
    assert wire.taken(client).endswith(b"late")
    assert client.closed.done()


def test_half_closed_client_is_given_up_after_a_second(wire: Wire) -> None:
    client = wire.connect()
    wire.send(client, GET % b"/wait/gate")
    assert client._protocol.eof_received()
    wire.advance(0.9)
    assert wire.cancelled == []
    wire.advance(0.2)
    assert wire.cancelled == ["client disconnected"]


def test_silent_connection_is_closed(wire: Wire) -> None:
    client = wire.connect()
    wire.advance(1.9)
    assert not client.is_closing()
    wire.advance(0.2)
    assert client.closed.done()
    assert client.sent == b""


def test_head_has_two_seconds_whatever_trickles_in(wire: Wire) -> None:
    client = wire.connect()
    wire.send(client, GET % b"/now/a")
    wire.taken(client)
    wire.advance(30)
    for octet in b"GET /no":
        assert wire.send(client, bytes([octet])) == b""
        wire.advance(0.25)
    answer = wire.taken(client)
    wire.advance(0.3)
    answer += wire.taken(client)
    assert statuses(answer) == [408]
    assert client.closed.done()


def test_body_must_make_progress(wire: Wire) -> None:
    client = wire.connect()
    wire.send(client, b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
    for _ in range(3):
        wire.advance(1.5)
        assert wire.send(client, b"d") == b""
    wire.advance(2.1)
    answer = wire.taken(client)
    assert statuses(answer) == [408]
    assert b"\r\nConnection: close\r\n" in answer
    assert client.closed.done()


def test_idle_connection_is_closed_after_a_minute(wire: Wire) -> None:
    client = wire.connect()
    wire.send(client, GET % b"/now/a")
    wire.advance(59)
    assert not client.is_closing()
    wire.send(client, GET % b"/now/a")
    wire.advance(59)
    assert not client.is_closing()
    wire.advance(2)
    assert client.closed.done()


def test_continue_is_said_when_the_body_is_read(wire: Wire) -> None:
    client = wire.connect()
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    assert wire.send(client, head % b"/body") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert wire.send(client, b"abc").endswith(b"abc")
    answer = wire.send(client, head % b"/deaf")
    assert statuses(answer) == [200]
    assert b"\r\nConnection: close\r\n" in answer


def test_small_unread_body_is_discarded(wire: Wire) -> None:
    client = wire.connect()
    head = b"POST /deaf HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n"
    assert statuses(wire.send(client, head)) == [200]
    assert statuses(wire.send(client, b"x" * 50000 + GET % b"/now/a")) == [200]


def test_large_unread_body_ends_the_connection(wire: Wire) -> None:
    client = wire.connect()
    answer = wire.send(client, b"POST /deaf HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    assert client.closed.done()


def test_body_above_the_limit_is_refused_before_it_comes(wire: Wire) -> None:
    client = wire.connect()
    answer = wire.send(client, b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n")
    assert statuses(answer) == [413]
    assert client.closed.done()


def test_chunked_body_above_the_limit_is_refused_when_it_has_come(wire: Wire) -> None:
    client = wire.connect()
    wire.send(client, b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(20):
        client.feed(b"10000\r\n" + b"x" * 65536 + b"\r\n")
    wire.turn(200)
    assert statuses(wire.taken(client)) == [413]
    assert client.closed.done()


def test_requests_before_a_bad_one_are_answered_and_none_after_it(wire: Wire) -> None:
    client = wire.connect()
    answer = wire.send(client, GET % b"/now/a" + b"BAD\r\n\r\n" + GET % b"/now/b")
    assert statuses(answer) == [200, 400]
    assert client.closed.done()


def test_broken_chunk_answers_400_to_the_reader(wire: Wire) -> None:
    client = wire.connect()
    wire.send(client, b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert statuses(wire.send(client, b"zz\r\n")) == [400]
    assert client.closed.done()


def test_drain_ends_idle_connections_and_lets_others_finish(wire: Wire) -> None:
    idle, busy = wire.connect(), wire.connect()
    wire.send(idle, GET % b"/now/a")
    wire.send(busy, GET % b"/wait/gate")
    wire.worker.begin_drain()
    wire.turn()
    assert idle.closed.done()
    assert not busy.is_closing()
    wire.gates["gate"].set_result("done")
    wire.turn()
    assert b"\r\nConnection: close\r\n" in wire.taken(busy)
    assert busy.closed.done()


def test_cancelled_requests_are_told_why(wire: Wire) -> None:
    client = wire.connect()
    wire.send(client, GET % b"/wait/gate")
    wire.worker.cancel_requests("the server is shutting down")
    wire.turn()
    answer = wire.taken(client)
    assert statuses(answer) == [503]
    assert b"the server is shutting down" in answer
    assert b"\r\nRetry-After: 1\r\n" in answer


def test_request_that_ignores_its_cancellation_is_counted_once(wire: Wire) -> None:
    @wire.app.get("/stubborn")
    async def stubborn(request: Request) -> None:
        for name in ("one", "two"):
            gate = wire.gates[name] = wire.loop.create_future()
            with suppress(asyncio.CancelledError):
                await gate
        wire.cancelled.append(request.cancel_reason)

    client = wire.connect()
    wire.send(client, GET % b"/stubborn")
    wire.worker.cancel_requests("the server is shutting down")
    wire.turn()
    client.abort()
    wire.turn()
    assert wire.worker.cancelled == 1
    assert wire.cancelled == ["the server is shutting down"]


@pytest.mark.parametrize("fails", ["first", "later"])
def test_stream_that_fails_is_a_500_or_ends_the_connection(wire: Wire, fails: str) -> None:
    @wire.app.get("/stream")
    async def stream(request: Request) -> Response:
        async def parts() -> Any:
            if fails == "later":
                yield b"part"
                await asyncio.sleep(0)
            raise LookupError(fails)

        return Response.stream(parts())

    client = wire.connect()
    answer = wire.send(client, GET % b"/stream")
    if fails == "first":
        assert statuses(answer) == [500]
        assert statuses(wire.send(client, GET % b"/now/a")) == [200]
    else:
        assert answer.endswith(b"4\r\npart\r\n")
        assert client.closed.done()
