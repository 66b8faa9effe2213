"""RequestParser: which events come when, and what they cost."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from highperf.errors import HighperfError, ProtocolError
from highperf.wire.request_parser import CLOSED, NEED_DATA, Data, EndOfMessage, RequestHead, RequestParser
from tests import cuts
from tests.streams import BROWSER, CUT_SHORT, get, head_of, outcome, with_field


@pytest.fixture(params=cuts.CUTS)
def cut(request: pytest.FixtureRequest) -> Callable[[bytes], list[bytes]]:
    return cuts.CUTS[request.param]


def events(parser: RequestParser) -> Iterator[object]:
    while (event := parser.next_event()) not in (NEED_DATA, CLOSED):
        yield event
    yield event


def test_events_of_two_requests() -> None:
    parser = RequestParser()
    parser.feed(with_field(b"Content-Length: 5", method=b"POST") + b"hel")
    head, data, end = events(parser)
    assert isinstance(head, RequestHead)
    assert repr(head) == "<RequestHead POST b'/' HTTP/1.1>"
    assert isinstance(data, Data)
    assert (data.data, repr(data), end) == (b"hel", "<Data 3 bytes>", NEED_DATA)
    parser.feed(b"lo" + get())
    data, done, second, done_again, end = events(parser)
    assert isinstance(data, Data)
    assert isinstance(done, EndOfMessage)
    assert (data.data, done.trailers, repr(done)) == (b"lo", [], "<EndOfMessage trailers=[]>")
    assert isinstance(second, RequestHead)
    assert isinstance(done_again, EndOfMessage)
    assert end is NEED_DATA
    assert parser.next_event() is NEED_DATA


def test_a_head_shows_what_was_sent() -> None:
    head = head_of(get(b"/a%20b?c=d&e", b"Host: h", b"X-Y: z"))
    assert head.fields["x-y"] == "z"
    assert head.query_fields.items() == [("c", "d"), ("e", "")]
    assert (head.path, head.raw_path, head.query) == ("/a b", b"/a%20b", b"c=d&e")


def test_events_outlive_their_parser() -> None:
    parser = RequestParser()
    parser.feed(with_field(b"A: b"))
    head = parser.next_event()
    assert isinstance(head, RequestHead)
    fields = head.fields
    parser.next_event()
    parser.feed(get(b"/" + b"x" * 8000) * 3)
    assert len(list(events(parser))) == 7
    del parser
    assert head.target == b"/"
    del head
    assert fields.items() == [("host", "h"), ("a", "b")]


def test_an_error_comes_after_what_was_complete_and_stays() -> None:
    parser = RequestParser()
    parser.feed(get() + get(b"/#"))
    assert isinstance(parser.next_event(), RequestHead)
    assert isinstance(parser.next_event(), EndOfMessage)
    for _ in range(3):
        with pytest.raises(ProtocolError) as raised:
            parser.next_event()
        assert (raised.value.status, raised.value.reason) == (400, "request target has a fragment")
        assert str(raised.value) == "400: request target has a fragment"
        assert isinstance(raised.value, HighperfError)
        parser.feed(get())
    parser.feed_eof()
    with pytest.raises(ProtocolError):
        parser.next_event()


def test_nothing_is_parsed_behind_a_request_that_closes() -> None:
    parser = RequestParser()
    parser.feed(with_field(b"Connection: close") + get())
    assert [type(event) for event in events(parser)][:2] == [RequestHead, EndOfMessage]
    parser.feed(b"\x00garbage")
    assert parser.next_event() is CLOSED
    parser.feed_eof()
    assert parser.next_event() is CLOSED


@pytest.mark.parametrize("before", [b"", b"\r\n", get(), get() + b"\r\n\r\n"])
def test_end_of_input_between_requests_closes(before: bytes) -> None:
    parser = RequestParser()
    parser.feed(before)
    parser.feed_eof()
    parser.feed_eof()
    assert list(events(parser))[-1] is CLOSED
    assert parser.next_event() is CLOSED


@pytest.mark.parametrize(
    "stream",
    [
        b"G", b"\r", get()[:-1], get()[:-2], b"GET / HTTP/1.1\r\n",
        with_field(b"Content-Length: 2") + b"a", with_field(b"Content-Length: 2"),
        with_field(b"Transfer-Encoding: chunked"), with_field(b"Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n",
    ],
)  # fmt: skip
def test_end_of_input_inside_a_request_is_an_error(stream: bytes) -> None:
    assert outcome([stream]).error == (400, CUT_SHORT)
    assert outcome([stream], eof=False).error is None


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_anything_bytes_like_can_be_fed(kind: Callable[[bytes], Any]) -> None:
    parser = RequestParser()
    parser.feed(kind(b""))
    parser.feed(kind(get()))
    assert isinstance(parser.next_event(), RequestHead)


def test_what_is_not_bytes_like_cannot_be_fed() -> None:
    parser = RequestParser()
    for wrong in ("GET", None, 5, memoryview(b"abcd")[::2]):
        with pytest.raises((TypeError, BufferError)):
            parser.feed(wrong)  # type: ignore[arg-type]
    parser.feed_eof()
    with pytest.raises(ValueError, match="after feed_eof"):
        parser.feed(b"")


def test_pipelined_requests_under_every_cut(cut: Callable[[bytes], list[bytes]]) -> None:
    body = with_field(b"Content-Length: 10", method=b"PUT") + b"0123456789"
    chunked = with_field(b"Transfer-Encoding: chunked", method=b"POST") + b"3\r\nabc\r\n0\r\nT: u\r\n\r\n"
    found = outcome(cut((get() + body + chunked + BROWSER) * 5))
    assert (found.complete, found.error) == (20, None)
    assert [request.body for request in found.requests] == [b"", b"0123456789", b"abc", b""] * 5
    assert [request.trailers for request in found.requests] == [[], [], [(b"T", b"u")], []] * 5


# --- Work ------------------------------------------------------------------------------------


def rework(stream: bytes, pieces: list[bytes]) -> int:
    """Octets looked at or moved more than once; events are asked for after every piece."""
    parser = RequestParser()
    for piece in pieces:
        parser.feed(piece)
        for _ in events(parser):
            pass
    return parser.reworked_bytes


SHAPES: dict[str, Callable[[int], bytes]] = {
    "long target": lambda size: get(b"/" + b"a" * size),
    "many escapes": lambda size: get(b"/" + b"%41" * (size // 3)),
    "long field": lambda size: with_field(b"A: " + b"b" * size),
    "long name": lambda size: with_field(b"n" * size + b": b"),
    "many fields": lambda size: get(b"/", b"Host: h", *(b"A: " + b"b" * (size // 60) for _ in range(60))),
    "cookies": lambda size: with_field(b"Cookie: " + b"a=b; " * (size // 5)),
    "pipelined": lambda size: get() * (size // 20),
    "chunks of one octet": lambda size: with_field(b"Transfer-Encoding: chunked") + b"1\r\na\r\n" * (size // 6),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cut", [cuts.whole, cuts.bytewise, cuts.fixed, cuts.growing], ids=lambda cut: cut.__name__)
def test_work_grows_no_faster_than_the_input(shape: str, cut: Callable[[bytes], list[bytes]]) -> None:
    for size in (1000, 2000, 4000, 8000):
        stream = SHAPES[shape](size)
        assert rework(stream, cut(stream)) <= 2 * len(stream)


def test_whole_requests_cost_no_rework() -> None:
    assert rework(BROWSER * 10, [BROWSER * 10]) == 0


def test_input_kept_for_later_is_moved_once_on_average() -> None:
    """Requests are taken one at a time from input that is always far ahead."""
    parser = RequestParser()
    for _ in range(50):
        parser.feed(get())
    for _ in range(2000):
        parser.feed(get())
        assert isinstance(parser.next_event(), RequestHead)
        assert isinstance(parser.next_event(), EndOfMessage)
    assert parser.reworked_bytes <= 2000 * len(get())
