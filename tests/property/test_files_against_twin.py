"""Ranges, conditions, codings and paths against what RFC 9110 says of them, slowly."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import compiled
from tests.reference import files_twin

MANY = settings(max_examples=500)


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/files_probe.pyx")


def octets_of(alphabet: bytes, max_size: int) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(alphabet), max_size=max_size).map(bytes)


# ---- ranges -----------------------------------------------------------------------------------------

positions = st.one_of(
    st.just(""), st.integers(0, 60).map(str), st.sampled_from(["00", "007", "9" * 18, "9" * 19, "9" * 40])
)
specs = st.one_of(
    st.tuples(positions, positions).map("-".join), st.sampled_from(["", "-", "x", "1", "1-2-3", "\t", "\u0661-"])
)
separators = st.sampled_from([",", ", ", " ,", ",,", "\t,\t", " "])


@st.composite
def range_fields(draw: st.DrawFn) -> bytes:
    unit = draw(st.sampled_from(["bytes="] * 8 + ["Bytes=", "bytes", "items=", "bytes = "]))
    members = draw(st.lists(specs, max_size=12))
    return (unit + "".join(member + draw(separators) for member in members[:-1]) + "".join(members[-1:])).encode()


@MANY
@given(value=range_fields(), length=st.integers(0, 60))
def test_ranges(probe: Any, value: bytes, length: int) -> None:
    assert probe.parse_ranges(value, length) == files_twin.ranges(value, length)


@MANY
@given(parts=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 5)), min_size=1, max_size=10))
def test_sets_of_ranges(probe: Any, parts: list[tuple[int, int]]) -> None:
    value = b"bytes=" + b",".join(b"%d-%d" % (start, start + more) for start, more in parts)
    assert probe.parse_ranges(value, 100) == files_twin.ranges(value, 100)


@given(value=octets_of(b"bytes=0123456789-, \t\x00\xff", 30), length=st.integers(0, 2**63 - 1))
def test_octets_that_look_like_ranges(probe: Any, value: bytes, length: int) -> None:
    if length < 10**6:
        assert probe.parse_ranges(b"bytes=" + value, length) == files_twin.ranges(b"bytes=" + value, length)
    assert probe.parse_ranges(value, length) is not None


# ---- dates ------------------------------------------------------------------------------------------

NOW_S = 1_795_500_000
YEAR_9999_S = 253402300799
FORMS = [files_twin.imf_fixdate, files_twin.rfc850_date, files_twin.asctime_date]


@MANY
@given(unix_s=st.integers(-62135596800, YEAR_9999_S))
@example(unix_s=951782400)
@example(unix_s=4107542400)
def test_dates_are_read_as_they_are_written(probe: Any, unix_s: int) -> None:
    for form in FORMS:
        value = form(unix_s).encode()
        assert probe.parse_date(value, NOW_S) == files_twin.date(value, NOW_S)
    assert probe.parse_date(files_twin.imf_fixdate(unix_s).encode(), NOW_S) == unix_s
    assert probe.parse_date(files_twin.asctime_date(unix_s).encode(), NOW_S) == unix_s


@MANY
@given(
    unix_s=st.integers(0, YEAR_9999_S),
    form=st.sampled_from(FORMS),
    place=st.integers(0, 40),
    octet=st.sampled_from(b"0123456789 ,:-GMTSunadj\xb2"),
    now_s=st.integers(0, 4102444799),
)
def test_dates_with_one_wrong_octet(probe: Any, unix_s: int, form: Any, place: int, octet: int, now_s: int) -> None:
    value = bytearray(form(unix_s).encode())
    value[place % len(value)] = octet
    assert probe.parse_date(bytes(value), now_s) == files_twin.date(bytes(value), now_s)


# ---- entity-tags ------------------------------------------------------------------------------------

TAG = b'"a-1"'
members = st.sampled_from(
    [TAG, b"W/" + TAG, b'"b-1"', b'""', b"*", b"", b"a-1", b'"a', b"W/", b'"\xff"', b'"a b"', b"w/" + TAG]
)
glue = st.sampled_from([b",", b", ", b" , ", b",,", b" ", b""])


@MANY
@given(parts=st.lists(st.tuples(members, glue), max_size=5), strong=st.booleans())
def test_lists_of_tags(probe: Any, parts: list[tuple[bytes, bytes]], strong: bool) -> None:
    value = b"".join(member + between for member, between in parts).strip(b" \t")
    assert probe.tags_match(value, TAG, TAG, strong=strong) == files_twin.tags_match(value, TAG, strong=strong)


# ---- codings ----------------------------------------------------------------------------------------

names = st.sampled_from(["br", "zstd", "gzip", "x-gzip", "identity", "*", "deflate", "GZIP", ""])
weights = st.sampled_from(
    ["", ";q=1", ";q=0", ";q=0.5", "; q=0.501", ";q=1.000", ";q=1.1", ";q=x", ";x=1", " ;Q=0.9 ", ";"]
)


@MANY
@given(
    values=st.lists(st.lists(st.tuples(names, weights).map("".join), max_size=4).map(", ".join), max_size=3),
    available=st.sets(st.sampled_from(["br", "zstd", "gzip"])),
)
def test_codings(probe: Any, values: list[str], available: set[str]) -> None:
    numbers = {"br": probe.BR, "zstd": probe.ZSTD, "gzip": probe.GZIP, "identity": probe.IDENTITY}
    chosen = probe.choose_coding([value.encode() for value in values], {numbers[name] for name in available})
    assert chosen == numbers[files_twin.coding(values, available)]


# ---- paths ------------------------------------------------------------------------------------------

segments = st.one_of(
    st.binary(max_size=6),
    st.text(max_size=4).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"a", b"..", b".", b"", b".well-known", b".x", b"a\\b", b"\xc0\xae", b"a" * 255, b"a" * 256]),
)


@MANY
@given(path=st.lists(segments, max_size=6).map(b"/".join))
def test_paths(probe: Any, path: bytes) -> None:
    assert probe.allowed(path) == files_twin.path_allowed(path)


@MANY
@given(path=st.lists(st.binary(min_size=1, max_size=4), max_size=3).map(b"".join))
@example(path=b"\xf0\x90\x80\x80")
@example(path=b"\xe0\xa0\x80")
def test_utf_8(probe: Any, path: bytes) -> None:
    assert probe.allowed(path) == files_twin.path_allowed(path)
