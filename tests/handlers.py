"""Runs handlers in this process, through the real parser, router and connection, without a socket.

    with Served(handler) as served:                 # answers every method on every path
        peer = served.connect()
        peer.send(GET)
        served.until(lambda: peer.answers)
        assert peer.answers[0].content == b"..."

The loop turns only inside until() and turn(), so a test decides what happens between two turns. What
the loop's exception handler is told counts as a failure of the test.
"""

import asyncio
import gc
from collections.abc import Callable
from typing import Any, Self

import uvloop

from highperf import App
from highperf.config import Layers, resolve
from highperf.core.worker import Worker
from highperf.testing import MemoryTransport, TestResponse
from tests.answers import Answer, split_answers

PATIENCE_S = 10.0  # no test waits this long unless something is broken
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def debugging_uvloop() -> asyncio.AbstractEventLoop:
    loop = uvloop.new_event_loop()
    loop.set_debug(True)
    return loop


def debugging_asyncio() -> asyncio.AbstractEventLoop:
    loop = asyncio.SelectorEventLoop()
    loop.set_debug(True)
    return loop


LOOPS: dict[str, LoopFactory] = {
    "uvloop": uvloop.new_event_loop,
    "uvloop-debug": debugging_uvloop,
    "asyncio-debug": debugging_asyncio,
}


class Peer:
    """The other end of one connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop, worker: Worker) -> None:
        self._transport = MemoryTransport(loop, worker.connection())

    def send(self, octets: bytes) -> None:
        self._transport.feed(octets)

    def leave(self) -> None:
        """Is gone, without a farewell."""
        self._transport.abort()

    @property
    def received(self) -> bytes:
        return bytes(self._transport.sent)

    @property
    def closed(self) -> bool:
        return self._transport.closed.done()

    @property
    def answers(self) -> list[Answer]:
        """The whole answers to GETs that have come so far."""
        return split_answers(self.received)[0]


class Served:
    """An app, or one handler, on a loop of its own."""

    def __init__(
        self, app: App | Callable[[Any], Any], new_loop: LoopFactory = uvloop.new_event_loop, *, noisy: bool = False
    ) -> None:
        if not isinstance(app, App):
            handler, app = app, App(health=False)
            app.route("/*path", methods="*")(handler)
        self.app = app
        self.loop = new_loop()
        self.noisy = noisy  # what the loop's exception handler is told does not matter
        self.noise: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.noise.append(context))
        settings = resolve(Layers(app=app.defaults))
        self.worker = Worker(app.build(settings), settings, self.loop, app=app, fallback=app.fallback)
        self.loop.run_until_complete(app.startup())
        self.worker.ready = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            self.worker.abort()
            self.until(lambda: not self.worker.in_flight and not self.worker.connections)
            self.loop.run_until_complete(self.app.shutdown())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.worker.close()
        finally:
            self.loop.close()
        if kind is None and not self.noisy:
            gc.collect()
            assert not self.noise

    def connect(self) -> Peer:
        return Peer(self.loop, self.worker)

    def until(self, holds: Callable[[], Any]) -> None:
        """Turns the loop until this holds."""
        deadline = self.loop.time() + PATIENCE_S
        while not holds():
            assert self.loop.time() < deadline, "nothing happens any more"
            self.turn()

    def turn(self) -> None:
        """One turn of the loop: what is ready runs."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def get(self) -> TestResponse:
        """The answer to GET / on a connection of its own, which stays open."""
        peer = self.connect()
        peer.send(GET)
        self.until(lambda: peer.closed or peer.answers)
        return peer.answers[0]
