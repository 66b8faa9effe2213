"""The router alone: from 10 to 10,000 routes, every route of the table in random order.

All kinds of route stand in one table, as in an application: every resource has one of each. The
paths of one kind are asked for in random order, so that large tables pay for the memory they
touch; *one route* asks for the same path over and over, which shows the tree alone. `against` is
Starlette's router, if it is installed.
"""

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from bench.micro.conftest import Tight
from highperf.wire.router import Router
from tests import compiled

SIZES = [10, 100, 1_000, 10_000]
KINDS = {
    # what is asked for: its route and a path, of the resource with this number
    "static": ("/api/{}/list", "/api/{}/list"),
    "param": ("/api/{}/items/:item", "/api/{}/items/8128"),
    "catch-all": ("/api/{}/files/*path", "/api/{}/files/css/site.css"),
}
WORDS = ["users", "teams", "orders", "invoices", "projects", "events", "hooks", "keys", "tags", "notes"]

# Router, paths, rounds -> how many were answered.
MatchAll = Callable[[Router, list[bytes], int], int]


@pytest.fixture(scope="module")
def match_all(pytestconfig: pytest.Config) -> MatchAll:
    loop: MatchAll = compiled.load(pytestconfig, "bench/micro/router_loop.pyx").match_all
    return loop


def table(kind: str, size: int) -> tuple[list[str], list[str]]:
    """`size` patterns of all kinds, and the paths of those of one kind in random order."""
    patterns, paths = [], []
    for number in range(size):
        at, (name, (pattern, path)) = number // len(KINDS), list(KINDS.items())[number % len(KINDS)]
        resource = f"{WORDS[at % len(WORDS)]}-{at}"
        patterns.append(pattern.format(resource))
        if name == kind:
            paths.append(path.format(resource))
    random.Random(size).shuffle(paths)
    return patterns, paths


def starlette_ns(patterns: list[str], paths: list[str]) -> dict[str, float]:
    try:
        from starlette.routing import Match, Route
    except ImportError:
        return {}

    def endpoint(request: Any) -> None: ...

    def spelled(pattern: str) -> str:
        return pattern.replace(":item", "{item}").replace("*path", "{path:path}")

    routes = [Route(spelled(pattern), endpoint) for pattern in patterns]
    asked = paths[: max(1, 20_000 // len(patterns))]
    best_s = float("inf")
    for _ in range(3):
        start = time.process_time()
        for path in asked:
            scope = {"type": "http", "method": "GET", "path": path, "root_path": ""}
            assert any(route.matches(scope)[0] is Match.FULL for route in routes)
        best_s = min(best_s, time.process_time() - start)
    return {"starlette": best_s / len(asked) * 1e9}


def router_of(patterns: list[str]) -> Router:
    router = Router()
    for pattern in patterns:
        router.add("GET", pattern, pattern)
    return router


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def bench_router(tight: Tight, match_all: MatchAll, kind: str, size: int) -> None:
    patterns, paths = table(kind, size)
    router, octets = router_of(patterns), [path.encode() for path in paths]
    assert match_all(router, octets, 1) == len(octets)
    rounds = 20_000 // len(octets)
    tight(
        lambda _: match_all(router, octets, rounds),
        calls=rounds * len(octets),
        against=starlette_ns(patterns, paths),
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def bench_router_one_route(tight: Tight, match_all: MatchAll, kind: str, size: int) -> None:
    patterns, paths = table(kind, size)
    router, octets = router_of(patterns), [paths[0].encode()]
    tight(lambda calls: match_all(router, octets, calls))
