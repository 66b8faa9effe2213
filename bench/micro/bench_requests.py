"""The whole way of a request, from its octets to its answer's, without a socket.

Parsing, routing, the handler, JSON and the answer's head are all in the figures. `seed` is the
service that this project replaces, as measured by itself: its handlers alone, without parsing.
"""

import asyncio
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any

import orjson
import pytest
import uvloop

from bench.micro.null_transport import NullTransport, exchange, feeding_loop
from highperf.config import Settings
from highperf.core.cycle import Route
from highperf.core.request import Request
from highperf.core.worker import Worker
from highperf.observe.traces import TraceSource
from highperf.wire.buffers import BufferPool
from highperf.wire.response import Response
from highperf.wire.router import Router

GROUP = "whole requests"
HOST = b"Host: 127.0.0.1:8080\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
NOTHING = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
GET_USER = b"GET /users/42 HTTP/1.1\r\n" + HOST + b"\r\n"
BODY = b'{"name":"Ada","email":"ada@example.com"}'
POST_USER = (
    b"POST /users HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)
BROWSER = (
    b"GET /users/42?from=menu HTTP/1.1\r\n" + HOST + b"Connection: keep-alive\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    b"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Referer: http://127.0.0.1:8080/menu\r\nCookie: session=0123456789abcdef; theme=dark\r\n"
    b"Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n\r\n"
)
UNSAMPLED = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\r\n\r\n"
NOBODY: Any = object()  # records, but is never asked to
USER = {"id": "42", "name": "User 42", "email": "user42@example.com"}


async def get_user(request: Request) -> dict[str, str]:
    uid = request.params["id"]
    return {"id": uid, "name": f"User {uid}", "email": f"user{uid}@example.com"}


async def nothing(request: Request) -> str:
    return ""


async def create_user(request: Request) -> Response:
    user = await request.json()
    return Response.json({"id": "1", "name": user["name"], "email": user["email"]}, status=201)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = uvloop.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture
def worker(loop: asyncio.AbstractEventLoop) -> Worker:
    router = Router()
    router.add("GET", "/healthz", Route("/healthz", None, answers="health"))
    router.add("GET", "/", Route("/", nothing))
    router.add("GET", "/users/:id", Route("/users/:id", get_user))
    router.add("POST", "/users", Route("/users", create_user))
    return Worker(router, Settings(), loop)


class Client:
    """Sends one request over and over on one connection, inside a callback of the event loop."""

    def __init__(self, worker: Worker, request: bytes, answer: tuple[int, bytes], depth: int) -> None:
        self.loop = worker.loop
        self.request, self.answer, self.depth = request * depth, answer, depth
        self.transport, self.protocol = NullTransport(), worker.connection()
        self.protocol.connection_made(self.transport)
        self.check()
        self.feed = feeding_loop(self.protocol, self.request)

    def check(self) -> None:
        status, body = self.answer
        got = exchange(self.protocol, self.transport, self.request)
        assert got.count(b"HTTP/1.1 %d " % status) == self.depth, got
        assert got.count(b"\r\n\r\n" + body) == self.depth, got

    def run(self, calls: int) -> None:
        self.loop.call_soon(self.in_the_loop, calls // self.depth)
        self.loop.run_forever()

    def in_the_loop(self, reads: int) -> None:
        self.feed(reads)
        self.loop.stop()


@pytest.fixture
def send(worker: Worker, tight: Any) -> Iterator[Callable[..., None]]:
    """Measures one kind of request; the answers must be right before and after."""
    clients = []

    def measure(request: bytes, status: int, body: bytes, *, depth: int = 1, **figures: Any) -> None:
        clients.append(Client(worker, request, (status, body), depth))
        tight(clients[-1].run, **figures)

    yield measure
    for client in clients:
        client.check()


def bench_the_feeding_alone(tight: Any) -> None:
    """What of the figures below belongs to the harness."""

    class Nothing:
        get_buffer = staticmethod(callable)
        buffer_updated = staticmethod(callable)

    get_buffer, buffer_updated = Nothing.get_buffer, Nothing.buffer_updated

    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            get_buffer(-1)
            buffer_updated(80)

    tight(loop)


def bench_healthz(send: Any) -> None:
    send(HEALTH, 200, b"ok", goal_ns=500, seed=(800, 4))


def bench_healthz_pipelined_16(send: Any) -> None:
    send(HEALTH, 200, b"ok", depth=16)


def bench_nothing(send: Any) -> None:
    """A handler with nothing in it."""
    send(NOTHING, 200, b"")


def bench_get_user(send: Any) -> None:
    send(GET_USER, 200, orjson.dumps(USER), goal_ns=1000, seed=(2400, 12))


def bench_get_user_not_sampled(worker: Worker, send: Any) -> None:
    """With traces on: what that costs those who are not recorded must stay below 50 ns."""
    worker.record(NOBODY, TraceSource("parentbased_traceidratio", 0.0))
    send(GET_USER, 200, orjson.dumps(USER))


def bench_get_user_not_sampled_by_its_caller(worker: Worker, send: Any) -> None:
    worker.record(NOBODY, TraceSource("parentbased_traceidratio", 0.0))
    send(GET_USER[:-2] + UNSAMPLED, 200, orjson.dumps(USER))


def bench_get_user_from_a_browser(send: Any) -> None:
    send(BROWSER, 200, orjson.dumps(USER))


def bench_post_user(send: Any) -> None:
    send(POST_USER, 201, orjson.dumps({"id": "1", "name": "Ada", "email": "ada@example.com"}))


def bench_marshal_to_buffer(tight: Any) -> None:
    """JSON into a buffer of the pool, as the Go service does it."""
    pool = BufferPool()
    acquire, release, dumps = pool.acquire, pool.release, orjson.dumps

    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            buffer = acquire()
            buffer.write(dumps(USER))
            release(buffer)

    def orjson_alone(calls: int) -> None:
        for _ in repeat(None, calls):
            dumps(USER)

    tight(loop, goal_ns=250, against={"orjson alone": orjson_alone}, seed=(1600, 6))
    assert (pool.misses, pool.in_use) == (1, 0)
