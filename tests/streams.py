"""Makes request streams, feeds them to RequestParser, and writes down what came out in a form that can be compared."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from highperf.errors import ProtocolError
from highperf.wire.request_parser import CLOSED, NEED_DATA, Data, RequestHead, RequestParser

BROWSER = (
    b"GET /users/42?from=menu HTTP/1.1\r\nHost: example.com\r\nConnection: keep-alive\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    b"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Referer: http://example.com/menu\r\nCookie: session=0123456789abcdef; theme=dark\r\n"
    b"Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n\r\n"
)

CUT_SHORT = "input ended inside a request"


@dataclass
class Request:
    method: str
    target: bytes
    version: str
    headers: list[tuple[bytes, bytes]]
    keep_alive: bool | None = None  # not known before the end, to some readers
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    complete: bool = False


@dataclass
class Outcome:
    requests: list[Request]
    error: tuple[int, str] | None  # status and reason
    closed: bool = False  # a request said that it is the last one

    @property
    def complete(self) -> int:
        """How many whole requests there were."""
        return sum(request.complete for request in self.requests)

    @property
    def verdict(self) -> str:
        """accept: nothing but whole requests; incomplete: it waited for more; reject: it was refused."""
        if self.error is None:
            return "accept"
        return "incomplete" if self.error[1] == CUT_SHORT else "reject"


def take_events(parser: RequestParser, requests: list[Request]) -> bool:
    """Turns all events that are there into requests; says whether the parser is closed."""
    while (event := parser.next_event()) not in (NEED_DATA, CLOSED):
        if isinstance(event, RequestHead):
            requests.append(Request(event.method, event.target, event.version, event.headers, event.keep_alive))
        elif isinstance(event, Data):
            assert event.data
            requests[-1].body += event.data
        else:
            requests[-1].trailers = event.trailers
            requests[-1].complete = True
    return event is CLOSED


def outcome(pieces: Iterable[bytes], *, eof: bool = True, **limits: int) -> Outcome:
    """What a parser makes of the pieces, asked for events after each; `eof` ends the input behind them."""
    parser = RequestParser(**limits)
    requests: list[Request] = []
    closed = False
    try:
        for piece in pieces:
            parser.feed(piece)
            closed = take_events(parser, requests)
        if eof:
            parser.feed_eof()
            take_events(parser, requests)
    except ProtocolError as error:
        return Outcome(requests, (error.status, error.reason))
    return Outcome(requests, None, closed)


def get(target: bytes = b"/", *lines: bytes, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    fields = b"".join(line + b"\r\n" for line in (lines or (b"Host: h",)))
    return method + b" " + target + b" " + version + b"\r\n" + fields + b"\r\n"


def with_field(line: bytes, *, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    return get(b"/", b"Host: h", line, method=method, version=version)


def head_of(stream: bytes, **limits: int) -> RequestHead:
    parser = RequestParser(**limits)
    parser.feed(stream)
    head = parser.next_event()
    assert isinstance(head, RequestHead), head
    return head
