"""The curves: along which quantity a server is asked to grow, what it is asked for at each point, and who is asked.

Knows how to start each peer for a point, not how anything is measured or shown.
"""

import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.load.apps.routes import table
from bench.load.client import ask
from bench.load.peers import FLOOR, PEERS, Peer
from bench.load.places import RUN
from bench.load.workloads import Check, Workload, check_user

WHOLE = "highperf-whole"
WHOLE_MOST = 10 << 20  # what fits highperf's own limit_request_body
LIMIT = str(1 << 30)

# As browsers, proxies and API clients send them.
FIELDS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36",
    "Accept": "application/json, text/plain, */*",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.8",
    "Authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiIsImV4cCI6MTc2NH0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg",
    "X-Request-ID": "5c1f0a3e-9d51-4f7b-8a52-1d9f0f6f2a61",
    "Referer": "https://www.example.com/account/users?page=3",
    "Origin": "https://www.example.com",
    "Cookie": "session=9f86d081884c7d659a2feaa0c55ad015; theme=dark; consent=all",
    "Cache-Control": "no-cache",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-site",
    "Sec-Fetch-Dest": "empty",
    "Sec-CH-UA-Platform": '"Linux"',
    "Sec-CH-UA-Mobile": "?0",
    "DNT": "1",
    "Priority": "u=1, i",
    "X-Forwarded-For": "203.0.113.7, 198.51.100.23",
    "X-Forwarded-Proto": "https",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
} | {f"X-Tenant-Attribute-{number}": f"value-{number:04d}-of-a-tenant" for number in range(30)}


@dataclass(frozen=True)
class Curve:
    name: str
    unit: str  # of what grows
    points: tuple[int, ...]
    peers: tuple[str, ...]
    workload: Callable[[int], Workload]
    as_at: Callable[[Peer, int], Peer | None] = lambda peer, value: peer  # None: not asked at this point
    spell: Callable[[int], str] = "{:,}".format
    figures: tuple[tuple[str, str, int], ...] = (("CPU µs/req", "cpu_us", 1),)  # title, figure, digits
    log: bool = True
    everywhere: bool = False  # on all CPUs, not on the one for servers

    def few(self) -> "Curve":
        """Both ends and the middle."""
        middle = self.points[len(self.points) // 2]
        return replace(self, points=tuple(dict.fromkeys((self.points[0], middle, self.points[-1]))))

    def ask_for(self, names: set[str]) -> "Curve":
        return replace(self, peers=tuple(name for name in self.peers if name in names))

    def at(self, value: int) -> tuple[Workload, list[Peer]]:
        as_asked = (self.as_at(KNOWN[name], value) for name in self.peers)
        return self.workload(value), [peer for peer in as_asked if peer]


# ---- connections ---------------------------------------------------------------------------------


def with_connections(count: int) -> Workload:
    return Workload(
        f"connections-{count}",
        check_user,
        kind="held",
        path="/users/42",
        scripts=("counted.lua",),
        constants=f"COUNTER = {json.dumps(str(RUN / 'asked'))}",
        connections=count,
    )


def patient(peer: Peer, count: int) -> Peer:
    """Where thousands ask at once, each waits longer than a server likes that sheds load: it is told to bear that."""
    return replace(peer, env=peer.env | {"GUARDS": "critical"})


# ---- routes --------------------------------------------------------------------------------------


def paths_of(count: int) -> list[str]:
    """One path of each route, in an order in which neighbours share nothing."""
    paths = [path.replace("{id}", f"{7919 * number % 1000}") for number, path in enumerate(table("{id}", count))]
    random.Random(count).shuffle(paths)
    return paths


def check_routes(count: int) -> Check:
    def check_some(peer: Peer, port: int) -> str:
        for path in paths_of(count)[:: max(1, count // 10)]:
            answer, last = ask(port, "GET", path), path.rpartition("/")[2]
            if (answer.status, answer.body.decode()) != (200, last if last.isdigit() else "ok"):
                return f"{path} answered {answer}"
        status = ask(port, "GET", "/v1/area0/thing").status
        return "" if status == 404 else f"a path without a route answered {status}"

    return check_some


def with_routes(count: int) -> Workload:
    constants = "PATHS = [[\n" + "\n".join(paths_of(count)) + "\n]]"
    return Workload(f"routes-{count}", check_routes(count), scripts=("paths.lua",), constants=constants)


def routing(peer: Peer, count: int) -> Peer:
    return replace(peer, env=peer.env | {"ROUTES": str(count)})


# ---- header fields -------------------------------------------------------------------------------


def fields_of(count: int) -> dict[str, str]:
    return dict(list(FIELDS.items())[:count])


def with_fields(count: int) -> Workload:
    def check_accepted(peer: Peer, port: int) -> str:
        answer = ask(port, "GET", "/users/42", fields=fields_of(count))
        return "" if answer.status == 200 and b'"42"' in answer.body else f"answered {answer}"

    lines = (f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in fields_of(count).items())
    return Workload(f"headers-{count}", check_accepted, path="/users/42", constants="\n".join(lines))


# ---- content -------------------------------------------------------------------------------------

SIZES = {"1k": 1 << 10, "16k": 16 << 10, "256k": 256 << 10, "1m": 1 << 20, "10m": 10 << 20, "100m": 100 << 20}
NAMES = {size: name for name, size in SIZES.items()}
UPLOADS = {1 << 10: 64, 16 << 10: 64, 256 << 10: 16, 1 << 20: 8, 10 << 20: 4, 100 << 20: 2}  # at once


def with_content(size: int) -> Workload:
    def check_length(peer: Peer, port: int) -> str:
        answer = ask(port, "POST", "/upload", "x" * size, fields={"Content-Type": "application/octet-stream"})
        right = answer.status // 100 == 2 and (peer.canned or answer.body == str(size).encode())
        return "" if right else f"{size} octets were answered with {answer}"

    return Workload(
        f"body-{NAMES[size]}",
        check_length,
        path="/upload",
        scripts=("upload.lua",),
        constants=f"LENGTH = {size}",
        connections=UPLOADS[size],
        content_bytes=size,
        cut_off=size >= SIZES["10m"],
    )


def receiving(peer: Peer, size: int) -> Peer | None:
    """With its limit out of the way, and told to hand over content while it comes where it must be told."""
    match peer.name:
        case "go-fasthttp":
            return replace(peer, command=f"{peer.command} -stream")
        case "robyn":
            return replace(peer, env=peer.env | {"ROBYN_MAX_PAYLOAD_SIZE": LIMIT})
        case "highperf-whole" if size > WHOLE_MOST:
            return None
    return peer


def whole(peer: Peer) -> Peer:
    note = "this project, that reads content with request.body() rather than in parts"
    return replace(peer, name=WHOLE, env=peer.env | {"UPLOAD": "whole"}, note=note)


# ---- workers -------------------------------------------------------------------------------------


def counts(cpus: int) -> tuple[int, ...]:
    """Powers of two up to the CPUs, all of those, and twice as many."""
    return tuple(sorted({1 << power for power in range(cpus.bit_length())} | {cpus, 2 * cpus}))


def with_workers(count: int) -> Workload:
    return Workload(f"workers-{count}", check_user, path="/users/42", connections=256)


def working(peer: Peer, count: int) -> Peer:
    match peer.name:
        case "highperf":
            return replace(peer, command=f"{peer.command} --workers {count}")
        case "go-nethttp":
            return replace(peer, env=peer.env | {"GOMAXPROCS": str(count)})
        case "nginx" if peer.config:
            source, own = peer.config
            return replace(peer, config=(source, own | {"WORKERS": str(count)}))
    return replace(peer, command=peer.command.replace("--workers 1", f"--workers {count}"))


# ---- all -----------------------------------------------------------------------------------------

KNOWN = {peer.name: peer for peer in PEERS}
KNOWN[WHOLE] = whole(KNOWN["highperf"])

SERVERS = ("highperf", "go-fasthttp", "go-nethttp", "granian-rsgi")
ROUTERS = ("starlette", "fastapi", "falcon-asgi", "aiohttp", "sanic", "blacksheep", "robyn", "socketify")

CURVES = {
    curve.name: curve
    for curve in (
        Curve(
            "connections",
            "keep-alive connections",
            (1, 8, 64, 512, 2000, 10_000),
            (FLOOR, *SERVERS, "starlette"),
            with_connections,
            patient,
            figures=(("CPU µs/req", "cpu_us", 1), ("req/s", "rps", 0), ("RSS MB", "rss_mb", 1)),
        ),
        Curve("routes", "routes", (10, 100, 1000, 10_000), ("highperf", "go-nethttp", *ROUTERS), with_routes, routing),
        Curve("headers", "header fields", (0, 5, 10, 20, 50), (FLOOR, *SERVERS, "starlette"), with_fields, log=False),
        Curve(
            "bodies",
            "octets of content",
            tuple(SIZES.values()),
            (FLOOR, "highperf", WHOLE, "go-fasthttp", "go-nethttp", "granian-rsgi", "starlette", "robyn"),
            with_content,
            receiving,
            NAMES.__getitem__,
            (
                ("CPU µs/req", "cpu_us", 1),
                ("CPU µs/MB", "cpu_us_per_mb", 0),
                ("req/s", "rps", 0),
                ("peak RSS MB", "peak_mb", 1),
            ),
        ),
        Curve(
            "workers",
            "workers",
            counts(os.cpu_count() or 1),
            ("highperf", "go-nethttp", "granian-rsgi", "nginx"),
            with_workers,
            working,
            figures=(("CPU µs/req", "cpu_us", 1), ("req/s", "rps", 0)),
            everywhere=True,
        ),
    )
}
