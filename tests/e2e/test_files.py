"""Files from real processes: how a start fails, workers, the end of a download."""

import http.client
import os
import signal
import socket
from pathlib import Path

import pytest

from tests import servers

LARGE = os.urandom(1 << 16) * 512  # 32 MiB
APP = """
from highperf import App
app = App()
app.files("/files/*path", "root")
"""


def get(server: servers.Server, path: str) -> http.client.HTTPResponse:
    client = http.client.HTTPConnection(server.host, server.port, timeout=servers.PATIENCE_S)
    client.request("GET", path, headers={"Connection": "close"})
    return client.getresponse()


def download(server: servers.Server, path: bytes) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    client.settimeout(servers.PATIENCE_S)
    client.connect((server.host, server.port))
    client.sendall(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)
    return client


def octets_until_reset(client: socket.socket) -> int:
    count = 0
    try:
        while part := client.recv(1 << 20):
            count += len(part)
    except ConnectionResetError:
        return count
    raise AssertionError("the connection ended as if the answer was whole")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "large").write_bytes(LARGE)
    (tmp_path / "root" / "small").write_bytes(b"small")
    return tmp_path


# ---- starts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "reason"), [("none", "No such file or directory"), ("file", "Not a directory")])
def test_a_root_that_is_no_directory_ends_the_start_in_one_line(name: str, reason: str) -> None:
    done = servers.run("--port", "0", files={"file": ""}, env={"FILES_ROOT": name})
    assert done.code == 3
    [line] = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert line.startswith("Error: Cannot serve files /files/*path from ")
    assert line.endswith(f"/{name}: {reason}.")
    assert "Traceback" not in done.stderr


def test_the_default_root_may_be_missing() -> None:
    with servers.running() as server:
        assert "There is no ./public, so /files/ answers 404." in server.stderr
        assert get(server, "/files/index.html").status == 404


def test_the_default_root_is_served_where_it_is() -> None:
    with servers.running(files={"public/index.html": "<p>hello"}) as server:
        answer = get(server, "/files/")
        assert (answer.status, answer.read()) == (200, b"<p>hello")


def test_a_relative_root_of_an_app_is_that_of_its_working_directory() -> None:
    with servers.running("main:app", files={"main.py": APP, "root/a.txt": "a"}) as server:
        assert get(server, "/files/a.txt").read() == b"a"
        assert get(server, "/files/../main.py").status == 404


# ---- workers --------------------------------------------------------------------------------------


def test_several_workers_tell_the_same_of_a_file(directory: Path) -> None:
    arguments = ("main:app", "--workers", "2")
    with servers.running(*arguments, files={"main.py": APP}, directory=directory) as server:
        tags = {get(server, "/files/large").headers["ETag"] for _ in range(20)}
        for tag in tags:
            client = http.client.HTTPConnection(server.host, server.port, timeout=servers.PATIENCE_S)
            for _ in range(10):
                client.request("GET", "/files/large", headers={"If-None-Match": tag, "Connection": "close"})
                assert client.getresponse().status == 304


# ---- the end --------------------------------------------------------------------------------------


def test_a_download_is_finished_after_sigterm(directory: Path) -> None:
    env = {"SHUTDOWN_TIMEOUT": "30s"}
    with (
        servers.running("main:app", files={"main.py": APP}, directory=directory, env=env) as server,
        download(server, b"/files/large") as client,
    ):
        octets = bytearray(client.recv(1024))
        server.signal(signal.SIGTERM)
        server.wait_for("Shutting down")
        while len(octets) < len(LARGE):
            octets += client.recv(1 << 20)
        while part := client.recv(1 << 20):
            octets += part
        assert octets.endswith(LARGE)
        assert server.wait() == 0


def test_a_download_that_takes_too_long_ends_with_the_shutdown_timeout(directory: Path) -> None:
    env = {"SHUTDOWN_TIMEOUT": "300ms", "WRITE_TIMEOUT": "30s"}
    with (
        servers.running("main:app", files={"main.py": APP}, directory=directory, env=env) as server,
        download(server, b"/files/large") as client,
    ):
        client.recv(1024)
        server.signal(signal.SIGTERM)
        server.wait()
        assert "1 dropped" in server.stderr
        assert octets_until_reset(client) < len(LARGE)


def test_a_client_that_does_not_read_is_reset(directory: Path) -> None:
    env = {"WRITE_TIMEOUT": "200ms"}
    with (
        servers.running("main:app", files={"main.py": APP}, directory=directory, env=env) as server,
        download(server, b"/files/large") as client,
    ):
        server.wait_for("took nothing of its answer in time")
        assert octets_until_reset(client) < len(LARGE)
