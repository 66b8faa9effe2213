"""What guards count, they count for all workers of a server, for one that replaces another, and through a reload."""

import os
import re
import signal
from collections.abc import Callable

import pytest

from tests.servers import Server, running

APP = """
import os
from highperf import App, HTTPError, RateLimit

app = App()
app.breaker("db", failures=20, open_for="10m")

@app.get("/pid")
def pid(request):
    return str(os.getpid())

@app.get("/keyed", rate_limit=RateLimit("1/h", capacity=60, by="header:X-Key"))
def keyed(request):
    return str(os.getpid())

@app.get("/fail", breaker="db")
def fail(request):
    raise HTTPError(500, str(os.getpid()))
"""
TOKENS, FAILURES = 60, 20
GET = "GET %s HTTP/1.1\r\nHost: a\r\nX-Key: k\r\nConnection: close\r\n\r\n"


def ask(server: Server, path: str) -> tuple[int, str]:
    """Status and content of an answer on a connection of its own, which the kernel gives to one worker or another."""
    with server.connect() as client:
        client.sendall((GET % path).encode())
        head, _, content = client.makefile("rb").read().partition(b"\r\n\r\n")
        return int(head.split()[1]), content.decode()


def ready(server: Server) -> list[str]:
    return re.findall(r"Worker \d+ \[(\d+)\] is ready", server.stderr)


def nothing(server: Server) -> None:
    """Leave the workers alone."""


def kill_both(server: Server) -> None:
    for number, pid in enumerate(ready(server), 3):
        os.kill(int(pid), signal.SIGKILL)
        server.wait_for(rf"(?s)(is ready.*){{{number}}}")


def reload(server: Server) -> None:
    server.signal(signal.SIGHUP)
    server.wait_for("Reloaded in")


between = pytest.mark.parametrize("happens", [nothing, kill_both, reload])


@between
def test_a_rate_limit_is_one_for_all_workers(happens: Callable[[Server], None]) -> None:
    with running("shop:app", "--workers", "2", files={"shop.py": APP}) as server:
        before = [ask(server, "/keyed") for _ in range(TOKENS // 2)]
        happens(server)
        after = [ask(server, "/keyed") for _ in range(TOKENS)]
        assert [status for status, _ in before + after] == [200] * TOKENS + [429] * (TOKENS // 2)
        assert {pid for _, pid in before} == set(ready(server)[:2])
        assert {pid for status, pid in after if status == 200} == set(ready(server)[-2:])


@between
def test_a_breaker_is_one_for_all_workers(happens: Callable[[Server], None]) -> None:
    with running("shop:app", "--workers", "2", files={"shop.py": APP}) as server:
        before = [ask(server, "/fail")[0] for _ in range(FAILURES // 2)]
        happens(server)
        after = [ask(server, "/fail")[0] for _ in range(FAILURES)]
        assert before + after == [500] * FAILURES + [503] * (FAILURES // 2)


def test_what_one_process_counted_its_successor_knows() -> None:
    with running("shop:app", files={"shop.py": APP}) as server:
        before = [ask(server, "/keyed")[0] for _ in range(TOKENS // 2)]
        reload(server)
        after = [ask(server, "/keyed")[0] for _ in range(TOKENS)]
        assert before + after == [200] * TOKENS + [429] * (TOKENS // 2)
