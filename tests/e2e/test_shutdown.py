"""How a server ends: what still gets its answer, what is cut off, and that it does end."""

import os
import re
import signal
import socket
import time

import pytest

from tests.servers import Server, running

CLOSE_BOUND_S = 5.0  # far above what the contract allows with TIMEOUT (0.3 s + 0.5 s); a busy machine is slow
MOMENT_S = 0.25  # for idle connections
TIMEOUT = {"SHUTDOWN_TIMEOUT": "300ms"}
PATIENT = {"SHUTDOWN_TIMEOUT": "30s", "READ_TIMEOUT": "30s"}

# Each handler says "begun" on standard error.
APP = """
import asyncio, os, sys, time
from highperf import App

app = App()

def say(word):
    print(word, file=sys.stderr, flush=True)

@app.get("/")
async def quick(request):
    return "quick"

@app.post("/echo")
async def echo(request):
    say("begun")
    return await request.body()

@app.get("/wait")
async def wait(request):
    asyncio.get_running_loop().call_soon(say, "begun")      # once it waits
    try:
        await asyncio.Event().wait()
    finally:
        say("cleaned up")

@app.get("/stubborn")
async def stubborn(request):
    say("begun")
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            say("ignored")

@app.get("/gate")
def gate(request):
    say("begun")
    with open("gate") as gate:              # a named pipe: blocks until the test opens it too
        return gate.read()

@app.get("/block")
def block_the_loop(request):
    say("begun")
    while True:
        time.sleep(60)

@app.get("/thread", blocking=True)
def thread(request):
    say("begun")
    while True:
        time.sleep(60)

@app.on_startup
async def start():
    async def run_behind():
        try:
            await asyncio.Event().wait()
        finally:
            say("background cancelled")
    app.state.task = asyncio.create_task(run_behind())

@app.on_shutdown
async def stop():
    say("shutdown hook")
"""


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def started(server: Server, path: str) -> socket.socket:
    """A connection whose request is being handled."""
    client = server.connect()
    client.sendall(get(path))
    server.wait_for("begun")
    return client


def keep_alive(server: Server) -> socket.socket:
    """A connection that was served once, and is idle."""
    client = server.connect()
    client.sendall(get("/"))
    answer = b""
    while not answer.endswith(b"quick"):
        answer += client.recv(4096)
    assert b"Connection: close" not in answer
    return client


def the_rest(client: socket.socket) -> bytes:
    return client.makefile("rb").read()


def last_event(server: Server) -> str:
    lines: list[str] = re.findall(r"^\S+Z \w+ (.*)$", server.stderr, re.MULTILINE)
    return lines[-1]


def finished(server: Server, served: str, cancelled: int = 0, dropped: int = 0) -> str:
    return f"Finished server process [{server.pid}]: {served} served, {cancelled} cancelled, {dropped} dropped"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_an_idle_server_ends_cleanly(number: signal.Signals) -> None:
    with running("shop:app", files={"shop.py": APP}) as server:
        server.signal(number)
        assert server.wait() == 0
        assert f"Shutting down ({number.name})" in server.stderr
        assert "shutdown hook\nbackground cancelled\n" in server.stderr
        assert last_event(server) == finished(server, "0 requests")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_request_is_finished_and_told_that_the_connection_ends(number: signal.Signals) -> None:
    with running("shop:app", files={"shop.py": APP}, env=PATIENT) as server, server.connect() as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello ")
        server.wait_for("begun")
        server.signal(number)
        server.wait_for(r"Waiting for connections to close\. \(CTRL\+C to force quit\) 1 connection, 1 request running")
        client.sendall(b"world")
        head, _, body = the_rest(client).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nConnection: close" in head
        assert body == b"hello world"
        assert server.wait() == 0
        assert last_event(server) == finished(server, "1 request")


def test_an_idle_connection_is_closed_without_a_word_but_not_at_once() -> None:
    with running("shop:app", files={"shop.py": APP}, env=PATIENT) as server, keep_alive(server) as client:
        begun = time.monotonic()
        server.signal(signal.SIGTERM)
        assert client.recv(4096) == b""
        assert time.monotonic() - begun > MOMENT_S * 0.9
        assert server.wait() == 0
        assert last_event(server) == finished(server, "1 request")


def test_a_server_with_idle_connections_ends_soon_though_their_clients_do_not_look() -> None:
    with running("shop:app", files={"shop.py": APP}, env=PATIENT) as server, keep_alive(server), server.connect():
        begun = time.monotonic()
        server.signal(signal.SIGINT)
        assert server.wait() == 0
        assert time.monotonic() - begun < CLOSE_BOUND_S


def test_a_request_that_crosses_with_the_signal_is_served() -> None:
    with running("shop:app", files={"shop.py": APP}, env=PATIENT) as server:
        os.mkfifo(server.directory / "gate")
        # The loop learns of the signal and of the second request when the first lets it go on.
        with keep_alive(server) as client, started(server, "/gate") as first:
            server.signal(signal.SIGTERM)
            client.sendall(get("/"))
            (server.directory / "gate").write_text("opened")
            assert the_rest(client).endswith(b"\r\n\r\nquick")
            assert the_rest(first).endswith(b"opened")
        assert server.wait() == 0
        assert last_event(server) == finished(server, "3 requests")


def test_no_connection_is_accepted_while_requests_finish() -> None:
    with running("shop:app", files={"shop.py": APP}, env=PATIENT) as server, server.connect() as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")
        server.wait_for("begun")
        server.signal(signal.SIGTERM)
        server.wait_for("Waiting for connections")
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        client.sendall(b"x")
        assert the_rest(client).endswith(b"\r\n\r\nx")
        assert server.wait() == 0


def test_a_connection_that_nobody_has_accepted_yet_is_served() -> None:
    with running("shop:app", files={"shop.py": APP}, env=PATIENT) as server:
        os.mkfifo(server.directory / "gate")
        # While the first request blocks the loop, the kernel completes the others' connections.
        with started(server, "/gate") as first, server.connect() as second, server.connect() as third:
            second.sendall(get("/"))
            server.signal(signal.SIGTERM)
            third.sendall(get("/"))
            (server.directory / "gate").write_text("opened")
            assert the_rest(first).endswith(b"\r\n\r\nopened")
            assert the_rest(second).endswith(b"\r\n\r\nquick")
            assert the_rest(third).endswith(b"\r\n\r\nquick")
        assert server.wait() == 0
        assert last_event(server) == finished(server, "3 requests")


def test_a_request_that_takes_too_long_is_cancelled_and_answered() -> None:
    with running("shop:app", files={"shop.py": APP}, env=TIMEOUT) as server, started(server, "/wait") as client:
        server.signal(signal.SIGTERM)
        assert the_rest(client).startswith(b"HTTP/1.1 503 ")
        assert server.wait() == 0
        assert re.search("cleaned up\nshutdown hook", server.stderr)
        assert last_event(server) == finished(server, "1 request", cancelled=1)


def test_quit_cancels_at_once() -> None:
    with running("shop:app", files={"shop.py": APP}, env=PATIENT) as server, started(server, "/wait") as client:
        server.signal(signal.SIGQUIT)
        assert the_rest(client).startswith(b"HTTP/1.1 503 ")
        assert server.wait(CLOSE_BOUND_S) == 0


def test_quit_cuts_a_drain_short() -> None:
    with running("shop:app", files={"shop.py": APP}, env=PATIENT) as server, started(server, "/wait") as client:
        server.signal(signal.SIGTERM)
        server.wait_for("Waiting for connections")
        server.signal(signal.SIGQUIT)
        assert the_rest(client).startswith(b"HTTP/1.1 503 ")
        assert server.wait(CLOSE_BOUND_S) == 0


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_forces_the_end(second: signal.Signals) -> None:
    with running("shop:app", files={"shop.py": APP}, env=PATIENT) as server, started(server, "/wait"):
        server.signal(signal.SIGTERM)
        server.wait_for("Waiting for connections")
        server.signal(second)
        assert server.wait() == 1
        assert last_event(server) == (
            f"Forced to stop by a second signal ({second.name}): "
            "0 requests served, 0 cancelled, 0 dropped, 1 left running"
        )


def test_a_second_signal_ends_a_blocked_loop_too() -> None:
    with running("shop:app", files={"shop.py": APP}, env=PATIENT) as server, started(server, "/block"):
        server.signal(signal.SIGINT)
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        assert "Forced to stop" in last_event(server)


def test_a_handler_that_ignores_its_cancellation_does_not_hold_up_the_end() -> None:
    with running("shop:app", files={"shop.py": APP}, env=TIMEOUT) as server, started(server, "/stubborn") as client:
        begun = time.monotonic()
        server.signal(signal.SIGTERM)
        assert the_rest(client) == b""
        assert server.wait() == 0
        assert time.monotonic() - begun < CLOSE_BOUND_S
        assert "ignored" in server.stderr
        assert "Left behind: 1 task that ignored cancellation" in server.stderr
        assert "shutdown hook" in server.stderr
        assert last_event(server).endswith("0 requests served, 1 cancelled, 1 dropped, 1 left running")


def test_a_handler_that_blocks_the_loop_does_not_hold_up_the_end() -> None:
    with running("shop:app", files={"shop.py": APP}, env=TIMEOUT) as server, started(server, "/block"):
        server.signal(signal.SIGTERM)
        assert server.wait(CLOSE_BOUND_S) == 0
        assert "The event loop is blocked, and the process ends without it. What blocks it:\n" in server.stderr
        assert re.search(r'File ".*shop\.py", line \d+ in block_the_loop', server.stderr)
        assert "Finished server process" in last_event(server)


def test_a_thread_that_does_not_end_does_not_hold_up_the_end() -> None:
    with running("shop:app", files={"shop.py": APP}, env=TIMEOUT) as server, started(server, "/thread") as client:
        server.signal(signal.SIGTERM)
        assert the_rest(client).startswith(b"HTTP/1.1 503 ")
        assert server.wait(CLOSE_BOUND_S) == 0
        assert "Finished server process" in last_event(server)


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (
            "raise OSError('disk is full')",
            r'failed: OSError: disk is full\nTraceback .*\n  File ".*shop\.py", line \d+, in last\n',
        ),
        ("await asyncio.Event().wait()", r"Application shutdown did not finish within the shutdown timeout"),
    ],
    ids=["raises", "hangs"],
)
def test_a_shutdown_hook_that_fails_makes_the_exit_code_1(hook: str, said: str) -> None:
    code = f"{APP}\n@app.on_shutdown\nasync def last():\n    {hook}\n"
    with running("shop:app", files={"shop.py": code}, env=TIMEOUT) as server:
        server.signal(signal.SIGTERM)
        assert server.wait(CLOSE_BOUND_S) == 1
        assert re.search(said, server.stderr)
        assert last_event(server) == finished(server, "0 requests")


def test_usr2_shows_all_stacks_and_the_requests_in_flight_and_nothing_ends() -> None:
    with running("shop:app", files={"shop.py": APP}, env=PATIENT) as server, started(server, "/wait"):
        server.signal(signal.SIGUSR2)
        server.wait_for(r"WARNING 1 request in flight\n.*GET /wait")
        stack = r'thread .* \(most recent call first\):\n(  File .*\n)*  File ".*alone\.py", line \d+ in run\n'
        assert re.search(stack, server.stderr)
        with server.connect() as client:
            client.sendall(get("/").replace(b"Host: a", b"Host: a\r\nConnection: close"))
            assert the_rest(client).endswith(b"quick")


def test_usr2_shows_what_blocks_the_loop() -> None:
    with running("shop:app", files={"shop.py": APP}) as server, started(server, "/block"):
        server.signal(signal.SIGUSR2)
        server.wait_for(r'File ".*shop\.py", line \d+ in block_the_loop')
