"""Connections that are kept alive: the worker itself reads from them, all that are ready in one turn of the loop."""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import pytest

from highperf import App, Request
from highperf.core.polling import Poller
from tests.answers import answers_of
from tests.protocol.harness import GET
from tests.protocol.listening import KIB, PATIENCE_S, Listening

MIB = KIB * KIB
POLLED = pytest.mark.skipif(sys.platform != "linux", reason="where there is no epoll, transports read")
HEAD = b"POST /%b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"

Deed = Callable[[Any], object]


class Scene:
    """An application that counts what it is sent, and does to its connections what a test wants."""

    def __init__(self) -> None:
        self.protocols: list[Any] = []
        self.transports: list[Any] = []
        self.order: list[str] = []
        self.deeds: list[Deed] = []
        self.reading = asyncio.Event()
        self.app = App(limit_request_body="64m", limit_connections=0)
        self.app.get("/note/:name")(self.note)
        self.app.get("/deed")(self.deed)
        self.app.post("/count")(self.count)
        self.app.post("/later")(self.later)
        self.app.post("/parts/:name")(self.parts)
        self.listening = Listening(self.app, familiar=True)
        self.worker = self.listening.worker

    def note(self, request: Request) -> str:
        self.order.append(request.params["name"])
        return request.params["name"]

    def deed(self, request: Request) -> str:
        for deed in self.deeds:
            deed(request)
        return "done"

    async def count(self, request: Request) -> str:
        size = 0
        async for part in request.stream():
            size += len(part)
        return str(size)

    async def parts(self, request: Request) -> str:
        async for _ in request.stream():
            self.order.append(request.params["name"])
        return "taken"

    async def later(self, request: Request) -> str:
        await self.reading.wait()
        return await self.count(request)

    def connection(self) -> Any:
        self.protocols.append(self.worker.connection())
        return self.protocols[-1]

    def run(self, scene: Any) -> Any:
        return self.listening.loop.run_until_complete(asyncio.wait_for(scene, PATIENCE_S))

    def lose(self, number: int) -> None:
        """A connection is lost in this very moment; no loop does this by itself."""
        self.protocols.pop(number).connection_lost(None)
        self.transports[number].set_protocol(asyncio.Protocol())
        self.transports[number].abort()

    async def connect(self) -> socket.socket:
        """The client's end of a new connection."""
        here, there = socket.socketpair()
        here.setblocking(False)
        transport, _ = await self.listening.loop.connect_accepted_socket(self.connection, there)
        self.transports.append(transport)
        return here

    async def meet(self) -> socket.socket:
        """The client's end of a connection that had two requests answered."""
        here = await self.connect()
        await self.listening.meet(here)
        return here

    async def left(self) -> None:
        await self.listening.until(lambda: not self.worker.connections)


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.listening.close()


async def answer(scene: Scene, client: socket.socket) -> str:
    octets = b""
    while not octets.count(b"\r\n\r\n") or octets.endswith(b"\r\n\r\n"):
        octets += await scene.listening.loop.sock_recv(client, 64 * KIB)
    [answered] = answers_of(octets)
    return answered.text


@POLLED
def test_transport_reads_the_first_request_and_the_second_alone(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask_thrice() -> None:
        here = await scene.connect()
        [transport] = scene.transports
        reading = []
        for name in (b"a", b"b", b"c"):
            reading.append(transport.is_reading())
            await scene.listening.loop.sock_sendall(here, GET % (b"/note/" + name))
            assert await answer(scene, here) == name.decode()
        reading.append(transport.is_reading())
        here.close()
        await scene.left()
        assert reading == [True, True, False, False]

    scene.run(ask_thrice())


def test_where_there_is_no_epoll_the_transport_reads_on(scene: Scene) -> None:
    async def ask() -> str:
        with await scene.meet() as first:
            await scene.listening.loop.sock_sendall(first, GET % b"/note/a")
            await answer(scene, first)
            scene.deeds.append(lambda _: scene.worker.close())  # it watches nobody any more
            await scene.listening.loop.sock_sendall(first, GET % b"/deed")
            await answer(scene, first)
        with await scene.connect() as here:
            for name in (b"b", b"c", b"d"):
                await scene.listening.loop.sock_sendall(here, GET % (b"/note/" + name))
                last = await answer(scene, here)
        scene.lose(0)
        await scene.left()
        return last

    assert scene.run(ask()) == "d"


def test_body_of_many_reads_is_read_to_its_end(scene: Scene) -> None:
    async def upload() -> str:
        with await scene.meet() as client:
            await scene.listening.loop.sock_sendall(client, HEAD % (b"count", 9 * MIB) + bytes(9 * MIB))
            size = await answer(scene, client)
        await scene.left()
        return size

    assert scene.run(upload()) == str(9 * MIB)


def test_reading_pauses_while_the_handler_takes_nothing_and_then_goes_on(scene: Scene) -> None:
    async def upload() -> str:
        loop = scene.listening.loop
        with await scene.meet() as client:
            sending = asyncio.ensure_future(loop.sock_sendall(client, HEAD % (b"later", 9 * MIB) + bytes(9 * MIB)))
            await scene.listening.until(lambda: scene.worker.in_flight)
            for _ in range(1000):
                await asyncio.sleep(0)
            assert not sending.done()
            assert scene.worker.pool.in_use < 10
            scene.reading.set()
            size = await answer(scene, client)
            await sending
        await scene.left()
        return size

    assert scene.run(upload()) == str(9 * MIB)


def test_many_requests_behind_a_running_one_wait_in_the_socket(scene: Scene) -> None:
    async def pile_up() -> list[str]:
        loop = scene.listening.loop
        with await scene.meet() as client:
            piled = (b"GET /note/a HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"x" * KIB)) * 2_000
            sending = asyncio.ensure_future(loop.sock_sendall(client, HEAD % (b"later", 5) + b"hello" + piled))
            await scene.listening.until(lambda: scene.worker.in_flight)
            for _ in range(1000):
                await asyncio.sleep(0)
            assert not sending.done()
            scene.reading.set()
            octets = bytearray()
            while octets.count(b"HTTP/1.1 200") < 2_001:
                octets += await loop.sock_recv(client, MIB)
            await sending
        await scene.left()
        return [found.text for found in answers_of(bytes(octets))]

    assert scene.run(pile_up()) == ["5", *["a"] * 2_000]


def test_nobody_waits_for_one_that_never_stops_sending(scene: Scene) -> None:
    async def crowd() -> list[str]:
        loop = scene.listening.loop
        with await scene.meet() as busy, await scene.meet() as other:
            busy.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * MIB)
            sending = asyncio.ensure_future(loop.sock_sendall(busy, HEAD % (b"count", 30 * MIB) + bytes(30 * MIB)))
            await scene.listening.until(lambda: scene.worker.in_flight)
            await loop.sock_sendall(other, GET % b"/note/other")
            assert await answer(scene, other) == "other"
            scene.order.append("answered")
            assert not sending.done()
            assert await answer(scene, busy) == str(30 * MIB)
        await scene.left()
        return scene.order

    assert scene.run(crowd()) == ["other", "answered"]


@POLLED
def test_many_that_send_at_once_take_turns(scene: Scene) -> None:
    size = 400 * KIB

    async def crowd() -> None:
        clients = [await scene.meet() for _ in range(16)]
        for number, client in enumerate(clients):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * MIB)
            octets = HEAD % (b"parts/%d" % number, size) + bytes(size)
            assert client.send(octets) == len(octets)  # all is there before the loop looks
        for client in clients:
            assert await answer(scene, client) == "taken"
            client.close()
        await scene.left()

    scene.run(crowd())
    assert max(len(list(run)) for _, run in groupby(scene.order)) <= 2


def test_connection_that_ends_while_its_turn_was_to_come_is_passed_over(scene: Scene) -> None:
    async def end_the_other() -> None:
        with await scene.meet() as first, await scene.meet() as second:
            scene.deeds.append(lambda _: scene.lose(1))
            first.send(GET % b"/deed")  # both are there before the loop looks
            second.send(GET % b"/note/never")
            assert await answer(scene, first) == "done"
            second.close()
        await scene.left()

    scene.run(end_the_other())
    assert scene.order == []


def test_reset_of_a_peer_cancels_its_request(scene: Scene) -> None:
    async def leave() -> None:
        client = await scene.meet()
        client.send(HEAD % (b"later", 5) + b"hello")
        await scene.listening.until(lambda: scene.worker.in_flight)
        client.close()
        await scene.listening.until(lambda: not scene.worker.in_flight)
        await scene.left()

    scene.worker.advance(0)

    async def time_passes() -> None:
        leaving = asyncio.ensure_future(leave())
        while not leaving.done():
            await asyncio.sleep(0)
            scene.worker.advance(0.01)  # a FIN may mean that it only has nothing more to say
        await leaving

    scene.run(time_passes())
    assert scene.worker.cancelled == 1


def test_reading_that_fails_ends_its_connection_alone(scene: Scene) -> None:
    error = RuntimeError("broken")

    async def fail() -> str:
        with await scene.meet() as broken, await scene.meet() as whole:
            Poller.fail(Poller(scene.worker), scene.protocols[0], error)
            assert await scene.listening.loop.sock_recv(broken, KIB) == b""
            await scene.listening.loop.sock_sendall(whole, GET % b"/note/whole")
            text = await answer(scene, whole)
        await scene.left()
        return text

    assert scene.run(fail()) == "whole"
    [told] = scene.listening.noise
    assert told["exception"] is error
    scene.listening.noise.clear()
