"""A server with several worker processes: how they start, what becomes of one that fails, how all of them end."""

import os
import re
import resource
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import PATIENCE_S, Server, run, running

APP = """
import asyncio, ctypes, os, sys, time
from highperf import App

print("imported by", os.getpid(), file=sys.stderr, flush=True)
if os.path.exists("broken"):
    os._exit(9)

app = App()

def say(word):
    print(word, file=sys.stderr, flush=True)

@app.get("/")
def pid(request):
    return str(os.getpid())

@app.get("/exit")
def leave(request):
    os._exit(7)

@app.get("/crash")
def crash(request):
    ctypes.string_at(0)

@app.get("/block")
def block(request):
    say("begun")
    while True:
        time.sleep(60)

@app.get("/wait")
async def wait(request):
    asyncio.get_running_loop().call_soon(say, "begun")
    await asyncio.Event().wait()

@app.on_startup
async def start():
    if os.path.exists("stuck"):
        say("stuck")
        await asyncio.Event().wait()
"""
FILES = {"shop.py": APP}
GET = "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
TWO = ("--workers", "2")
TIMEOUT = {"SHUTDOWN_TIMEOUT": "300ms"}


def ask(server: Server, path: str = "/") -> str:
    """The content of the answer to a request on a connection of its own; nothing if the connection is reset."""
    with server.connect() as client:
        client.sendall((GET % path).encode())
        try:
            return client.makefile("rb").read().partition(b"\r\n\r\n")[2].decode()
        except ConnectionResetError:
            return ""


def begun(server: Server, path: str) -> socket.socket:
    client = server.connect()
    client.sendall((GET % path).encode())
    server.wait_for("begun")
    return client


def ready(server: Server) -> list[int]:
    """The process ids of the workers that became ready, one after the other."""
    return [int(pid) for pid in re.findall(r"Worker \d+ \[(\d+)\] is ready", server.stderr)]


def until(condition: Callable[[], bool]) -> None:
    """Looks again and again, at something that takes its time to look at."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline


def last_event(server: Server) -> str:
    lines: list[str] = re.findall(r"^\S+Z \w+ (.*)$", server.stderr, re.MULTILINE)
    return lines[-1]


def assert_stops(server: Server, number: signal.Signals = signal.SIGTERM, code: int = 0) -> None:
    server.signal(number)
    assert server.wait() == code
    server.wait_for_all()


# Start.


def test_every_worker_serves_and_the_log_tells_of_their_start() -> None:
    with running("shop:app", *TWO, files=FILES) as server:
        first, second = ready(server)
        events = re.findall(r"^\S+Z (.*)$", server.stderr, re.MULTILINE)
        assert events[0] == f"INFO Started supervisor process [{server.pid}]"
        assert f"INFO Started server process [{first}]" in events
        assert f"INFO Worker 1 [{first}] is ready (1/1 workers)" in events
        assert f"INFO Worker 2 [{second}] is ready (2/2 workers)" in events
        url = f"http://127.0.0.1:{server.port}"
        assert events[-1] == f"INFO highperf running on {url} with 2 workers (Press CTRL+C to quit)"
        assert sum(event.startswith("INFO Limits: ") for event in events) == 1
        served = set()
        until(lambda: served.add(int(ask(server))) or served == {first, second})
        assert_stops(server)


def test_the_supervisor_imports_neither_app_nor_core() -> None:
    with running("shop:app", *TWO, files=FILES) as server:
        mapped = Path(f"/proc/{server.pid}/maps").read_text()
        assert "/segment." in mapped
        assert "uvloop" not in mapped
        assert "highperf/core" not in mapped
        assert f"imported by {server.pid}\n" not in server.stderr


@pytest.mark.release_build
def test_the_supervisor_stays_small() -> None:
    with running("shop:app", *TWO, files=FILES) as server:
        pages = int(Path(f"/proc/{server.pid}/statm").read_text().split()[1])
        assert pages * resource.getpagesize() < 32 * 1024**2


def test_an_application_finds_nothing_of_the_supervisor_in_its_environment() -> None:
    seen = (
        APP + "\nBEFORE = sorted(os.environ)\n@app.get('/environment')\ndef environment(request):\n    return BEFORE\n"
    )
    with running("shop:app", *TWO, files={"shop.py": seen}) as server:
        assert "HIGHPERF_" not in ask(server, "/environment")


def test_auto_means_the_cpus_that_may_be_used() -> None:
    with running("shop:app", "--workers", "auto", files=FILES) as server:
        assert 1 <= len(ready(server)) <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("app", "code", "line"),
    [
        ("import nothing_of_this_name", 3, 'Could not import "shop:app": ModuleNotFoundError: No module named .*'),
        ("from highperf import App\napp = App(prot=1)", 2, r".*App\(prot=\.\.\.\) is not a setting\..*"),
        (APP + "@app.on_startup\ndef fail():\n    raise OSError('no database')", 3,
         "Application startup failed: OSError: no database"),
        (APP + "ctypes.string_at(0)", 3, r"Worker process \[\d+\] was killed by SIGSEGV before it was ready"),
        (APP + "os._exit(0)", 3, r"Worker process \[\d+\] ended with exit code 0 before it was ready"),
    ],
    ids=["import", "setting", "startup", "crash", "exit"],
)  # fmt: skip
def test_a_first_worker_that_fails_ends_the_server_with_one_line(app: str, code: int, line: str) -> None:
    done = run("shop:app", "--port", "0", *TWO, files={"shop.py": app})
    assert done.code == code
    assert re.fullmatch(f"Error: {line}", done.stderr.splitlines()[-1])
    assert len(re.findall("^Error: ", done.stderr, re.MULTILINE)) == 1


def test_a_port_in_use_is_one_line_and_nobody_stays() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        done = run("shop:app", "--port", str(port), *TWO, files=FILES)
        assert done.code == 3
        assert re.fullmatch(rf"Error: Port {port} on 127\.0\.0\.1 is in use .*", done.stderr.splitlines()[-1])


def test_a_program_that_runs_its_app_has_workers_too() -> None:
    main = {"main.py": APP + "\nif __name__ == '__main__':\n    app.run(port=0, workers=2)\n"}
    with running(program=["main.py"], files=main) as server:
        assert int(ask(server)) in ready(server)
        assert server.pid not in ready(server)
        assert_stops(server)


def test_workers_that_start_together_make_one_database() -> None:
    with running("--workers", "3") as server:
        assert len(ready(server)) == 3
        body = b'{"name":"Ada","email":"ada@example.com"}'
        with server.connect() as client:
            head = b"POST /users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"
            client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            assert client.makefile("rb").read().startswith(b"HTTP/1.1 201 ")
        assert {ask(server, "/users/1") for _ in range(20)} == {'{"id":1,"name":"Ada","email":"ada@example.com"}'}


def test_the_process_id_is_in_the_pid_file_while_the_server_runs() -> None:
    with running("shop:app", *TWO, "--pid-file", "run.pid", files=FILES) as server:
        assert (server.directory / "run.pid").read_text() == f"{server.pid}\n"
        assert_stops(server)
        assert not (server.directory / "run.pid").exists()


def test_the_pid_file_of_another_server_stays_where_the_start_fails() -> None:
    with running("shop:app", "--pid-file", "run.pid", files=FILES) as server:
        port = str(server.port)
        done = run("shop:app", "--pid-file", "run.pid", "--port", port, *TWO, directory=server.directory)
        assert done.code == 3
        assert (server.directory / "run.pid").read_text() == f"{server.pid}\n"


def test_a_pid_file_that_cannot_be_written_is_one_line_and_exit_3() -> None:
    done = run("shop:app", "--pid-file", "no/run.pid", files=FILES)
    line = 'Error: Could not write the pid file "no/run.pid": No such file or directory.\n'
    assert (done.code, done.stderr) == (3, line)


# A worker that fails.


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda server, pid: os.kill(pid, signal.SIGKILL), r"was killed by SIGKILL\. Perhaps out of memory\?"),
        (lambda server, pid: ask(server, "/crash"), "was killed by SIGSEGV"),
        (lambda server, pid: ask(server, "/exit"), "ended with exit code 7"),
    ],
    ids=["kill", "segfault", "exit"],
)
def test_a_worker_that_dies_is_replaced_and_nobody_is_refused(
    end: Callable[[Server, int], object], reason: str, record_property: Callable[[str, object], None]
) -> None:
    with running("shop:app", *TWO, files=FILES) as server:
        end(server, ready(server)[1])
        died = server.wait_for(rf"Worker \d \[(\d+)\] {reason}\n")
        began = time.monotonic()
        until(lambda: ask(server) not in ("", died[1]) and len(ready(server)) >= 3)
        record_property("replaced_after_s", round(time.monotonic() - began, 3))
        assert server.stderr.count("(2/2 workers)") == 2
        assert_stops(server)


def test_a_slot_that_waits_out_a_crash_loop_is_served_by_the_other_worker() -> None:
    with running("shop:app", *TWO, files=FILES) as server:
        first, second = ready(server)
        (server.directory / "broken").touch()
        os.kill(second, signal.SIGKILL)
        server.wait_for(r"Worker 2 failed to start: Worker process \[\d+\] ended with exit code 9 before it was ready")
        server.wait_for("Worker 2 is started again in 1 s")
        assert {ask(server) for _ in range(50)} == {str(first)}
        (server.directory / "broken").unlink()
        until(lambda: len(ready(server)) >= 3)
        served = set()
        until(lambda: served.add(int(ask(server))) or served == {first, ready(server)[-1]})
        assert_stops(server)


def test_a_worker_whose_loop_stands_shows_its_stacks_and_is_replaced() -> None:
    with (
        running("shop:app", *TWO, "--timeout-worker-healthcheck", "1s", files=FILES) as server,
        begun(server, "/block"),
    ):
        hung = server.wait_for(r"Worker \d \[(\d+)\] hangs: its loop has not turned for 1s. What it does:\n")
        server.wait_for(r'File ".*shop\.py", line \d+ in block\n')
        server.wait_for(rf"Worker \d \[{hung[1]}\] was killed by SIGKILL\n")
        until(lambda: len(ready(server)) >= 3)
        assert_stops(server)


def test_a_worker_that_is_stopped_is_replaced() -> None:
    with running("shop:app", *TWO, "--timeout-worker-healthcheck", "1s", files=FILES) as server:
        os.kill(ready(server)[0], signal.SIGSTOP)
        server.wait_for(rf"Worker 1 \[{ready(server)[0]}\] was killed by SIGKILL\n")
        until(lambda: len(ready(server)) >= 3)


# Recycling.


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_worker_that_has_served_enough_gives_way_without_a_refusal(workers: str) -> None:
    flags = ("--workers", workers, "--max-requests", "20", "--timeout-worker-healthcheck", "2s")
    with running("shop:app", *flags, files=FILES) as server:
        served: set[str] = set()
        until(lambda: served.add(ask(server)) or len(served) >= 4)
        assert "" not in served
        server.wait_for(r"Worker \d \[\d+\] is to be replaced \(it has served \d+ requests\)")
        assert_stops(server)


def test_a_worker_with_too_much_memory_gives_way() -> None:
    grow = APP + "\n@app.get('/grow')\ndef grow(request):\n    app.state.held = bytes(range(256)) * 800_000\n"
    with running("shop:app", *TWO, "--worker-max-rss", "150m", files={"shop.py": grow}) as server:
        ask(server, "/grow")
        server.wait_for(r"Worker \d \[\d+\] is to be replaced \(it has \d+k? of memory in use\)")
        until(lambda: len(ready(server)) >= 3)
        assert_stops(server)


def test_a_worker_that_is_told_to_end_is_replaced_first() -> None:
    with running("shop:app", *TWO, files=FILES) as server:
        os.kill(ready(server)[0], signal.SIGTERM)
        server.wait_for(r"Worker 1 \[\d+\] is to be replaced \(SIGTERM\)")
        until(lambda: ask(server) != "" and len(ready(server)) >= 3)
        server.wait_for(rf"Finished server process \[{ready(server)[0]}\]")
        assert_stops(server)


# The number of workers.


def test_ttin_adds_a_worker_and_ttou_takes_one_away_but_the_last() -> None:
    with running("shop:app", files=FILES, env={"WEB_CONCURRENCY": "2"}) as server:
        server.signal(signal.SIGTTIN)
        server.wait_for(r"Worker 3 \[\d+\] is ready \(3/3 workers\)")
        pids = ready(server)
        for number, pid in ((3, pids[2]), (2, pids[1])):
            server.signal(signal.SIGTTOU)
            server.wait_for(rf"Ending worker {number} \(SIGTTOU\)")
            server.wait_for(rf"Finished server process \[{pid}\]")
        server.signal(signal.SIGTTOU)
        assert {ask(server) for _ in range(20)} == {str(pids[0])}
        assert_stops(server)


# Stop.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_the_last_line_sums_what_all_workers_served(number: signal.Signals) -> None:
    with running("shop:app", *TWO, files=FILES) as server:
        served = {ask(server) for _ in range(30)}
        assert len(served) == 2
        assert_stops(server, number)
        assert f"Shutting down ({number.name})" in server.stderr
        assert last_event(server) == (
            f"Finished supervisor process [{server.pid}]: 30 requests served, 0 cancelled, 0 dropped"
        )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_to_the_whole_group_ends_the_server_as_cleanly(number: signal.Signals) -> None:
    with running("shop:app", *TWO, files=FILES) as server:
        server.signal_all(number)
        assert server.wait() == 0
        server.wait_for_all()
        assert "Forced" not in server.stderr


def test_running_requests_are_cancelled_at_the_timeout() -> None:
    with running("shop:app", *TWO, files=FILES, env=TIMEOUT) as server, begun(server, "/wait") as client:
        server.signal(signal.SIGTERM)
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 503 ")
        assert server.wait() == 0
        assert last_event(server).endswith("1 request served, 1 cancelled, 0 dropped")


def test_a_worker_that_does_not_end_is_killed_and_the_exit_code_says_so() -> None:
    with running("shop:app", *TWO, files=FILES, env=TIMEOUT) as server, begun(server, "/block"):
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        assert time.monotonic() - began < 5.0  # 0.8 s and a busy machine
        server.wait_for_all()
        assert "Killed: 1 worker that did not end in time" in server.stderr


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_kills_the_workers(second: signal.Signals) -> None:
    with running("shop:app", *TWO, files=FILES) as server, begun(server, "/wait"):
        server.signal(signal.SIGTERM)
        server.wait_for("Waiting for connections to close")
        server.signal(second)
        assert server.wait() == 1
        server.wait_for_all()
        assert last_event(server).startswith(f"Forced to stop by a second signal ({second.name}): ")


def test_connections_are_accepted_during_the_shutdown_delay_and_readiness_says_no() -> None:
    with running("shop:app", *TWO, "--shutdown-delay", "30s", files=FILES) as server:
        assert ask(server, "/readyz") == "ready"
        server.signal(signal.SIGTERM)
        until(lambda: ask(server, "/readyz") != "ready")
        assert int(ask(server)) in ready(server)
        assert_stops(server, signal.SIGQUIT)


def test_no_worker_outlives_a_supervisor_that_is_killed() -> None:
    with running("shop:app", *TWO, files=FILES) as server:
        server.signal(signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL
        server.wait_for_all()
        assert server.stderr.count("Shutting down (its supervisor is gone)") == 2


def test_not_even_a_worker_whose_loop_stands_outlives_it() -> None:
    with running("shop:app", *TWO, files=FILES, env=TIMEOUT) as server, begun(server, "/block"):
        server.signal(signal.SIGKILL)
        server.wait_for_all()
        assert re.search(r'What blocks it:\n(.*\n)*.*shop\.py", line \d+ in block', server.stderr)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_first_worker_starts_ends_the_server(number: signal.Signals) -> None:
    with running("shop:app", *TWO, files={**FILES, "stuck": ""}, until="stuck\n") as server:
        assert_stops(server, number)


def test_a_signal_while_a_worker_is_imported_ends_the_server() -> None:
    slow = "import sys, time\nprint('importing', file=sys.stderr, flush=True)\ntime.sleep(60)\n"
    with running("shop:app", *TWO, files={"shop.py": slow}, until="importing\n") as server:
        assert_stops(server)


def test_a_signal_while_a_crash_loop_is_waited_out_ends_the_server() -> None:
    with running("shop:app", *TWO, files=FILES) as server:
        (server.directory / "broken").touch()
        os.kill(ready(server)[1], signal.SIGKILL)
        server.wait_for("Worker 2 is started again in 1 s")
        assert_stops(server)


def test_usr1_is_harmless_and_usr2_shows_the_stacks_of_all() -> None:
    with running("shop:app", *TWO, files=FILES) as server, begun(server, "/wait"):
        server.signal(signal.SIGUSR1)
        server.signal(signal.SIGUSR2)
        server.wait_for(r"1 request in flight\n.*GET /wait")
        server.wait_for("0 requests in flight")
        assert int(ask(server)) in ready(server)
