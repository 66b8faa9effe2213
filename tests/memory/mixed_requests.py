"""Runs in a process of its own: requests of every kind over sockets, and what is left of them.

    python -m tests.memory.mixed_requests COUNT [SEED]

Good ones, bad ones, such that are cancelled, come too late or are left alone, on connections that end in every way.
Prints what became of them and what grew after the first quarter, as JSON; exit code 1: something did.
"""

import asyncio
import contextlib
import gc
import json
import logging
import os
import random
import socket
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvloop

from highperf import App, HTTPError, Request, Response
from highperf.config import Layers, resolve
from highperf.core.worker import Worker

AT_ONCE = 16
LARGE = 200_000
RESET = struct.pack("ii", 1, 0)
QUIET_TURNS = 100
OBJECTS_GOAL, BLOCKS_GOAL, RSS_GOAL_BYTES = 100, 1000, 2 * 1024 * 1024  # of caches of the interpreter and the allocator

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
CHUNKED = b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
GOOD = [
    GET % b"/now/a",
    GET % b"/soon/a?b=c",
    GET % b"/fail",
    GET % b"/refuse",
    GET % b"/nowhere",
    GET % b"/stream",
    GET % b"/files/small",
    GET % b"/files/none",
    b"GET /files/large HTTP/1.1\r\nHost: a\r\nRange: bytes=5-9,20-\r\n\r\n",
    b"HEAD /now/a HTTP/1.1\r\nHost: a\r\n\r\n",
    POST % (b"/body", 5, b"abcde"),
    POST % (b"/deaf", 5, b"abcde"),
    CHUNKED + b"3\r\nabc\r\n0\r\nA: b\r\n\r\n",
]
LAST = {
    "good": [b"GET /now/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", GET % b"/now/a", GET % b"/large"],
    "bad": [b"BAD\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", CHUNKED + b"zz\r\n", POST % (b"/body", 10**9, b""), b"\0" * 40],
    "waits": [GET % b"/wait", GET % b"/wait", GET % b"/parts"],
    "unfinished": [b"GET /no", POST % (b"/body", 100, b"abc"), CHUNKED + b"3\r\nab", POST % (b"/deaf", 100, b"a"), b""],
    "not taken": [GET % b"/large" * 8, GET % b"/files/large" * 8, GET % b"/endless"],
}


def application(folder: str) -> App:
    app = App()
    app.files("/files/*path", folder)

    @app.get("/now/:name")
    def now(request: Request) -> dict[str, str]:
        return {"name": request.params["name"]}

    @app.get("/soon/:name")
    async def soon(request: Request) -> str:
        await asyncio.sleep(0)
        return request.query["b"]

    @app.get("/fail")
    async def fail(request: Request) -> None:
        raise LookupError

    @app.get("/refuse")
    async def refuse(request: Request) -> None:
        raise HTTPError(409)

    @app.post("/body")
    async def body(request: Request) -> bytes:
        return await request.body()

    @app.post("/deaf")
    async def deaf(request: Request) -> str:
        return "heard nothing"

    @app.get("/large")
    def large(request: Request) -> bytes:
        return bytes(LARGE)

    add_endless_routes(app)
    return app


def add_endless_routes(app: App) -> None:
    async def parts(event: asyncio.Event | None) -> AsyncIterator[bytes]:
        yield b"first"
        if event is not None:
            await event.wait()
        yield b"last"

    @app.get("/wait", deadline="50ms")
    async def wait(request: Request) -> None:
        await asyncio.Event().wait()

    @app.get("/stream")
    async def stream(request: Request) -> Response:
        return Response.stream(parts(None))

    @app.get("/parts", deadline="50ms")
    async def waiting(request: Request) -> Response:
        return Response.stream(parts(asyncio.Event()))

    @app.get("/endless")
    async def endless(request: Request) -> Response:
        async def forever() -> AsyncIterator[bytes]:
            while True:
                yield bytes(LARGE)

        return Response.stream(forever())


class Crowd:
    """The server and its clients, in one thread and in turns."""

    def __init__(self, folder: str, seed: int) -> None:
        self.dice = random.Random(seed)
        self.loop = uvloop.new_event_loop()
        app = application(folder)
        settings = resolve(Layers(app={"read_timeout": "200ms", "write_timeout": "200ms"}))
        self.worker = Worker(app.build(settings), settings, self.loop, app=app)
        self.worker.ready = True
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=AT_ONCE)
        self.server = self.loop.run_until_complete(self.loop.create_server(self.worker.connection, sock=self.listening))
        self.address = self.listening.getsockname()
        self.asked = 0
        self.kinds = Counter[str]()

    def go_on_until(self, asked: int) -> None:
        while self.asked < asked:
            clients = [self.come() for _ in range(AT_ONCE)]
            self.turn(self.dice.choice((1, 3, 8)))
            for client in clients:
                self.hear(client)
            self.turn(self.dice.choice((1, 3)))
            self.end_some()
            for client in clients:
                self.leave(client)
        self.rest()

    def turn(self, times: int) -> None:
        for _ in range(times):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def come(self) -> socket.socket:
        client = socket.create_connection(self.address)
        client.setblocking(False)
        kind = self.dice.choice(list(LAST))
        self.kinds[kind] += 1
        octets = b"".join(self.dice.choices(GOOD, k=10)) + self.dice.choice(LAST[kind])
        self.asked += 11
        with contextlib.suppress(BlockingIOError):
            client.send(octets)
        return client

    def hear(self, client: socket.socket) -> None:
        if self.dice.random() < 0.8:
            with contextlib.suppress(OSError):
                while client.recv(65536):
                    pass

    def end_some(self) -> None:
        """What waits is cancelled, or comes too late; else its client leaves it alone."""
        way = self.dice.randrange(4)
        if way == 0:
            self.worker.cancel_requests("the operator wants it")
        elif way == 1:
            self.loop.call_soon(self.worker.advance, 0.06)
            self.turn(3)
        elif way == 2:
            self.loop.call_soon(self.worker.advance, 0.3)
            self.turn(3)

    def leave(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self.dice.random() < 0.3:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            elif self.dice.random() < 0.5:
                client.shutdown(socket.SHUT_WR)
                self.turn(1)
        client.close()

    def rest(self) -> None:
        """Until nobody is left; time passes for those who wait for a timeout."""
        for _ in range(QUIET_TURNS):
            self.loop.call_soon(self.worker.advance, 0.1)
            self.turn(10)
            if not self.worker.connections and not self.worker.in_flight:
                break
        self.turn(10)

    def close(self) -> None:
        self.server.close()
        self.rest()
        self.worker.close()
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def held() -> tuple[Counter[str], dict[str, int]]:
    gc.collect()
    types = Counter(type(one).__qualname__ for one in gc.get_objects())
    descriptors = len(os.listdir("/proc/self/fd"))
    figures = {"objects": types.total(), "blocks": sys.getallocatedblocks(), "descriptors": descriptors}
    return types, figures | {"resident": resident_bytes()}


def measure(count: int, seed: int) -> dict[str, Any]:
    logging.getLogger("highperf.error").disabled = True  # handlers fail on purpose
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "small").write_bytes(b"small")
        Path(folder, "large").write_bytes(bytes(LARGE))
        crowd = Crowd(folder, seed)
        crowd.go_on_until(count // 4)
        types, before = held()
        crowd.go_on_until(count)
        worker, (more_types, after) = crowd.worker, held()
        result = {
            "asked": crowd.asked,
            "served": worker.served,
            "cancelled": worker.cancelled,
            "kinds": dict(crowd.kinds),
            "left": [worker.in_flight, worker.zombies, worker.shedder.running, worker.connections, worker.pool.in_use],
            "grown": {name: after[name] - before[name] for name in before},
            "types": dict((more_types - types).most_common(5)),
        }
        crowd.close()
    return result


def leaks(result: dict[str, Any]) -> list[str]:
    """What has piled up."""
    goals = {"objects": OBJECTS_GOAL, "blocks": BLOCKS_GOAL, "descriptors": 0, "resident": RSS_GOAL_BYTES}
    found = [f"{name} grew by {result['grown'][name]:,}" for name in goals if result["grown"][name] > goals[name]]
    return found + (["something is left of a request"] if any(result["left"]) else [])


def main(count: int, seed: int = 1) -> int:
    result = measure(count, seed)
    found = leaks(result)
    print(json.dumps(result | {"leaks": found}))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
