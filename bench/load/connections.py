"""Many connections rather than many requests: what an idle one costs, and 10,000 at once."""

import contextlib
import mmap
import os
import resource
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable, Iterator

from bench.load import machine, procfs, wrk
from bench.load.client import unverified
from bench.load.places import HOST, RUN
from bench.load.sampling import MOST_ERRORS, Sample, Settings, Watch, least_disturbed
from bench.load.server import NotMeasured, Server
from bench.load.workloads import Workload

WARM_REQUESTS = 500
SETTLE_S = 1.0
TIMEOUT_S = 20.0
CONNECT_S = 10.0  # for all, with the second tries of those that found no room in the backlog
POLL_S = 0.05
COUNTER = RUN / "asked"
WAVES = 5
SPARE_DESCRIPTORS = 256
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # linger 0: no TIME_WAIT, so ports do not run out


def raise_descriptor_limit() -> int:
    """Lifts the soft limit, which servers inherit, to the hard one; answers that."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def measure_idle(server: Server, workload: Workload, settings: Settings) -> Sample:
    """RSS growth per idle keep-alive connection, each having had one request answered."""
    request = _request(workload)
    machine.wait_until_quiet(server, settings.max_other_pct, settings.patience_s)
    with contextlib.ExitStack() as open_ones:
        warm = open_ones.enter_context(_connect(server))
        for _ in range(WARM_REQUESTS):
            _exchange(warm, request)
        time.sleep(SETTLE_S)
        server.refresh()
        before = server.rss()
        idle = []
        for _ in range(settings.idle_connections):
            idle.append(open_ones.enter_context(_connect(server)))
            _exchange(idle[-1], request)
        time.sleep(SETTLE_S)
        after = server.rss()
        lost = sum(_is_closed(connection) for connection in idle)
    if lost:
        raise NotMeasured(f"{lost} of {len(idle)} connections were closed")
    return {
        "rss_before_mb": before / 1e6,
        "rss_after_mb": after / 1e6,
        "bytes_per_connection": (after - before) / len(idle),
    }


def measure_crowd(server: Server, workload: Workload, settings: Settings) -> Sample:
    """Opens all connections, then sends on every one before any answer is read, several times."""
    request = _request(workload)
    server.refresh()
    rss, cpu = server.rss(), server.cpu()
    with _pinned(settings.client_cpu), contextlib.ExitStack() as open_ones:
        start = time.monotonic()
        crowd = [open_ones.enter_context(_connect(server)) for _ in range(settings.crowd)]
        connected = time.monotonic()
        for _ in range(WAVES):
            _wave(crowd, request)
        answered = time.monotonic()
        cpu, rss = server.cpu().since(cpu), server.rss() - rss
    return {
        "connections": len(crowd),
        "connect_s": connected - start,
        "wave_s": (answered - connected) / WAVES,
        "rps": WAVES * len(crowd) / (answered - connected),
        "cpu_us": cpu.total * 1e6 / (WAVES * len(crowd)),
        "bytes_per_connection": rss / len(crowd),
    }


def measure_held(server: Server, workload: Workload, settings: Settings) -> Sample:
    """wrk keeps all connections open and asks on each; what is counted begins when all of them are there."""
    wanted = workload.connections
    with counter() as count, wrk.Load(server.port, workload, wanted, settings.client_cpu) as load:
        deadline = time.monotonic() + CONNECT_S
        while server.connections() < wanted and time.monotonic() < deadline:
            load.last(POLL_S)
        if (there := server.connections()) < wanted:
            raise NotMeasured(f"under load, {there} of {wanted} connections were accepted within {CONNECT_S:.0f} s")
        load.last(settings.warmup)

        def take() -> Sample:
            watch, client = Watch(server, settings.server_cpu), procfs.cpu_of([load.process.pid])
            asked = count()
            load.last(settings.seconds)
            asked = count() - asked
            watch.stop()
            client = procfs.cpu_of([load.process.pid]).since(client)
            if (there := server.connections()) < wanted:
                raise NotMeasured(f"{there} of {wanted} connections were open")
            if not asked:
                raise NotMeasured("no request was completed")
            return {"connections": wanted, "rps": asked / watch.seconds} | watch.figures(asked, client.total)

        sample = least_disturbed(server, settings, take)
        errors = load.end().errors
    if errors > wanted * MOST_ERRORS:
        raise NotMeasured(f"{errors} errors")
    return sample | {"errors": errors}


@contextlib.contextmanager
def counter() -> Iterator[Callable[[], int]]:
    """How many requests wrk has sent so far: counted.lua counts them in memory that it shares with this process."""
    with COUNTER.open("w+b") as file:
        file.truncate(mmap.PAGESIZE)
        with mmap.mmap(file.fileno(), mmap.PAGESIZE) as memory:
            yield lambda: int.from_bytes(memory[:8], sys.byteorder)


def _request(workload: Workload) -> bytes:
    return f"GET {workload.path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def _connect(server: Server) -> socket.socket:
    connection = socket.create_connection((HOST, server.port), timeout=TIMEOUT_S)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    return unverified().wrap_socket(connection) if server.peer.scheme == "https" else connection


def _exchange(connection: socket.socket, request: bytes) -> None:
    connection.sendall(request)
    _read_answer(connection)


def _read_answer(connection: socket.socket) -> None:
    got = b""
    while data := connection.recv(65536):
        got += data
        head, border, body = got.partition(b"\r\n\r\n")
        if border and len(body) >= _content_length(head):
            return
    raise NotMeasured("a connection was closed early")


def _content_length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    if lines[0] != b"http/1.1 200 ok":
        raise NotMeasured(f"answered {lines[0]!r}")
    for line in lines:
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise NotMeasured("an answer had no Content-Length")


def _wave(crowd: list[socket.socket], request: bytes) -> None:
    for number, connection in enumerate(crowd):
        try:
            connection.sendall(request)
        except OSError as error:
            raise NotMeasured(f"connection {number}: {error}") from error
    for number, connection in enumerate(crowd):
        try:
            _read_answer(connection)
        except OSError as error:
            raise NotMeasured(f"connection {number}: {error}") from error


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return not connection.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False


@contextlib.contextmanager
def _pinned(cpu: int) -> Iterator[None]:
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)
