"""A server that may open few files, or few connections: who is served, who waits, and what that costs."""

import contextlib
import os
import select
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import PATIENCE_S, Server, running

FILES = 64
FEW = {"READ_TIMEOUT": "30s", "IDLE_TIMEOUT": "60s", "REQUEST_TIMEOUT": "0"}
MOMENT_S = 0.3

APP = """
import asyncio, os, sys
from highperf import App

app = App()
app.state.waiting = asyncio.Queue()
app.state.files = []

@app.get("/")
async def quick(request):
    return "quick"

@app.get("/wait")
async def wait(request):
    future = asyncio.get_running_loop().create_future()
    app.state.waiting.put_nowait(future)
    print("waits", file=sys.stderr, flush=True)
    await future
    return "waited"

@app.get("/open/:count")
async def use_files(request):
    for _ in range(int(request.params["count"])):
        app.state.files.append(os.open("/", os.O_RDONLY))
    return "opened"
"""

# The limit is set in the process itself, for threads and other tests share this one.
START = f"""
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))
sys.argv = ["highperf", "shop:app", "--port", "0"]
runpy.run_module("highperf", run_name="__main__")
"""


@contextlib.contextmanager
def with_few_files() -> Iterator[Server]:
    with running(program=["start.py"], files={"shop.py": APP, "start.py": START}, env=FEW) as server:
        yield server


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def ask(client: socket.socket, path: str = "/") -> bytes:
    client.sendall(get(path))
    return client.recv(4096)


def answered(client: socket.socket, seconds: float) -> bool:
    return bool(select.select([client], [], [], seconds)[0])


def cpu_s(server: Server) -> float:
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def full_of_requests(server: Server) -> Iterator[list[socket.socket]]:
    """As many clients as are let in, each waiting for its answer, and two that are not."""
    with contextlib.ExitStack() as stack:
        clients: list[socket.socket] = []
        while "No room" not in server.stderr:
            assert len(clients) < FILES
            clients.append(stack.enter_context(server.connect()))
            clients[-1].sendall(get("/wait"))
            answered(clients[-1], 0.02)
        for _ in range(2):
            clients.append(stack.enter_context(server.connect()))
            clients[-1].sendall(get("/"))
        yield clients


def test_idle_connections_make_room_for_new_ones() -> None:
    with with_few_files() as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(3 * FILES)]
        for client in clients[-20:]:
            assert ask(client).endswith(b"quick")
        assert server.stderr.count("As many connections are open as may be") == 1
        assert "No room" not in server.stderr


def test_slow_heads_make_room_for_good_clients() -> None:
    with with_few_files() as server, contextlib.ExitStack() as stack:
        for _ in range(2 * FILES):
            stack.enter_context(server.connect()).sendall(b"GET /slow")
        for _ in range(20):
            with server.connect() as client:
                assert ask(client).endswith(b"quick")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
def test_new_connections_wait_while_all_are_busy_and_come_in_when_one_ends() -> None:
    with with_few_files() as server, full_of_requests(server) as clients:
        *busy, first, second = clients
        before_s = cpu_s(server)
        assert not answered(first, MOMENT_S)
        assert not answered(second, MOMENT_S)
        assert cpu_s(server) - before_s < MOMENT_S / 2
        busy.pop().close()
        busy.pop().close()
        busy.pop().close()
        for client in (first, second):
            assert answered(client, PATIENCE_S)
            assert client.recv(4096).endswith(b"quick")
        assert server.stderr.count("No room for another connection") == 1


def test_connections_that_become_idle_make_room_as_well() -> None:
    with with_few_files() as server, contextlib.ExitStack() as stack:
        clients = stack.enter_context(full_of_requests(server))
        late = clients[-1]
        assert not answered(late, MOMENT_S)
        for client in clients[:10]:
            client.shutdown(socket.SHUT_WR)  # who has sent all gets a second, and is gone
        assert answered(late, PATIENCE_S)
        assert late.recv(4096).endswith(b"quick")


def test_files_that_the_application_opens_count_too() -> None:
    with with_few_files() as server, server.connect() as client, contextlib.ExitStack() as stack:
        assert ask(client, f"/open/{FILES // 2}").endswith(b"opened")
        clients = [stack.enter_context(server.connect()) for _ in range(FILES)]
        assert ask(clients[-1]).endswith(b"quick")
        assert client.recv(4096) == b""  # it was idle for longest
        assert "Traceback" not in server.stderr


def test_the_limit_of_connections_is_a_setting() -> None:
    env = {**FEW, "LIMIT_CONNECTIONS": "3"}
    with running("shop:app", files={"shop.py": APP}, env=env) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(4)]
        assert ask(clients[3]).endswith(b"quick")
        assert clients[0].recv(4096) == b""
        assert all(ask(client).endswith(b"quick") for client in clients[1:])


def test_a_full_server_still_drains() -> None:
    with with_few_files() as server, full_of_requests(server) as clients:
        server.signal(signal.SIGTERM)
        server.wait_for("Shutting down")
        for client in clients[:-2]:
            client.close()
        for client in clients[-2:]:
            assert answered(client, PATIENCE_S)
            assert b"Connection: close" in client.recv(4096)
            client.close()
        assert server.wait() == 0
