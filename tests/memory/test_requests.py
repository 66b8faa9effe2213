"""What a request costs in memory once it is answered: nothing."""

import asyncio
import sys
from itertools import pairwise
from typing import Any

import pytest
import uvloop

from highperf import App, Request
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
    "unknown path": b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
    "refused by the handler": b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n",
}

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

    @app.get("/none")
    async def none(request: Request) -> None:
        from highperf import HTTPError

        raise HTTPError(404, "none")

    return app


class Forgetful(MemoryTransport):
    def write(self, data: Any) -> None:
        self.sent = bytearray(data)


def blocks_of(request: bytes, times: int, *, turns: int) -> int:
    """Blocks that so many requests, one after another on one connection, leave behind."""
    loop = uvloop.new_event_loop()
    app = application()
    worker = Worker(app.build(), resolve(Layers()), loop, app=app)
    worker.ready = True
    protocol = worker.connection()
    transport = Forgetful(loop, protocol)
    counts = []

    def ask(number: int) -> None:
        for _ in range(number):
            protocol.get_buffer(-1)[: len(request)] = request
            protocol.buffer_updated(len(request))

    async def waiting(number: int) -> None:
        for _ in range(number):
            loop.call_soon(ask, 1)
            for _ in range(turns):
                await asyncio.sleep(0)

    def run(number: int) -> None:
        if turns:
            loop.run_until_complete(waiting(number))
        else:
            loop.call_soon(ask, number)
            loop.run_until_complete(asyncio.sleep(0))

    loop.run_until_complete(asyncio.sleep(0))
    run(WARM_UP)
    for _ in range(2):
        counts.append(sys.getallocatedblocks())
        run(times)
    counts.append(sys.getallocatedblocks())
    assert b"HTTP/1.1" in transport.sent
    assert worker.pool.in_use == 0
    assert worker.served == WARM_UP + 2 * times
    transport.close()
    loop.run_until_complete(asyncio.sleep(0))
    worker.close()
    loop.close()
    return min(later - earlier for earlier, later in pairwise(counts))


@pytest.mark.parametrize("kind", KINDS)
def test_answered_request_leaves_nothing_behind(kind: str) -> None:
    assert blocks_of(KINDS[kind], REQUESTS, turns=0) < NOISE


def test_request_that_waited_leaves_nothing_behind() -> None:
    assert blocks_of(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n", REQUESTS // 4, turns=4) < NOISE
