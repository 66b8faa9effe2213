"""A worker on real sockets, in the process of the test, and what a client of it needs."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from highperf import App
from highperf.config import Layers, resolve
from highperf.core.worker import Worker

PATIENCE_S = 20.0
KIB = 1024
MEETING = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
MEETINGS = 2  # after the second request a connection is read from by the worker itself, not by its transport

Talk = Callable[[socket.socket], Awaitable[Any]]


class Listening:
    """A worker behind a socket on loopback, on a loop of its own.

    familiar: connections have had some requests answered before a test gets them.
    """

    def __init__(self, app: App, tls: ssl.SSLContext | None = None, *, familiar: bool = False) -> None:
        self.familiar = familiar
        self.loop = uvloop.new_event_loop()
        self.noise: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.noise.append(context))
        self.worker = Worker(app.build(), resolve(Layers(app=app.defaults)), self.loop, app=app, tls=tls)
        self.worker.ready = True

    def talk(self, function: Talk) -> Any:
        """Runs function with a connected, non-blocking socket; then all connections must end."""

        async def run() -> Any:
            server = await self.loop.create_server(self.worker.connection, "127.0.0.1", 0)
            try:
                with socket.socket() as client:
                    client.setblocking(False)
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is sent has then arrived
                    await self.loop.sock_connect(client, server.sockets[0].getsockname())
                    if self.familiar:
                        await self.meet(client)
                    result = await function(client)
                await self.until(lambda: not self.worker.connections)
                return result
            finally:
                server.close()
                await server.wait_closed()

        return self.loop.run_until_complete(asyncio.wait_for(run(), PATIENCE_S))

    async def meet(self, client: socket.socket) -> None:
        for _ in range(MEETINGS):
            await self.loop.sock_sendall(client, MEETING)
            octets = b""
            while not octets.endswith(b"\r\n\r\nok"):
                octets += await self.loop.sock_recv(client, KIB)

    async def until(self, holds: Callable[[], Any]) -> None:
        for _ in iter(lambda: bool(holds()), True):
            await asyncio.sleep(0)

    async def receive(self, client: socket.socket) -> bytes:
        """All up to the FIN."""
        octets = bytearray()
        while part := await self.loop.sock_recv(client, 64 * KIB):
            octets += part
        return bytes(octets)

    async def ask(self, client: socket.socket, octets: bytes) -> bytes:
        sending = asyncio.ensure_future(self.loop.sock_sendall(client, octets))
        answers = await self.receive(client)
        await sending
        return answers

    def close(self) -> None:
        assert self.worker.connections == 0
        assert self.worker.in_flight == 0
        assert self.worker.pool.in_use == 0
        self.worker.close()
        self.loop.close()
        assert not self.noise


class SecureSocket:
    """A client's end of TLS, by hand: uvloop's own loses what it has not read yet when the FIN comes."""

    def __init__(self, client: socket.socket, context: ssl.SSLContext) -> None:
        self.client = client
        self.loop = asyncio.get_running_loop()
        self.arrived, self.leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self.arrived, self.leaving, server_hostname="localhost")

    async def ask(self, octets: bytes) -> bytes:
        """All that is answered up to close_notify."""
        await self.wanting(self.session.do_handshake)
        self.session.write(octets)
        received = bytearray()
        while part := await self.wanting(lambda: self.session.read(64 * KIB)):
            received += part
        return bytes(received)

    async def wanting(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                await self.loop.sock_sendall(self.client, self.leaving.read())
                self.arrived.write(await self.loop.sock_recv(self.client, 64 * KIB))
            else:
                await self.loop.sock_sendall(self.client, self.leaving.read())
                return done
