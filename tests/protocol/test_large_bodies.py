"""Content that a worker receives right where its reader will find it: on real sockets, however it is cut."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from hashlib import sha256

import pytest

from highperf import App, HTTPError, Request
from tests.answers import answers_of
from tests.protocol.harness import GET
from tests.protocol.listening import KIB, Listening

LIMIT = 1024 * KIB
CONTENT = bytes(range(251)) * (LIMIT // 251 + 1)  # no two reads of it are alike
HEAD = b"POST /%b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
READERS = ["whole", "parts", "late", "impatient"]
SIZES = [1, 32 * KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 200 * KIB, LIMIT]

Read = Callable[[Request], Awaitable[bytes]]


async def whole(request: Request) -> bytes:
    return await request.body()


async def parts(request: Request) -> bytes:
    return b"".join([part async for part in request.stream()])


async def late(request: Request) -> bytes:
    """When much of it has come, and the client waits."""
    for _ in range(20):
        await asyncio.sleep(0)
    return await request.body()


async def impatient(request: Request) -> bytes:
    """By one that gives up on the whole, and then takes parts."""
    reading = asyncio.ensure_future(request.body())
    for _ in range(5):
        await asyncio.sleep(0)
    if not reading.cancel():
        return await reading
    await asyncio.wait([reading])
    return await parts(request)


async def slow(request: Request) -> bytes:
    try:
        return await request.body()
    except HTTPError as error:
        return str(error.status).encode()


@pytest.fixture
def listening() -> Iterator[Listening]:
    app = App(limit_request_body=LIMIT, limit_connections=0)
    for read in (whole, parts, late, impatient):
        app.post(f"/{read.__name__}")(telling_digest(read))
    app.post("/slow")(slow)
    listening = Listening(app, familiar=True)
    yield listening
    listening.close()


def telling_digest(read: Read) -> Callable[[Request], Awaitable[str]]:
    async def handler(request: Request) -> str:
        return sha256(await read(request)).hexdigest()

    return handler


def digest(size: int) -> str:
    return sha256(CONTENT[:size]).hexdigest()


def texts(octets: bytes) -> list[str]:
    return [answer.text for answer in answers_of(octets)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("reader", READERS)
def test_content_is_the_same_with_a_request_right_behind_it(listening: Listening, reader: str, size: int) -> None:
    request = HEAD % (reader.encode(), size) + CONTENT[:size]

    async def ask(client: socket.socket) -> bytes:
        return await listening.ask(client, request + GET % b"/healthz" + request + LAST)

    assert texts(listening.talk(ask)) == [digest(size), "ok", digest(size), "ok"]


@pytest.mark.parametrize("step", [1000, 33 * KIB, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 150 * KIB])
@pytest.mark.parametrize("reader", READERS)
def test_content_is_the_same_wherever_it_is_cut(listening: Listening, reader: str, step: int) -> None:
    size = 300 * KIB
    octets = HEAD % (reader.encode(), size) + CONTENT[:size] + LAST

    async def dribble(client: socket.socket) -> bytes:
        answers = asyncio.ensure_future(listening.receive(client))
        for start in range(0, len(octets), step):
            await listening.loop.sock_sendall(client, octets[start : start + step])
            for _ in range(4):
                await asyncio.sleep(0)  # it is read before there is more
        return await answers

    assert texts(listening.talk(dribble)) == [digest(size), "ok"]


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_length_may_be_nothing_and_up_to_the_limit(listening: Listening, size: int) -> None:
    async def ask(client: socket.socket) -> bytes:
        return await listening.ask(client, HEAD % (b"whole", size) + CONTENT[:size] + LAST)

    assert texts(listening.talk(ask)) == [digest(size), "ok"]


@pytest.mark.parametrize("came", [1, 40 * KIB, 300 * KIB, LIMIT - 1])
def test_end_of_the_octets_before_that_of_the_content_is_told_to_its_reader(listening: Listening, came: int) -> None:
    async def stop(client: socket.socket) -> bytes:
        await listening.loop.sock_sendall(client, HEAD % (b"slow", LIMIT) + CONTENT[:came])
        client.shutdown(socket.SHUT_WR)
        return await listening.receive(client)

    assert texts(listening.talk(stop)) == ["400"]


@pytest.mark.parametrize("reader", ["whole", "parts", "late"])
def test_peer_that_leaves_amid_its_content_leaves_nothing_behind(listening: Listening, reader: str) -> None:
    async def leave(client: socket.socket) -> None:
        await listening.loop.sock_sendall(client, HEAD % (reader.encode(), LIMIT) + CONTENT[: 300 * KIB])
        await listening.until(lambda: listening.worker.in_flight)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
        client.close()
        await listening.until(lambda: not listening.worker.in_flight)

    listening.talk(leave)
