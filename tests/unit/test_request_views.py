"""Lazy views on a request: header fields, query, path."""

from types import ModuleType
from urllib.parse import parse_qsl, unquote

import pytest

from highperf.wire.parser import Head
from highperf.wire.request import Headers, Query
from tests import compiled
from tests.streams import get, head_of


@pytest.fixture(scope="session")
def probe(pytestconfig: pytest.Config) -> ModuleType:
    return compiled.load(pytestconfig, "tests/unit/parser_probe.pyx")


def headers_of(*lines: bytes) -> Headers:
    return head_of(get(b"/", b"Host: h", *lines)).fields


# --- Headers ----------------------------------------------------------------------------------


def test_names_are_compared_without_case_and_the_first_value_counts() -> None:
    headers = headers_of(b"X-Name: one", b"x-NAME: two", b"X-Names: three")
    for name in ("x-name", "X-Name", "X-NAME"):
        assert headers[name] == "one"
        assert headers.get(name) == "one"
        assert headers.get_all(name) == ["one", "two"]
        assert name in headers


def test_names_that_are_not_there() -> None:
    headers = headers_of(b"X-Name: one")
    long = "x" * 5000
    for name in ("x-nam", "x-name-", "", "x name", "\xfc", "\u212aey", "\ud800", long):
        assert name not in headers
        assert headers.get(name) is None
        assert headers.get(name, 5) == 5
        assert headers.get_all(name) == []
        with pytest.raises(KeyError) as raised:
            headers[name]
        assert raised.value.args == (name,)


def test_a_letter_that_only_looks_alike_in_another_script_is_another() -> None:
    """The Kelvin sign has the lower case "k"."""
    assert "\u212aey" not in headers_of(b"Key: x")


def test_only_text_is_a_name() -> None:
    headers = headers_of()
    assert b"host" not in headers
    assert 5 not in headers
    for wrong in (b"host", None, 5):
        with pytest.raises(TypeError):
            headers[wrong]  # type: ignore[index]
        with pytest.raises(TypeError):
            headers.get(wrong)  # type: ignore[call-overload]


def test_lines_in_wire_order_names_in_lower_case_repeats_kept() -> None:
    headers = headers_of(b"B: 1", b"a: 2", b"b: 3", b"C:")
    assert headers.items() == [("host", "h"), ("b", "1"), ("a", "2"), ("b", "3"), ("c", "")]
    assert headers.keys() == list(headers) == ["host", "b", "a", "b", "c"]
    assert headers.values() == ["h", "1", "2", "3", ""]
    assert headers.raw == [(b"Host", b"h"), (b"B", b"1"), (b"a", b"2"), (b"b", b"3"), (b"C", b"")]
    assert len(headers) == 5
    assert dict(headers) == {"host": "h", "b": "1", "a": "2", "c": ""}
    assert repr(headers_of(b"A: b")) == "Headers([('host', 'h'), ('a', 'b')])"


def test_values_are_text_of_one_character_an_octet() -> None:
    value = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)]).strip(b" \t")
    assert headers_of(b"A: " + value)["a"] == value.decode("latin-1")


def test_a_name_in_any_letters_and_marks() -> None:
    name = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    headers = headers_of(name + b": x")
    assert headers[name.decode().swapcase()] == "x"
    assert headers.keys()[1] == name.decode().lower()


def test_headers_of_an_empty_head() -> None:
    headers = Headers(Head())
    assert (len(headers), list(headers), headers.raw, "host" in headers) == (0, [], [], False)
    assert repr(headers) == "Headers([])"
    for wrong in (None, 5):
        with pytest.raises(TypeError):
            Headers(wrong)  # type: ignore[arg-type]


# --- Query ------------------------------------------------------------------------------------

QUERIES = [
    b"", b"a=b", b"a=b&c=d", b"a=1&a=2&b=3&a=4", b"a", b"a&b", b"a=", b"=a", b"=", b"&", b"&&a=b&&", b"a=b=c", b"a=b&",
    b"a+b=c+d", b"%61=%62", b"a%3Db=c%26d", b"%2B=+", b"%C3%A9=%c3%a9", b"a=%FF", b"a=%C3", b"a=%F0%9F%98%80",
    b"\xff=\xc3\xa9", b"a=%", b"a=%4", b"a=%zz%41", b"%%41=%%%", b"a=%00", b"a;b=c", b"a=1;b=2", b"a[]=1&a[]=2",
    b"?a=b",
]  # fmt: skip


@pytest.mark.parametrize("source", QUERIES)
def test_a_query_reads_as_a_form(source: bytes) -> None:
    # The standard library decodes per pair too, but takes text: latin-1 octets would be doubled.
    if source.isascii():
        expected = parse_qsl(source.decode(), keep_blank_values=True, errors="replace")
    else:
        expected = [("\ufffd", "\xe9")]
    assert Query(source).items() == expected


def test_a_query_is_a_multi_mapping() -> None:
    query = Query(b"a=1&b=2&a=3&c")
    assert (query["a"], query.get("a"), query.get_all("a")) == ("1", "1", ["1", "3"])
    assert (query["c"], query.get("d"), query.get("d", 5), query.get_all("d")) == ("", None, 5, [])
    assert query.keys() == list(query) == ["a", "b", "a", "c"]
    assert query.values() == ["1", "2", "3", ""]
    assert len(query) == 4
    assert "a" in query
    assert "A" not in query
    assert b"a" not in query
    assert dict(query) == {"a": "1", "b": "2", "c": ""}
    assert repr(Query(b"a=b")) == "Query([('a', 'b')])"
    with pytest.raises(KeyError) as raised:
        query["d"]
    assert raised.value.args == ("d",)


def test_what_a_query_gives_away_does_not_change_it() -> None:
    query = Query(b"a=1&a=2")
    query.get_all("a").clear()
    query.items().clear()
    assert query.items() == [("a", "1"), ("a", "2")]
    assert query.get_all("a") == ["1", "2"]


def test_a_query_is_made_from_octets() -> None:
    for wrong in ("a=b", None, bytearray(b"a")):
        with pytest.raises(TypeError):
            Query(wrong)  # type: ignore[arg-type]


def test_many_names_and_many_values() -> None:
    names = [f"n{number}" for number in range(20_000)]
    assert Query("&".join(f"{name}={name}" for name in names).encode())["n19999"] == "n19999"
    assert len(Query(b"a=b&" * 20_000).get_all("a")) == 20_000


# --- Paths ------------------------------------------------------------------------------------

PATHS = [
    b"/", b"/a/b", b"/%41", b"/a%20b", b"/%2541", b"/%C3%A9", b"/%ff", b"/%e2%82", b"/a%2fb", b"/a%2Fb/c", b"/%2f%2F",
    b"/+", b"/..%2f..", b"/%2e%2E/", b"/%e2%2f%82", b"/%F0%9F%98%80",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_decoded_once(path: bytes, probe: ModuleType) -> None:
    decoded, text = probe.decode_path(path)
    assert text == unquote(path.decode(), errors="replace")
    assert len(decoded) <= len(path)
    assert head_of(get(path)).path == text


def test_an_encoded_slash_is_set_apart_from_one_that_separates(probe: ModuleType) -> None:
    assert probe.decode_path(b"/a%2Fb/c%2f") == (b"/a\0b/c\0", "/a/b/c/")


@pytest.mark.parametrize("path", [b"/%", b"/%4", b"/%4g", b"/%g4", b"/%%41"])
def test_what_no_parser_lets_through_is_left_alone(path: bytes, probe: ModuleType) -> None:
    assert probe.decode_path(path)[1] == unquote(path.decode())
