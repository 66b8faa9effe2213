"""The content of requests: how it is framed, read, bounded, refused and left unread."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from highperf import HTTPError, Request, Response
from tests import cuts
from tests.protocol.harness import GET, Client, Wire, chunked, post

KIB = 1024
HEAD = b"POST %b HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def sized(path: bytes, size: int) -> bytes:
    """A head alone."""
    return HEAD % (path, b"Content-Length: %d" % size)


def unsized(path: bytes) -> bytes:
    return HEAD % (path, b"Transfer-Encoding: chunked")


def assert_usable(client: Client) -> None:
    assert [answer.text for answer in client.ask(GET % b"/now/next")] == ["next"]


# ---- framing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", cuts.CUTS)
@pytest.mark.parametrize(
    "request_octets",
    [
        post(b"/body", b"hello, world"),
        chunked(b"hello", b", ", b"world"),
        chunked(*(b"%c" % octet for octet in b"hello, world")),
        unsized(b"/body") + b"5;a=b\r\nhello\r\n00007;c\r\n, world\r\n000;d\r\nX: y\r\n\r\n",
    ],
)
def test_content_is_the_same_however_it_comes(wire: Wire, request_octets: bytes, cut: str) -> None:
    client = wire.connect()
    client.send(*cuts.CUTS[cut](request_octets + GET % b"/now/next"))
    assert [answer.text for answer in client.answers()] == ["hello, world", "next"]


@pytest.mark.parametrize("octets", [post(b"/body", b""), chunked(), b"POST /body HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_content_may_be_empty(wire: Wire, octets: bytes) -> None:
    client = wire.connect()
    [answer] = client.ask(octets)
    assert answer.content == b""
    assert_usable(client)


def test_content_is_not_taken_for_a_request(wire: Wire) -> None:
    hidden = GET % b"/wait/hidden"
    client = wire.connect()
    answers = client.ask(post(b"/body", hidden) + chunked(hidden) + post(b"/deaf", hidden) + post(b"/nothing", hidden))
    assert [answer.status for answer in answers] == [200, 200, 200, 404]
    assert wire.began == []


@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"OPTIONS", b"TRACE", b"BREW"])
def test_content_is_framed_whatever_the_method(wire: Wire, method: bytes) -> None:
    @wire.app.route("/any", methods="*")
    async def any_method(request: Request) -> bytes:
        return await request.body()

    client = wire.connect()
    octets = post(b"/any", b"content").replace(b"POST", method)
    assert client.ask(octets)[0].content == b"content"
    assert_usable(client)


def test_content_is_framed_whatever_upgrade_says(wire: Wire) -> None:
    client = wire.connect()
    fields = b"Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 5"
    answers = client.ask(HEAD % (b"/body", fields) + b"hello" + GET % b"/now/next")
    assert [answer.text for answer in answers] == ["hello", "next"]


def test_content_of_a_mebibyte(wire: Wire) -> None:
    content = bytes(range(256)) * 4 * KIB
    client = wire.connect()
    assert client.ask(post(b"/body", content))[0].content == content
    pieces = [content[start : start + 1000] for start in range(0, len(content), 1000)]
    assert client.ask(chunked(*pieces))[0].content == content


def test_ten_thousand_chunks_cost_no_more_than_their_octets(wire: Wire) -> None:
    client = wire.connect()
    assert client.ask(chunked(*[b"xyz"] * 10_000))[0].content == b"xyz" * 10_000


# ---- reading --------------------------------------------------------------------------------------


def handle(wire: Wire, function: Any, **policy: Any) -> Client:
    wire.app.post("/", **policy)(function)
    return wire.connect()


def test_body_may_be_read_again(wire: Wire) -> None:
    async def twice(request: Request) -> list[str]:
        return [(await request.body()).decode(), (await request.body()).decode(), await request.json()]

    assert handle(wire, twice).ask(post(b"/", b'"x"'))[0].json() == ['"x"', '"x"', "x"]


def test_body_may_be_streamed_after_it_was_read(wire: Wire) -> None:
    async def then_stream(request: Request) -> list[str]:
        whole = await request.body()
        return [whole.decode(), *[part.decode() async for part in request.stream()]]

    assert handle(wire, then_stream).ask(post(b"/", b"x"))[0].json() == ["x", "x"]


def test_whole_cannot_be_had_after_streaming(wire: Wire) -> None:
    async def then_whole(request: Request) -> str:
        async for _ in request.stream():
            break
        try:
            await request.body()
        except RuntimeError as error:
            return str(error)
        raise AssertionError

    assert "read as a stream" in handle(wire, then_whole).ask(post(b"/", b"x"))[0].text


def test_stream_gives_parts_as_they_come(wire: Wire) -> None:
    parts: list[bytes] = []

    async def collect(request: Request) -> str:
        async for part in request.stream():
            parts.append(part)
        return "end"

    client = handle(wire, collect)
    client.send(unsized(b"/"))
    for number in range(3):
        client.send(b"1\r\n%d\r\n" % number)
        assert parts[-1] == b"%d" % number
    assert client.ask(b"0\r\n\r\n")[0].text == "end"
    assert parts == [b"0", b"1", b"2"]


def test_stream_of_no_content_is_empty(wire: Wire) -> None:
    async def count(request: Request) -> str:
        return str(len([part async for part in request.stream()]))

    assert handle(wire, count).ask(post(b"/", b""))[0].text == "0"


def test_streaming_reader_slows_the_sender_down(wire: Wire) -> None:
    read = 0

    async def slow(request: Request) -> str:
        nonlocal read
        async for part in request.stream():
            read += len(part)
            await asyncio.shield(wire.gate("go"))
        return str(read)

    client = handle(wire, slow)
    size = 4000 * KIB
    client.send(sized(b"/", size) + bytes(size))
    while not client.sent:
        assert size - read - len(client._coming) < 400 * KIB
        assert client.reading or client.waits
        wire.open("go")
    assert client.answers()[0].text == str(size)
    assert client.reading
    assert_usable(client)


def test_reader_of_the_whole_does_not_slow_the_sender_down(wire: Wire) -> None:
    client = wire.connect()
    client.send(sized(b"/body", 1000 * KIB) + bytes(999 * KIB))
    assert client.reading
    assert not client.waits
    assert len(client.ask(bytes(KIB))[0].content) == 1000 * KIB


@pytest.mark.parametrize("size", [300 * KIB, 1000 * KIB])
@pytest.mark.parametrize("reads", [True, False])
def test_connection_hears_again_after_a_handler_that_was_slow_to_read(wire: Wire, size: int, reads: bool) -> None:
    async def late(request: Request) -> str:
        await asyncio.shield(wire.gate("late"))
        return str(len(await request.body())) if reads else "unread"

    client = handle(wire, late)
    client.send(sized(b"/", size) + bytes(size))
    wire.open("late")
    [answer] = client.answers()
    assert answer.text == (str(size) if reads else "unread")
    if not answer.closes:
        assert client.reading
        assert_usable(client)


def test_two_readers_at_once_are_a_mistake(wire: Wire) -> None:
    async def both(request: Request) -> list[str]:
        results = await asyncio.gather(request.body(), request.body(), return_exceptions=True)
        return [result.decode() if isinstance(result, bytes) else str(result) for result in results]

    client = handle(wire, both)
    client.send(sized(b"/", 3))
    assert client.ask(b"abc")[0].json() == ["abc", "the body is already being read by another task"]


def test_reader_that_was_cancelled_may_read_again(wire: Wire) -> None:
    async def impatient(request: Request) -> bytes:
        task = asyncio.ensure_future(request.body())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return await request.body()

    client = handle(wire, impatient)
    client.send(sized(b"/", 3))
    assert client.ask(b"abc")[0].text == "abc"


@pytest.mark.parametrize("came", [b"", b"a", b"abc"])
def test_body_cannot_be_read_after_the_answer(wire: Wire, came: bytes) -> None:
    kept: list[Request] = []

    def keep(request: Request) -> str:
        kept.append(request)
        return "answered"

    client = handle(wire, keep)
    client.send(sized(b"/", 3) + came)
    with pytest.raises(RuntimeError, match="over"):
        wire.loop.run_until_complete(kept[0].body())


@pytest.mark.parametrize("came", [b"", b"a", b"abc"])
def test_reader_that_outlives_the_answer_is_told(wire: Wire, came: bytes) -> None:
    tasks: list[asyncio.Task[Any]] = []

    async def read(request: Request) -> str:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return [part async for part in request.stream()]

    async def leave(request: Request) -> str:
        tasks.append(asyncio.ensure_future(read(request)))
        return "answered"

    handle(wire, leave).send(sized(b"/", 3) + came)
    with pytest.raises(RuntimeError, match="over"):
        tasks[0].result()


def test_body_read_before_the_answer_is_still_there_after_it(wire: Wire) -> None:
    kept: list[Request] = []

    async def keep(request: Request) -> str:
        kept.append(request)
        return (await request.body()).decode()

    handle(wire, keep).send(post(b"/", b"abc"))
    assert wire.loop.run_until_complete(kept[0].body()) == b"abc"


def test_content_that_ends_early_is_400_for_the_reader(wire: Wire) -> None:
    for octets in (
        sized(b"/body", 10) + b"abc",
        unsized(b"/body") + b"5\r\nab",
        unsized(b"/body") + b"2\r\nab\r\n0\r\n",
    ):
        client = wire.connect()
        client.send(octets)
        client.finish_sending()
        [answer] = client.answers()
        assert (answer.status, answer.closes) == (400, True)
        assert "ended before" in answer.json()["detail"]
        assert client.gone


@pytest.mark.parametrize(
    ("octets", "detail"),
    [
        (b"x", "chunk size is not a hex number"),
        (b"3\r\nabcd", "chunk data does not end in carriage return and line feed"),
        (b"3\nabc", "line feed without carriage return"),
        (b"0\r\nContent-Length: 5\r\n\r\n", "field that must not be a trailer"),
        (b"fffffffffffffffff\r\n", "chunk size is too large a number"),
    ],
)
@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("path", [b"/body", b"/nothing"])
def test_broken_chunks_are_400_and_the_end(
    wire: Wire, octets: bytes, detail: str, together: bool, path: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    client = wire.connect()
    pieces = [unsized(path), b"2\r\nab\r\n" + octets + GET % b"/wait/a"]
    client.send(*([b"".join(pieces)] if together else pieces))
    [answer] = client.answers()
    assert answer.closes
    if path == b"/body" or together:
        assert answer.status == 400
        assert answer.json()["detail"] == detail
        assert [detail in record.getMessage() for record in caplog.records] == [True]
    else:
        assert answer.status == 404
    assert client.half_closed
    assert wire.began == []


def test_broken_chunks_are_found_after_the_handler_gave_up_on_the_content(wire: Wire) -> None:
    client = wire.connect()
    [answer] = client.ask(unsized(b"/deaf"))
    assert answer.closes
    assert client.send(b"broken" + GET % b"/wait/a") == b""
    assert wire.began == []


# ---- limits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [b"/body", b"/deaf", b"/nothing"])
def test_content_above_the_limit_is_refused_before_it_comes(
    wire: Wire, path: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    wire.settings["limit_request_body"] = "1k"
    client = wire.connect()
    [answer] = client.ask(sized(path, 1025))
    assert (answer.status, answer.closes) == (413, True)
    assert answer.json()["detail"] == "the body of 1025 bytes is larger than 1024"
    assert client.half_closed
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    client.send(bytes(100_000))
    assert not client.waits
    client.finish_sending()
    assert client.gone


def test_content_of_the_limit_is_taken(wire: Wire) -> None:
    wire.settings["limit_request_body"] = "1k"
    client = wire.connect()
    assert client.ask(post(b"/body", bytes(1024)))[0].status == 200
    assert client.ask(chunked(bytes(1000), bytes(24)))[0].status == 200


def test_chunked_content_is_refused_when_it_passes_the_limit(wire: Wire) -> None:
    wire.settings["limit_request_body"] = "1k"
    client = wire.connect()
    client.send(unsized(b"/body") + b"400\r\n" + bytes(1024) + b"\r\n")
    assert client.sent == b""
    [answer] = client.ask(b"1\r\nx")
    assert (answer.status, answer.closes) == (413, True)
    assert client.half_closed


def test_chunked_content_passes_the_limit_for_its_reader_only(wire: Wire) -> None:
    wire.settings["limit_request_body"] = "1k"
    client = wire.connect()
    [answer] = client.ask(chunked(bytes(2000), path=b"/deaf"))
    assert answer.status == 200


def test_limit_of_a_route_wins_over_the_servers(wire: Wire) -> None:
    wire.settings["limit_request_body"] = "1k"

    async def body(request: Request) -> str:
        return str(len(await request.body()))

    wire.app.post("/more", limit_body="4k")(body)
    wire.app.post("/less", limit_body=10)(body)
    wire.app.post("/none", limit_body=0)(body)
    client = wire.connect()
    assert client.ask(post(b"/more", bytes(4096)))[0].text == "4096"
    assert client.ask(post(b"/less", bytes(10)))[0].text == "10"
    assert client.ask(post(b"/none", b""))[0].text == "0"
    for path, size in ((b"/more", 4097), (b"/less", 11), (b"/none", 1)):
        assert wire.connect().ask(sized(path, size))[0].status == 413


def test_content_beyond_the_limit_is_not_kept(wire: Wire) -> None:
    wire.settings["limit_request_body"] = "1k"

    async def busy(request: Request) -> str:
        await asyncio.shield(wire.gate("busy"))
        return "done"

    client = handle(wire, busy)
    client.send(unsized(b"/"), b"%x\r\n" % (1 << 30), *[bytes(60_000)] * 50)
    assert wire.worker.pool.in_use <= 2
    wire.open("busy")
    [answer] = client.answers()
    assert (answer.status, answer.closes) == (200, True)


# ---- content that nobody reads --------------------------------------------------------------------


def test_little_that_is_unread_is_discarded(wire: Wire) -> None:
    client = wire.connect()
    [answer] = client.ask(sized(b"/deaf", 64 * KIB))
    assert not answer.closes
    assert client.send(bytes(64 * KIB - 1)) == b""
    assert [answer.text for answer in client.ask(b"x" + GET % b"/now/next")] == ["next"]


def test_more_that_is_unread_ends_the_connection(wire: Wire) -> None:
    client = wire.connect()
    [answer] = client.ask(sized(b"/deaf", 64 * KIB + 1))
    assert answer.closes
    assert client.half_closed
    assert client.send(bytes(64 * KIB + 1) + GET % b"/wait/a") == b""
    assert wire.began == []


def test_only_what_is_still_to_come_counts(wire: Wire) -> None:
    client = wire.connect()
    [answer] = client.ask(sized(b"/deaf", 78 * KIB) + bytes(78 * KIB))  # a read takes 16 KiB of it
    assert not answer.closes
    assert_usable(client)


@pytest.mark.parametrize("path", [b"/deaf", b"/nothing", b"/healthz", b"/now/a"])
def test_unread_content_leaves_nothing_behind(wire: Wire, path: bytes) -> None:
    client = wire.connect()
    for octets in (post(path, bytes(5000)), chunked(bytes(5000), path=path)):
        [answer] = client.ask(octets)
        assert not answer.closes
        assert wire.worker.pool.in_use == 0
    [answer] = client.ask(unsized(path) + b"1\r\nx\r\n")
    assert answer.closes
    wire.advance(3)
    assert wire.worker.pool.in_use == 0


def test_half_closed_peer_may_leave_its_content_unsent(wire: Wire) -> None:
    client = wire.connect()
    client.send(sized(b"/deaf", 100))
    client.finish_sending()
    assert client.answers()[0].status == 200
    assert client.gone


# ---- Expect: 100-continue (RFC 9110 section 10.1.1) -----------------------------------------------


def expecting(path: bytes, size: int, version: bytes = b"1.1") -> bytes:
    return b"POST %b HTTP/%b\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (path, version, size)


def test_continue_is_said_when_the_body_is_read(wire: Wire) -> None:
    client = wire.connect()
    assert client.send(expecting(b"/body", 3)) == CONTINUE
    [answer] = client.ask(b"abc")
    assert (answer.text, answer.interim) == ("abc", 1)
    assert_usable(client)


def test_continue_is_said_once(wire: Wire) -> None:
    client = wire.connect()
    client.send(expecting(b"/body", 3), b"a", b"b", b"c")
    assert client.answers()[0].interim == 1


def test_continue_is_said_for_chunked_content(wire: Wire) -> None:
    client = wire.connect()
    fields = b"Transfer-Encoding: chunked\r\nExpect: 100-Continue"
    assert client.send(HEAD % (b"/body", fields)) == CONTINUE
    assert client.ask(b"1\r\nx\r\n0\r\n\r\n")[0].text == "x"


def test_continue_is_not_said_before_the_handler_asks(wire: Wire) -> None:
    async def late(request: Request) -> bytes:
        await asyncio.shield(wire.gate("late"))
        return await request.body()

    client = handle(wire, late)
    assert client.send(expecting(b"/", 3)) == b""
    wire.open("late")
    assert client.sent == CONTINUE
    assert client.ask(b"abc")[0].text == "abc"


def test_continue_is_not_said_when_all_has_come(wire: Wire) -> None:
    client = wire.connect()
    [answer] = client.ask(expecting(b"/body", 3) + b"abc")
    assert (answer.text, answer.interim) == ("abc", 0)
    assert_usable(client)


@pytest.mark.parametrize("path", [b"/deaf", b"/nothing", b"/now/a"])
def test_peer_that_was_not_told_to_continue_is_not_waited_for(wire: Wire, path: bytes) -> None:
    client = wire.connect()
    [answer] = client.ask(expecting(path, 3))
    assert (answer.interim, answer.closes) == (0, True)
    assert client.half_closed


def test_peer_that_sends_without_being_told_keeps_its_connection(wire: Wire) -> None:
    client = wire.connect()
    answers = client.ask(expecting(b"/deaf", 3) + b"abc" + GET % b"/now/a")
    assert [answer.text for answer in answers] == ["heard nothing", "a"]


def test_continue_is_not_said_to_http_10(wire: Wire) -> None:
    client = wire.connect()
    assert client.send(expecting(b"/body", 3, b"1.0")) == b""
    assert client.ask(b"abc")[0].text == "abc"


def test_expectation_without_content_means_nothing(wire: Wire) -> None:
    client = wire.connect()
    [answer] = client.ask(expecting(b"/body", 0))
    assert (answer.interim, answer.closes) == (0, False)


def test_too_large_content_is_refused_instead_of_continued(wire: Wire) -> None:
    wire.settings["limit_request_body"] = "1k"
    client = wire.connect()
    [answer] = client.ask(expecting(b"/body", 5000))
    assert (answer.status, answer.interim, answer.closes) == (413, 0, True)


def test_continue_comes_after_the_answers_before_it(wire: Wire) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a" + expecting(b"/body", 3))
    assert client.sent == b""
    wire.open("a")
    assert client.sent.endswith(b"\r\n\r\na" + CONTINUE)
    assert [answer.text for answer in client.ask(b"abc")] == ["a", "abc"]


# ---- JSON -----------------------------------------------------------------------------------------


class Address(msgspec.Struct):
    city: str
    zip_codes: list[int] = []


class User(msgspec.Struct):
    name: str
    age: int = 0
    address: Address | None = None


def typed(wire: Wire, kind: Any = User) -> Client:
    async def decode(request: Request) -> Any:
        return msgspec.to_builtins(await request.json(kind))

    return handle(wire, decode)


def test_json_is_parsed(wire: Wire) -> None:
    async def echo(request: Request) -> Any:
        return {"was": await request.json()}

    client = handle(wire, echo)
    for text in ('{"a":[1,2.5,null,true,"ä"]}', "[]", '"x"', "1", "null", " \n{}\t"):
        assert client.ask(post(b"/", text.encode()))[0].json() == {"was": msgspec.json.decode(text)}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"nul", b"{'a':1}", b'"\xff"', b"[1,]", b"NaN", b"1 2", b'"\x01"', b"[" * 100_000, b"\xef\xbb\xbf1"],
)
@pytest.mark.parametrize("kind", [None, Any])
def test_what_is_no_json_is_400(wire: Wire, content: bytes, kind: Any) -> None:
    async def decode(request: Request) -> Any:
        return await (request.json() if kind is None else request.json(kind))

    client = handle(wire, decode)
    [answer] = client.ask(post(b"/", content))
    assert answer.status == 400
    assert "JSON" in answer.json()["detail"]
    assert_usable(client)


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        (b"{}", "#"),
        (b"[]", "#"),
        (b"null", "#"),
        (b'{"name":1}', "#/name"),
        (b'{"name":"x","age":"y"}', "#/age"),
        (b'{"name":"x","address":{}}', "#/address"),
        (b'{"name":"x","address":{"city":null}}', "#/address/city"),
        (b'{"name":"x","address":{"city":"y","zip_codes":[1,"z"]}}', "#/address/zip_codes/1"),
    ],
)
def test_what_does_not_fit_is_422_with_a_pointer(wire: Wire, content: bytes, pointer: str) -> None:
    [answer] = typed(wire).ask(post(b"/", content))
    assert answer.status == 422
    [error] = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert error["detail"]
    assert "`$" not in error["detail"]


def test_what_fits_is_decoded(wire: Wire) -> None:
    content = b'{"name":"Ada","address":{"city":"London","zip_codes":[1]},"unknown":0}'
    assert typed(wire).ask(post(b"/", content))[0].json()["address"] == {"city": "London", "zip_codes": [1]}


def test_decoders_are_made_once(wire: Wire) -> None:
    client = typed(wire, list[User])
    for _ in range(3):
        assert client.ask(post(b"/", b'[{"name":"x"}]'))[0].status == 200
    assert list(wire.worker.decoders) == [list[User]]


@pytest.mark.parametrize(
    ("declared", "status"),
    [
        (b"application/json", 200),
        (b"Application/JSON ; charset=utf-8", 200),
        (b"application/problem+json", 200),
        (b"application/vnd.api+JSON", 200),
        (b"text/json", 415),
        (b"text/plain", 415),
        (b"application/x-www-form-urlencoded", 415),
        (b"application/jsonp", 415),
        (b"json", 415),
        (b"", 415),
    ],
)
def test_declared_media_type_must_be_json(wire: Wire, declared: bytes, status: int) -> None:
    octets = HEAD % (b"/", b"Content-Type: %b\r\nContent-Length: 12" % declared) + b'{"name":"x"}'
    [answer] = typed(wire).ask(octets)
    assert answer.status == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"cOnTeNt-TyPe: text/plain", 415),
        (b"Content-Type: application/json\r\nContent-Type: text/plain", 200),
        (b"Content-Type: text/plain\r\nContent-Type: application/json", 415),
        (b"Content-Tape: text/plain\r\nX-Content-Ty: text/plain", 200),
    ],
)
def test_the_first_content_type_counts_however_it_is_spelled(wire: Wire, fields: bytes, status: int) -> None:
    client = typed(wire)
    for _ in range(2):  # what the request before declared is forgotten
        [answer] = client.ask(HEAD % (b"/", b"%b\r\nContent-Length: 12" % fields) + b'{"name":"x"}')
        assert answer.status == status
        if answer.status == 200:
            [answer] = client.ask(HEAD % (b"/", b"Content-Length: 12") + b'{"name":"x"}')
            assert answer.status == 200


def items(wire: Wire, prefix: str = "item") -> Client:
    async def collect(request: Request) -> list[Any]:
        return [item async for item in request.json_items(prefix)]

    return handle(wire, collect)


@pytest.mark.parametrize("cut", cuts.CUTS)
def test_json_items_come_one_by_one(wire: Wire, cut: str) -> None:
    client = items(wire)
    client.send(*cuts.CUTS[cut](chunked(b'[{"a":1},2.', b'5,"\xc3', b'\xa4",null,[true]]', path=b"/")))
    assert client.answers()[0].json() == [{"a": 1}, 2.5, "ä", None, [True]]


def test_json_items_may_lie_deeper(wire: Wire) -> None:
    content = b'{"meta":{"item":0},"users":[{"name":"x"},{"name":"y"}]}'
    assert items(wire, "users.item.name").ask(post(b"/", content))[0].json() == ["x", "y"]


def test_json_items_come_while_the_content_comes(wire: Wire) -> None:
    got: list[Any] = []

    async def collect(request: Request) -> str:
        async for item in request.json_items():
            got.append(item)
        return "end"

    client = handle(wire, collect)
    client.send(unsized(b"/"), b"5\r\n[1,2,\r\n")
    assert got == [1, 2]
    assert client.ask(b"2\r\n3]\r\n0\r\n\r\n")[0].text == "end"
    assert got == [1, 2, 3]


@pytest.mark.parametrize("content", [b"", b"[1,", b"[1 2]", b'["\xff"]', b"[1]x", b"{]"])
def test_items_of_what_is_no_json_are_400(wire: Wire, content: bytes) -> None:
    client = items(wire)
    [answer] = client.ask(post(b"/", content))
    assert answer.status == 400
    assert "JSON" in answer.json()["detail"]
    assert_usable(client)


def test_json_items_ask_for_json(wire: Wire) -> None:
    octets = HEAD % (b"/", b"Content-Type: text/csv\r\nContent-Length: 2") + b"[]"
    assert items(wire).ask(octets)[0].status == 415


def test_json_items_may_be_left_early(wire: Wire) -> None:
    async def first(request: Request) -> Any:
        async for item in request.json_items():
            return {"first": item}
        return None

    client = handle(wire, first)
    assert client.ask(post(b"/", b"[1,2,3]"))[0].json() == {"first": 1}
    assert_usable(client)


def test_error_of_the_content_reaches_the_items(wire: Wire) -> None:
    client = items(wire)
    client.send(sized(b"/", 100) + b"[1,")
    wire.advance(2.1)
    assert client.answers()[0].status == 408


async def parts_of(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def test_content_may_be_streamed_back(wire: Wire) -> None:
    async def mirror(request: Request) -> Response:
        return Response.stream(request.stream())

    client = handle(wire, mirror)
    client.send(unsized(b"/"), b"5\r\nhello\r\n", b"7\r\n, world\r\n")
    assert b"hello" in client.sent
    [answer] = client.ask(b"0\r\n\r\n")
    assert answer.text == "hello, world"
    assert answer.closes  # when it began, the end of the content was not in sight


def test_error_status_may_come_from_a_reader_deep_inside(wire: Wire) -> None:
    async def nested(request: Request) -> Any:
        try:
            return await request.json()
        except HTTPError as error:
            raise HTTPError(422, f"inside: {error.detail}") from error

    [answer] = handle(wire, nested).ask(post(b"/", b"{"))
    assert answer.status == 422
    assert answer.json()["detail"].startswith("inside: the body is not valid JSON")
