"""A worker whose clock the test moves, and clients of it on a wire of memory.

    client = wire.connect()
    [answer] = client.ask(b"GET /now/a HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    wire.advance(60)
    assert client.gone

Nothing sleeps: the loop turns until nothing moves any more. What the loop's exception handler is
told, and what is left behind at the end, counts as a failure of the test.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from functools import cache
from typing import Any

import trustme
import uvloop

from highperf import App, Request
from highperf.config import Layers, resolve
from highperf.core.worker import Worker
from highperf.testing import MemoryTransport
from tests.answers import Answer, answers_of

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
QUIET_TURNS = 12  # so long nothing must move before it counts as quiet; a chain of wakings is shorter
PATIENCE_TURNS = 100_000
HIGH_WATER, LOW_WATER = 64 * 1024, 16 * 1024  # as a new uvloop transport has them


def post(path: bytes, body: bytes) -> bytes:
    return POST % (path, len(body), body)


def chunked(*parts: bytes, path: bytes = b"/body") -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (path, chunks)


class Client(MemoryTransport):
    """One connection, from its peer's side, and its transport in one.

    Attributes:
        writes: what the protocol wrote, call by call.
        window: how many octets the peer still takes by itself; None: all.
        half_closed: the server has sent its FIN.
        reset: the server ended it without waiting for what was still to be taken.
        reads: how much the protocol gets at a time.
    """

    def __init__(self, wire: "Wire", address: str) -> None:
        super().__init__(wire.loop, wire.worker.connection())
        self._extra["peername"] = (address, 50_000)
        self.wire = wire
        self.writes: list[bytes] = []
        self.window: int | None = None
        self.half_closed = False
        self.reset = False
        self._untaken = bytearray()
        self._high_water, self._low_water = HIGH_WATER, LOW_WATER
        self._paused = False
        self._at_eof = False

    # What a test does as the peer.

    def send(self, *pieces: bytes) -> bytes:
        """Sends pieces, one read each, and returns all that came back and was not taken yet."""
        for piece in pieces:
            self.feed(piece)
            self.wire.settle()
        return bytes(self.sent)

    def ask(self, octets: bytes, methods: Iterable[str] = ()) -> list[Answer]:
        """The whole answers to what is sent; the requests' methods matter where one is HEAD."""
        self.send(octets)
        return self.answers(methods)

    def taken(self) -> bytes:
        """What has come since the last call."""
        octets, self.sent = bytes(self.sent), bytearray()
        return octets

    def answers(self, methods: Iterable[str] = ()) -> list[Answer]:
        return answers_of(self.taken(), methods)

    def take(self, size: int | None = None) -> None:
        """The peer takes octets, or from now on all of them."""
        self.window = size
        self._pass_on()
        self.wire.settle()

    def finish_sending(self) -> None:
        """A FIN, after all that was sent."""
        self._at_eof = True
        self._loop.call_soon(self._deliver)
        self.wire.settle()

    def leave(self) -> None:
        """The peer is gone without a farewell."""
        self._lose_now()
        self.wire.settle()

    @property
    def gone(self) -> bool:
        return self.closed.done()

    @property
    def reading(self) -> bool:
        return self._reading

    @property
    def waits(self) -> bool:
        """Whether octets that were fed were not read yet."""
        return bool(self._coming)

    @property
    def held(self) -> int:
        """Octets that the server could not send yet."""
        return len(self._untaken)

    # What the protocol sees.

    def write(self, data: Any) -> None:
        assert not self.half_closed
        if self.is_closing():
            return
        self.writes.append(bytes(data))
        self._untaken += data
        self._pass_on()
        if len(self._untaken) > self._high_water and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high == 0  # the one use there is
        self._high_water = self._low_water = 0

    def get_write_buffer_size(self) -> int:
        return len(self._untaken)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        assert not self.is_closing()
        self.half_closed = True

    def close(self) -> None:
        if self._untaken:
            self._closing = True
        else:
            super().close()

    def abort(self) -> None:
        self.reset = self.reset or bool(self._untaken)
        self._untaken.clear()
        self._closing = True
        self._loop.call_soon(self._lose_now)

    # How the two meet.

    def _pass_on(self) -> None:
        size = len(self._untaken) if self.window is None else min(self.window, len(self._untaken))
        self.sent += self._untaken[:size]
        del self._untaken[:size]
        if self.window is not None:
            self.window -= size
        if self._paused and len(self._untaken) <= self._low_water:
            self._paused = False
            self._loop.call_soon(self._protocol.resume_writing)
        if self._closing and not self._untaken:
            self._loop.call_soon(self._lose_now)

    def _deliver(self) -> None:
        super()._deliver()
        if self._at_eof and self._reading and not self._closing and not self._coming:
            self._at_eof = False
            if not self._protocol.eof_received():
                self.close()

    def _lose_now(self) -> None:
        self._closing = True
        if not self.closed.done():
            self._lose()


@cache
def secure_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's, and that of clients who trust it."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


class SecureClient(Client):
    """The same connection over TLS: what is sent and received is what lies in its records.

    Attributes:
        session: the peer's end of it, which works on memory: ``leaving`` is what it wants to send.
        alert: by what the session failed.
        notified: the server has sent its close_notify.
    """

    def __init__(self, wire: "Wire", address: str, *, early: bytes = b"", hesitating: bool = False) -> None:
        """early: goes out with the end of the handshake. hesitating: the handshake begins with go_on()."""
        super().__init__(wire, address)
        self._arrived, self.leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        assert wire.trusting is not None
        self.session = wire.trusting.wrap_bio(self._arrived, self.leaving, server_hostname="localhost")
        self.alert = ""
        self.notified = False
        self._early = early
        self._ready = False
        if not hesitating:
            self._shake_hands()

    # What a test does as the peer.

    def go_on(self) -> None:
        self._shake_hands()
        self.wire.settle()

    def feed(self, octets: bytes) -> None:
        if not self.alert:
            self.session.write(octets)
            self.feed_sealed(self.leaving.read())

    def feed_sealed(self, octets: bytes) -> None:
        """What really goes over the wire."""
        super().feed(octets)

    def finish_sending(self) -> None:
        self.say_goodbye()
        self.cut()

    def say_goodbye(self) -> None:
        """close_notify, and no FIN yet."""
        with contextlib.suppress(ssl.SSLError):
            self.session.unwrap()
        self.feed_sealed(self.leaving.read())
        self.wire.settle()

    def cut(self) -> None:
        """A FIN without close_notify."""
        super().finish_sending()

    @property
    def held(self) -> int:
        held: int = self._protocol.get_write_buffer_size()
        return held

    @property
    def unsent(self) -> int:
        """Sealed octets that wait."""
        return len(self._untaken)

    # How the two meet.

    def _shake_hands(self) -> None:
        try:
            self.session.do_handshake()
            self._ready = True
            if self._early:
                self.session.write(self._early)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.alert = error.reason or ""
        if octets := self.leaving.read():
            self.feed_sealed(octets)

    def _pass_on(self) -> None:
        plain, self.sent = self.sent, bytearray()
        super()._pass_on()
        self._arrived.write(self.sent)
        self.sent = plain
        if not self._ready and not self.alert:
            self._shake_hands()
        if self._ready and not self.notified:
            self._open_records()

    def _open_records(self) -> None:
        try:
            while octets := self.session.read(1 << 20):
                self.sent += octets
            self.notified = True
        except ssl.SSLZeroReturnError:
            self.notified = True  # after the peer's
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.alert = error.reason or ""


class Stepped(Executor):
    """An executor whose calls run when the test says so, or at once."""

    def __init__(self, *, at_once: bool = False) -> None:
        self.calls: list[tuple[Future[Any], Callable[[], Any]]] = []
        self.at_once = at_once

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.calls.append((future, lambda: function(*args, **options)))
        if self.at_once:
            self.run()
        return future

    def run(self) -> None:
        calls, self.calls = self.calls, []
        for future, call in calls:
            try:
                future.set_result(call())
            except Exception as error:
                future.set_exception(error)


class Wire:
    """One worker on one loop. Routes and settings may be added until the first client connects.

    Routes that every test may use: GET /now/:name answers its name; GET /wait/:name waits until
    `open` is called with it; POST /body answers with the content; POST /deaf does not read it.

    Attributes:
        began: the names that /wait was asked for, in order.
        cancelled: the cancel_reason of each /wait that was cancelled.
        gates: what handlers wait for, by name.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, trusting: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.trusting = trusting
        self.app = App()
        self.settings: dict[str, object] = {}
        self.loop = uvloop.new_event_loop()
        self.loop.slow_callback_duration = 60  # a busy machine is no warning of ours
        self.noise: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.noise.append(context))
        self.began: list[str] = []
        self.cancelled: list[str | None] = []
        self.gates: dict[str, asyncio.Future[str]] = {}
        self.clients: list[Client] = []
        self._worker: Worker | None = None
        self._add_routes()

    def _add_routes(self) -> None:
        @self.app.get("/now/:name")
        async def now(request: Request) -> str:
            return request.params["name"]

        @self.app.get("/wait/:name")
        async def wait(request: Request) -> str:
            self.began.append(request.params["name"])
            try:
                return await self.gate(request.params["name"])
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
    def scheme(self) -> str:
        return "http" if self.tls is None else "https"

    @property
    def worker(self) -> Worker:
        if self._worker is None:
            settings = resolve(Layers(app=self.settings))
            router = self.app.build(settings)
            self._worker = Worker(router, settings, self.loop, app=self.app, fallback=self.app.fallback, tls=self.tls)
            self._worker.ready = True
            self._worker.advance(0)
        return self._worker

    def connect(self, address: str = "192.0.2.1") -> Client:
        client = Client(self, address) if self.tls is None else SecureClient(self, address)
        self.clients.append(client)
        self.settle()
        client.writes.clear()  # of the handshake
        return client

    def gate(self, name: str) -> asyncio.Future[str]:
        """For handlers of the test: a future that `open` ends."""
        gate = self.gates[name] = self.loop.create_future()
        return gate

    def open(self, name: str, answer: str = "") -> None:
        """Lets what waits at this gate go on; /wait/name answers with its name, or with something else."""
        self.gates.pop(name).set_result(answer or name)
        self.settle()

    def tasks(self) -> set[asyncio.Task[Any]]:
        """What still runs."""
        return asyncio.all_tasks(self.loop)

    def advance(self, seconds: float) -> None:
        """Moves the clock, and the worker does what is due."""
        self.loop.call_soon(self.worker.advance, seconds)
        self.settle()

    def drift(self, seconds: float) -> None:
        """Moves the clock while the worker looks elsewhere."""
        self.worker.advance(seconds, tick=False)

    def settle(self) -> None:
        """Turns the loop until nothing moves any more."""
        self.loop.run_until_complete(self._turn_until_quiet())

    async def _turn_until_quiet(self) -> None:
        quiet, before = 0, None
        for _ in range(PATIENCE_TURNS):
            await asyncio.sleep(0)
            now = self._state()
            quiet = quiet + 1 if now == before else 0
            if quiet == QUIET_TURNS:
                return
            before = now
        raise AssertionError("it never comes to rest")

    def _state(self) -> object:
        worker = self.worker
        clients = [(len(one.sent), len(one._untaken), len(one._coming), one.closed.done()) for one in self.clients]
        return clients, worker.served, worker.in_flight, worker.connections

    def close(self) -> None:
        """Ends every connection; nothing may be left of any request."""
        self.worker.abort()
        self.settle()
        assert self.worker.connections == 0
        assert self.worker.in_flight == 0
        assert self.worker.answering == 0
        assert self.worker.shedder.running == 0
        assert self.worker.zombies == 0
        assert self.worker.pool.in_use == 0
        self.worker.close()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        assert not asyncio.all_tasks(self.loop)
        self.loop.close()
        assert not self.noise
