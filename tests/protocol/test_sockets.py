"""The connection on real sockets: send(2) beside the transport, resets, FINs, TLS."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterator

import pytest

from highperf import App, Request, Response
from tests.answers import answers_of, split_answers
from tests.protocol.harness import GET, chunked, post
from tests.protocol.listening import KIB, PATIENCE_S, Listening, SecureSocket

LARGE = bytes(range(256)) * 12 * KIB  # 3 MiB: more than the system takes at once
CLOSE = b"GET /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


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


@pytest.fixture(params=[False, True], ids=["new", "familiar"])
def listening(request: pytest.FixtureRequest) -> Iterator[Listening]:
    listening = Listening(application(), familiar=request.param)
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


@pytest.mark.parametrize("path", [b"/now", b"/soon", b"/large"])
def test_request_that_comes_together_with_its_peers_fin_is_answered(listening: Listening, path: bytes) -> None:
    async def leave(client: socket.socket) -> bytes:
        client.send(GET % path)
        client.shutdown(socket.SHUT_WR)
        return await listening.receive(client)

    assert [answer.status for answer in answers_of(listening.talk(leave))] == [200]


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
    listening = Listening(application(), tls_contexts[0])
    yield listening
    listening.close()


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
