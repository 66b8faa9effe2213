"""A crowd fetches large files slowly from a server whose memory and descriptors do not grow with it."""

import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trustme

from tests import servers

pytestmark = pytest.mark.release_build

MIB = 1024 * 1024
FILE_BYTES = 64 * MIB
CLIENTS = 200
SECURE_CLIENTS = 40
GROWTH_LIMIT = 20 * MIB
ROUNDS = 200
APP = """
from highperf import App, Response
app = App(write_timeout="30s")
app.files("/files/*path", "root")

@app.get("/hand")
def hand(request):
    return Response.file("root/large")
"""


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@contextmanager
def serving(*arguments: str, until: str = servers.RUNNING.pattern) -> Iterator[servers.Server]:
    with ExitStack() as stack:
        directory = stack.enter_context(_directory())
        server = servers.running("main:app", *arguments, files={"main.py": APP}, directory=directory, until=until)
        yield stack.enter_context(server)


@contextmanager
def _directory() -> Iterator[Path]:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        root.mkdir()
        with (root / "large").open("wb") as file:
            file.truncate(FILE_BYTES)
        yield Path(name)


def connect(port: int, path: bytes) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
    client.settimeout(servers.PATIENCE_S)
    client.connect(("127.0.0.1", port))
    client.sendall(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
    return client


def take_slowly(clients: list[socket.socket], look: Callable[[], None]) -> int:
    """Each takes some octets in each round; returns how many the least lucky got."""
    got = dict.fromkeys(clients, 0)
    for _ in range(ROUNDS):
        for client in clients:
            got[client] += len(client.recv(16 * 1024))
        look()
    return min(got.values())


def settled(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + servers.PATIENCE_S
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


@pytest.mark.parametrize("path", [b"/files/large", b"/hand"])
def test_a_crowd_of_slow_clients_costs_little_memory_and_leaves_no_descriptor(path: bytes) -> None:
    with serving() as server, ExitStack() as stack:
        with connect(server.port, path) as first:
            for _ in range(100):
                first.recv(64 * 1024)
        assert settled(lambda: descriptors(server.pid) <= 40)
        before, open_before, most = resident(server.pid), descriptors(server.pid), 0

        def look() -> None:
            nonlocal most
            most = max(most, resident(server.pid))

        clients = [stack.enter_context(connect(server.port, path)) for _ in range(CLIENTS)]
        assert take_slowly(clients, look) > 0
        assert descriptors(server.pid) <= open_before + CLIENTS + 8
        assert most - before <= GROWTH_LIMIT, f"{(most - before) / MIB:.1f} MiB for {CLIENTS} clients"
        stack.close()
        # one more: that by which the system says which socket takes octets again, made when the first had to wait
        assert settled(lambda: descriptors(server.pid) <= open_before + 1)


def test_under_tls_each_slow_client_costs_what_its_connection_may_hold(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    arguments = ("--ssl-certfile", str(tmp_path / "server.pem"), "--ssl-keyfile", str(tmp_path / "server.pem"))

    def connect_securely() -> ssl.SSLSocket:
        client = socket.create_connection(("127.0.0.1", port), servers.PATIENCE_S)
        secure = context.wrap_socket(client, server_hostname="localhost")
        secure.sendall(b"GET /files/large HTTP/1.1\r\nHost: a\r\n\r\n")
        return secure

    with serving(*arguments, until=r"running on https://[^:]+:(\d+)") as server, ExitStack() as stack:
        port = int(server.wait_for(r"running on https://[^:]+:(\d+)")[1])
        with connect_securely() as first:
            for _ in range(100):
                first.recv(64 * 1024)
        before, most = resident(server.pid), 0

        def look() -> None:
            nonlocal most
            most = max(most, resident(server.pid))

        clients: list[socket.socket] = [stack.enter_context(connect_securely()) for _ in range(SECURE_CLIENTS)]
        assert take_slowly(clients, look) > 0
        assert most - before <= GROWTH_LIMIT, f"{(most - before) / MIB:.1f} MiB for {SECURE_CLIENTS} clients"
