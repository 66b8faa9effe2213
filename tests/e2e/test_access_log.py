"""The access log of a running server: where its lines go, what is said where they cannot, and that none is forged."""

import json
import os
import random
import re
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import Server, run, running

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
TRACED = b"\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"
LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO 127\.0\.0\.1:\d+ - "
    r'"(?P<request>[^"]*|-)" (?P<status>\d{3}) [A-Za-z ]+ \d+\.\d\dms (?P<size>\d+)B (?P<id>[0-9a-f]{8}-\d+|-)\n'
)
GROWTH_MOST = 1024 * 1024  # octets of memory
COMBINED = re.compile(r'\S+ - - \[[^]]+\] "[^"\n]*" \d{3} [\d-]+ "[^"\n]*" "[^"\n]*"\n')
HOSTILE = [b"%0a", b'"', b"\\", b"%1b[31m", b"%22%20200", b"\\x22", b"'", b"{}", b"%7f", b"a" * 50, b"?", b"&"]
WRONG = [
    b"GET /\x1b[31m HTTP/1.1\r\n\r\n",
    b'G"T / HTTP/1.1\r\n\r\n',
    b"GET /a\n/forged HTTP/1.1\r\n\r\n",
    b"\n\x00\xff" * 9,
]


def ask(server: Server, octets: bytes, times: int = 1) -> bytes:
    with server.connect() as client:
        client.sendall(octets * times)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


def test_a_line_for_each_request_with_the_id_that_the_client_was_told(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with running(f"--access-log-file={log}") as server:
        answers = ask(server, GET % b"/users/1?full=1" + GET % b"/healthz" + GET % b"/nowhere" + b"bad\r\n\r\n")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    ids = re.findall(rb"X-Request-ID: ([^\r]+)", answers)
    found = [LINE.fullmatch(line) for line in lines_of(log)]
    assert [(line["request"], line["status"], line["id"]) for line in found if line] == [
        ("GET /users/1?full=1 HTTP/1.1", "404", ids[0].decode()),
        ("GET /nowhere HTTP/1.1", "404", ids[1].decode()),
        ("-", "400", ids[2].decode()),
    ]
    assert len(ids) == 3
    assert log.stat().st_mode & 0o777 == 0o640


def test_an_ipv6_client_behind_a_proxy_is_written_as_rfc_5952_says(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    given = ["2001:DB8:0:0:1:0:0:1", "1:0:0:2:0:0:0:3", "::", "1:2:3:4:5:6:7:0"]
    request = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: %b\r\n\r\n"
    with running(f"--access-log-file={log}", "--access-log-format=common", "--forwarded-allow-ips=127.0.0.1") as server:
        ask(server, b"".join(request % client.encode() for client in given))
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert [line.split()[0] for line in lines_of(log)] == ["2001:db8::1:0:0:1", "1:0:0:2::3", "::", "1:2:3:4:5:6:7:0"]


def test_json_has_what_tools_look_for(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with running(f"--access-log-file={log}", "--access-log-format=json", "--access-log-exclude=off") as server:
        ask(server, (GET % b"/users/1").replace(b"\r\n\r\n", TRACED) + GET % b"/healthz")
        server.signal(signal.SIGTERM)
        server.wait()
        told = [json.loads(line) for line in lines_of(log)]
        assert [(line["url.path"], line.get("http.route")) for line in told] == [
            ("/users/1", "/users/:id"),
            ("/healthz", "/healthz"),
        ]
        assert [line.get("trace_id") for line in told] == ["0af7651916cd43dd8448eb211c80319c", None]
        assert {line["worker"] for line in told} == {server.pid}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_was_moved_is_opened_anew(tmp_path: Path, workers: int) -> None:
    log, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    with running(f"--access-log-file={log}", f"--workers={workers}") as server:
        ask(server, GET % b"/before")
        log.rename(moved)
        server.signal(signal.SIGUSR1)
        server.wait_for(r"(?s)anew" + r".*anew" * (workers - 1))
        ask(server, GET % b"/after")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert "/before" in moved.read_text()
    assert "/before" not in log.read_text()
    assert "/after" in log.read_text()


def test_a_file_that_cannot_be_opened_anew_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    with running(f"--access-log-file={folder / 'access.log'}") as server:
        moved = folder.rename(tmp_path / "moved")
        server.signal(signal.SIGUSR1)
        server.wait_for("No such file or directory. The old one goes on")
        ask(server, GET % b"/after")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert "/after" in (moved / "access.log").read_text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_file_that_cannot_be_written_ends_the_start(tmp_path: Path, workers: str) -> None:
    failed = run("--port=0", f"--workers={workers}", f"--access-log-file={tmp_path / 'none' / 'access.log'}")
    assert failed.code == 3
    assert failed.stderr.splitlines()[-1].startswith("Error: Could not open the access log ")
    assert failed.stderr.splitlines()[-1].endswith(": No such file or directory.")


def test_an_unknown_atom_is_named() -> None:
    failed = run("--access-log-format=%(h)s %(zz)s")
    assert failed.code == 2
    assert failed.stderr.startswith('Error: Invalid element "%(zz)s" of flag --access-log-format: expected one of h, ')
    assert failed.stderr.count("\n") == 1


def test_server_events_are_json_where_they_are_wanted() -> None:
    with running("--log-format=json") as server:
        ask(server, b"bad\r\n\r\n")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        events = [json.loads(line) for line in server.stderr.splitlines()]
    assert {"time", "level", "logger", "message", "pid"} == set(events[0])
    assert any(event["message"].startswith("bad request from") for event in events)


def test_a_reader_who_does_not_read_stops_nobody(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with running(f"--access-log-file={fifo}", "--rate-limit-rps=0") as server:
        for _ in range(4):
            assert ask(server, GET % b"/nowhere", 1000).count(b" 404 Not Found") == 1000
        server.wait_for("Access lines are lost: whoever reads it is too slow")
        told = re.search(rb"\nhighperf_access_log_dropped_total (\d+)", ask(server, GET % b"/metrics"))
        assert told is not None
        assert int(told[1]) > 0
        while "get through again" not in server.stderr:
            if select.select([reader], [], [], 0.1)[0]:
                assert os.read(reader, 1 << 20)
    os.close(reader)


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def hostile(dice: random.Random) -> bytes:
    target = b"/" + b"".join(dice.choices(HOSTILE, k=dice.randrange(1, 6)))
    method = dice.choice([b"GET", b"BREW", b"G'T", b"!#$%&'*+-.^_`|~"])
    agent = dice.choice([b"a", b'"\\', b"\x80\xff\t\xc2\x9b", b'" 200 OK'])
    given = dice.choice([b"", b'X-Request-ID: forged"id\r\n', b"X-Forwarded-For: 192.0.2.1\r\n"])
    return method + b" " + target + b" HTTP/1.1\r\nHost: a\r\nUser-Agent: " + agent + b"\r\n" + given + b"\r\n"


@pytest.mark.parametrize(("form", "check"), [("combined", COMBINED.fullmatch), ("json", json.loads)])
def test_no_request_forges_a_line_or_leaves_anything(tmp_path: Path, form: str, check: Callable[[str], object]) -> None:
    """50,000 hostile requests of each form make as many lines, which are as they should be."""
    dice, log, answers, early = random.Random(7), tmp_path / "access.log", 0, 0
    with running(f"--access-log-file={log}", f"--access-log-format={form}", "--rate-limit-rps=0") as server:
        while answers < 50_000:
            batch = [*(hostile(dice) for _ in range(500)), dice.choice(WRONG)]
            answers += ask(server, b"".join(batch)).count(b"HTTP/1.1 4")
            if answers >= 40_000 and not early:  # the pool keeps as many buffers as it may by then
                early = resident(server.pid)
        assert resident(server.pid) - early <= GROWTH_MOST
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    lines = log.read_bytes().decode("ascii").splitlines(keepends=True)
    assert len(lines) == answers
    assert all(map(check, lines))
