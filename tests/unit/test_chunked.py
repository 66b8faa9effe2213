"""Chunked bodies: grammar, bounds, trailers (RFC 9112 section 7.1)."""

import ctypes
import string
from collections.abc import Callable

import pytest

from tests import compiled, cuts
from tests.streams import CUT_SHORT, Outcome, get, outcome, with_field

HEAD = with_field(b"Transfer-Encoding: chunked", method=b"POST")
LAST = b"0\r\n\r\n"
EVERY_OCTET = [bytes([octet]) for octet in range(256)]
TOKEN = set(b"!#$%&'*+-.^_`|~" + string.digits.encode() + string.ascii_letters.encode())  # RFC 9110 section 5.6.2
VALUE = {0x09, *range(0x20, 0x7F), *range(0x80, 0x100)}  # RFC 9110 section 5.5: HTAB, SP, VCHAR, obs-text

SIZE = (400, "chunk size is not a hex number")
RANGE = (400, "chunk size is too large a number")
EXTENSION = (400, "malformed chunk extension")
LINE = (400, "chunk extensions are longer than 256 octets")
OVERHEAD = (400, "chunk lines are out of proportion to their data")
END = (400, "chunk data does not end in carriage return and line feed")
BARE_CR = (400, "carriage return without line feed")
BARE_LF = (400, "line feed without carriage return")
NAME = (400, "field name is empty or has an octet that is not allowed")
COLON = (400, "field line without colon")
CONTROL = (400, "control character in a field value")
FOLDED = (400, "folded field line")
INDENTED = (400, "white space before the first field")
TRAILER = (400, "field that must not be a trailer")


@pytest.fixture(params=cuts.CUTS)
def cut(request: pytest.FixtureRequest) -> Callable[[bytes], list[bytes]]:
    return cuts.CUTS[request.param]


def body_of(chunks: bytes) -> bytes:
    """What the chunks carry; they must be a whole body."""
    found = outcome([HEAD + chunks])
    assert (found.error, found.complete) == (None, 1)
    return found.requests[0].body


def error_of(chunks: bytes, **limits: int) -> tuple[int, str] | None:
    return outcome([HEAD + chunks], eof=False, **limits).error


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        (LAST, b""),
        (b"000\r\n\r\n", b""),
        (b"5\r\nhello\r\n" + LAST, b"hello"),
        (b"5\r\nhello\r\n6\r\n world\r\n" + LAST, b"hello world"),
        (b"a\r\n0123456789\r\n" + LAST, b"0123456789"),
        (b"A\r\n0123456789\r\n" + LAST, b"0123456789"),
        (b"0000000000000001\r\nx\r\n" + LAST, b"x"),
        (b"2\r\n\r\n\r\n" + LAST, b"\r\n"),
        (b"5\r\n0\r\n\r\n\r\n" + LAST, b"0\r\n\r\n"),
        (b"2;a\r\nhi\r\n" + LAST, b"hi"),
        (b"2;a=b\r\nhi\r\n0;c=d\r\n\r\n", b"hi"),
        (b'2;a="b c;\\"\t\\\\\xff"\r\nhi\r\n' + LAST, b"hi"),
        (b'2;a=""\r\nhi\r\n' + LAST, b"hi"),
        (b'2 ;\ta \t= \tb ; c=\t"d";e\r\nhi\r\n' + LAST, b"hi"),
        (b"2; a; b=c\r\nhi\r\n" + LAST, b"hi"),
    ],
)
def test_bodies(chunks: bytes, body: bytes) -> None:
    expected = outcome([HEAD + chunks + get()])
    assert (expected.error, expected.complete, expected.requests[0].body) == (None, 2, body)
    for pieces in (*(cut(HEAD + chunks + get()) for cut in cuts.CUTS.values()), *cuts.once(HEAD + chunks + get())):
        assert outcome(pieces) == expected


REFUSED: list[tuple[bytes, tuple[int, str]]] = [
    # the size
    (b"\r\n", SIZE),
    (b"\n", SIZE),
    (b" 5\r\n", SIZE),
    (b";a\r\n", SIZE),
    (b"x\r\n", SIZE),
    (b"-1\r\n", SIZE),
    (b"+1\r\n", SIZE),
    (b"0x5\r\n", SIZE),
    (b"5_0\r\n", SIZE),
    (b"5g\r\n", SIZE),
    (b"\xb25\r\n", SIZE),
    (b"5\x00\r\n", SIZE),
    (b"5\n", BARE_LF),
    (b"5\rx", BARE_CR),
    (b"5\r\r\n", BARE_CR),
    (b"00000000000000001\r\n", RANGE),
    (b"8000000000000000\r\n", RANGE),
    (b"ffffffffffffffff\r\n", RANGE),
    (b"10000000000000005\r\n", RANGE),
    # extensions
    (b"5 \r\n", EXTENSION),
    (b"5\t\r\n", EXTENSION),
    (b"5 x\r\n", EXTENSION),
    (b"5;\r\n", EXTENSION),
    (b"5; \r\n", EXTENSION),
    (b"5;a;\r\n", EXTENSION),
    (b"5;;a\r\n", EXTENSION),
    (b"5;=a\r\n", EXTENSION),
    (b"5;a=\r\n", EXTENSION),
    (b"5;a= \r\n", EXTENSION),
    (b"5;a==b\r\n", EXTENSION),
    (b"5;a=b=c\r\n", EXTENSION),
    (b"5;a=;\r\n", EXTENSION),
    (b"5;a \r\n", EXTENSION),
    (b"5;a b\r\n", EXTENSION),
    (b"5;a=b \r\n", EXTENSION),
    (b"5;a=b c\r\n", EXTENSION),
    (b'5;a="b\r\n', EXTENSION),
    (b'5;a="b"c\r\n', EXTENSION),
    (b'5;a="b" \r\n', EXTENSION),
    (b'5;a="b"=c\r\n', EXTENSION),
    (b'5;a="\\\r\n', EXTENSION),
    (b'5;a="\\\x01"\r\n', EXTENSION),
    (b'5;a="\x7f"\r\n', EXTENSION),
    (b'5;"a"\r\n', EXTENSION),
    (b'5;a=b"c"\r\n', EXTENSION),
    (b"5;a\x00\r\n", EXTENSION),
    (b"5;\xff\r\n", EXTENSION),
    (b"5;a\n", BARE_LF),
    (b"5;a=b\n", BARE_LF),
    (b'5;a="\n', BARE_LF),
    (b"5 \n", BARE_LF),
    (b"5;a\rb\r\n", BARE_CR),
    (b"0;a\rb\r\n", BARE_CR),
    # the end of the data
    (b"5\r\nhello\n", END),
    (b"5\r\nhello\rX", END),
    (b"5\r\nhello\r\r\n", END),
    (b"5\r\nhello0\r\n", END),
    (b"5\r\nhello 5\r\n", END),
    (b"5\r\nhelloXX5\r\n", END),
    # trailers
    (b"0\r\n\n", BARE_LF),
    (b"0\r\n\rX", BARE_CR),
    (b"0\r\nA: b\n", BARE_LF),
    (b"0\r\nA: b\rC", BARE_CR),
    (b"0\r\nA\n", BARE_LF),
    (b"0\r\n : b\r\n", INDENTED),
    (b"0\r\n\tA: b\r\n", INDENTED),
    (b"0\r\nA: b\r\n c\r\n", FOLDED),
    (b"0\r\n: b\r\n", NAME),
    (b"0\r\nA : b\r\n", NAME),
    (b"0\r\nA(: b\r\n", NAME),
    (b"0\r\n\xc3: b\r\n", NAME),
    (b"0\r\nA\r\n", COLON),
    (b"0\r\nA: \x00\r\n", CONTROL),
    (b"0\r\nA:\x7f\r\n", CONTROL),
    (b"0\r\nGET / HTTP/1.1\r\n", NAME),
]


@pytest.mark.parametrize(("chunks", "error"), REFUSED)
def test_refused(chunks: bytes, error: tuple[int, str]) -> None:
    stream = HEAD + b"2\r\nhi\r\n" + chunks
    for pieces in (*(cut(stream) for cut in cuts.CUTS.values()), *cuts.once(stream)):
        found = outcome(pieces, eof=False)
        assert (found.complete, found.error) == (0, error)


@pytest.mark.parametrize(("chunks", "error"), REFUSED)
def test_the_verdict_on_a_beginning_does_not_depend_on_how_it_came(chunks: bytes, error: tuple[int, str]) -> None:
    for end in range(len(HEAD), len(HEAD + chunks)):
        beginning = (HEAD + chunks)[:end]
        found = outcome([beginning], eof=False).error
        assert found in (None, error)
        assert outcome(cuts.bytewise(beginning), eof=False).error == found


def test_every_octet_around_a_size() -> None:
    for octet in EVERY_OCTET:
        digit = octet in b"0123456789abcdefABCDEF"
        assert (error_of(octet) is None) == digit
        assert (error_of(b"1" + octet) is None) == (digit or octet in b"; \t\r")
        assert (error_of(b"1\r" + octet) is None) == (octet == b"\n")
        assert (error_of(b"1\r\nx" + octet) is None) == (octet == b"\r")
        assert (error_of(b"1\r\nx\r" + octet) is None) == (octet == b"\n")


def test_every_octet_in_an_extension() -> None:
    for octet in EVERY_OCTET:
        token = octet[0] in TOKEN
        blank = octet in b" \t"
        assert (error_of(b"1;" + octet) is None) == (token or blank)
        assert (error_of(b"1;a" + octet) is None) == (token or blank or octet in b"=;\r")
        assert (error_of(b"1;a " + octet) is None) == (blank or octet in b"=;")
        assert (error_of(b"1;a=" + octet) is None) == (token or blank or octet == b'"')
        assert (error_of(b"1;a=b" + octet) is None) == (token or blank or octet in b";\r")
        assert (error_of(b"1;a=b " + octet) is None) == (blank or octet == b";")
        assert (error_of(b'1;a="' + octet) is None) == (octet[0] in VALUE)
        assert (error_of(b'1;a="\\' + octet) is None) == (octet[0] in VALUE)
        assert (error_of(b'1;a=""' + octet) is None) == (blank or octet in b";\r")


def test_every_octet_in_a_trailer() -> None:
    for octet in EVERY_OCTET:
        assert (error_of(b"0\r\n" + octet) is None) == (octet[0] in TOKEN or octet == b"\r")
        assert (error_of(b"0\r\nA" + octet) is None) == (octet[0] in TOKEN or octet == b":")
        assert (error_of(b"0\r\nA:" + octet) is None) == (octet[0] in VALUE or octet == b"\r")


def test_the_largest_size_waits_for_its_data() -> None:
    assert error_of(b"7fffffffffffffff\r\nsome data") is None
    found = outcome([HEAD + b"7fffffffffffffff\r\nsome data"])
    assert (found.error, found.requests[0].body) == ((400, CUT_SHORT), b"some data")


# --- Bounds ----------------------------------------------------------------------------------


def test_extensions_of_a_line_have_a_limit(cut: Callable[[bytes], list[bytes]]) -> None:
    fits = b"1;" + b"a" * 255 + b"\r\nx\r\n" + LAST
    assert outcome(cut(HEAD + fits)).error is None
    assert outcome(cut(HEAD + b"1;" + b"a" * 256), eof=False).error == LINE
    assert outcome(cut(HEAD + b"1" + b" " * 257), eof=False).error == LINE
    assert outcome(cut(HEAD + b"1;" + b"a" * 255), eof=False).error is None


def test_extensions_may_be_twice_the_data_and_a_little(cut: Callable[[bytes], list[bytes]]) -> None:
    line = b"1;" + b"a" * 255 + b"\r\nx\r\n"  # 257 octets for one
    fits = HEAD + line * 64 + LAST
    assert outcome(cut(fits)).error is None
    assert outcome(cut(HEAD + line * 70), eof=False).error == OVERHEAD
    generous = b"80;" + b"a" * 250 + b"\r\n" + b"x" * 128 + b"\r\n"
    assert outcome([HEAD + generous * 1000 + LAST]).error is None


def test_leading_zeros_count_as_overhead() -> None:
    assert error_of(b"0000000000000001\r\nx\r\n" * 2000) == OVERHEAD


def test_chunks_of_one_octet_are_plain_sailing() -> None:
    assert body_of(b"1\r\nx\r\n" * 100_000 + LAST) == b"x" * 100_000


def test_what_a_size_announces_does_not_count_before_it_comes() -> None:
    line = b"1;" + b"a" * 255 + b"\r\nx\r\n"
    assert error_of(line * 64 + b"7fffffffffffffff;" + b"a" * 200) == OVERHEAD


def test_trailers_have_the_limits_of_a_head(cut: Callable[[bytes], list[bytes]]) -> None:
    def found(trailers: bytes, **limits: int) -> Outcome:
        return outcome(cut(HEAD + b"0\r\n" + trailers), eof=False, **limits)

    assert found(b"A: b\r\n" * 100 + b"\r\n").complete == 1
    assert found(b"A: b\r\n" * 101).error == (431, "more field lines than the limit")
    assert found(b"A: " + b"b" * 97 + b"\r\n\r\n", limit_field_size=100).complete == 1
    assert found(b"A: " + b"b" * 98, limit_field_size=100).error == (431, "field line is longer than the limit")
    assert found(b"n" * 101, limit_field_size=100).error == (431, "field line is longer than the limit")
    assert found(b"A: bc\r\n" * 20 + b"\r\n", limit_head=140).complete == 1
    assert found(b"A: bc\r\n" * 20 + b"A", limit_head=140).error == (431, "request head is longer than the limit")


# --- Trailers ----------------------------------------------------------------------------------


def test_trailers_come_apart_from_the_headers(cut: Callable[[bytes], list[bytes]]) -> None:
    trailers = b"Vary: *\r\nX-Sum:\t abc\xff \r\nEmpty:\r\nvary: a:b\r\n\r\n"
    found = outcome(cut(HEAD + b"1\r\nx\r\n0\r\n" + trailers + get()))
    assert (found.error, found.complete) == (None, 2)
    request = found.requests[0]
    assert request.trailers == [(b"Vary", b"*"), (b"X-Sum", b"abc\xff"), (b"Empty", b""), (b"vary", b"a:b")]
    assert [name for name, _ in request.headers] == [b"Host", b"Transfer-Encoding"]
    assert found.requests[1].trailers == []


@pytest.mark.parametrize(
    "name",
    [
        b"TE",
        b"Host",
        b"Expect",
        b"Trailer",
        b"Upgrade",
        b"Connection",
        b"Keep-Alive",
        b"Content-Length",
        b"Transfer-Encoding",
    ],
)
def test_what_frames_or_routes_is_no_trailer(name: bytes, cut: Callable[[bytes], list[bytes]]) -> None:
    for spelled in (name, name.lower(), name.upper()):
        for before in (b"", b"Vary: *\r\n"):
            assert outcome(cut(HEAD + b"0\r\n" + before + spelled + b": x\r\n\r\n")).error == TRAILER
    for other in (name + b"s", name[:-1], b"X-" + name, name + b"-with-more-than-20-octets"):
        assert outcome(cut(HEAD + b"0\r\n" + other + b": x\r\n\r\n")).error is None


# --- Work --------------------------------------------------------------------------------------


def test_a_chunk_costs_one_call(pytestconfig: pytest.Config) -> None:
    """Lines are read on the way to the data behind them; no octet is taken twice."""
    probe = compiled.load(pytestconfig, "tests/unit/parser_probe.pyx")
    for count in (100, 200, 400):
        stream = b"1;a=b\r\nx\r\n" * count + LAST
        memory = ctypes.create_string_buffer(stream, len(stream))
        result, body, calls = probe.decode_chunked(ctypes.addressof(memory), len(stream), len(stream))
        assert (result, body, calls) == (2, b"x" * count, count + 1)
        result, body, calls = probe.decode_chunked(ctypes.addressof(memory), len(stream), 1)
        assert (result, body, calls) == (2, b"x" * count, len(stream))
