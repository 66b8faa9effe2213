"""What a request costs in memory once it is answered: nothing."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import uvloop

from highperf import App, HTTPError, Request, Response
from highperf.config import Layers, resolve
from highperf.core.worker import Worker
from highperf.testing import MemoryTransport

WARM_UP = 500
REQUESTS = 10_000
NOISE = 50  # blocks that the interpreter's own caches may take meanwhile; one a request would be 10,000

BODY = b'{"name":"Ada","email":"ada@example.com"}'
KINDS = {
    "health": b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "user": b"GET /users/42 HTTP/1.1\r\nHost: a\r\n\r\n",
    "create": b"POST /users HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY),
    "chunked": b"POST /users HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n",
    "typed": b"POST /typed HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n[1,2,3,4]",
    "content that is not read": b"POST /deaf HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n[1,2,3,4]",
    "content of no route": b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n[1,2,3,4]",
    "everything asked for": b"GET /all/%C3%A4?a=b&c=d HTTP/1.1\r\nHost: a\r\nX: y\r\nX: z\r\n\r\n",
    "everything behind a proxy": b"GET /all/a HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 2001:db8::2, ::1\r\n\r\n",
    "unknown path": b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
    "unknown method": b"BREW /users/1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "options": b"OPTIONS /users/1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "head": b"HEAD /users/1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "refused by the handler": b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n",
    "handler that fails": b"GET /fails HTTP/1.1\r\nHost: a\r\n\r\n",
    "stream that does not wait": b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
    "large answer": b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
    "three at once": b"GET /users/42 HTTP/1.1\r\nHost: a\r\n\r\n" * 3,
}
WAITING = b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"

pytestmark = pytest.mark.release_build


def application() -> App:
    app = App()

    @app.get("/users/:id")
    async def user(request: Request) -> dict[str, str]:
        return {"id": request.params["id"], "name": "Ada"}

    @app.post("/users")
    async def create(request: Request) -> Any:
        return await request.json()

    @app.get("/wait")
    async def wait(request: Request) -> str:
        await asyncio.sleep(0)
        return request.path

    @app.get("/keep")
    async def keep(request: Request) -> None:
        app.state.kept.append(request)

    @app.get("/none")
    async def none(request: Request) -> None:
        raise HTTPError(404, "none")

    @app.get("/fails")
    async def fails(request: Request) -> None:
        raise LookupError

    @app.get("/stream")
    async def stream(request: Request) -> Response:
        async def parts() -> AsyncIterator[str]:
            yield "a"
            yield "b"

        return Response.stream(parts())

    @app.get("/large")
    def large(request: Request) -> bytes:
        return bytes(50_000)

    @app.post("/typed")
    async def typed(request: Request) -> list[int]:
        return await request.json(list[int])

    @app.post("/deaf")
    def deaf(request: Request) -> None: ...

    @app.get("/all/:name")
    async def everything(request: Request) -> Any:
        request.state.x = 1
        return [
            request.method,
            request.path,
            request.raw_path.decode(),
            request.query_string.decode(),
            request.query.items(),
            request.headers.items(),
            request.params,
            request.client,
            request.scheme,
            request.id,
            request.http_version,
            request.route,
            (await request.body()).decode(),
            repr(request),
        ]

    return app


class Forgetful(MemoryTransport):
    def write(self, data: Any) -> None:
        self.sent = bytearray(data)


class Asked:
    """A worker with one connection, which is asked one request after another."""

    def __init__(self) -> None:
        self.app = application()
        self.loop = uvloop.new_event_loop()
        self.worker = Worker(self.app.build(), resolve(Layers()), self.loop, app=self.app)
        self.worker.ready = True
        self.protocol = self.worker.connection()
        self.transport = Forgetful(self.loop, self.protocol)
        self.turn()

    def turn(self, turns: int = 1) -> None:
        async def idle() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(idle())

    def in_the_loop(self, function: Callable[[], object]) -> None:
        self.loop.call_soon(function)
        self.turn()

    def feed(self, octets: bytes) -> None:
        self.protocol.get_buffer(-1)[: len(octets)] = octets
        self.protocol.buffer_updated(len(octets))

    def ask(self, *pieces: bytes, times: int) -> None:
        def run() -> None:
            for _ in range(times):
                for piece in pieces:
                    self.feed(piece)

        self.in_the_loop(run)

    def close(self) -> None:
        assert self.worker.pool.in_use == 0
        assert self.worker.in_flight == 0
        self.transport.close()
        self.turn(3)
        assert self.worker.connections == 0
        self.worker.close()
        self.loop.close()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    # pytest keeps what is logged.
    monkeypatch.setattr(logging.getLogger("highperf.error"), "disabled", True)
    asked = Asked()
    yield asked
    asked.close()


def blocks_left(run: Callable[[int], object], times: int) -> int:
    """Blocks that so many runs leave behind, once warm."""
    counts = []
    run(WARM_UP)
    for _ in range(2):
        counts.append(sys.getallocatedblocks())
        run(times)
    counts.append(sys.getallocatedblocks())
    return min(later - earlier for earlier, later in pairwise(counts))


@pytest.mark.parametrize("kind", KINDS)
def test_answered_request_leaves_nothing_behind(asked: Asked, kind: str) -> None:
    request = KINDS[kind]
    assert blocks_left(lambda times: asked.ask(request, times=times), REQUESTS) < NOISE
    assert asked.transport.sent
    assert asked.worker.served == (WARM_UP + 2 * REQUESTS) * request.count(b"HTTP/1.1")


@pytest.mark.parametrize("cut", [1, 10, -1])
@pytest.mark.parametrize("kind", ["user", "create", "chunked", "unknown path"])
def test_request_in_two_pieces_leaves_nothing_behind(asked: Asked, kind: str, cut: int) -> None:
    request = KINDS[kind]
    assert blocks_left(lambda times: asked.ask(request[:cut], request[cut:], times=times), REQUESTS // 2) < NOISE
    assert asked.worker.served == WARM_UP + REQUESTS


def test_request_that_waited_leaves_nothing_behind(asked: Asked) -> None:
    def run(times: int) -> None:
        for _ in range(times):
            asked.ask(WAITING, times=1)
            asked.turn(3)

    assert blocks_left(run, REQUESTS // 4) < NOISE
    assert asked.worker.served == WARM_UP + REQUESTS // 2


def test_requests_that_wait_for_their_turn_leave_nothing_behind(asked: Asked) -> None:
    def run(times: int) -> None:
        for _ in range(times // 10):
            asked.ask(WAITING * 10, times=1)
            asked.turn(40)

    assert blocks_left(run, REQUESTS // 4) < NOISE
    assert asked.worker.served == WARM_UP + REQUESTS // 2


def test_connections_leave_nothing_behind(asked: Asked) -> None:
    requests = [b"", b"GET /us", KINDS["user"], WAITING, KINDS["create"][:-5], KINDS["large answer"], b"bad\r\n"]

    def run(times: int) -> None:
        for number in range(times):
            protocol = asked.worker.connection()
            transport = Forgetful(asked.loop, protocol)
            transport.feed(requests[number % len(requests)])
            asked.turn(2)
            transport.abort()
            asked.turn(4)

    assert blocks_left(run, 1000) < NOISE
    assert asked.worker.connections == 1


def test_requests_that_were_kept_leave_nothing_behind_once_dropped(asked: Asked) -> None:
    kept: list[Request] = []
    asked.app.state.kept = kept

    def run(times: int) -> None:
        for number in range(times):
            asked.ask(b"GET /keep?%d HTTP/1.1\r\nHost: a\r\n\r\n" % number, times=1)
            if number % 100 == 99:
                assert len({request.query_string for request in kept}) == 100
                kept.clear()

    assert blocks_left(run, 1000) < NOISE
