"""Router: which route answers which request."""

import gc
import re
import weakref

import pytest

from highperf.errors import HighperfError, RouteConflict
from highperf.wire.router import Router


def router_of(*patterns: str) -> Router:
    """A router that leads GET of each pattern to the pattern itself."""
    router = Router()
    for pattern in patterns:
        router.add("GET", pattern, pattern)
    return router


# --- Paths -----------------------------------------------------------------------------------

REFERENCE_API = ("/healthz", "/readyz", "/users", "/users/:id", "/files/*path", "/metrics")
PRECEDENCE = ("/users/new", "/users/:id", "/users/*rest", "/users/:id/x", "/:any/new/x", "/*all")

MATCHES = [
    # routes, path, the route that answers, its parameters
    (REFERENCE_API, "/healthz", "/healthz", {}),
    (REFERENCE_API, "/health", None, {}),
    (REFERENCE_API, "/healthz/", None, {}),
    (REFERENCE_API, "/healthzz", None, {}),
    (REFERENCE_API, "/HEALTHZ", None, {}),
    (REFERENCE_API, "/", None, {}),
    (REFERENCE_API, "", None, {}),
    (REFERENCE_API, "healthz", None, {}),
    (REFERENCE_API, "*", None, {}),
    (REFERENCE_API, "/users", "/users", {}),
    (REFERENCE_API, "/users/7", "/users/:id", {"id": "7"}),
    (REFERENCE_API, "/users/", None, {}),
    (REFERENCE_API, "/users//", None, {}),
    (REFERENCE_API, "/users/7/", None, {}),
    (REFERENCE_API, "/users/7/x", None, {}),
    (REFERENCE_API, "//users", None, {}),
    (REFERENCE_API, "/files", None, {}),
    (REFERENCE_API, "/files/", "/files/*path", {"path": ""}),
    (REFERENCE_API, "/files/a", "/files/*path", {"path": "a"}),
    (REFERENCE_API, "/files/a/b.css", "/files/*path", {"path": "a/b.css"}),
    (REFERENCE_API, "/files//", "/files/*path", {"path": "/"}),
    (REFERENCE_API, "/files/../etc", "/files/*path", {"path": "../etc"}),
    # static before parameter before catch-all, and back from dead ends
    (PRECEDENCE, "/users/new", "/users/new", {}),
    (PRECEDENCE, "/users/newer", "/users/:id", {"id": "newer"}),
    (PRECEDENCE, "/users/ne", "/users/:id", {"id": "ne"}),
    (PRECEDENCE, "/users/new/x", "/users/:id/x", {"id": "new"}),
    (PRECEDENCE, "/users/new/y", "/users/*rest", {"rest": "new/y"}),
    (PRECEDENCE, "/users/", "/users/*rest", {"rest": ""}),
    (PRECEDENCE, "/users//x", "/users/*rest", {"rest": "/x"}),
    (PRECEDENCE, "/users", "/*all", {"all": "users"}),
    (PRECEDENCE, "/teams/new/x", "/:any/new/x", {"any": "teams"}),
    (PRECEDENCE, "/teams/new/y", "/*all", {"all": "teams/new/y"}),
    (PRECEDENCE, "/", "/*all", {"all": ""}),
    # a dead end gives its parameters back
    (("/a/:b/:c/d", "/:x/b/*y"), "/a/b/c/e", "/:x/b/*y", {"x": "a", "y": "c/e"}),
    (("/a/:b/:c/d", "/:x/:y/:z/e"), "/a/b/c/e", "/:x/:y/:z/e", {"x": "a", "y": "b", "z": "c"}),
    (("/a/:b/c", "/:x/:y"), "/a/b", "/:x/:y", {"x": "a", "y": "b"}),
    # the leftmost segment decides, not the number of literals
    (("/:a/b/c/d", "/a/:b/:c/:d"), "/a/b/c/d", "/a/:b/:c/:d", {"b": "b", "c": "c", "d": "d"}),
    # a catch-all is the last resort at its own depth, before one nearer to the root
    (("/*all", "/a/*rest"), "/a/b", "/a/*rest", {"rest": "b"}),
    (("/*all", "/a/*rest"), "/a", "/*all", {"all": "a"}),
    # empty segments are literal only
    (("/a//b",), "/a//b", "/a//b", {}),
    (("/a//b", "/a/:x/b"), "/a//b", "/a//b", {}),
    (("/a/:x/b",), "/a//b", None, {}),
    (("/:x",), "/", None, {}),
    (("/", "/:x"), "/", "/", {}),
    # labels that begin alike
    (("/romane", "/romanus", "/romulus", "/rubens", "/ruber"), "/romanus", "/romanus", {}),
    (("/romane", "/romanus", "/romulus", "/rubens", "/ruber"), "/roman", None, {}),
    (("/romane", "/romanus", "/romulus", "/rubens", "/ruber"), "/rubicon", None, {}),
    (("/romane", "/roman", "/rom"), "/roman", "/roman", {}),
    (("/" + "x" * 100, "/" + "x" * 99 + "y"), "/" + "x" * 99 + "y", "/" + "x" * 99 + "y", {}),
    (("/" + "x" * 100, "/" + "x" * 28), "/" + "x" * 28, "/" + "x" * 28, {}),
    (("/" + "x" * 100,), "/" + "x" * 99, None, {}),
    # what looks like a pattern is an ordinary path
    (("/users/:id",), "/users/:id", "/users/:id", {"id": ":id"}),
    (("/users/:id",), "/users/*", "/users/:id", {"id": "*"}),
]  # fmt: skip


@pytest.mark.parametrize(("routes", "path", "pattern", "params"), MATCHES)
def test_path_finds_its_route(routes: tuple[str, ...], path: str, pattern: str | None, params: dict[str, str]) -> None:
    found = router_of(*routes).match("GET", path)
    assert found == (None if pattern is None else (pattern, params))


def test_parameters_come_in_the_order_of_the_pattern() -> None:
    found = router_of("/:c/:a/*b").match("GET", "/1/2/3/4")
    assert found is not None
    assert list(found[1].items()) == [("c", "1"), ("a", "2"), ("b", "3/4")]


def test_sixteen_parameters_are_found() -> None:
    pattern = "/" + "/".join(f":p{n}" for n in range(15)) + "/*p15"
    path = "/" + "/".join(str(n) for n in range(17))
    found = router_of(pattern).match("GET", path)
    assert found == (pattern, {**{f"p{n}": str(n) for n in range(15)}, "p15": "15/16"})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (b"/users/a\0b", "a/b"),
        ("/users/a\0b", "a/b"),
        (b"/users/\0", "/"),
        (b"/users/\xc3\xa9t\xc3\xa9", "été"),
        ("/users/été", "été"),
        (b"/users/a\xffb", "a\ufffdb"),
        (b"/users/\xc3", "\ufffd"),
        (b"/users/\xff\0\xff", "\ufffd/\ufffd"),
        ("/users/%41", "%41"),
        ("/users/a b", "a b"),
    ],
)
def test_parameters_are_decoded_octets(path: str | bytes, value: str) -> None:
    assert router_of("/users/:id").match("GET", path) == ("/users/:id", {"id": value})


def test_encoded_slash_does_not_separate_segments() -> None:
    router = router_of("/users/:id", "/users/:id/books", "/files/*path", "/a/b")
    assert router.match("GET", b"/users/7\0books") == ("/users/:id", {"id": "7/books"})
    assert router.match("GET", b"/files/a\0b/c") == ("/files/*path", {"path": "a/b/c"})
    assert router.match("GET", b"/a\0b") is None


def test_literals_are_compared_with_the_decoded_path() -> None:
    router = router_of("/café/:id", "/a b")
    assert router.match("GET", "/café/1") == ("/café/:id", {"id": "1"})
    assert router.match("GET", "/café/1".encode()) == ("/café/:id", {"id": "1"})
    assert router.match("GET", "/caf%C3%A9/1") is None
    assert router.match("GET", "/a b") == ("/a b", {})


@pytest.mark.parametrize("path", [None, 7, bytearray(b"/"), memoryview(b"/")])
def test_path_is_text_or_bytes(path: object) -> None:
    with pytest.raises(TypeError):
        Router().match("GET", path)
    with pytest.raises(TypeError):
        Router().allowed(path)


def test_empty_router_matches_nothing() -> None:
    router = Router()
    assert router.match("GET", "/") is None
    assert router.allowed("/") == ()
    assert (len(router), router.routes()) == (0, [])


# --- Methods ---------------------------------------------------------------------------------


def test_each_method_of_a_pattern_has_its_own_value() -> None:
    router = Router()
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PURGE", "M-SEARCH"]
    for method in methods:
        router.add(method, "/x", f"{method} x")
    assert [router.match(method, "/x") for method in methods] == [(f"{method} x", {}) for method in methods]
    assert router.match("COPY", "/x") is None


def test_star_answers_every_method_without_a_value_of_its_own() -> None:
    router = Router()
    router.add("*", "/x", "any")
    router.add("GET", "/x", "get")
    router.add("PURGE", "/x", "purge")
    found = {method: router.match(method, "/x") for method in ("GET", "PURGE", "POST", "COPY", "get", "*")}
    assert found == {
        "GET": ("get", {}),
        "PURGE": ("purge", {}),
        "POST": ("any", {}),
        "COPY": ("any", {}),
        "get": ("any", {}),
        "*": ("any", {}),
    }


def test_methods_are_case_sensitive() -> None:
    router = Router()
    router.add("purge", "/x", "lower")
    assert router.match("PURGE", "/x") is None
    assert router.match("purge", "/x") == ("lower", {})


def test_path_decides_before_the_method() -> None:
    router = Router()
    router.add("GET", "/users/new", "form")
    router.add("POST", "/users/:id", "update")
    assert router.match("POST", "/users/new") is None
    assert router.allowed("/users/new") == ("GET", "HEAD", "OPTIONS")


ALLOWED = [
    (["GET"], ("GET", "HEAD", "OPTIONS")),
    (["POST"], ("OPTIONS", "POST")),
    (["GET", "POST", "DELETE"], ("DELETE", "GET", "HEAD", "OPTIONS", "POST")),
    (["HEAD"], ("HEAD", "OPTIONS")),
    (["OPTIONS"], ("OPTIONS",)),
    (["PURGE"], ("OPTIONS", "PURGE")),
    (["CONNECT"], ("CONNECT", "OPTIONS")),
    (["*"], ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")),
    (["*", "PURGE", "GET"], ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PURGE", "PUT", "TRACE")),
]


@pytest.mark.parametrize(("methods", "allowed"), ALLOWED, ids=["+".join(row[0]) for row in ALLOWED])
def test_allowed_lists_what_a_path_can_be_asked_with(methods: list[str], allowed: tuple[str, ...]) -> None:
    router = Router()
    for method in methods:
        router.add(method, "/users/:id", method)
    assert router.allowed("/users/7") == allowed
    assert router.allowed("/users") == ()


def test_allowed_learns_of_methods_that_are_added_later() -> None:
    router = Router()
    router.add("PUT", "/x", 1)
    assert router.allowed("/x") == ("OPTIONS", "PUT")
    router.add("GET", "/x", 1)
    assert router.allowed("/x") == ("GET", "HEAD", "OPTIONS", "PUT")


# --- Registration ----------------------------------------------------------------------------


def test_routes_are_listed_in_order_with_canonical_patterns() -> None:
    router = Router()
    router.add("POST", "/users", "create")
    router.add("GET", "/users/{id}", "show")
    router.add("*", "/files/{path:path}", "files")
    router.add("GET", "/users", "list")
    expected = [
        ("POST", "/users", "create"),
        ("GET", "/users/:id", "show"),
        ("*", "/files/*path", "files"),
        ("GET", "/users", "list"),
    ]
    assert router.routes() == expected
    assert len(router) == 4
    router.routes().clear()
    assert router.routes() == expected


CONFLICTS = [
    ("GET", "/users/:id", "GET", "/users/:id", "GET /users/:id is registered already, as GET /users/:id"),
    ("GET", "/users/:id", "GET", "/users/{id}", "GET /users/{id} is registered already, as GET /users/:id"),
    ("*", "/x", "*", "/x", r"\* /x is registered already, as \* /x"),
    ("PURGE", "/x", "PURGE", "/x", "PURGE /x is registered already, as PURGE /x"),
    ("GET", "/users/:id", "GET", "/users/:name", "GET /users/:name matches the same paths as /users/:id, which"),
    ("GET", "/users/:id", "POST", "/users/:name", "POST /users/:name matches the same paths as /users/:id, which"),
    ("GET", "/f/*path", "GET", "/f/{rest:path}", r"GET /f/{rest:path} matches the same paths as /f/\*path, which"),
    ("GET", "/:a/:b", "GET", "/:b/:a", "GET /:b/:a matches the same paths as /:a/:b, which"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "pattern", "other_method", "other", "message"), CONFLICTS)
def test_conflict_is_refused_with_both_patterns_named(
    method: str, pattern: str, other_method: str, other: str, message: str
) -> None:
    router = Router()
    router.add(method, pattern, "first")
    with pytest.raises(RouteConflict, match=f"^{message.replace('{', '[{]')}"):
        router.add(other_method, other, "second")
    assert [value for _, _, value in router.routes()] == ["first"]
    assert len(router) == 1


def test_conflict_is_a_value_error_of_this_package() -> None:
    assert issubclass(RouteConflict, HighperfError)
    assert issubclass(RouteConflict, ValueError)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/users/:id", "/users/new"),
        ("/users/:id", "/users/*rest"),
        ("/users/:id", "/users/:name/books"),
        ("/users/:id/x", "/users/:name/y"),
        ("/users", "/users/"),
        ("/files/", "/files/*path"),
    ],
)
def test_patterns_that_overlap_are_no_conflict(one: str, other: str) -> None:
    assert len(router_of(one, other)) == 2


@pytest.mark.parametrize("pattern", ["users", "/a{id}", "/*path/x", "/:id/:id", "/a?b"])
def test_faulty_pattern_is_refused(pattern: str) -> None:
    router = Router()
    with pytest.raises(ValueError, match=re.escape(f"pattern {pattern!r}: ")):
        router.add("GET", pattern, 1)
    assert router.routes() == []


@pytest.mark.parametrize("method", ["", " ", "G T", "GET ", "GÉT", "GET\n", "A/B", "{}"])
def test_method_that_is_no_token_is_refused(method: str) -> None:
    with pytest.raises(ValueError, match="is not a token"):
        Router().add(method, "/", 1)


@pytest.mark.parametrize(("method", "meant"), [("get", "GET"), ("Post", "POST"), ("options", "OPTIONS")])
def test_known_method_in_the_wrong_case_is_refused_since_no_request_would_match(method: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"method '{method}': methods are case-sensitive, write '{meant}'"):
        Router().add(method, "/", 1)


def test_value_cannot_be_none_since_match_answers_none_for_no_value() -> None:
    with pytest.raises(TypeError):
        Router().add("GET", "/", None)


@pytest.mark.parametrize("value", [False, 0, "", [], {}])
def test_false_values_are_values(value: object) -> None:
    router = Router()
    router.add("GET", "/", value)
    router.add("PURGE", "/", value)
    router.add("*", "/", value)
    assert [router.match(method, "/") for method in ("GET", "PURGE", "COPY")] == [(value, {})] * 3


def test_refused_route_leaves_the_router_as_it_was() -> None:
    router = router_of("/users/:id", "/users/new")
    for method, pattern, value in [
        ("GET", "/users/:name", 1),
        ("GET", "/users/{id}", 1),
        ("GET", "/users/:", 1),
        ("get", "/other", 1),
        ("GET", "/other", None),
    ]:
        with pytest.raises((ValueError, TypeError)):
            router.add(method, pattern, value)
    assert router.routes() == router_of("/users/:id", "/users/new").routes()
    assert router.allowed("/other") == ()
    router.add("GET", "/other", "now")
    assert router.match("GET", "/other") == ("now", {})


def test_routes_can_be_added_after_matching() -> None:
    router = router_of("/users/:id")
    assert router.match("GET", "/users/new") == ("/users/:id", {"id": "new"})
    router.add("GET", "/users/new", "form")
    assert router.match("GET", "/users/new") == ("form", {})
    assert router.match("GET", "/users/newer") == ("/users/:id", {"id": "newer"})


def test_ten_thousand_routes_are_told_apart() -> None:
    patterns = [f"/api/v{n % 7}/things{n}/{kind}" for n in range(2_500) for kind in ("list", ":id", ":id/x", "x/*rest")]
    router = router_of(*patterns)
    assert len(router) == 10_000
    for pattern in patterns:
        path = pattern.replace(":id", "42").replace("*rest", "a/b")
        found = router.match("GET", path)
        assert found is not None
        assert found[0] == pattern


def test_router_that_its_own_values_refer_to_is_collected() -> None:
    class Handler:
        router: Router

    handler = Handler()
    handler.router = Router()
    handler.router.add("GET", "/", handler)
    gone = weakref.ref(handler)
    del handler
    gc.collect()
    assert gone() is None
