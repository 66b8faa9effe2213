"""Files on real sockets: sendfile(2), turns, back-pressure, cold files, TLS."""

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import struct
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from highperf import App, Request, Response
from tests.answers import answers_of
from tests.protocol.harness import GET
from tests.protocol.listening import KIB, PATIENCE_S, Listening, SecureSocket

SIZES = [0, 1, 16 * KIB, 32 * KIB, 32 * KIB + 1, 256 * KIB, 256 * KIB + 1, 1024 * KIB + 7]
LARGE = os.urandom(1 << 20) * 12  # more than the system takes at once
CLOSE = b"GET /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
PART = b"GET /files/large HTTP/1.1\r\nHost: a\r\nRange: bytes=%b\r\n\r\n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    for size in SIZES:
        (root / f"{size}").write_bytes(LARGE[:size])
    (root / "large").write_bytes(LARGE)
    return root


def application(root: Path) -> App:
    app = App()
    app.files("/files/*path", root)

    @app.get("/now")
    def now(request: Request) -> str:
        return "now"

    @app.get("/memory")
    def memory(request: Request) -> bytes:
        return LARGE[: 3 << 20]

    @app.get("/hand/*path")
    async def hand(request: Request) -> Response:
        await asyncio.sleep(0)
        return Response.file(request.params["path"], root=root)

    return app


@pytest.fixture(params=[False, True], ids=["new", "familiar"])
def listening(request: pytest.FixtureRequest, root: Path) -> Iterator[Listening]:
    listening = Listening(application(root), familiar=request.param)
    yield listening
    assert listening.worker.shedder.running == 0
    listening.close()


async def receive_slowly(listening: Listening, client: socket.socket, step: int) -> bytes:
    octets = bytearray()
    while part := await listening.loop.sock_recv(client, step):
        octets += part
        await asyncio.sleep(0)
    return bytes(octets)


@contextlib.asynccontextmanager
async def joined(listening: Listening, first: socket.socket, count: int) -> Any:
    """As many connections to the same server as there are to be."""
    with contextlib.ExitStack() as stack:
        clients = [first]
        for _ in range(count - 1):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            await listening.loop.sock_connect(client, first.getpeername())
            clients.append(client)
        yield clients


# ---- content --------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [b"/files/", b"/hand/"])
def test_files_of_all_sizes_come_whole_and_in_order(listening: Listening, place: bytes) -> None:
    requests = b"".join(GET % (place + b"%d" % size) + GET % b"/now" for size in SIZES)
    answers = answers_of(listening.talk(lambda client: listening.ask(client, requests * 2 + CLOSE)))
    assert [answer.content for answer in answers[:-1:2]] == [LARGE[:size] for size in SIZES] * 2
    assert {answer.content for answer in answers[1::2]} == {b"now"}


@pytest.mark.parametrize("step", [3 * KIB, 60 * KIB])
def test_slow_reader_gets_a_large_file_and_what_comes_after_it(listening: Listening, step: int) -> None:
    async def slow(client: socket.socket) -> bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIB)
        await listening.loop.sock_sendall(client, GET % b"/files/large" + GET % b"/now" + GET % b"/hand/large" + CLOSE)
        return await receive_slowly(listening, client, step)

    answers = answers_of(listening.talk(slow))
    assert [answer.content for answer in answers] == [LARGE, b"now", LARGE, b"now"]


def test_parts_of_a_large_file(listening: Listening) -> None:
    ranges = b"0-0,1048570-5000000,-1"
    [answer, _] = answers_of(listening.talk(lambda client: listening.ask(client, PART % ranges + CLOSE)))
    boundary = b"--" + answer.headers["Content-Type"].partition("boundary=")[2].encode()
    contents = [part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in answer.content.split(boundary)[1:-1]]
    assert contents == [LARGE[:1], LARGE[1048570:5000001], LARGE[-1:]]


def test_a_file_waits_for_what_the_transport_still_holds(listening: Listening) -> None:
    async def slow(client: socket.socket) -> bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * KIB)
        requests = (GET % b"/memory" + GET % b"/files/262145" + GET % b"/files/large") * 2
        await listening.loop.sock_sendall(client, requests + CLOSE)
        return await receive_slowly(listening, client, 30 * KIB)

    answers = answers_of(listening.talk(slow))
    assert [len(answer.content) for answer in answers] == [3 << 20, 262145, len(LARGE)] * 2 + [3]
    assert [answer.content for answer in answers[2:6:3]] == [LARGE, LARGE]


def test_unix_sockets_send_files(listening: Listening) -> None:
    async def run() -> bytes:
        here, there = socket.socketpair()
        here.setblocking(False)
        await listening.loop.connect_accepted_socket(listening.worker.connection, there)
        with here:
            octets = await listening.ask(here, GET % b"/files/large" + CLOSE)
        await listening.until(lambda: not listening.worker.connections)
        return octets

    answers = answers_of(listening.loop.run_until_complete(asyncio.wait_for(run(), 20)))
    assert [answer.content for answer in answers] == [LARGE, b"now"]


# ---- turns ----------------------------------------------------------------------------------------


def test_many_clients_get_their_files_side_by_side(listening: Listening) -> None:
    async def run(first: socket.socket) -> list[bytes]:
        async with joined(listening, first, 12) as clients:
            asks = [listening.ask(client, GET % b"/files/large" + CLOSE) for client in clients]
            return list(await asyncio.gather(*asks))

    for octets in listening.talk(run):
        assert [answer.content for answer in answers_of(octets)] == [LARGE, b"now"]


# Where one client is known to the system's congestion control and seven are not, their paces differ by that.
@pytest.mark.parametrize("listening", [False], ids=["new"], indirect=True)
def test_none_is_far_ahead_of_another(listening: Listening) -> None:
    async def run(first: socket.socket) -> list[int]:
        async with joined(listening, first, 8) as clients:
            got = dict.fromkeys(clients, 0)
            for client in clients:
                await listening.loop.sock_sendall(client, GET % b"/files/large")

            async def drain(client: socket.socket) -> None:
                while got[client] < len(LARGE):
                    got[client] += len(await listening.loop.sock_recv(client, 256 * KIB))

            tasks = [asyncio.ensure_future(drain(client)) for client in clients]
            await asyncio.wait(tasks, return_when="FIRST_COMPLETED")
            result = list(got.values())
            for client, task in zip(clients, tasks, strict=True):
                task.cancel()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await asyncio.wait(tasks)
            return result

    got = listening.talk(run)
    assert min(got) > len(LARGE) / 3


def test_others_are_answered_while_a_large_file_leaves(listening: Listening) -> None:
    async def run(first: socket.socket) -> int:
        async with joined(listening, first, 2) as (greedy, polite):
            download = asyncio.ensure_future(listening.ask(greedy, GET % b"/files/large" * 8 + CLOSE))
            await listening.until(lambda: listening.worker.in_flight)
            answered = 0
            while not download.done():
                await listening.loop.sock_sendall(polite, GET % b"/now")
                assert (await listening.loop.sock_recv(polite, KIB)).endswith(b"now")
                answered += 1
            await download
            return answered

    assert listening.talk(run) > 50


# ---- clients that leave, or take nothing ----------------------------------------------------------


@pytest.mark.parametrize("taken", [0, 1, 4 << 20])
@pytest.mark.parametrize("reset", [False, True])
def test_a_client_that_leaves_in_the_middle(listening: Listening, taken: int, reset: bool) -> None:
    async def leave(client: socket.socket) -> None:
        await listening.loop.sock_sendall(client, GET % b"/files/large" * 3)
        left = taken
        while left > 0:
            left -= len(await listening.loop.sock_recv(client, left))
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def descriptors() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    async def until_at_most(most: int) -> int:  # a transport closes its own after a turn of the loop
        await asyncio.wait_for(listening.until(lambda: descriptors() <= most), PATIENCE_S)
        return descriptors()

    listening.talk(leave)
    before = listening.loop.run_until_complete(until_at_most(sys.maxsize))
    for _ in range(5):
        listening.talk(leave)
    listening.loop.run_until_complete(until_at_most(before))


def test_a_client_that_takes_nothing_is_given_up_though_the_system_holds_much(
    listening: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    async def wait(client: socket.socket) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * KIB)
        listening.worker.advance(0)
        await listening.loop.sock_sendall(client, GET % b"/files/large")
        await listening.until(lambda: listening.worker.in_flight)
        for _ in range(200):
            await asyncio.sleep(0)
        listening.worker.advance(2.1)
        listening.worker.advance(2.1)
        await listening.until(lambda: not listening.worker.in_flight)

    listening.talk(wait)
    assert "took nothing of its answer in time" in caplog.text


def test_a_client_that_takes_a_little_is_given_its_time(listening: Listening) -> None:
    async def take(client: socket.socket) -> None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * KIB)
        listening.worker.advance(0)
        await listening.loop.sock_sendall(client, GET % b"/files/large")
        for _ in range(8):
            got = 0
            while got < 100 * KIB:
                got += len(await listening.loop.sock_recv(client, 16 * KIB))
            for _ in range(20):
                await asyncio.sleep(0)
            listening.worker.advance(1.5)
        assert listening.worker.in_flight == 1

    listening.talk(take)


def test_a_file_that_is_truncated_ends_the_connection(listening: Listening, root: Path) -> None:
    (root / "shrinking").write_bytes(LARGE)

    async def slow(client: socket.socket) -> bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIB)
        await listening.loop.sock_sendall(client, GET % b"/files/shrinking" + GET % b"/now")
        octets = await listening.loop.sock_recv(client, KIB)
        os.truncate(root / "shrinking", 9 << 20)
        with contextlib.suppress(ConnectionResetError):
            octets += await receive_slowly(listening, client, 256 * KIB)
        return octets

    octets = listening.talk(slow)
    content = octets.partition(b"\r\n\r\n")[2]
    assert len(content) <= 9 << 20
    assert content == LARGE[: len(content)]


def test_a_file_that_is_written_to_ends_the_connection(listening: Listening, root: Path) -> None:
    (root / "written").write_bytes(LARGE)

    async def slow(client: socket.socket) -> bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIB)
        await listening.loop.sock_sendall(client, GET % b"/files/written" + GET % b"/now")
        octets = await listening.loop.sock_recv(client, KIB)
        with (root / "written").open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"!")
        with contextlib.suppress(ConnectionResetError):
            octets += await receive_slowly(listening, client, 256 * KIB)
        return octets

    assert len(listening.talk(slow)) < len(LARGE)


# ---- what is not in memory ------------------------------------------------------------------------


class Counting(ThreadPoolExecutor):
    """Counts what it is given to do."""

    calls = 0

    def submit(self, function: Any, /, *args: Any, **options: Any) -> Future[Any]:
        self.calls += 1
        return super().submit(function, *args, **options)


def made_cold(path: Path) -> bool:
    """Whether the system could be made to forget the file's content."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            return not os.preadv(file.fileno(), [bytearray(1)], path.stat().st_size // 2, os.RWF_NOWAIT)
        except BlockingIOError:
            return True
        except OSError:  # the file system does not say
            return False


@pytest.mark.parametrize("name", [b"cold", b"cold%d" % (100 * KIB)])
def test_a_file_that_is_not_in_memory_is_read_in_by_a_thread(listening: Listening, root: Path, name: bytes) -> None:
    path = root / name.decode()
    path.write_bytes(LARGE if name == b"cold" else LARGE[: 100 * KIB])
    threads = Counting(2)
    listening.loop.set_default_executor(threads)
    listening.talk(lambda client: listening.ask(client, GET % (b"/files/" + name) + CLOSE))
    before = threads.calls
    if not made_cold(path):
        pytest.skip("the file stays in memory here")
    octets = listening.talk(lambda client: listening.ask(client, GET % (b"/files/" + name) + CLOSE))
    assert answers_of(octets)[0].content == path.read_bytes()
    assert threads.calls > before
    threads.shutdown()


def test_a_client_that_leaves_while_a_thread_reads_in(listening: Listening, root: Path) -> None:
    path = root / "cold-and-left"
    path.write_bytes(LARGE)

    async def leave(client: socket.socket) -> None:
        await listening.loop.sock_sendall(client, GET % b"/files/cold-and-left")
        await listening.until(lambda: listening.worker.in_flight)

    for _ in range(20):
        made_cold(path)
        listening.talk(leave)


# ---- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
def secured(root: Path, tls_contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[Listening]:
    listening = Listening(application(root), tls_contexts[0])
    yield listening
    assert listening.worker.shedder.running == 0
    listening.close()


def test_files_over_tls(secured: Listening, trusting: ssl.SSLContext) -> None:
    requests = b"".join(GET % (b"/files/%d" % size) for size in SIZES) + GET % b"/files/large" + GET % b"/hand/large"
    answers = answers_of(secured.talk(lambda client: SecureSocket(client, trusting).ask(requests + CLOSE)))
    assert [answer.content for answer in answers] == [*(LARGE[:size] for size in SIZES), LARGE, LARGE, b"now"]


def test_cold_files_over_tls(secured: Listening, root: Path, trusting: ssl.SSLContext) -> None:
    path = root / "cold-and-secret"
    path.write_bytes(LARGE)
    made_cold(path)
    octets = secured.talk(lambda client: SecureSocket(client, trusting).ask(GET % b"/files/cold-and-secret" + CLOSE))
    assert answers_of(octets)[0].content == LARGE


def test_a_client_that_leaves_over_tls(secured: Listening, trusting: ssl.SSLContext) -> None:
    async def leave(client: socket.socket) -> None:
        secure = SecureSocket(client, trusting)
        await secure.wanting(secure.session.do_handshake)
        await secure.wanting(lambda: secure.session.write(GET % b"/files/large" * 2))
        await secure.wanting(lambda: secure.session.read(KIB))

    for _ in range(3):
        secured.talk(leave)
