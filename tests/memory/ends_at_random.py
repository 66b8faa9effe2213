"""Runs in a process of its own: requests under guards end in every way there is, at random.

Arguments: how many, the seed. Prints what became of them, what is left, and what it cost, as JSON.
"""

import asyncio
import gc
import json
import logging
import random
import sys
from collections import Counter
from typing import Any

import uvloop

from highperf import App, HTTPError, RateLimit, Request, Response
from highperf.config import Layers, resolve
from highperf.core.worker import Worker

CONNECTIONS = 64
ROOM = 40  # so that not all of them wait at once
PATIENCE_TURNS = 10_000

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n"
POST = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n%b"
REFUSED = [
    GET % (b"/hour", b""),
    GET % (b"/client", b""),
    GET % (b"/keyed", b"X-Key: %d\r\n"),
    GET % (b"/broken", b""),
    GET % (b"/wait", b"Request-Timeout: 0\r\n"),
    POST % (b"/hour", b"x" * 100),
    GET % (b"/%d", b""),
]
WAITING = [
    *[
        GET % (path, b"")
        for path in (b"/wait", b"/wait", b"/guarded", b"/narrow", b"/stubborn", b"/cleans", b"/stream")
    ],
    GET % (b"/wait", b"Request-Timeout: 0.03\r\n"),
    GET % (b"/free", b""),
    POST % (b"/content", b"x" * 30),  # the rest never comes
    POST % (b"/content", b"x" * 100),
]


class Gates:
    """What the handlers wait for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting: list[asyncio.Future[None]] = []

    def wait(self) -> asyncio.Future[None]:
        self.waiting.append(self.loop.create_future())
        return self.waiting[-1]

    def open(self) -> None:
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


def application(gates: Gates) -> App:
    app = App()
    app.breaker("broken", failures=1, open_for="1h")
    app.breaker("db", failures=5, open_for="100ms", lease="100ms")
    add_refusing_routes(app)

    @app.get("/free")
    @app.get("/wait", deadline="50ms")
    @app.get("/narrow", deadline="20ms", limit_concurrency=2)
    @app.get("/guarded", deadline="50ms", breaker="db", rate_limit=[RateLimit("1000/s", by="client"), "5000/s"])
    async def wait(request: Request) -> str:
        await gates.wait()
        return request.path

    @app.get("/stubborn", deadline="50ms")
    async def stubborn(request: Request) -> str:
        gate = gates.wait()
        while not gate.done():
            try:
                await asyncio.shield(gate)
            except asyncio.CancelledError:
                continue
        return ""

    @app.get("/cleans", deadline="50ms", breaker="db")
    async def cleans(request: Request) -> str:
        try:
            await gates.wait()
        except asyncio.CancelledError:
            await gates.wait()
            raise ValueError("while cleaning up") from None
        return ""

    @app.get("/stream", deadline="50ms")
    async def stream(request: Request) -> Response:
        async def parts() -> Any:
            yield b"first"
            await gates.wait()
            yield b"last"

        return Response.stream(parts())

    @app.post("/content", deadline="50ms")
    async def content(request: Request) -> bytes:
        octets = await request.body()
        await gates.wait()
        return octets

    return app


def add_refusing_routes(app: App) -> None:
    def served(request: Request) -> str:
        return ""

    app.route("/hour", ["GET", "POST"], rate_limit="1/h")(served)
    app.get("/client", rate_limit=RateLimit("1/h", by="client", table_bytes=4096))(served)
    app.get("/keyed", rate_limit=RateLimit("1/h", by="header:X-Key", table_bytes=4096))(served)

    @app.get("/broken", breaker="broken")
    def broken(request: Request) -> None:
        raise HTTPError(500)


class Connection(asyncio.Transport):
    """A transport that forgets what is written, and the other end of it."""

    def __init__(self, crowd: "Crowd") -> None:
        super().__init__({"peername": ("192.0.2.1", 50_000)})
        self.crowd = crowd
        self.lost = False
        self.protocol = crowd.worker.connection()
        self.protocol.connection_made(self)

    def feed(self, octets: bytes) -> None:
        if not self.lost:
            self.protocol.get_buffer(-1)[: len(octets)] = octets
            self.protocol.buffer_updated(len(octets))

    def write(self, data: Any) -> None:
        self.crowd.statuses[bytes(data[9:12])] += 1

    def leave(self) -> None:
        if not self.lost:
            self.lost = True
            self.protocol.connection_lost(None)

    def close(self) -> None:
        self.crowd.loop.call_soon(self.leave)

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def is_closing(self) -> bool:
        return self.lost

    abort = close


class Crowd:
    """Many clients of one worker, whose clock moves only here."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.loop = uvloop.new_event_loop()
        self.gates = Gates(self.loop)
        app = application(self.gates)
        settings = resolve(Layers(app={"limit_concurrency": ROOM, "rate_limit_rps": 2000, "rate_limit_capacity": 500}))
        self.worker = Worker(app.build(settings), settings, self.loop, app=app)
        self.worker.advance(0)
        self.statuses: Counter[bytes] = Counter()
        self.connections: list[Connection] = []
        self.asked = 0
        self.left = 0

    def go_on_until(self, asked: int) -> None:
        while self.asked < asked:
            self.in_the_loop(self.ask)
            self.in_the_loop(self.end)
            self.in_the_loop(self.gates.open)
            self.in_the_loop(lambda: None)
        self.in_the_loop(self.leave)
        for _ in range(PATIENCE_TURNS):
            self.in_the_loop(self.gates.open)
            if not self.worker.in_flight and not self.worker.connections and not self.worker.shedder.standing:
                break

    def in_the_loop(self, function: Any) -> None:
        """In a callback; and what is ready thereafter."""
        self.loop.call_soon(function)
        self.loop.call_soon(self.loop.call_soon, self.loop.stop)
        self.loop.run_forever()

    def ask(self) -> None:
        choice = self.random.choice
        self.connections = [one for one in self.connections if not one.lost]
        while len(self.connections) < CONNECTIONS:
            self.connections.append(Connection(self))
        if self.random.random() < 0.1:
            self.stand_still()
        for connection in self.connections:
            octets = b"".join(choice(REFUSED).replace(b"%d", b"%d" % self.random.randrange(10)) for _ in range(3))
            connection.feed(octets + choice(WAITING))
            self.asked += 4

    def stand_still(self) -> None:
        """Two turns of the loop that are so long that what comes now has waited for too long."""
        self.worker.begin_turn()
        self.worker.end_turn()
        self.worker.advance(0.2, tick=False)
        self.worker.end_turn()
        self.worker.advance(0.2, tick=False)

    def end(self) -> None:
        way = self.random.randrange(6)
        if way == 0:
            self.worker.cancel_requests("the operator wants it")
        elif way in (1, 2):
            self.worker.advance(0.06)
        elif way == 3:
            self.worker.advance(0.03)
        for connection in self.connections:
            if self.random.random() < 0.1:
                self.left += 1
                connection.leave()

    def leave(self) -> None:
        for connection in self.connections:
            connection.leave()
        self.connections.clear()


def resident_bytes() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


def main(count: int, seed: int) -> None:
    logging.getLogger("highperf.error").disabled = True
    crowd = Crowd(seed)
    crowd.go_on_until(count // 4)
    gc.collect()
    blocks, resident = sys.getallocatedblocks(), resident_bytes()
    crowd.go_on_until(count)
    gc.collect()
    worker = crowd.worker
    result = {
        "blocks": sys.getallocatedblocks() - blocks,
        "resident": resident_bytes() - resident,
        "left": [worker.in_flight, worker.zombies, worker.shedder.running, worker.connections, worker.pool.in_use],
        "refused": worker.refused,
        "cancelled": worker.cancelled,
        "disconnected": crowd.left,
    }
    print(json.dumps(result))


main(int(sys.argv[1]), int(sys.argv[2]))
