"""What is asked of a server, and whether its answers are right: a wrong answer is not measured."""

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.load.client import ask
from bench.load.peers import NOT_MODIFIED, Peer
from bench.load.places import HOST, STATIC

# Says what is wrong with the answers, '' when nothing is.
Check = Callable[[Peer, int], str]

USER = {"name": "Ada", "email": "ada@example.com"}
INVALID_USERS = (
    '{"name":"","email":"a@b.c"}',
    '{"name":"Ada","email":5}',
    '{"name":"Ada"}',
    '{"name":',
)
DEPTH = 16


@dataclass(frozen=True)
class Workload:
    name: str
    check: Check
    kind: str = "load"  # or "held", "idle", "crowd": see bench.load.connections
    path: str = "/healthz"
    scripts: tuple[str, ...] = ()  # wrk scripts besides report.lua
    constants: str = ""  # Lua ahead of them
    connections: int = 0  # instead of those that the run is set to
    content_bytes: int = 0  # size of the file that is fetched, or of what is uploaded
    cut_off: bool = False  # so large that many transfers end half-way with the load
    latency: bool = True  # wrk corrects its percentiles as if a pipelined batch were late answers
    rounds: int = 0  # that are enough; 0: all


def check(workload: Workload, peer: Peer, port: int) -> str:
    try:
        return workload.check(peer, port)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{type(error).__name__}: {error}"


def check_health(peer: Peer, port: int) -> str:
    answer = ask(port, "GET", "/healthz")
    right = (answer.status, answer.body) == (200, b"ok") and answer.media_type.startswith("text/plain")
    return "" if right else f"answered {answer}"


def check_pipeline(peer: Peer, port: int) -> str:
    got = b""
    with socket.create_connection((HOST, port), timeout=3) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * DEPTH)
        while got.count(b"\r\n\r\nok") < DEPTH and (data := connection.recv(65536)):
            got += data
    answers = got.count(b"HTTP/1.1 200"), got.count(b"\r\n\r\nok")
    return "" if answers == (DEPTH, DEPTH) else f"{DEPTH} pipelined requests got {answers} answers"


def check_user(peer: Peer, port: int) -> str:
    for number in ("42",) if peer.canned else ("42", "7"):
        answer = ask(port, "GET", f"/users/{number}")
        wanted = {"id": number, "name": f"User {number}", "email": f"user{number}@example.com"}
        if answer.status != 200 or "json" not in answer.media_type or json.loads(answer.body) != wanted:
            return f"answered {answer}"
    return ""


def check_create(peer: Peer, port: int) -> str:
    answer = ask(port, "POST", "/users", json.dumps(USER))
    user = json.loads(answer.body)
    number = user.pop("id", None)
    if answer.status != 201 or "json" not in answer.media_type or user != USER:
        return f"answered {answer}"
    if not isinstance(number, str) or not number:
        return f"the new user's id is {number!r}"
    for body in () if peer.canned else INVALID_USERS:
        status = ask(port, "POST", "/users", body).status
        if not 400 <= status < 500:
            return f"invalid body {body} answered {status}"
    return ""


def check_file(name: str) -> Check:
    def check_content(peer: Peer, port: int) -> str:
        answer = ask(port, "GET", f"/files/{name}")
        if answer.status != 200 or answer.body != (STATIC / name).read_bytes():
            return f"answered {answer.status}, {len(answer.body)} octets, or other content"
        if not peer.canned and (status := ask(port, "GET", "/files/none.bin").status) != 404:
            return f"missing file answered {status}"
        return ""

    return check_content


def check_not_modified(peer: Peer, port: int) -> str:
    answer = ask(port, "GET", "/files/1k.bin", fields={"If-None-Match": "*"})
    return "" if (answer.status, answer.body) == (304, b"") else f"answered {answer}"


def file(name: str, size: int, **more: Any) -> Workload:
    return Workload(
        f"static-{name}",
        check_file(f"{name}.bin"),
        path=f"/files/{name}.bin",
        content_bytes=size,
        **more,
    )


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("healthz", check_health),
        Workload("healthz-pipe16", check_pipeline, scripts=("pipeline16.lua",), latency=False),
        Workload("user", check_user, path="/users/42"),
        Workload("create", check_create, path="/users", scripts=("post.lua",)),
        file("1k", 1 << 10),
        file("64k", 1 << 16),
        file("8m", 8 << 20, cut_off=True, rounds=1),
        Workload(NOT_MODIFIED, check_not_modified, path="/files/1k.bin", scripts=("if_none_match.lua",)),
        Workload("idle", check_health, kind="idle", rounds=1),
        Workload("crowd", check_user, kind="crowd", path="/users/42", rounds=1),
    )
}
