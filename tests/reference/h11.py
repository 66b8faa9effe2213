"""h11 as another oracle of the parser, written apart from llhttp: what highperf accepts, h11 reads the same way."""

import re
from dataclasses import dataclass, field

import h11

from tests.streams import Outcome, Request

ALLOWED = {
    "octets in targets": "h11 wants visible ASCII; RFC 3986 leaves octets above it to whom a target is for",
    "empty line": "a server should ignore one before a request line (RFC 9112 section 2.2)",
    "blanks in extensions": "BWS, which a recipient must parse (RFC 9112 section 7.1.1)",
    "leading zeros": "h11 takes at most twenty digits; zeros in front do not make a number larger",
}
ANSWER = h11.Response(status_code=200, headers=[(b"Content-Length", b"0")])


@dataclass
class Reading:
    requests: list[Request] = field(default_factory=list)
    error: str | None = None
    over: bool = False  # h11 reads no more, whatever follows


def read(stream: bytes) -> Reading:
    """What h11 makes of the stream, each request being answered when it is complete."""
    reading = Reading()
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(stream)
    try:
        while take_event(connection, reading):
            pass
    except h11.RemoteProtocolError as error:
        reading.error = str(error)
    return reading


def take_event(connection: h11.Connection, reading: Reading) -> bool:
    event = connection.next_event()
    if isinstance(event, h11.Request):
        version, fields = event.http_version.decode(), event.headers.raw_items()
        reading.requests.append(Request(event.method.decode(), event.target, version, fields))
    elif isinstance(event, h11.Data):
        reading.requests[-1].body += event.data
    elif isinstance(event, h11.EndOfMessage):
        reading.requests[-1].trailers = event.headers.raw_items()
        reading.requests[-1].complete = True
        return answer(connection, reading)
    else:
        return False
    return True


def answer(connection: h11.Connection, reading: Reading) -> bool:
    """Says whether another request may follow."""
    reading.over = connection.their_state is h11.MIGHT_SWITCH_PROTOCOL and reading.requests[-1].method == "CONNECT"
    if not reading.over:
        connection.send(ANSWER)
        connection.send(h11.EndOfMessage())
        reading.requests[-1].keep_alive = connection.our_state is not h11.MUST_CLOSE
        reading.over = connection.our_state is not h11.DONE or connection.their_state is not h11.DONE
    if not reading.over:
        connection.start_next_cycle()
    return not reading.over


def lowered(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """h11 gives the value of Transfer-Encoding in lower case."""
    return [(name, value.lower() if name.lower() == b"transfer-encoding" else value) for name, value in fields]


def difference(ours: Outcome, theirs: Reading) -> str | None:
    """What h11 reads otherwise; None if it agrees with all that was accepted, as far as it reads."""
    for index, request in enumerate(ours.requests):
        if index >= len(theirs.requests):
            return None if theirs.over else f"request {index} is none for h11 ({theirs.error})"
        other = theirs.requests[index]
        for part in ("method", "target", "version"):
            if getattr(request, part) != getattr(other, part):
                return f"{part} of request {index}: {getattr(request, part)!r}, h11: {getattr(other, part)!r}"
        if lowered(request.headers) != lowered(other.headers):
            return f"headers of request {index}: {request.headers!r}, h11: {other.headers!r}"
        if request.version == "1.1" and other.keep_alive not in (None, request.keep_alive):  # it keeps none of 1.0
            return f"keep-alive of request {index}: {request.keep_alive}, h11: {other.keep_alive}"
        if not other.body.startswith(request.body):
            return f"body of request {index}: {request.body!r}, h11: {other.body!r}"
        if request.complete and (
            not other.complete or (request.body, request.trailers) != (other.body, other.trailers)
        ):
            return f"end of request {index}: {request!r}, h11: {other!r} ({theirs.error})"
    if ours.error is None and not ours.closed and len(theirs.requests) > len(ours.requests):
        return f"{len(ours.requests)} requests, h11: {len(theirs.requests)}"
    return None


def excuse(ours: Outcome, theirs: Reading, stream: bytes) -> str | None:
    """The name in ALLOWED under which a difference may stand, or None."""
    request = ours.requests[min(len(theirs.requests), len(ours.requests) - 1)]
    if any(octet > 126 for octet in request.target):
        return "octets in targets"
    error = theirs.error or ""
    if error == "no request line received":
        return "empty line"
    zeros = rb"(?i)\ncontent-length:[ \t]*0\d{20}" if error == "bad Content-Length" else rb"\n0[0-9A-Fa-f]{20}"
    if (error == "bad Content-Length" or "chunk header" in error) and re.search(zeros, stream):
        return "leading zeros"
    if "chunk header" in error and re.search(rb"[0-9A-Fa-f][ \t]+;", stream):
        return "blanks in extensions"
    return None
