"""HUP: new code, settings and environment take over without a refused connection; what fails changes nothing."""

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.servers import PATIENCE_S, Server, running

APP = """
import asyncio, os, sys, time
from highperf import App

app = App()
VERSION = "one"

def say(word):
    print(word, file=sys.stderr, flush=True)

@app.get("/")
def version(request):
    return VERSION

@app.get("/pid")
def pid(request):
    return str(os.getpid())

@app.post("/echo")
async def echo(request):
    say("begun")
    return await request.body()

@app.on_startup
async def start():
    if os.path.exists("stuck"):
        say("stuck")
        await asyncio.Event().wait()
"""
BROKEN = APP.replace("app = App()", "app = = App()")
FAILING = APP + "\n@app.on_startup\ndef fail():\n    raise OSError('no database')\n"
FILES = {"shop.py": APP}
GET = "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
PATIENT = {"SHUTDOWN_TIMEOUT": "30s", "READ_TIMEOUT": "30s"}

each_kind = pytest.mark.parametrize("workers", ["1", "2"])


def ask(server: Server, path: str = "/") -> str:
    with server.connect() as client:
        client.sendall((GET % path).encode())
        return client.makefile("rb").read().partition(b"\r\n\r\n")[2].decode()


def change(server: Server, code: str) -> None:
    """Put another version in place, which Python does not take for the one that it has compiled."""
    path = server.directory / "shop.py"
    path.write_text(code)
    changed = path.stat().st_mtime + 10
    os.utime(path, (changed, changed))


def reload(server: Server, times: int = 1) -> None:
    """Reload, and wait until that is over."""
    server.signal(signal.SIGHUP)
    server.wait_for(rf"(?s)(?:(?:Reloaded in|Reload failed).*){{{times}}}\n")


def stops(server: Server) -> None:
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    server.wait_for_all()


@contextmanager
def asked_without_pause(server: Server) -> Iterator[list[str]]:
    """What a client gets that opens a connection for each request, one after the other."""
    answers: list[str] = []
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            try:
                answers.append(ask(server))
            except OSError as error:
                answers.append(repr(error))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield answers
    finally:
        done.set()
        thread.join(PATIENCE_S)


@each_kind
def test_changed_code_is_served_by_the_same_process_id_and_nobody_is_refused(workers: str) -> None:
    with running("shop:app", "--workers", workers, files=FILES) as server:
        with asked_without_pause(server) as answers:
            change(server, APP.replace('"one"', '"two"'))
            reload(server)
            assert server.process.poll() is None
            assert ask(server) == "two"
        assert set(answers) <= {"one", "two"}
        stops(server)


@each_kind
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (BROKEN, r'Could not import "shop:app": SyntaxError: invalid syntax\n  File ".*shop\.py", line 5\n'),
        (FAILING, r"Application startup failed: OSError: no database\nTraceback .*\n  File .* in fail\n"),
        ("import os\nos._exit(4)\n", r"Worker process \[\d+\] ended with exit code 4 before it was ready\n"),
    ],
    ids=["import", "startup", "exit"],
)
def test_a_version_that_fails_leaves_the_old_one_serving_and_says_why(workers: str, code: str, reason: str) -> None:
    with running("shop:app", "--workers", workers, files=FILES) as server:
        change(server, code)
        reload(server)
        server.wait_for(rf"ERROR Reload failed, and the workers of before go on: {reason}")
        assert {ask(server) for _ in range(20)} == {"one"}
        change(server, APP.replace('"one"', '"three"'))
        reload(server, times=2)
        assert {ask(server) for _ in range(20)} == {"three"}
        stops(server)


@each_kind
def test_a_running_request_is_finished_by_the_worker_that_began_it(workers: str) -> None:
    with running("shop:app", "--workers", workers, files=FILES, env=PATIENT) as server, server.connect() as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        server.wait_for("begun")
        server.signal(signal.SIGHUP)
        server.wait_for(r"Waiting for connections to close\. .* 1 connection, 1 request running")
        assert ask(server) == "one"
        client.sendall(b"whole")
        answer = client.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"whole")
        server.wait_for("Reloaded in")
        stops(server)


@each_kind
def test_a_signal_during_a_reload_brings_one_more(workers: str) -> None:
    with running("shop:app", "--workers", workers, files=FILES) as server:
        server.signal(signal.SIGHUP)
        server.wait_for("Reloading")
        for _ in range(3):
            server.signal(signal.SIGHUP)
        server.wait_for(r"(?s)(Reloaded in.*){2}")
        stops(server)
        assert server.stderr.count("Reloaded in") == 2


def test_settings_of_an_env_file_are_read_anew() -> None:
    files = {**FILES, "settings.env": "WEB_CONCURRENCY=2\nIDLE_TIMEOUT=7s\n"}
    with running("shop:app", "--env-file", "settings.env", files=files) as server:
        assert "keep-alive 7s" in server.stderr
        (server.directory / "settings.env").write_text("WEB_CONCURRENCY=1\nIDLE_TIMEOUT=8s\n")
        reload(server)
        assert "keep-alive 8s" in server.stderr
        assert len({ask(server, "/pid") for _ in range(20)}) == 1
        (server.directory / "settings.env").write_text("IDLE_TIMEOUT=soon\n")
        reload(server, times=2)
        assert 'go on: Invalid value "soon" for IDLE_TIMEOUT in settings.env' in server.stderr
        stops(server)


def test_one_process_becomes_the_supervisor_of_its_successor() -> None:
    with running("shop:app", "--pid-file", "run.pid", files=FILES) as server:
        assert ask(server, "/pid") == str(server.pid)
        reload(server)
        successor = int(ask(server, "/pid"))
        assert successor != server.pid
        os.kill(successor, signal.SIGKILL)
        server.wait_for(rf"Worker 1 \[{successor}\] was killed by SIGKILL")
        assert int(ask(server, "/pid")) not in (successor, server.pid)  # waits in the socket until it is replaced
        reload(server, times=2)
        assert (server.directory / "run.pid").read_text() == f"{server.pid}\n"
        stops(server)
        assert re.search(rf"Finished supervisor process \[{server.pid}\]: [23] requests served, 0 ", server.stderr)


def test_a_program_is_reloaded_as_well() -> None:
    main = APP + "\nif __name__ == '__main__':\n    app.run(port=0)\n"
    with running(program=["shop.py"], files={"shop.py": main}) as server:
        change(server, main.replace('"one"', '"two"'))
        reload(server)
        assert ask(server) == "two"
        stops(server)


def test_one_process_may_get_more_workers() -> None:
    with running("shop:app", files=FILES) as server:
        server.signal(signal.SIGTTIN)
        server.wait_for(r"Worker 2 \[\d+\] is ready \(2/2 workers\)")
        pids: set[str] = set()
        deadline = time.monotonic() + PATIENCE_S
        while len(pids) < 2 and time.monotonic() < deadline:
            pids.add(ask(server, "/pid"))
        assert str(server.pid) in pids
        assert len(pids) == 2
        stops(server)


@each_kind
def test_a_signal_while_the_new_worker_starts_ends_all(workers: str) -> None:
    with running("shop:app", "--workers", workers, files=FILES) as server:
        (server.directory / "stuck").touch()
        server.signal(signal.SIGHUP)
        server.wait_for("stuck\n")
        assert ask(server) == "one"
        stops(server)


@each_kind
def test_a_signal_while_the_old_worker_drains_ends_all(workers: str) -> None:
    with running("shop:app", "--workers", workers, files=FILES, env=PATIENT) as server, server.connect() as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        server.wait_for("begun")
        server.signal(signal.SIGHUP)
        server.wait_for(r"Waiting for connections to close")
        server.signal(signal.SIGTERM)
        server.wait_for(r"Shutting down \(SIGTERM\)")
        client.sendall(b"whole")
        assert client.makefile("rb").read().endswith(b"whole")
        assert server.wait() == 0
        server.wait_for_all()


def test_a_reload_that_is_wanted_while_the_server_stops_is_none() -> None:
    with running("shop:app", files=FILES, env=PATIENT) as server, server.connect() as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        server.wait_for("begun")
        server.signal(signal.SIGTERM)
        server.wait_for("Waiting for connections to close")
        server.signal(signal.SIGHUP)
        server.signal(signal.SIGTTIN)
        client.sendall(b"whole")
        assert client.makefile("rb").read().endswith(b"whole")
        assert server.wait() == 0
        assert "Reloading" not in server.stderr


def test_a_signal_to_the_whole_group_reaches_a_worker_that_starts_and_is_ignored_there() -> None:
    slow = "import os, sys, time\nprint('importing', file=sys.stderr, flush=True)\n"
    slow += "while not os.path.exists('go'):\n    time.sleep(0.01)\n" + APP
    with running("shop:app", "--workers", "2", files={"shop.py": slow}, until="importing\n") as server:
        server.signal_all(signal.SIGHUP)
        (server.directory / "go").touch()
        server.wait_for("highperf running on")
        server.wait_for("Reloaded in")
        assert "was killed" not in server.stderr
        stops(server)


def test_a_second_signal_kills_what_one_process_has_started() -> None:
    with running("shop:app", files=FILES, env=PATIENT) as server:
        reload(server)
        with server.connect() as client:
            client.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
            server.wait_for("begun")
            server.signal(signal.SIGTERM)
            server.wait_for("Waiting for connections")
            server.signal(signal.SIGTERM)
            assert server.wait() == 1
            server.wait_for_all()


def test_a_reload_that_was_begun_while_nobody_could_start_ends_the_waiting() -> None:
    with running("shop:app", "--workers", "2", files=FILES) as server:
        change(server, "import os\nos._exit(4)\n")
        victim = re.findall(r"Worker 2 \[(\d+)\] is ready", server.stderr)[0]
        os.kill(int(victim), signal.SIGKILL)
        server.wait_for("Worker 2 is started again in 2 s")
        change(server, APP.replace('"one"', '"two"'))
        reload(server)
        assert {ask(server) for _ in range(30)} == {"two"}
        stops(server)


def test_certain_sockets_stay_bound_through_a_reload() -> None:
    with running("shop:app", files=FILES) as server:
        reload(server)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((server.host, server.port))
        stops(server)
