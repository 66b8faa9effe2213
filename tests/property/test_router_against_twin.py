"""The compiled router and its slow twin answer every path alike, whatever the routes."""

import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from highperf.errors import RouteConflict
from highperf.wire.router import Router
from tests.reference.router_twin import RouterTwin

# Few words that begin alike, so that labels split and dead ends abound; some are longer than a
# node holds, and cut there they differ by one octet.
LONG = "long-label-" * 3
WORDS = ["", "a", "ab", "abc", "b", "é", "è", LONG, LONG + "x", LONG[:27] + "y", LONG[:28], LONG[:29]]
METHODS = ["GET", "POST", "PURGE", "CONNECT", "*"]

words = st.sampled_from(WORDS)


def spell(parts: tuple[list[str], list[str]]) -> str:
    # Parameters are named by their place, so that no two patterns differ by names alone.
    body, end = parts
    return "".join(f"/{part}p{at}" if part in (":", "*") else f"/{part}" for at, part in enumerate(body + end))


patterns = st.tuples(st.lists(words | st.just(":"), min_size=1, max_size=5), st.sampled_from([[], [], ["*"]])).map(
    spell
)
routes = st.lists(st.tuples(st.sampled_from(METHODS), patterns), max_size=25)
paths = st.lists(words | st.sampled_from(["z", "a\0b", "\0", ":p0", "*p0"]), min_size=1, max_size=7).map(
    lambda segments: "/" + "/".join(segments)
)


def in_braces(pattern: str) -> str:
    return re.sub(r"/\*(\w+)", r"/{\1:path}", re.sub(r"/:(\w+)", r"/{\1}", pattern))


def build(routes: list[tuple[str, str]]) -> tuple[Router, RouterTwin]:
    """Both routers; every other route is spelled with braces, repeated ones are conflicts."""
    router, twin, seen = Router(), RouterTwin(), set()
    for value, (method, pattern) in enumerate(routes):
        spelled = in_braces(pattern) if value % 2 else pattern
        if (method, pattern) in seen:
            with pytest.raises(RouteConflict):
                router.add(method, spelled, value)
        else:
            seen.add((method, pattern))
            router.add(method, spelled, value)
            twin.add(method, pattern, value)
    return router, twin


@settings(max_examples=400, derandomize=True, deadline=None)
@given(routes, st.lists(paths, min_size=1, max_size=20))
@example([("GET", "/a/b"), ("GET", "/:p0/ab")], ["/a/ab", "/a/b", "/a/"])
@example([("GET", "/a/:p1/b"), ("GET", "/:p0/a/abc"), ("GET", "/*p0")], ["/a/a/abc", "/a/a/b", "/a/a/z"])
@example([("*", "/a/*p1"), ("GET", "/a/")], ["/a/", "/a", "/a/b/ab"])
def test_router_agrees_with_its_twin(routes: list[tuple[str, str]], paths: list[str]) -> None:
    router, twin = build(routes)
    for path in paths:
        for method in METHODS[:-1]:
            assert router.match(method, path) == twin.match(method, path), (method, path)
        assert router.allowed(path) == twin.allowed(path), path


@settings(max_examples=200, derandomize=True, deadline=None)
@given(routes, paths)
def test_router_agrees_with_its_twin_on_paths_made_from_its_own_patterns(
    routes: list[tuple[str, str]], filler: str
) -> None:
    router, twin = build(routes)
    for _, pattern, _ in router.routes():
        for word in ("a", "ab\0", filler, filler.replace("/", "")):
            path = "/".join(word if segment[:1] in (":", "*") else segment for segment in pattern.split("/"))
            assert router.match("GET", path) == twin.match("GET", path), path
            assert router.match("GET", path + "/") == twin.match("GET", path + "/"), path


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.data())
def test_order_of_registration_does_not_matter(data: Any) -> None:
    pairs = data.draw(st.lists(patterns, max_size=12))
    one, other = build([("GET", pattern) for pattern in pairs])[0], Router()
    for method, pattern, value in data.draw(st.permutations(one.routes())):
        other.add(method, pattern, value)
    for path in data.draw(st.lists(paths, max_size=10)):
        assert one.match("GET", path) == other.match("GET", path), path


@settings(max_examples=150, derandomize=True, deadline=None)
@given(routes, st.binary(max_size=40) | st.binary(max_size=40).map(b"/".__add__))
def test_any_octets_are_a_path(routes: list[tuple[str, str]], path: bytes) -> None:
    router, _ = build([*routes, ("*", "/*p0")])
    assert bool(router.allowed(path)) == path.startswith(b"/")
