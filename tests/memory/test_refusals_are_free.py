"""What a refusal costs beside its octets: no Python frame, and no memory, not even for a moment.

The requests come over a socket, so that the way to the system is the compiled one that a server takes.
Counted are all calls of Python's allocators, and what the C library's allocator holds more afterwards.
"""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from types import FrameType, ModuleType
from typing import Any

import pytest
import uvloop

from highperf import App, HTTPError, RateLimit, Request
from highperf.config import Layers, resolve
from highperf.core.worker import Worker
from tests import compiled
from tests.answers import Answer, split_answers

TOGETHER = 5  # requests in one read: their answers leave in one piece
READS = 20  # so many that the socket holds their answers
ROUND = (1 + READS) * TOGETHER
ROUNDS = 10
WARM_UP_ROUNDS = 5  # to have told every number of seconds: there are two

pytestmark = pytest.mark.release_build


def get(path: bytes, *fields: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\n%b\r\n" % (path, b"".join(field + b"\r\n" for field in (b"Host: a", *fields)))


HEAD = b"HEAD /second HTTP/1.1\r\nHost: a\r\n\r\n"
CONTENT = b"POST /second HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\n" + b"x" * 300

# Request, status, reason.
KINDS = {
    "rate limit": (get(b"/second"), 429, "rate_limit"),
    "rate limit with a long wait": (get(b"/hour"), 429, "rate_limit"),
    "rate limit with a wait of weeks": (get(b"/month"), 429, "rate_limit"),
    "rate limit by client": (get(b"/client"), 429, "rate_limit"),
    "rate limit by forwarded client": (
        get(b"/client", b"X-Forwarded-For: 2001:db8::7, 203.0.113.7:80, ::1", b"X-Forwarded-Proto: https"),
        429,
        "rate_limit",
    ),
    "rate limit by forwarded client in the standard's field": (
        get(b"/client", b'Forwarded: for="[2001:db8::7]:80";proto=https, for=127.0.0.1'),
        429,
        "rate_limit",
    ),
    "rate limit by contradictory clients": (
        get(b"/client", b"X-Forwarded-For: 203.0.113.7", b"Forwarded: for=203.0.113.8"),
        429,
        "rate_limit",
    ),
    "rate limit by header": (get(b"/header", b"X-Key: somebody"), 429, "rate_limit"),
    "two rate limits": (get(b"/two", b"X-Key: somebody"), 429, "rate_limit"),
    "rate limit and content": (CONTENT, 429, "rate_limit"),
    "rate limit of a HEAD request": (HEAD, 429, "rate_limit"),
    "path with quotes": (get(b'/any/"%41/"'), 429, "rate_limit"),
    "open breaker": (get(b"/broken"), 503, "breaker"),
    "room of the route": (get(b"/narrow"), 503, "route_concurrency"),
    "client without time": (get(b"/free", b"Request-Timeout: 0"), 503, "deadline_unstarted"),
}


def application() -> App:
    app = App()

    def served(request: Request) -> str:
        return "served"

    app.route("/second", ["GET", "POST"], rate_limit=RateLimit("1/s", capacity=1, name="second"))(served)
    app.get("/hour", rate_limit="1/h")(served)
    app.get("/month", rate_limit=RateLimit("1/h", capacity=700, cost=700))(served)
    app.get("/client", rate_limit=RateLimit("2/m", by="client"))(served)
    app.get("/header", rate_limit=RateLimit("2/m", by="header:X-Key"))(served)
    app.get("/two", rate_limit=[RateLimit("9/s", by="client"), RateLimit("2/m", by="header:X-Key")])(served)
    app.get("/any/*rest", rate_limit="1/m")(served)
    app.get("/free")(served)

    @app.get("/wait")
    @app.get("/narrow", limit_concurrency=1)
    async def narrow(request: Request) -> None:
        await asyncio.get_running_loop().create_future()

    @app.get("/broken", breaker=app.breaker("db", failures=1))
    def broken(request: Request) -> None:
        raise HTTPError(500)

    return app


class Asked:
    """A worker with one connection over the loopback, whose protocol is handed each read by the test."""

    def __init__(self, probe: ModuleType, **settings: object) -> None:
        self.probe = probe
        self.loop = uvloop.new_event_loop()
        app = application()
        resolved = resolve(Layers(app=settings))
        self.worker = Worker(app.build(resolved), resolved, self.loop, app=app)
        self.worker.ready = True
        self.worker.advance(0)
        self.protocols: list[Any] = []
        self.server = self.loop.run_until_complete(self.loop.create_server(self.accept, "127.0.0.1", 0))
        self.client = self.connect()
        self.others: list[socket.socket] = []

    def accept(self) -> Any:
        self.protocols.append(self.worker.connection())
        return self.protocols[-1]

    def connect(self) -> socket.socket:
        client = socket.create_connection(self.server.sockets[0].getsockname())
        connected = self.worker.connections + 1
        while self.worker.connections < connected:
            self.turn()
        return client

    def turn(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))

    def in_the_loop(self, function: Callable[[], Any]) -> Any:
        """What it returns, called as a callback of the loop."""

        async def called() -> None:
            self.loop.call_soon(lambda: result.set_result(function()))

        result = self.loop.create_future()
        self.loop.run_until_complete(called())
        return self.loop.run_until_complete(result)

    def hand(self, octets: bytes, call: Callable[[Any, int], Any], protocol: int = 0) -> Any:
        """Lays octets where a read does, and has buffer_updated called."""
        self.protocols[protocol].get_buffer(-1)[: len(octets)] = octets
        return call(self.protocols[protocol].buffer_updated, len(octets))

    def occupy(self, path: bytes, count: int = 1) -> None:
        """So many requests that wait, each on a connection of its own."""
        for _ in range(count):
            self.others.append(self.connect())
            self.in_the_loop(lambda: self.hand(get(path), lambda update, size: update(size), -1))

    def taken(self) -> bytes:
        octets = b""
        self.client.setblocking(False)
        try:
            while True:
                octets += self.client.recv(2**20)
        except BlockingIOError:
            return octets

    def ask(self, octets: bytes, measure: Callable[[Any, int], Any]) -> tuple[list[Any], list[Answer]]:
        """What a measure of each round says, and the answers of the last one."""
        measured = []
        method = octets.split(b" ", 1)[0].decode()

        def hand() -> None:
            # The first request for some time has the loop watched, from a timer that is made then.
            self.hand(octets * TOGETHER, lambda update, size: update(size))
            measured.append(self.hand(octets * TOGETHER, measure))

        for number in range(WARM_UP_ROUNDS + ROUNDS):
            self.in_the_loop(hand)
            if number == 0:
                self.worker.advance(0.3)  # so that with jitter, two numbers of seconds are about as frequent
            answers, rest = split_answers(self.taken(), [method] * ROUND)
            assert not rest
            assert len(answers) == ROUND
        return measured[WARM_UP_ROUNDS:], answers

    def allocations(self, update: Any, size: int) -> tuple[int, int]:
        return self.probe.count(update, size, READS)

    def frames(self, update: Any, size: int) -> list[str]:
        """The names of Python's functions that ran."""
        names: list[str] = []

        def note(frame: FrameType, event: str, argument: object) -> None:
            if event == "call":
                names.append(frame.f_code.co_qualname)

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            self.probe.call(update, size, READS)
        finally:
            sys.setprofile(before)
        return names

    def close(self) -> None:
        self.worker.abort()
        self.server.close()
        for client in (self.client, *self.others):
            client.close()
        while self.worker.connections or self.worker.in_flight:
            self.turn()
        self.worker.close()
        self.loop.run_until_complete(self.server.wait_closed())
        self.loop.close()


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> ModuleType:
    return compiled.load(pytestconfig, "tests/memory/allocations_probe.pyx")


@pytest.fixture
def asked(probe: ModuleType, request: pytest.FixtureRequest) -> Iterator[Asked]:
    asked = Asked(probe, **getattr(request, "param", {}))
    yield asked
    asked.close()


def assert_free(asked: Asked, request: bytes, status: int, reason: str) -> None:
    refused = asked.worker.refused[reason]
    allocations, answers = asked.ask(request, asked.allocations)
    assert {answer.status for answer in answers} == {status}
    assert allocations == [(0, 0)] * ROUNDS
    frames, answers = asked.ask(request, asked.frames)
    assert {answer.status for answer in answers} == {status}
    assert frames == [[]] * ROUNDS
    total = 2 * (WARM_UP_ROUNDS + ROUNDS) * ROUND
    assert total - 2 <= asked.worker.refused[reason] - refused <= total  # what a bucket holds, or fails, is served


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_runs_no_python_and_takes_no_memory(asked: Asked, kind: str) -> None:
    asked.occupy(b"/narrow")
    assert_free(asked, *KINDS[kind])


@pytest.mark.parametrize("asked", [{"limit_concurrency": 3}], indirect=True)
def test_a_refusal_for_want_of_room_is_free(asked: Asked) -> None:
    asked.occupy(b"/wait", 3)
    assert_free(asked, get(b"/free"), 503, "concurrency")


@pytest.mark.parametrize("asked", [{"rate_limit_rps": 0.1, "rate_limit_capacity": 1}], indirect=True)
@pytest.mark.parametrize("path", [b"/free", b"/nothing/is/here"])
def test_a_refusal_by_the_limit_of_the_server_is_free_wherever_it_leads(asked: Asked, path: bytes) -> None:
    assert_free(asked, get(path), 429, "rate_limit")


def test_a_refusal_while_a_queue_stands_is_free(asked: Asked) -> None:
    hand = asked.hand

    def hand_late(octets: bytes, call: Callable[[Any, int], Any], protocol: int = 0) -> Any:
        asked.worker.begin_turn()
        asked.worker.end_turn()
        asked.worker.advance(0.2, tick=False)
        asked.worker.end_turn()
        asked.worker.advance(0.2, tick=False)
        asked.worker.describe_requests()  # looks at the clock; a fifth of a second, so that the pool keeps what is used
        return hand(octets, call, protocol)

    asked.hand = hand_late  # type: ignore[method-assign]
    assert_free(asked, get(b"/free"), 503, "queue_delay")


def test_what_is_served_is_seen_by_both_measures(asked: Asked) -> None:
    frames, _ = asked.ask(get(b"/free"), asked.frames)
    allocations, answers = asked.ask(get(b"/free"), asked.allocations)
    assert {answer.status for answer in answers} == {200}
    assert all(len(names) == READS * TOGETHER for names in frames)
    assert all(asked_for >= READS * TOGETHER for asked_for, _ in allocations)
