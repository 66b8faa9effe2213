"""What a server listens on besides a port of its own, and one line where that cannot be had."""

import json
import os
import re
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Server, run, running

SHOP = """
import os
from highperf import App, RateLimit
app = App()

@app.get("/")
async def greet(request):
    return "hello"

@app.get("/client", rate_limit=RateLimit("2/h", by="client"))
async def client(request):
    return {"client": request.client}

@app.get("/environment")
async def environment(request):
    return sorted(os.environ)
"""
FILES = {"shop.py": SHOP}
UNIX = "running on unix:"
# What systemd does between fork and exec: its sockets from 3 on, and the number of the new process.
ACTIVATED = """
import os, sys
first, *arguments = sys.argv[1:]
os.dup2(int(first), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="web")
os.execv(sys.executable, [sys.executable, "-m", "highperf", *arguments])
"""


def request(path: str = "/") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()


def fetch(family: int, address: object, path: str = "/") -> tuple[int, bytes]:
    with socket.socket(family) as client:
        client.settimeout(5)
        client.connect(address)  # type: ignore[arg-type]
        client.sendall(request(path))
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
        return int(head.split()[1]), body


def fetch_unix(server: Server, path: str = "/") -> tuple[int, bytes]:
    return fetch(socket.AF_UNIX, str(server.directory / "shop.sock"), path)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        opened.listen()
        yield opened


each_kind = pytest.mark.parametrize("workers", ["1", "2"])


# --uds


@each_kind
def test_a_unix_socket_is_served_and_its_file_goes_with_the_server(workers: str) -> None:
    arguments = ("--uds", "shop.sock", "--workers", workers)
    with running("shop:app", *arguments, files=FILES, port=None, until=UNIX) as server:
        path = server.directory / "shop.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert re.search(r"running on unix:shop\.sock (with 2 workers )?\(Press CTRL\+C to quit\)", server.stderr)
        assert [fetch_unix(server) for _ in range(10)] == [(200, b"hello")] * 10
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert not path.exists()


def test_peers_of_a_unix_socket_have_no_address_and_are_one_client_to_a_rate_limit() -> None:
    with running("shop:app", "--uds", "shop.sock", files=FILES, port=None, until=UNIX) as server:
        assert [fetch_unix(server, "/client") for _ in range(2)] == [(200, b'{"client":null}')] * 2
        assert fetch_unix(server, "/client")[0] == 429
        with socket.socket(socket.AF_UNIX) as client:
            client.bind(str(server.directory / "client.sock"))
            client.connect(str(server.directory / "shop.sock"))
            client.sendall(request("/client"))
            assert client.recv(4096).startswith(b"HTTP/1.1 429 ")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(server.directory / "shop.sock"))
            client.sendall(b"nonsense\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_connections_that_wait_at_the_end_are_still_answered() -> None:
    with running("shop:app", "--uds", "shop.sock", files=FILES, port=None, until=UNIX) as server:
        server.signal(signal.SIGSTOP)  # so that nobody accepts them before the end begins
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for client in waiting:
            client.connect(str(server.directory / "shop.sock"))
            client.sendall(request())
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGCONT)
        for client in waiting:
            with client:
                assert client.makefile("rb").read().endswith(b"hello")
        assert server.wait() == 0


@each_kind
def test_a_unix_socket_stays_through_reloads_and_goes_at_the_end(workers: str) -> None:
    arguments = ("--uds", "shop.sock", "--workers", workers)
    with running("shop:app", *arguments, files=FILES, port=None, until=UNIX) as server:
        path = server.directory / "shop.sock"
        made = path.stat().st_ino, path.stat().st_mtime_ns
        for times in 1, 2:
            server.signal(signal.SIGHUP)
            server.wait_for(rf"(?s)(Reloaded in.*){{{times}}}\n")
            assert fetch_unix(server) == (200, b"hello")
        assert made == (path.stat().st_ino, path.stat().st_mtime_ns)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        server.wait_for_all()
        assert not path.exists()


@each_kind
def test_a_worker_more_and_one_less_share_the_unix_socket(workers: str) -> None:
    arguments = ("--uds", "shop.sock", "--workers", workers)
    with running("shop:app", *arguments, files=FILES, port=None, until=UNIX) as server:
        server.signal(signal.SIGTTIN)
        server.wait_for(rf"Worker {int(workers) + 1} \[\d+\] is ready")
        assert [fetch_unix(server) for _ in range(10)] == [(200, b"hello")] * 10
        server.signal(signal.SIGTTOU)
        server.wait_for(rf"Worker {int(workers) + 1} \[\d+\] ended|Finished server process")
        assert [fetch_unix(server) for _ in range(10)] == [(200, b"hello")] * 10
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_the_socket_file_of_a_killed_server_is_replaced() -> None:
    with running("shop:app", "--uds", "shop.sock", files=FILES, port=None, until=UNIX) as killed:
        killed.signal(signal.SIGKILL)
        killed.wait()
        place = killed.directory
        assert (place / "shop.sock").is_socket()
        with running("shop:app", "--uds", "shop.sock", directory=place, port=None, until=UNIX) as server:
            assert fetch_unix(server) == (200, b"hello")


def test_a_server_that_listens_keeps_its_socket_file_and_is_named() -> None:
    with running("shop:app", "--uds", "shop.sock", files=FILES, port=None, until=UNIX) as server:
        done = run("shop:app", "--uds", "shop.sock", directory=server.directory)
        assert done.code == 3
        assert re.fullmatch(
            rf'Error: Unix socket "shop\.sock" is in use \(pid {server.pid} "\S*python\S* -m highperf shop:app .*"\)\. '
            r"Try another --uds\.\n",
            done.stderr,
        )
        assert fetch_unix(server) == (200, b"hello")


def test_a_start_that_fails_leaves_no_socket_file(tmp_path: Path) -> None:
    failing = SHOP + "@app.on_startup\ndef fail(): raise OSError('no database')\n"
    done = run("shop:app", "--uds", "shop.sock", files={"shop.py": failing}, directory=tmp_path)
    assert done.code == 3
    assert not (tmp_path / "shop.sock").exists()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing/s", 'Unix socket "missing/s" cannot be made: there is no directory "missing". Create it, or try '
                      "another --uds."),
        ("shop.py", '"shop.py" is there, and is not a socket. Remove it, or try another --uds.'),
        ("x" * 200, f'The path of --uds has 200 bytes, and may have 107: "{"x" * 77}...". Try a shorter one.'),
    ],
)  # fmt: skip
def test_a_unix_socket_that_cannot_be_had_is_one_line_and_exit_3(path: str, reason: str) -> None:
    done = run("shop:app", "--uds", path, files=FILES)
    assert (done.code, done.stdout, done.stderr) == (3, "", f"Error: {reason}\n")


# --fd


@each_kind
def test_an_inherited_socket_is_served_before_and_after_a_reload(listener: socket.socket, workers: str) -> None:
    arguments = ("--fd", str(listener.fileno()), "--workers", workers)
    with running("shop:app", *arguments, files=FILES, port=None, fds=[listener.fileno()]) as server:
        assert ("127.0.0.1", server.port) == listener.getsockname()
        assert fetch(socket.AF_INET, listener.getsockname()) == (200, b"hello")
        server.signal(signal.SIGHUP)
        server.wait_for("Reloaded in")
        assert fetch(socket.AF_INET, listener.getsockname()) == (200, b"hello")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_a_number_that_was_not_passed_on_is_one_line_and_exit_3() -> None:
    done = run("shop:app", "--fd", "99", files=FILES)
    line = "File descriptor 99 is not open. Whoever starts the server has to pass it on; or try --host and --port."
    assert (done.code, done.stdout, done.stderr) == (3, "", f"Error: {line}\n")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("file", "is not a socket. Pass a listening one, or try --host and --port."),
        ("datagrams", "is a socket of another kind. Pass a TCP or Unix stream socket."),
        ("unbound", "is a socket without an address. Pass one that is bound, or try --host and --port."),
    ],
)
def test_what_cannot_be_served_is_one_line_and_exit_3(kind: str, reason: str, tmp_path: Path) -> None:
    made = {
        "file": lambda: (tmp_path / "file").open("w"),
        "datagrams": lambda: socket.socket(type=socket.SOCK_DGRAM),
        "unbound": socket.socket,
    }[kind]()
    with made as passed:
        fd = passed.fileno()
        done = run("shop:app", "--fd", str(fd), files=FILES, fds=[fd])
        assert (done.code, done.stdout, done.stderr) == (3, "", f"Error: File descriptor {fd} {reason}\n")


@pytest.mark.parametrize(
    ("arguments", "first", "second"),
    [
        (["--uds", "s", "--port", "1"], "--uds", "--port"),
        (["--uds", "s", "--host", "h"], "--uds", "--host"),
        (["--fd", "3", "--port", "1"], "--fd", "--port"),
        (["--fd", "3", "--uds", "s"], "--fd", "--uds"),
    ],
)
def test_two_addresses_are_one_line_and_exit_2(arguments: list[str], first: str, second: str) -> None:
    done = run("shop:app", *arguments, files=FILES)
    line = f"Error: There are two addresses, from flag {first} and from flag {second}: leave one out.\n"
    assert (done.code, done.stdout, done.stderr) == (2, "", line)


# systemd


def activated(listener: socket.socket, *arguments: str) -> list[str]:
    return ["-c", ACTIVATED, str(listener.fileno()), *arguments]


@each_kind
def test_the_sockets_of_systemd_are_served_without_being_asked_for(listener: socket.socket, workers: str) -> None:
    env = {"PORT": "1"}  # weaker, as the environment is
    program = activated(listener, "shop:app", "--workers", workers)
    with running(program=program, files=FILES, env=env, fds=[listener.fileno()]) as server:
        assert "INFO Listening on the sockets of systemd (fd 3 (web))" in server.stderr
        status, names = fetch(socket.AF_INET, listener.getsockname(), "/environment")
        assert status == 200
        assert not [name for name in json.loads(names) if name.startswith("LISTEN_")]
        server.signal(signal.SIGHUP)
        server.wait_for("Reloaded in")
        assert fetch(socket.AF_INET, listener.getsockname()) == (200, b"hello")


@each_kind
def test_an_address_on_the_command_line_is_stronger_than_systemd(listener: socket.socket, workers: str) -> None:
    program = activated(listener, "shop:app", "--port", "0", "--workers", workers)
    with running(program=program, files=FILES, fds=[listener.fileno()]) as server:
        assert "WARNING The command line names an address: the sockets of systemd are left alone" in server.stderr
        assert server.port != listener.getsockname()[1]
        assert fetch(socket.AF_INET, ("127.0.0.1", server.port)) == (200, b"hello")


def test_a_socket_of_systemd_that_cannot_be_served_is_one_line_and_exit_3() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        done = run(program=activated(datagrams, "shop:app"), files=FILES, fds=[datagrams.fileno()])
    assert done.code == 3
    line = 'Error: File descriptor 3 ("web") is a socket of another kind. Pass a TCP or Unix stream socket.\n'
    assert done.stderr.endswith(line)
    assert "Traceback" not in done.stderr


@each_kind
def test_systemd_is_told_when_the_server_is_ready_when_it_reloads_and_when_it_stops(
    tmp_path: Path, workers: str
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        heard = (word for word in iter(lambda: systemd.recv(4096).decode(), "") if word != "WATCHDOG=1")
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"}
        with running("shop:app", "--workers", workers, files=FILES, env=env) as server:
            assert next(heard).startswith(f"READY=1\nSTATUS=Running on http://127.0.0.1:{server.port}")
            assert systemd.recv(4096) == b"WATCHDOG=1"
            names = json.loads(fetch(socket.AF_INET, ("127.0.0.1", server.port), "/environment")[1])
            assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(names)
            server.signal(signal.SIGHUP)
            assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=Reloading \(SIGHUP\)", next(heard))
            assert next(heard).startswith("READY=1\n")
            names = json.loads(fetch(socket.AF_INET, ("127.0.0.1", server.port), "/environment")[1])
            assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(names)
            server.signal(signal.SIGTERM)
            assert next(heard) == "STOPPING=1\nSTATUS=Shutting down (SIGTERM)"
            assert server.wait() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="names without a file are Linux'")
def test_a_name_without_a_file_is_served() -> None:
    name = f"highperf-e2e-{os.getpid()}"
    with running("shop:app", "--uds", f"@{name}", files=FILES, port=None, until=UNIX) as server:
        assert f"running on unix:@{name}" in server.stderr
        assert fetch(socket.AF_UNIX, f"\0{name}") == (200, b"hello")
