"""What the parser accepts, llhttp accepts too, and reads as the same requests, however the octets are cut."""

from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests import cuts
from tests.reference import llhttp
from tests.streams import get, outcome, with_field

# Each part is right most of the time, else nearly right or known from request smuggling.
METHODS = [b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH", b"M-SEARCH"]
ODD_METHODS = [b"CONNECT", b"get", b"BREW", b"PRI", b"GE(T", b""]
TARGETS = [b"/", b"/a/b?c=d", b"//", b"/%41%2f?%", b"http://a", b"http://a?b", b"HTTPS://[::1]:8/c", b'/"<>\\^`{|}']
ODD_TARGETS = [b"/%", b"/%00", b"*", b"a:1", b"http://u@a/", b"@a", b"a", b"/#", b"/\xc3\xa9", b"/ /", b""]
VERSIONS = [b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"]
ODD_VERSIONS = [b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"HTTP/1", b""]
HOSTS = [b"Host: a", b"host:a:1\t", b"HOST:  [::1]"]
ODD_HOSTS = [b"Host: a,b", b"Host:", b"A: no host", b"Host: a\r\nHost: a"]
FIELDS = [b"A:", b"A: b\t c ", b"X-Y_z: \xff\x80", b"Connection: keep-alive", b"Content_Length: 9", b"Upgrade: a"]
ODD_FIELDS = [
    b"A : b", b" A: b", b"A\t: b", b": a", b"A", b"A: b\r\n c", b"A: \x00", b"Connection: close",
    b"Connection: a, Close", b"Connection: upgrade", b"Content-Length: 3", b"Content-Length: 3, 3",
    b"Content-Length: +3", b"Content-Length : 3",
    b"Content-Length: 18446744073709551619", b"Content-Length: 3\x0b", b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding: \x0bchunked",
    b"Expect: 100-continue", b"Proxy-Connection: close",
]  # fmt: skip
LENGTH, CHUNKED = b"Content-Length: 3", b"Transfer-Encoding: chunked"
BODIES = [
    (b"A: b", b""), (b"A: b", b"\r\n"), (b"content-length:\t0 ", b""), (LENGTH, b"abc"), (LENGTH, b"\r\n\r"),
    (CHUNKED, b"0\r\n\r\n"), (CHUNKED, b"3\r\nabc\r\n0\r\n\r\n"),
    (CHUNKED, b"3\r\nabc\r\n00003\r\nabc\r\n0;a=b\r\n\r\n"),
    (CHUNKED, b'3;a="\\"b;";c\r\nabc\r\n0\r\nA: b\r\n\r\n'), (b"TRANSFER-ENCODING:Chunked ", b"1\r\na\r\n0\r\n\r\n"),
]  # fmt: skip
ODD_BODIES = [
    (LENGTH, b"ab"), (LENGTH, b"abcd"), (b"Content-Length: 3", b"3\r\nabc\r\n0\r\n\r\n"), (CHUNKED, b"abc"),
    (CHUNKED, b"3 ; a = b\r\nabc\r\n0\r\n\r\n"), (CHUNKED, b"3;\r\nabc\r\n0\r\n\r\n"), (CHUNKED, b"3\nabc\n0\n\n"),
    (CHUNKED, b"3\r\nabcd\r\n0\r\n\r\n"), (CHUNKED, b"3 \r\nabc\r\n0\r\n\r\n"), (CHUNKED, b"0x3\r\nabc\r\n0\r\n\r\n"),
    (CHUNKED, b"-3\r\n"), (CHUNKED, b"ffffffffffffffff3\r\nabc"),
    (CHUNKED, b"3\r\nab"), (CHUNKED, b"3\r\nabc\r\n0\r\nA\r\n\r\n"),
    (CHUNKED, b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n"), (CHUNKED, b"3;a\rb\r\nabc\r\n0\r\n\r\n"),
]  # fmt: skip
INSERTS = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\r\r\n", b" ", b"\t", b":", b",", b";", b"=", b'"', b"\\", b"\x00", b"\x0b",
    b"\x7f",    b"\x85", b"\xa0", b"0", b"a", b"%", b"#", b"chunked", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
]  # fmt: skip


def mostly(right: list[Any], odd: list[Any]) -> st.SearchStrategy[Any]:
    return st.sampled_from(right * (1 + 12 * len(odd) // len(right)) + odd)


def spell(
    method: bytes, target: bytes, version: bytes, host: bytes, fields: list[bytes], body: tuple[bytes, bytes]
) -> bytes:
    return b"\r\n".join([b" ".join((method, target, version)), host, *fields, body[0], b"", body[1]])


requests = st.builds(
    spell,
    mostly(METHODS, ODD_METHODS),
    mostly(TARGETS, ODD_TARGETS),
    mostly(VERSIONS, ODD_VERSIONS),
    mostly(HOSTS, ODD_HOSTS),
    st.lists(mostly(FIELDS, ODD_FIELDS), max_size=3),
    mostly(BODIES, ODD_BODIES),
)
edits = st.tuples(st.integers(0, 10_000), st.integers(0, 3), st.sampled_from(INSERTS))


def edit(stream: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """Replaces a few octets here and there."""
    for place, removed, inserted in changes:
        start = place % (len(stream) + 1)
        stream = stream[:start] + inserted + stream[start + removed :]
    return stream


streams = st.builds(edit, st.lists(requests, min_size=1, max_size=3).map(b"".join), st.lists(edits, max_size=1))
places = st.lists(st.integers(0, 600), max_size=6)


@settings(max_examples=1500)
@given(streams, places)
def test_what_is_accepted_llhttp_reads_alike(stream: bytes, cut_before: list[int]) -> None:
    pieces = cuts.at(stream, cut_before)
    ours = outcome(pieces, eof=False)
    assert ours == outcome([stream], eof=False)
    event(f"{ours.complete} accepted")
    theirs = llhttp.read(pieces)
    difference = llhttp.difference(ours, theirs)
    if difference is not None:
        name = llhttp.excuse(ours, theirs, stream)
        assert name in llhttp.ALLOWED, difference
        event(f"differs: {name}")


@settings(max_examples=300)
@given(st.lists(st.sampled_from([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"]), max_size=3).map(b"".join), st.binary())
def test_noise_is_never_accepted_alone(before: bytes, noise: bytes) -> None:
    ours = outcome([before + noise], eof=False)
    assert llhttp.difference(ours, llhttp.read([before + noise])) is None
    assert ours.complete >= before.count(b"GET")


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("method", get(method=b"BREW")),
        ("method", get(method=b"GETS")),
        ("preface", get(method=b"PRI")),
        ("blanks in extensions", with_field(CHUNKED) + b"1 ;a\r\nx\r\n0\r\n\r\n"),
        ("blanks in extensions", with_field(CHUNKED) + b"1; a = b\r\nx\r\n0\r\n\r\n"),
        ("tab after chunked", with_field(b"Transfer-Encoding: chunked\t") + b"1\r\nx\r\n0\r\n\r\n"),
        ("close and keep-alive", with_field(b"Connection: close, keep-alive", version=b"HTTP/1.0")),
        ("proxy-connection", with_field(b"Proxy-Connection: close") + get()),
    ],
)
def test_every_allowed_difference_is_one(name: str, stream: bytes) -> None:
    ours, theirs = outcome([stream], eof=False), llhttp.read([stream])
    assert ours.error is None
    assert llhttp.difference(ours, theirs) is not None
    assert llhttp.excuse(ours, theirs, stream) == name


@pytest.mark.parametrize("stream", [get(), get() * 3, with_field(CHUNKED) + b"1;a=b\r\nx\r\n0\r\nA: b\r\n\r\n" + get()])
def test_the_oracle_agrees_where_it_should_and_sees_what_is_missing(stream: bytes) -> None:
    ours = outcome([stream], eof=False)
    assert llhttp.difference(ours, llhttp.read([stream])) is None
    assert llhttp.difference(ours, llhttp.read([stream[:-2]])) is not None
