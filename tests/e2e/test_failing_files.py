"""Standard error that cannot be written, and a database that cannot grow: what depends on them fails, and no more."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from highperf import _version
from tests.servers import PATIENCE_S, Server, running

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")

APP = """
import os
from highperf import App

app = App()

@app.get("/")
async def quick(request):
    return "quick"

@app.get("/fail")
async def fail(request):
    raise LookupError

@app.get("/break/:how")
def break_standard_error(request):
    how = request.params["how"]
    if how == "full":
        other = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, other = os.pipe()
        if how == "deaf":                           # nobody reads, and nothing more fits
            app.state.reader = reader
            os.set_blocking(other, False)
            try:
                while True:
                    os.write(other, bytes(4096))
            except BlockingIOError:
                os.set_blocking(other, True)
        else:
            os.close(reader)
    os.dup2(other, 2)
    return "broken"
"""

CLOSING = """
import os, sys
os.close(int(sys.argv.pop(1)))
os.execv(sys.executable, [sys.executable, "-m", "highperf", *sys.argv[1:]])
"""


def ask(server: Server, path: str = "/") -> bytes:
    with server.connect() as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        return client.makefile("rb").read()


def accepts(server: Server) -> bool:
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("how", ["full", "unread", "deaf"])
def test_server_outlives_its_standard_error(how: str) -> None:
    with running("shop:app", files={"shop.py": APP}) as server:
        assert ask(server, f"/break/{how}").endswith(b"broken")
        for _ in range(20):
            with server.connect() as client:
                client.sendall(b"bad\r\n")
                assert client.recv(4096).startswith(b"HTTP/1.1 400 ")
        for _ in range(100):  # a traceback each
            assert ask(server, "/fail").startswith(b"HTTP/1.1 500 ")
        if how != "deaf":  # the stacks that this asks for are written whatever they are written to
            server.signal(signal.SIGUSR2)
        assert ask(server).endswith(b"quick")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_forced_end_does_not_depend_on_standard_error() -> None:
    patient = {"SHUTDOWN_TIMEOUT": "30s", "READ_TIMEOUT": "30s"}
    with running("shop:app", files={"shop.py": APP}, env=patient) as server:
        ask(server, "/break/full")
        with server.connect() as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost")  # which is waited for
            assert ask(server).endswith(b"quick")
            server.signal(signal.SIGTERM)
            while accepts(server):
                pass
            server.signal(signal.SIGTERM)
            assert server.wait() == 1


@pytest.mark.parametrize("file", [0, 1, 2])
def test_server_that_is_started_without_a_standard_file_does_not_mistake_another_for_it(file: int) -> None:
    with tempfile.TemporaryDirectory(prefix="highperf-") as name:
        place = Path(name)
        (place / "shop.py").write_text(APP)
        (place / "closing.py").write_text(CLOSING)
        command = [sys.executable, "closing.py", str(file), "shop:app", "--uds", "socket"]
        environment = {**os.environ, "PYTHONPATH": str(Path(_version.__file__).parents[1])}
        process = subprocess.Popen(command, cwd=place, env=environment, stderr=subprocess.DEVNULL)
        try:
            with connected(place / "socket") as client:
                client.sendall(b"bad\r\n")
                assert client.makefile("rb").read().startswith(b"HTTP/1.1 400 ")
            process.send_signal(signal.SIGUSR2)
            with connected(place / "socket") as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert client.makefile("rb").read().endswith(b"\r\n\r\nquick")
            for standard in (0, 1, 2):
                assert not os.readlink(f"/proc/{process.pid}/fd/{standard}").startswith("socket:")
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
            process.wait()


@contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        give_up = time.monotonic() + PATIENCE_S
        while client.connect_ex(os.path.relpath(path)):
            assert time.monotonic() < give_up
            os.sched_yield()
        yield client


# ---- the database ---------------------------------------------------------------------------------

UNGUARDED = {"RATE_LIMIT_RPS": "0", "CB_FAILURE_THRESHOLD": "0", "REQUEST_TIMEOUT": "0"}


def create(connection: HTTPConnection, number: int) -> tuple[int, dict[str, object]]:
    user = {"name": "x" * 100, "email": f"{number}.{'y' * 60}@example.com"}
    connection.request("POST", "/users", json.dumps(user), {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.headers["Content-Type"] in ("application/json", "application/problem+json")
    return response.status, json.loads(response.read())


def read(connection: HTTPConnection, user_id: int) -> int:
    connection.request("GET", f"/users/{user_id}")
    response = connection.getresponse()
    response.read()
    return response.status


def limit_files(server: Server, size: int) -> None:
    """No file of the server may grow beyond this size: to its programs that looks like a full disk."""
    _, most = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, most))


def test_database_that_is_full_fails_its_writers_alone_and_recovers() -> None:
    with running(env=UNGUARDED) as server:
        connection = HTTPConnection(server.host, server.port, timeout=PATIENCE_S)
        status, user = create(connection, 0)
        assert status == 201
        limit_files(server, 64 * 1024)
        number, failed = 1, 0
        while failed < 10:
            status, problem = create(connection, number)
            assert status in (201, 503, 504)  # 504: a slow disk
            if status == 503:
                failed += 1
                assert problem["title"] == "Service Unavailable"
                assert ".db" not in json.dumps(problem)
            number += 1
            assert number < 5000
        assert read(connection, int(str(user["id"]))) == 200
        assert "disk" in server.stderr
        limit_files(server, resource.RLIM_INFINITY)
        while (status := create(connection, number)[0]) == 504:
            number += 1
        assert status == 201
        connection.close()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
