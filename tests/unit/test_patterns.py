"""Path patterns: two spellings, one meaning, and a clear word for every fault."""

import re

import pytest

from highperf.wire.patterns import PARAMS_MAX, parse_pattern

CANONICAL = [
    # written, canonical text, parameter names
    ("/", "/", ()),
    ("/users", "/users", ()),
    ("/users/", "/users/", ()),
    ("//a//b", "//a//b", ()),
    ("/users/:id", "/users/:id", ("id",)),
    ("/users/{id}", "/users/:id", ("id",)),
    ("/users/{id}/", "/users/:id/", ("id",)),
    ("/:a/{b}/:c", "/:a/:b/:c", ("a", "b", "c")),
    ("/files/*path", "/files/*path", ("path",)),
    ("/files/{path:path}", "/files/*path", ("path",)),
    ("/files/{rest:path}", "/files/*rest", ("rest",)),
    ("/*path", "/*path", ("path",)),
    ("/:user/*rest", "/:user/*rest", ("user", "rest")),
    ("/café/:größe", "/café/:größe", ("größe",)),
    ("/a b/%2F/~.-_!$&'()+,;=@", "/a b/%2F/~.-_!$&'()+,;=@", ()),
    (
        "/" + "/".join(f":p{n}" for n in range(16)),
        "/" + "/".join(f":p{n}" for n in range(16)),
        tuple(f"p{n}" for n in range(16)),
    ),
]

FAULTS = [
    ("", "it must begin with '/'"),
    ("users", "it must begin with '/'"),
    (":id", "it must begin with '/'"),
    ("*", "it must begin with '/'"),
    ("http://example.com/", "it must begin with '/'"),
    ("/a\0b", "NUL cannot occur in a path"),
    ("/search?q=:q", "'?' cannot occur in a path"),
    ("/page#top", "'#' cannot occur in a path"),
    ("/:", "':' has no parameter name"),
    ("/users/:/x", "':' has no parameter name"),
    ("/*", "'*' has no parameter name"),
    ("/{}", "'{}' has no parameter name"),
    ("/{:path}", "'{:path}' has no parameter name"),
    ("/a{id}", "a parameter must be a whole segment, which 'a{id}' is not"),
    ("/{id}.json", "a parameter must be a whole segment, which '{id}.json' is not"),
    ("/{a}{b}", "a parameter must be a whole segment, which '{a}{b}' is not"),
    ("/x:id", "a parameter must be a whole segment, which 'x:id' is not"),
    ("/:a:b", "a parameter must be a whole segment, which ':a:b' is not"),
    ("/:a*b", "a parameter must be a whole segment, which ':a*b' is not"),
    ("/css*path", "a parameter must be a whole segment, which 'css*path' is not"),
    ("/{id", "a parameter must be a whole segment, which '{id' is not"),
    ("/id}", "a parameter must be a whole segment, which 'id}' is not"),
    ("/:user-id", "parameter name 'user-id' is not an identifier"),
    ("/{user id}", "parameter name 'user id' is not an identifier"),
    ("/:1st", "parameter name '1st' is not an identifier"),
    ("/{id:int}", "'{id:int}' asks for converter 'int', only 'path' exists"),
    ("/{id:}", "'{id:}' asks for converter '', only 'path' exists"),
    ("/*path/x", "catch-all '*path' must be its last segment"),
    ("/*path/", "catch-all '*path' must be its last segment"),
    ("/{path:path}/x", "catch-all '{path:path}' must be its last segment"),
    ("/:id/:id", "parameter name 'id' occurs twice"),
    ("/{id}/x/*id", "parameter name 'id' occurs twice"),
    ("/" + "/".join(f":p{n}" for n in range(17)), "it has 17 parameters, 16 are possible"),
    ("/\ud800", "it has a lone surrogate, which is no text"),
]


@pytest.mark.parametrize(("written", "text", "names"), CANONICAL, ids=[row[0] for row in CANONICAL])
def test_pattern_is_kept_in_canonical_form(written: str, text: str, names: tuple[str, ...]) -> None:
    pattern = parse_pattern(written)
    assert (pattern.text, pattern.names) == (text, names)
    assert parse_pattern(text) == pattern


@pytest.mark.parametrize(("written", "fault"), FAULTS, ids=[ascii(row[0]) for row in FAULTS])
def test_faulty_pattern_is_refused_by_name_with_its_fault(written: str, fault: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(f"pattern {written!r}: {fault}") + "$"):
        parse_pattern(written)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/users/:id", "/users/{name}", True),
        ("/files/*path", "/files/{rest:path}", True),
        ("/users/:id", "/users/id", False),
        ("/users/:id", "/users/:id/", False),
        ("/files/:path", "/files/*path", False),
        ("/:a/b", "/a/:b", False),
    ],
)
def test_shape_is_equal_for_patterns_that_match_the_same_paths(one: str, other: str, *, same: bool) -> None:
    assert (parse_pattern(one).shape == parse_pattern(other).shape) is same


def test_pieces_are_literal_octets_between_parameters() -> None:
    assert parse_pattern("/users/:id/books/{isbn}").pieces == (b"/users/", None, b"/books/", None)
    assert parse_pattern("/é/*rest").pieces == ("/é/".encode(),)
    assert [parse_pattern(pattern).catch_all for pattern in ("/é/*rest", "/é/:rest")] == [True, False]


def test_sixteen_parameters_are_possible() -> None:
    assert PARAMS_MAX == 16
