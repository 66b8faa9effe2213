"""What a handler may answer, and how it looks on the wire."""

import asyncio
import collections
import dataclasses
import enum
import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from highperf import HTTPError, Request, Response
from highperf.wire.response import ResponseHeaders
from tests.protocol.harness import GET, Client, Wire, post

KIB = 1024
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
ASK = GET % b"/"
ASK_10 = b"GET / HTTP/1.0\r\n\r\n"


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Struct(msgspec.Struct):
    name: str
    tags: set[str] = set()


class Colour(enum.StrEnum):
    RED = "red"


Named = collections.namedtuple("Named", "a b")


def answering(wire: Wire, value: Any) -> Client:
    """A client of a handler that returns this, or what it gives when called."""

    @wire.app.get("/")
    async def handler(request: Request) -> Any:
        return value() if callable(value) else value

    return wire.connect()


# ---- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ({}, b"{}"),
        ({"a": [1, 2.5, None, True, "ä"]}, '{"a":[1,2.5,null,true,"ä"]}'.encode()),
        ([], b"[]"),
        ([Point(1, 2.0), Struct("x")], b'[{"x":1,"y":2.0},{"name":"x","tags":[]}]'),
        ({"s": Struct("x", {"t"})}, b'{"s":{"name":"x","tags":["t"]}}'),
        (Point(1, 2.0), b'{"x":1,"y":2.0}'),
        (Struct("x", {"t"}), b'{"name":"x","tags":["t"]}'),
        (collections.OrderedDict(a=1), b'{"a":1}'),
        (collections.defaultdict(list, a=[1]), b'{"a":[1]}'),
        ({"c": Colour.RED}, b'{"c":"red"}'),
    ],
)
def test_values_become_json(wire: Wire, value: Any, content: bytes) -> None:
    [answer] = answering(wire, value).ask(ASK)
    assert (answer.status, answer.headers["Content-Type"], answer.content) == (200, "application/json", content)
    assert answer.headers["Content-Length"] == str(len(content))


@pytest.mark.parametrize("text", ["", "hello", "ä€\U0001f600", "line\r\n\r\nHTTP/1.1 200 OK"])
def test_text_is_utf_8(wire: Wire, text: str) -> None:
    [answer] = answering(wire, text).ask(ASK)
    assert (answer.headers["Content-Type"], answer.text) == ("text/plain; charset=utf-8", text)


@pytest.mark.parametrize("octets", [b"", b"\x00\xff", bytes(200_000)])
def test_octets_are_octets(wire: Wire, octets: bytes) -> None:
    [answer] = answering(wire, octets).ask(ASK)
    assert (answer.headers["Content-Type"], answer.content) == ("application/octet-stream", octets)


def test_kinds_of_text_are_text(wire: Wire) -> None:
    [answer] = answering(wire, Colour.RED).ask(ASK)
    assert (answer.headers["Content-Type"], answer.text) == ("text/plain; charset=utf-8", "red")


def test_none_is_no_content(wire: Wire) -> None:
    client = answering(wire, None)
    [answer] = client.ask(ASK)
    assert (answer.status, answer.content) == (204, b"")
    assert answer.head.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert "Content-Type" not in answer.headers
    assert client.ask(ASK)[0].status == 204


@pytest.mark.parametrize(
    "value",
    [
        1,
        2.5,
        True,
        (1, 2),
        {1, 2},
        object(),
        Response,
        bytearray(b"x"),
        Named(1, 2),
        {1: object()},
        {"a": object()},
        {"a": 1 << 70},
        {(1,): 2},
        [float],
        "\ud800",
        {"a": "\ud800"},
    ],
    ids=repr,
)
def test_what_cannot_be_answered_is_500(wire: Wire, value: Any, caplog: pytest.LogCaptureFixture) -> None:
    client = answering(wire, lambda: value)
    [answer] = client.ask(ASK)
    assert (answer.status, answer.closes) == (500, False)
    [record] = caplog.records
    assert record.exc_info
    assert answer.json()["request_id"] in record.getMessage()
    caplog.clear()
    assert client.ask(GET % b"/now/a")[0].text == "a"


def test_value_that_contains_itself_is_500(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert answering(wire, lambda: loop).ask(ASK)[0].status == 500
    assert len(caplog.records) == 1


# ---- Response -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "status", "kind", "content"),
    [
        (Response(), 200, None, b""),
        (Response("x"), 200, "text/plain; charset=utf-8", b"x"),
        (Response(b"x"), 200, "application/octet-stream", b"x"),
        (Response(bytearray(b"x"), 201), 201, "application/octet-stream", b"x"),
        (Response(memoryview(b"xy")[1:]), 200, "application/octet-stream", b"y"),
        (Response("<p>", content_type="text/html"), 200, "text/html", b"<p>"),
        (Response("<p>", headers={"content-TYPE": "text/html"}), 200, "text/html", b"<p>"),
        (Response("x", 299), 299, "text/plain; charset=utf-8", b"x"),
        (Response.text("x", 404), 404, "text/plain; charset=utf-8", b"x"),
        (Response.json({"a": 1}, 201), 201, "application/json", b'{"a":1}'),
        (Response.json(None), 200, "application/json", b"null"),
        (Response.json("x"), 200, "application/json", b'"x"'),
        (Response.json(Struct("x")), 200, "application/json", b'{"name":"x","tags":[]}'),
        (Response.json({}, headers={"Content-Type": "application/hal+json"}), 200, "application/hal+json", b"{}"),
    ],
)
def test_responses(wire: Wire, response: Response, status: int, kind: str | None, content: bytes) -> None:
    client = answering(wire, response)
    for _ in range(2):  # a response may be given more than once
        [answer] = client.ask(ASK)
        assert (answer.status, answer.headers.get("Content-Type"), answer.content) == (status, kind, content)


def test_every_answer_says_who_and_when(wire: Wire) -> None:
    client = wire.connect()
    for octets in (GET % b"/now/a", GET % b"/nothing", post(b"/body", b""), b"BAD\r\n"):
        [answer] = client.ask(octets)
        assert answer.headers["Server"] == "highperf"
        assert answer.headers["Date"]


def test_server_field_can_be_turned_off(wire: Wire) -> None:
    wire.settings["server_header"] = "false"
    [answer] = wire.connect().ask(GET % b"/now/a")
    assert "Server" not in answer.headers
    assert answer.headers["Date"]


def test_application_may_name_another_server(wire: Wire) -> None:
    client = answering(wire, Response("x", headers={"Server": "mine"}))
    assert client.ask(ASK)[0].headers.get_all("Server") == ["mine"]


def test_fields_are_sent_in_order_and_duplicates_kept(wire: Wire) -> None:
    response = Response("x", headers={"X-First": "1", "Set-Cookie": "a=b"})
    response.headers.append("Set-Cookie", "c=d")
    response.headers["X-First"] = "2"
    [answer] = answering(wire, response).ask(ASK)
    assert answer.headers.get_all("Set-Cookie") == ["a=b", "c=d"]
    assert answer.headers.get_all("X-First") == ["2"]
    assert b"Set-Cookie: a=b\r\nSet-Cookie: c=d\r\nX-First: 2\r\n" in answer.head


def test_fields_may_be_shared_by_responses(wire: Wire) -> None:
    shared = ResponseHeaders({"Content-Type": "text/html", "X": "1"})
    first, second = Response("a", headers=shared), Response("b", headers=shared)
    first.headers["X"] = "2"
    assert (second.content_type, second.headers["X"]) == ("text/html", "1")
    assert shared.items() == [("content-type", "text/html"), ("x", "1")]


def test_fields_are_a_case_insensitive_multi_mapping() -> None:
    headers = ResponseHeaders([("A", "1"), ("b", "2"), ("a", "3")])
    assert headers["a"] == "1"
    assert headers.get("B") == headers.get(b"B") == "2"
    assert headers.get("c") is None
    assert headers.get("c", "d") == "d"
    assert "A" in headers
    assert "c" not in headers
    assert len(headers) == 3
    assert list(headers) == ["a", "b", "a"]
    assert headers.items() == [("a", "1"), ("b", "2"), ("a", "3")]
    headers["A"] = "4"
    assert headers.items() == [("b", "2"), ("a", "4")]
    del headers["a"]
    headers.discard("c")
    with pytest.raises(KeyError):
        headers["a"]
    with pytest.raises(KeyError):
        del headers["a"]
    assert repr(headers) == "ResponseHeaders([('b', '2')])"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "a\r\nSet-Cookie: evil=1"),
        ("X", "a\rb"),
        ("X", "a\nb"),
        ("X", "a\0b"),
        ("X", "\x7f"),
        ("X", "\x1b[31m"),
        ("X", b"a\r\n"),
        ("X", "€"),
        ("X\r\nY", "a"),
        ("X:", "a"),
        ("X Y", "a"),
        ("", "a"),
        ("X\0", "a"),
        ("Ä", "a"),
        ("€", "a"),
        (b"\xff", "a"),
        ("Content-Length", "5"),
        ("content-length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Keep-Alive", "timeout=5"),
        ("Upgrade", "websocket"),
        ("Date", "Tue, 24 Nov 2026 06:00:00 GMT"),
    ],
)
def test_fields_that_may_not_be_sent_are_refused_where_they_are_set(name: Any, value: Any) -> None:
    with pytest.raises(ValueError, match=re.compile("field|value|server")):
        Response("x", headers={name: value})
    headers = Response("x").headers
    with pytest.raises(ValueError, match=re.compile("field|value|server")):
        headers[name] = value
    with pytest.raises(ValueError, match=re.compile("field|value|server")):
        headers.append(name, value)
    assert headers.items() == []


@pytest.mark.parametrize("value", ["text/html\r\nX: y", "a\0", "€"])
def test_content_type_is_checked_too(value: str) -> None:
    with pytest.raises(ValueError, match="Content-Type"):
        Response("x", content_type=value)
    with pytest.raises(ValueError, match="Content-Type"):
        Response("x", headers={"Content-Type": value})
    with pytest.raises(ValueError, match="Content-Type"):
        Response("x").content_type = value
    with pytest.raises(ValueError, match="Content-Type"):
        Response.stream(parts(), content_type=value)


def test_field_that_may_not_be_sent_costs_its_request_only(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    client = answering(wire, lambda: Response("x", headers={"X": "a\r\nb"}))
    assert client.ask(ASK)[0].status == 500
    assert client.ask(GET % b"/now/a")[0].text == "a"
    assert len(caplog.records) == 1


@pytest.mark.parametrize("value", ["", "plain", "with\ttab", " spaces ", "Ä", b"\xe2\x82\xac"])
def test_fields_that_may_be_sent(wire: Wire, value: Any) -> None:
    [answer] = answering(wire, Response("x", headers={"X": value})).ask(ASK)
    sent = value if isinstance(value, bytes) else value.encode("latin-1")
    assert b"X: " + sent + b"\r\n" in answer.head


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 600, 999, 1000, -1, 1 << 31])
def test_status_must_be_final(status: int) -> None:
    for make in (Response, lambda _, status: Response.json({}, status), lambda _, status: Response.text("", status)):
        with pytest.raises((ValueError, OverflowError)):
            make("x", status)
    with pytest.raises((ValueError, OverflowError)):
        Response.stream(parts(), status)
    response = Response("x")
    with pytest.raises((ValueError, OverflowError)):
        response.status = status
    assert response.status == 200


def test_status_may_be_changed(wire: Wire) -> None:
    response = Response("x")
    response.status = 202
    assert answering(wire, response).ask(ASK)[0].status == 202


@pytest.mark.parametrize("body", [1, {"a": 1}, ["x"], object()])
def test_body_is_text_or_octets(body: Any) -> None:
    with pytest.raises(TypeError, match=re.escape("Response.json")):
        Response(body)


def test_response_describes_itself() -> None:
    assert repr(Response("abc", 201)) == "<Response 201 3 bytes>"
    assert repr(Response.stream(parts())) == "<Response 200 stream>"
    assert Response("abc").body == b"abc"
    assert Response.stream(parts()).body is None


# ---- answers without content (RFC 9110 sections 6.4.1, 8.6) ---------------------------------------


@pytest.mark.parametrize("value", [{"a": 1}, "text", b"octets", b"x" * 100_000, Response("x", headers={"X": "y"})])
def test_head_is_answered_like_get_without_content(wire: Wire, value: Any) -> None:
    client = answering(wire, value)
    [got], [head] = client.ask(ASK), client.ask(HEAD, ["HEAD"])
    assert head.lasting == got.lasting
    assert head.headers["Content-Length"] == str(len(got.content))


def test_head_of_what_the_server_answers_itself(wire: Wire) -> None:
    client = wire.connect()
    for path in (b"/healthz", b"/readyz", b"/nothing"):
        [got], [head] = client.ask(GET % path), client.ask((GET % path).replace(b"GET", b"HEAD"), ["HEAD"])
        assert head.lasting == got.lasting


def test_head_of_a_stream_has_the_fields_of_get(wire: Wire) -> None:
    client = answering(wire, lambda: Response.stream(parts("a")))
    [got], [head] = client.ask(ASK), client.ask(HEAD, ["HEAD"])
    assert head.lasting == got.lasting
    assert client.ask(GET % b"/now/a")[0].text == "a"


def test_head_may_have_a_handler_of_its_own(wire: Wire) -> None:
    @wire.app.head("/")
    def head(request: Request) -> Response:
        return Response("content", headers={"X": request.method})

    [answer] = answering(wire, "other").ask(HEAD, ["HEAD"])
    assert answer.headers["X"] == "HEAD"
    assert answer.headers["Content-Length"] == "7"


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("streams", [False, True])
def test_statuses_without_content(wire: Wire, status: int, streams: bool) -> None:
    def make() -> Response:
        return Response.stream(parts("a"), status) if streams else Response("content", status, {"ETag": '"x"'})

    client = answering(wire, make)
    answers = client.ask(ASK + GET % b"/now/a")
    assert [answer.status for answer in answers] == [status, 200]
    assert (answers[0].headers["ETag"] if not streams else '"x"') == '"x"'


def test_reset_content_says_that_there_is_none(wire: Wire) -> None:
    client = answering(wire, Response(status=205))
    assert client.ask(ASK)[0].headers["Content-Length"] == "0"


# ---- streams --------------------------------------------------------------------------------------


async def parts(*given: Any) -> AsyncIterator[Any]:
    for part in given:
        yield part


def test_stream_is_chunked(wire: Wire) -> None:
    client = answering(
        wire, lambda: Response.stream(parts("a", b"bc", "", bytearray(b"d" * 300)), content_type="text/csv")
    )
    [answer] = client.ask(ASK)
    assert answer.content == b"abc" + b"d" * 300
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.headers["Content-Type"] == "text/csv"
    assert client.ask(GET % b"/now/a")[0].text == "a"


@pytest.mark.parametrize("empty", [(), ("", b"")])
def test_stream_of_nothing_is_whole(wire: Wire, empty: tuple[Any, ...]) -> None:
    client = answering(wire, lambda: Response.stream(parts(*empty)))
    [answer] = client.ask(ASK)
    assert (answer.status, answer.content) == (200, b"")
    assert client.ask(ASK)[0].status == 200


def test_each_part_leaves_at_once(wire: Wire) -> None:
    async def source() -> AsyncIterator[str]:
        for name in ("a", "b", "c"):
            await asyncio.shield(wire.gate(name))
            yield name

    client = answering(wire, lambda: Response.stream(source()))
    client.send(ASK)
    assert client.sent == b""
    for name in ("a", "b"):
        wire.open(name)
        assert client.sent.endswith(b"\r\n1\r\n%b\r\n" % name.encode())
    wire.open("c")
    assert client.answers()[0].text == "abc"


def test_stream_to_http_10_ends_with_the_connection(wire: Wire) -> None:
    client = answering(wire, lambda: Response.stream(parts("a", "b")))
    [answer] = client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert answer.content == b"ab"
    assert answer.closes
    assert "Transfer-Encoding" not in answer.headers
    assert client.gone


@pytest.mark.parametrize("size", [1, 32 * KIB - 1, 32 * KIB, 32 * KIB + 1, 1000 * KIB])
def test_parts_of_all_sizes_are_framed_alike(wire: Wire, size: int) -> None:
    client = answering(wire, lambda: Response.stream(parts(bytes(size), b"x", bytes(size))))
    assert client.ask(ASK)[0].content == bytes(size) + b"x" + bytes(size)


def test_stream_to_a_slow_reader_waits_for_it(wire: Wire) -> None:
    given = 0

    async def source() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(1000):
            given += 1
            yield bytes(10 * KIB)

    client = answering(wire, lambda: Response.stream(source()))
    client.window = 0
    client.send(ASK)
    for _ in range(5):
        held = client.held
        assert held < 90 * KIB
        assert given * 10 * KIB <= len(client.sent) + held + 10 * KIB
        client.take(100 * KIB)
    client.take()
    assert len(client.answers()[0].content) == 10_000 * KIB


def test_stream_that_never_waits_ends_with_its_connection(wire: Wire) -> None:
    """The loop tells of the end only when it gets a turn, which an endless source would never give it."""
    given, closed = 0, False

    async def source() -> AsyncIterator[bytes]:
        nonlocal given, closed
        try:
            while given < 1000:
                given += 1
                if given == 3:
                    client.abort()
                yield b"part"
        finally:
            closed = True

    client = answering(wire, lambda: Response.stream(source()))
    client.send(ASK)
    assert client.gone
    assert given == 3
    assert closed


def test_stream_that_fails_at_once_is_500(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    async def source() -> AsyncIterator[str]:
        await asyncio.sleep(0)
        raise LookupError("at once")
        yield ""

    client = answering(wire, lambda: Response.stream(source()))
    [answer] = client.ask(ASK)
    assert (answer.status, answer.closes) == (500, False)
    assert len(caplog.records) == 1
    assert client.ask(GET % b"/now/a")[0].text == "a"


def test_stream_that_refuses_at_once_answers_so(wire: Wire) -> None:
    async def source() -> AsyncIterator[str]:
        raise HTTPError(404, "gone")
        yield ""

    assert answering(wire, lambda: Response.stream(source())).ask(ASK)[0].status == 404


@pytest.mark.parametrize("waits", [0, 1])
def test_stream_that_fails_later_does_not_look_whole(wire: Wire, waits: int, caplog: pytest.LogCaptureFixture) -> None:
    async def source() -> AsyncIterator[str]:
        yield "part"
        for _ in range(waits):
            await asyncio.sleep(0)
        raise LookupError("later")

    client = answering(wire, lambda: Response.stream(source()))
    client.send(ASK + GET % b"/wait/a")
    assert client.sent.endswith(b"\r\n4\r\npart\r\n")
    assert client.gone
    assert wire.began == []
    [record] = caplog.records
    assert "later" in str(record.exc_info)
    assert wire.worker.served == 0


def test_bad_part_does_not_look_whole(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    client = answering(wire, lambda: Response.stream(parts("part", 1)))
    client.send(ASK)
    assert client.sent.endswith(b"part\r\n")
    assert client.gone
    assert len(caplog.records) == 1


@pytest.mark.parametrize("how", ["taken", "left", "failed", "head"])
def test_source_is_closed_however_it_ends(wire: Wire, how: str) -> None:
    closed: list[str] = []

    class Source:
        def __aiter__(self) -> "Source":
            return self

        async def __anext__(self) -> bytes:
            if how == "left":
                await wire.gate("never")
            if how == "failed":
                raise LookupError(how)
            raise StopAsyncIteration

        async def aclose(self) -> None:
            closed.append(how)

    client = answering(wire, lambda: Response.stream(Source()))
    client.send(HEAD if how == "head" else ASK)
    if how == "left":
        client.leave()
    assert closed == [how]


def test_source_is_closed_when_the_client_left_before_it_was_asked(wire: Wire) -> None:
    closed: list[str] = []

    class Source:
        def __aiter__(self) -> "Source":
            return self

        async def __anext__(self) -> bytes:
            raise AssertionError

        async def aclose(self) -> None:
            closed.append("closed")

    @wire.app.get("/")
    async def handler(request: Request) -> Response:
        try:
            await wire.gate("never")
        except asyncio.CancelledError:
            pass
        return Response.stream(Source())

    client = wire.connect()
    client.send(ASK)
    client.leave()
    assert closed == ["closed"]


@pytest.mark.parametrize("source", ["text", b"octets", [b"x"], iter([b"x"]), None])
def test_stream_takes_async_iterables_only(source: Any) -> None:
    with pytest.raises(TypeError, match="async iterable"):
        Response.stream(source)


# ---- large answers --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [32 * KIB - 1, 32 * KIB, 70 * KIB, 1500 * KIB])
def test_large_content_is_not_mixed_up_with_its_neighbours(wire: Wire, size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    client = answering(wire, content[:size])
    answers = client.ask((GET % b"/now/a" + ASK) * 3)
    assert [answer.content for answer in answers] == [b"a", content[:size]] * 3


@pytest.mark.parametrize("window", [1, 100, 70_000])
def test_slow_reader_gets_all_in_order(wire: Wire, window: int) -> None:
    content = bytes(range(256)) * 800
    client = answering(wire, content)
    client.window = 0
    client.send((GET % b"/now/a" + ASK) * 3)
    for _ in range(20):
        client.take(window)
    client.take()
    assert [answer.content for answer in client.answers()] == [b"a", content] * 3


# ---- middleware -----------------------------------------------------------------------------------


def test_middleware_may_change_an_answer(wire: Wire) -> None:
    @wire.app.middleware
    async def mark(request: Request, call_next: Any) -> Response:
        response = await call_next(request)
        response.headers["X-Mark"] = str(response.status)
        if response.status == 200:
            response.status = 203
        return response

    client = answering(wire, {"a": 1})
    answers = client.ask(ASK + GET % b"/nothing" + GET % b"/healthz")
    assert [answer.headers.get("X-Mark") for answer in answers] == ["200", "404", None]
    assert [answer.status for answer in answers] == [203, 404, 200]


def test_http_date_is_checked() -> None:
    from highperf.wire.response import http_date

    assert http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert http_date(951782400) == "Tue, 29 Feb 2000 00:00:00 GMT"
    assert http_date(253402300799) == "Fri, 31 Dec 9999 23:59:59 GMT"
    for wrong in (-1, 253402300800):
        with pytest.raises(ValueError, match="between"):
            http_date(wrong)
