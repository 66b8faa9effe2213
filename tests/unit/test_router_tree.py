"""The inside of the router: a sound tree, no allocation, no backtracking without bound."""

import itertools
import random
import sys
from typing import Any

import pytest

from highperf.wire.patterns import PARAMS_MAX, parse_pattern
from highperf.wire.router import Router
from tests import compiled


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/router_probe.pyx")


def router_of(patterns: list[str]) -> Router:
    router = Router()
    for pattern in patterns:
        router.add("GET", pattern, pattern)
    return router


def random_patterns(seed: int, count: int) -> list[str]:
    """Patterns of different shapes, many of which begin alike."""
    rng = random.Random(seed)
    words = ["a", "ab", "abc", "users", "user", "é", "", "x" * 27, "x" * 28, "x" * 29, "x" * 70, ":"]
    shapes = {}
    for _ in range(count):
        parts = [rng.choice(words) for _ in range(rng.randint(1, 6))] + rng.choice([[], [], ["*"]])
        pattern = "".join(f"/{part}p{at}" if part in (":", "*") else f"/{part}" for at, part in enumerate(parts))
        shapes[parse_pattern(pattern).shape] = pattern
    return list(shapes.values())


# --- The tree --------------------------------------------------------------------------------


def check_tree(nodes: list[dict[str, Any]], patterns: list[str], label_limit: int) -> None:
    """Walks the whole tree; fails on the first thing that is out of order."""
    ends = []
    visited = set()
    waiting = [(0, "")]
    while waiting:
        index, above = waiting.pop()
        assert index not in visited, "a node has two parents"
        visited.add(index)
        node = nodes[index]
        here = above + (":" if node["is_param"] else node["label"].decode("utf-8", "surrogateescape"))
        if node["is_param"]:
            assert node["label"] == b""
        else:
            assert 1 <= len(node["label"]) <= label_limit
        octets = [octet for octet, _ in node["children"]]
        assert len(set(octets)) == len(octets), "two children begin alike"
        for octet, child in node["children"]:
            assert not nodes[child]["is_param"]
            assert nodes[child]["label"][0] == octet % 256
            assert nodes[child]["parent"] == index
            waiting.append((child, here))
        if node["param"]:
            assert here.endswith("/"), "a parameter begins in the middle of a segment"
            assert nodes[node["param"]]["is_param"]
            assert nodes[node["param"]]["parent"] == index
            waiting.append((node["param"], here))
        if node["rest"]:
            assert here.endswith("/"), "a catch-all begins in the middle of a segment"
            ends.append((here + "*", node["rest"]))
        if node["endpoint"]:
            ends.append((here, node["endpoint"]))
        assert node["children"] or node["param"] or node["rest"] or node["endpoint"], "a node leads nowhere"
    assert visited == set(range(len(nodes))), "a node is lost"
    decoded = {shape.encode("utf-8", "surrogateescape").decode(): pattern for shape, pattern in ends}
    assert decoded == {parse_pattern(pattern).shape: pattern for pattern in patterns}
    assert len(ends) == len(patterns)


@pytest.mark.parametrize("seed", range(20))
def test_tree_is_sound_after_every_registration(probe: Any, seed: int) -> None:
    router = Router()
    patterns = random_patterns(seed, 40)
    for count, pattern in enumerate(patterns, 1):
        router.add("GET", pattern, pattern)
        check_tree(probe.nodes(router), patterns[:count], probe.LABEL_LIMIT)


def test_tree_is_sound_when_a_node_has_as_many_children_as_there_are_first_octets(probe: Any) -> None:
    # One character for each octet that can begin one, and each that can follow.
    characters = [chr(code) for code in range(1, 128) if chr(code) not in "?#:*{}/"]
    characters += [chr(code) for code in range(0x80, 0x800)] + [chr(code) for code in range(0x800, 0xD800, 0x400)]
    patterns = [f"/{character}" for character in characters]
    router = router_of(patterns)
    check_tree(probe.nodes(router), patterns, probe.LABEL_LIMIT)
    assert all(router.match("GET", pattern) == (pattern, {}) for pattern in patterns)


def test_tree_grows_with_the_routes_and_not_faster(probe: Any) -> None:
    patterns = random_patterns(1, 2_000)
    budget = 1
    for pattern in patterns:
        for piece in parse_pattern(pattern).pieces:
            # A literal may split one node and makes one for each label's worth of octets.
            budget += 1 if piece is None else 2 + len(piece) // probe.LABEL_LIMIT
    assert len(probe.nodes(router_of(patterns))) <= budget


def test_octets_behind_the_path_are_not_looked_at(probe: Any) -> None:
    router = router_of(["/users/new", "/users/:id/x", "/users/*rest"])
    octets = b"/users/new/x"
    for size in range(len(octets) + 1):
        assert probe.endpoint(router, octets, size) is probe.endpoint(router, octets[:size])


def test_node_fills_one_cache_line(probe: Any) -> None:
    assert probe.NODE_BYTES == 64


def test_both_limits_of_parameters_are_one(probe: Any) -> None:
    assert probe.PARAMS_LIMIT == PARAMS_MAX


# --- Bounded work ----------------------------------------------------------------------------


def test_all_combinations_of_literals_and_parameters_end_in_one_walk_over_the_tree() -> None:
    # Every one of the 2^13 ways through the tree is a dead end for the path. Work that grew
    # with the number of ways at each of them, and not with the nodes, would not come back.
    names = [f"p{n}" for n in range(13)]
    patterns = ["/" + "/".join(choice) + "/end" for choice in itertools.product(*((f":{name}", "a") for name in names))]
    router = router_of(patterns)
    assert len(router) == 8_192
    assert router.match("GET", "/a" * 13 + "/other") is None
    assert router.match("GET", "/a" * 13 + "/end") == ("/a" * 13 + "/end", {})
    assert router.match("GET", "/b" * 13 + "/end") == (patterns[0], dict.fromkeys(names, "b"))


def test_dead_ends_at_every_depth_of_a_long_path_end() -> None:
    # 2,000 segments, an alternative at each: a search that tried both ways from each would
    # take 2^500 steps, one that recursed would need as deep a stack.
    literal = "/a" * 500
    patterns = [literal[: 2 * depth] + "/:other/end" for depth in range(500)]
    router = router_of([*patterns, literal + "/end"])
    assert router.match("GET", literal + "/other") is None
    assert router.match("GET", literal + "/end") == (literal + "/end", {})
    assert router.match("GET", literal[:600] + "/x/end") == (literal[:600] + "/:other/end", {"other": "x"})
    assert router.match("GET", "/x/end") == ("/:other/end", {"other": "x"})


def test_longest_way_back_finds_the_catch_all_at_the_root() -> None:
    literal = "/a" * 500
    router = router_of([literal, "/*all"] + [literal[: 2 * depth] + "/:other/end" for depth in range(1, 500)])
    assert router.match("GET", literal + "/a") == ("/*all", {"all": literal[1:] + "/a"})


# --- Memory ----------------------------------------------------------------------------------

ROUTES = ["/healthz", "/users", "/users/new", "/users/:id", "/users/:id/x", "/files/*path"]
PATHS = [b"/healthz", b"/users/42", b"/users/new/x", b"/files/css/site.css", b"/nowhere", b"/users/new/y", b""]


@pytest.mark.parametrize("path", PATHS, ids=[path.decode() for path in PATHS])
@pytest.mark.release_build
def test_matching_allocates_nothing_and_leaves_nothing_behind(probe: Any, path: bytes) -> None:
    router = router_of(ROUTES)
    found = probe.endpoint(router, path)
    references, blocks = sys.getrefcount(found), sys.getallocatedblocks()
    assert probe.match_often(router, path, 10_000) == 0
    assert sys.getallocatedblocks() - blocks < 10
    assert sys.getrefcount(found) - references < 10


def test_allow_field_is_made_once_and_anew_after_a_registration(probe: Any) -> None:
    router = router_of(ROUTES)
    endpoint = probe.endpoint(router, b"/users")
    assert probe.allow_field(endpoint) == "GET, HEAD, OPTIONS"
    assert probe.allow_field(endpoint) is probe.allow_field(endpoint)
    router.add("POST", "/users", 1)
    assert probe.allow_field(endpoint) == "GET, HEAD, OPTIONS, POST"


def test_endpoint_knows_its_pattern_parameters_and_methods(probe: Any) -> None:
    router = Router()
    router.add("PUT", "/users/{id}/{part:path}", 1)
    endpoint = probe.endpoint(router, b"/users/7/x")
    assert endpoint.pattern == "/users/:id/*part"
    assert endpoint.param_names == ("id", "part")
    assert endpoint.methods == ("OPTIONS", "PUT")
    del router
    assert endpoint.pattern == "/users/:id/*part"
