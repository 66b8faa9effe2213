"""The router alone: from 10 to 10,000 routes, every route of the table in random order.

All kinds of route stand in one table, as in an application: every resource has one of each. The
paths of one kind are asked for in random order, so that large tables pay for the memory they
touch; *one route* asks for the same path over and over, which shows the tree alone. The
same table of 100 routes is matched by others' routers.
"""

import random
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

import pytest

from bench.micro import twins
from bench.micro.conftest import Loop, Tight
from highperf.wire.router import Router
from tests import compiled

GROUP = "routing"
SIZES = [10, 100, 1_000, 10_000]
COMPARED = 100
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


def starlette_loop(patterns: list[str], paths: list[str]) -> Loop | None:
    if (routing := twins.module("starlette.routing")) is None:
        return None
    routes = [
        routing.Route(pattern.replace(":item", "{item}").replace("*path", "{path:path}"), lambda request: None)
        for pattern in patterns
    ]
    full, asked = routing.Match.FULL, cycle(paths)

    def loop(calls: int) -> None:
        for path in islice(asked, calls):
            scope = {"type": "http", "method": "GET", "path": path, "root_path": ""}
            for route in routes:
                if route.matches(scope)[0] is full:
                    break
            else:
                raise AssertionError(path)

    return loop


def falcon_loop(patterns: list[str], paths: list[str]) -> Loop | None:
    if (routing := twins.module("falcon.routing")) is None:
        return None

    class Resource:
        def on_get(self, req: Any, resp: Any, **params: str) -> None: ...

    router = routing.CompiledRouter()
    for pattern in patterns:
        router.add_route(pattern.replace(":item", "{item}").replace("*path", "{path:path}"), Resource())
    find, asked = router.find, cycle(paths)
    assert all(map(find, paths))

    def loop(calls: int) -> None:
        for path in islice(asked, calls):
            find(path)

    return loop


def werkzeug_loop(patterns: list[str], paths: list[str]) -> Loop | None:
    if (routing := twins.module("werkzeug.routing")) is None:
        return None
    spelled = (pattern.replace(":item", "<item>").replace("*path", "<path:path>") for pattern in patterns)
    match = routing.Map([routing.Rule(rule, endpoint=rule) for rule in spelled]).bind("localhost").match
    asked = cycle(paths)

    def loop(calls: int) -> None:
        for path in islice(asked, calls):
            match(path, "GET")

    return loop


TWINS = {"starlette": starlette_loop, "falcon": falcon_loop, "werkzeug": werkzeug_loop}


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
    count = len(octets)
    tight(
        lambda calls: match_all(router, octets, calls // count),
        calls=20_000 // count * count,
        against={name: twin(patterns, paths) for name, twin in TWINS.items()} if size == COMPARED else None,
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def bench_router_one_route(tight: Tight, match_all: MatchAll, kind: str, size: int) -> None:
    patterns, paths = table(kind, size)
    router, octets = router_of(patterns), [paths[0].encode()]
    tight(lambda calls: match_all(router, octets, calls))


@pytest.mark.parametrize("path", [b"/nowhere", b"/api/users-0/items/8128/more"], ids=["at once", "at its end"])
def bench_router_miss(tight: Tight, match_all: MatchAll, path: bytes) -> None:
    """No route answers; that is known at the first octets, or at the last."""
    router = router_of(table("param", COMPARED)[0])
    assert match_all(router, [path], 1) == 0
    tight(lambda calls: match_all(router, [path], calls))
