"""llhttp (by httptools) as the oracle of the parser: what highperf accepts, llhttp reads the same way.

The other direction does not hold: highperf is the stricter of the two. Where llhttp refuses or
reads otherwise what highperf accepts, the reason must be one of ALLOWED.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import httptools

from tests.streams import Outcome, Request

ALLOWED = {
    "method": "llhttp knows a list of methods; RFC 9110 section 9.1 lets a method be any token",
    "preface": "llhttp takes the method PRI for HTTP/2 alone; here it is a token without meaning",
    "blanks in extensions": "a recipient must parse BWS (RFC 9110 section 5.6.3, RFC 9112 section 7.1.1)",
    "tab after chunked": "OWS around a field value may be a tab (RFC 9110 section 5.6.3); llhttp trims spaces",
    "close and keep-alive": "close is what counts (RFC 9112 section 9.3); to llhttp it is not, from HTTP/1.0",
    "proxy-connection": "llhttp obeys a field that no RFC defines (RFC 9112 appendix C.2.2 warns of it)",
}
METHODS = (
    b"DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND "
    b"UNBIND ACL REPORT MKACTIVITY CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK "
    b"UNLINK SOURCE QUERY"
)


@dataclass
class Oracle:
    """Callbacks of httptools; `requests` as in tests.streams.Outcome."""

    requests: list[Request] = field(default_factory=list)
    error: str | None = None
    target: bytes = b""
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)

    def on_message_begin(self) -> None:
        self.target, self.fields = b"", []

    def on_url(self, piece: bytes) -> None:
        self.target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        method, version = self.parser.get_method().decode(), self.parser.get_http_version()
        keep_alive = self.parser.should_keep_alive()
        self.requests.append(Request(method, self.target, version, self.fields, keep_alive))
        self.fields = self.requests[-1].trailers

    def on_body(self, piece: bytes) -> None:
        self.requests[-1].body += piece

    def on_message_complete(self) -> None:
        self.requests[-1].complete = True


def read(pieces: Iterable[bytes]) -> Oracle:
    """What llhttp makes of the pieces, up to its first error or the first upgrade."""
    oracle = Oracle()
    try:
        for piece in pieces:
            oracle.parser.feed_data(piece)
    except httptools.HttpParserUpgrade:
        oracle.error = "upgrade"
    except httptools.HttpParserError as error:
        oracle.error = str(error)
    return oracle


def leaves_http(request: Request) -> bool:
    """After such a request llhttp reads no more; highperf does, or ends the connection."""
    names = {name.lower() for name, _ in request.headers}
    return request.method == "CONNECT" or {b"upgrade", b"connection"} <= names


def difference(ours: Outcome, theirs: Oracle) -> str | None:
    """What llhttp reads otherwise; None if it agrees with all that was accepted."""
    for index, request in enumerate(ours.requests):
        if index >= len(theirs.requests):
            return f"request {index} is none for llhttp ({theirs.error})"
        other = theirs.requests[index]
        for part in ("method", "target", "version", "headers"):
            if getattr(request, part) != getattr(other, part):
                return f"{part} of request {index}: {getattr(request, part)!r}, llhttp: {getattr(other, part)!r}"
        if request.keep_alive != other.keep_alive and request.method != "CONNECT":
            return f"keep-alive of request {index}: {request.keep_alive}, llhttp: {other.keep_alive}"
        if theirs.error == "upgrade" and index == len(theirs.requests) - 1 and leaves_http(request):
            return None
        if not other.body.startswith(request.body):
            return f"body of request {index}: {request.body!r}, llhttp: {other.body!r}"
        if request.complete and (
            not other.complete or (request.body, request.trailers) != (other.body, other.trailers)
        ):
            return f"end of request {index}: {request!r}, llhttp: {other!r} ({theirs.error})"
    if ours.error is None and not ours.closed and len(theirs.requests) > len(ours.requests):
        return f"{len(ours.requests)} requests, llhttp: {len(theirs.requests)}"
    return None


def excuse(ours: Outcome, theirs: Oracle, stream: bytes) -> str | None:
    """The name in ALLOWED under which a difference may stand, or None."""
    request = ours.requests[min(len(theirs.requests), len(ours.requests) - 1)]
    error = theirs.error or ""
    for one, other in zip(ours.requests, theirs.requests, strict=False):
        if one.keep_alive != other.keep_alive and one.method != "CONNECT":
            return excuse_persistence(one)
    if error == "Expected HTTP/2 Connection Preface" and request.method.startswith("PRI"):
        return "preface"
    if (
        error.startswith(("Invalid method", "Expected space after method"))
        and request.method.encode() not in METHODS.split()
    ):
        return "method"
    if "in chunk" in error and re.search(rb"[0-9A-Fa-f][ \t]+;|;[^\r\n]*[ \t]", stream):
        return "blanks in extensions"
    if "Transfer-Encoding" in error and re.search(rb"(?i):[ \t]*chunked[ \t]*\t", stream):
        return "tab after chunked"
    if "Connection: close" in error and re.search(rb"(?i)\r\nproxy-connection:", stream):
        return "proxy-connection"
    return None


def excuse_persistence(request: Request) -> str | None:
    names = {name.lower() for name, _ in request.headers}
    options = {
        option.strip(b" \t")
        for name, value in request.headers
        if name.lower() == b"connection"
        for option in value.lower().split(b",")
    }
    if request.version == "1.0" and {b"close", b"keep-alive"} <= options:
        return "close and keep-alive"
    return "proxy-connection" if b"proxy-connection" in names else None
