"""The connection on real sockets: send(2) beside the transport, resets, FINs, TLS."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import uvloop

from highperf import App, Request, Response
from highperf.config import Layers, resolve
from highperf.core.worker import Worker
from tests.answers import answers_of, split_answers
from tests.protocol.harness import GET, chunked, post

PATIENCE_S = 20.0
KIB = 1024
LARGE = bytes(range(256)) * 12 * KIB  # 3 MiB: more than the system takes at once
CLOSE = b"GET /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

Talk = Callable[[socket.socket], Awaitable[Any]]


def application() -> App:
    app = App(limit_request_body="64k")

    @app.get("/now")
    def now(request: Request) -> str:
        return "now"

    @app.get("/soon")
    async def soon(request: Request) -> str:
        await asyncio.sleep(0)
        return "soon"

    @app.get("/large")
    def large(request: Request) -> bytes:
        return LARGE

    @app.get("/stream")
    async def stream(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for start in range(0, len(LARGE), 50_000):
                yield LARGE[start : start + 50_000]

        return Response.stream(parts())

    @app.get("/failing")
    async def failing(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"part"
            raise LookupError

        return Response.stream(parts())

    @app.get("/never")
    async def never(request: Request) -> None:
        await asyncio.get_running_loop().create_future()

    @app.post("/body")
    async def body(request: Request) -> bytes:
        return await request.body()

    return app


class Listening:
    """A worker behind a socket on loopback, on a loop of its own."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        app = application()
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
                    await self.loop.sock_connect(client, server.sockets[0].getsockname())
                    result = await function(client)
                await self.until(lambda: not self.worker.connections)
                return result
            finally:
                server.close()
                await server.wait_closed()

        return self.loop.run_until_complete(asyncio.wait_for(run(), PATIENCE_S))

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


@pytest.fixture
def listening() -> Iterator[Listening]:
    listening = Listening()
    yield listening
    listening.close()


def test_small_and_large_answers_come_in_order(listening: Listening) -> None:
    requests = (GET % b"/now" + GET % b"/large" + GET % b"/soon" + GET % b"/stream") * 2 + CLOSE
    answers = answers_of(listening.talk(lambda client: listening.ask(client, requests)))
    assert [answer.content for answer in answers] == [b"now", LARGE, b"soon", LARGE] * 2 + [b"now"]


def test_slow_reader_gets_all_in_order(listening: Listening) -> None:
    async def slow(client: socket.socket) -> bytes:
        await listening.loop.sock_sendall(client, GET % b"/large" + GET % b"/stream" + GET % b"/soon" + CLOSE)
        octets = bytearray()
        while part := await listening.loop.sock_recv(client, 10_000):
            octets += part
            await asyncio.sleep(0)
        return bytes(octets)

    answers = answers_of(listening.talk(slow))
    assert [answer.content for answer in answers] == [LARGE, LARGE, b"soon", b"now"]


def test_slow_reader_is_given_its_time_though_the_system_holds_much_for_it(listening: Listening) -> None:
    async def read_a_little(client: socket.socket) -> int:
        listening.worker.advance(0)
        await listening.loop.sock_sendall(client, GET % b"/large" * 4)
        taken = len(await listening.loop.sock_recv(client, KIB))
        for _ in range(6):
            listening.worker.advance(1.5)
            taken += len(await listening.loop.sock_recv(client, 200 * KIB))
            for _ in range(20):
                await asyncio.sleep(0)
        assert listening.worker.connections == 1
        listening.worker.advance(2.1)
        listening.worker.advance(2.1)
        return taken

    assert listening.talk(read_a_little) < 1300 * KIB


def test_body_larger_than_a_read(listening: Listening) -> None:
    body = bytes(range(256)) * 250
    octets = post(b"/body", body) + chunked(body[:1000], body[1000:]) + CLOSE
    answers = answers_of(listening.talk(lambda client: listening.ask(client, octets)))
    assert [answer.content for answer in answers] == [body, body, b"now"]


@pytest.mark.parametrize("more", [0, 100, 200_000])
def test_refusal_reaches_a_peer_that_goes_on_sending(listening: Listening, more: int) -> None:
    octets = b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + bytes(more)
    [answer] = answers_of(listening.talk(lambda client: listening.ask(client, octets)))
    assert (answer.status, answer.closes) == (413, True)


def test_half_closed_peer_gets_its_answers(listening: Listening) -> None:
    async def half_close(client: socket.socket) -> bytes:
        await listening.loop.sock_sendall(client, GET % b"/soon" + GET % b"/large" + GET % b"/stream" + GET % b"/now")
        client.shutdown(socket.SHUT_WR)
        return await listening.receive(client)

    answers = answers_of(listening.talk(half_close))
    assert [answer.content for answer in answers] == [b"soon", LARGE, LARGE, b"now"]


@pytest.mark.parametrize("path", [b"/large", b"/stream", b"/never", b"/now"])
def test_reset_in_the_middle(listening: Listening, path: bytes) -> None:
    async def reset(client: socket.socket) -> None:
        await listening.loop.sock_sendall(client, GET % path * 3)
        if path == b"/never":
            await listening.until(lambda: listening.worker.in_flight)
        else:
            await listening.loop.sock_recv(client, 10)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    listening.talk(reset)


def test_stream_that_fails_is_seen_to_be_cut(listening: Listening) -> None:
    octets = listening.talk(lambda client: listening.ask(client, GET % b"/failing"))
    answers, rest = split_answers(octets)
    assert not answers
    assert rest.endswith(b"part\r\n")


def test_unix_sockets_have_no_peer_name(listening: Listening) -> None:
    async def run() -> bytes:
        here, there = socket.socketpair()
        here.setblocking(False)
        await listening.loop.connect_accepted_socket(listening.worker.connection, there)
        with here:
            octets = await listening.ask(here, GET % b"/large" + b"bad\r\n")
        await listening.until(lambda: not listening.worker.connections)
        return octets

    answers = answers_of(listening.loop.run_until_complete(asyncio.wait_for(run(), PATIENCE_S)))
    assert [answer.status for answer in answers] == [200, 400]


def test_request_that_arrived_before_the_end_of_a_drain_is_served(listening: Listening) -> None:
    # The loop was busy: the idle connection is due before what came on it was read.
    async def come_late(client: socket.socket) -> bytes:
        await listening.loop.sock_sendall(client, GET % b"/now")
        first = await listening.loop.sock_recv(client, KIB)
        listening.worker.advance(0)
        listening.worker.begin_drain()
        client.send(GET % b"/soon")
        listening.worker.advance(0.3)
        return first + await listening.receive(client)

    answers = answers_of(listening.talk(come_late))
    assert [(answer.text, answer.closes) for answer in answers] == [("now", False), ("soon", True)]
    assert listening.worker.dropped == 0


@pytest.mark.parametrize("cut", [10, -5], ids=["head", "body"])
def test_request_whose_octets_have_arrived_is_not_late_though_the_loop_is(listening: Listening, cut: int) -> None:
    octets = b"POST /body HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 10\r\n\r\n0123456789"

    async def send(client: socket.socket) -> bytes:
        listening.worker.advance(0)
        await listening.loop.sock_sendall(client, octets[:cut])
        await listening.until(lambda: listening.worker.connections)
        for _ in range(20):
            await asyncio.sleep(0)
        client.send(octets[cut:])
        listening.worker.advance(5)
        return await listening.receive(client)

    [answer] = answers_of(listening.talk(send))
    assert (answer.status, answer.text) == (200, "0123456789")


def test_head_whose_octets_come_at_the_last_moment_gains_a_quarter_of_a_second_once(listening: Listening) -> None:
    async def drip(client: socket.socket) -> bytes:
        worker = listening.worker
        worker.advance(0)
        client.send(b"G")
        await listening.until(lambda: worker.connections)
        for octet in b"ET /now":
            for _ in range(20):
                await asyncio.sleep(0)
            client.send(bytes([octet]))
            worker.advance(2 if octet == b"E"[0] else 0.05)
        return await listening.receive(client)

    assert [answer.status for answer in answers_of(listening.talk(drip))] == [408]


def test_peer_that_takes_nothing_is_reset_so_that_the_system_forgets_what_it_kept(listening: Listening) -> None:
    async def stare(client: socket.socket) -> None:
        worker = listening.worker
        worker.advance(0)
        await listening.loop.sock_sendall(client, GET % b"/large" * 4)
        await listening.until(lambda: worker.connections)
        for _ in range(50):
            await asyncio.sleep(0)
        worker.advance(2.1)
        worker.advance(2.1)
        await listening.until(lambda: not worker.connections)
        with pytest.raises(ConnectionResetError):
            await listening.receive(client)

    listening.talk(stare)


def test_answer_that_fails_is_seen_to_be_cut_where_only_the_end_of_the_connection_ends_it(
    listening: Listening,
) -> None:
    octets = b"GET /failing HTTP/1.0\r\n\r\n"
    with pytest.raises(ConnectionResetError):
        listening.talk(lambda client: listening.ask(client, octets))


# ---- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
def secured(tls_contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[Listening]:
    listening = Listening(tls_contexts[0])
    yield listening
    listening.close()


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


def test_answers_over_tls(secured: Listening, trusting: ssl.SSLContext) -> None:
    octets = GET % b"/now" + GET % b"/large" + GET % b"/soon" + GET % b"/stream" + post(b"/body", b"x") + CLOSE
    received = secured.talk(lambda client: SecureSocket(client, trusting).ask(octets))
    assert [answer.content for answer in answers_of(received)] == [b"now", LARGE, b"soon", LARGE, b"x", b"now"]


@pytest.mark.parametrize("octets", [b"bad\r\n", CLOSE + b"more", GET % b"/now" + b"bad\r\n"])
def test_connection_ends_over_tls(secured: Listening, trusting: ssl.SSLContext, octets: bytes) -> None:
    received = secured.talk(lambda client: SecureSocket(client, trusting).ask(octets))
    assert answers_of(received)[-1].closes


def test_peer_that_closes_over_tls(
    secured: Listening, trusting: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave(client: socket.socket) -> None:
        secure = SecureSocket(client, trusting)
        await secure.wanting(secure.session.do_handshake)
        await secure.wanting(lambda: secure.session.write(GET % b"/never"))
        await secured.until(lambda: secured.worker.in_flight)

    secured.talk(leave)
    assert secured.worker.cancelled == 1
    assert not caplog.records
