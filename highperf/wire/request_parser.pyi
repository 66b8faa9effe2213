"""The server's HTTP/1.1 parser without a server: octets in, events out.

    parser = RequestParser()
    parser.feed(octets)
    while (event := parser.next_event()) not in (NEED_DATA, CLOSED):
        ...                     # RequestHead, Data ..., EndOfMessage, RequestHead, ...

It does no input or output. The sequence of events does not depend on how the octets were cut,
except that Data comes in as many pieces as it is fed in. Accepts and refuses exactly what the
server does (RFC 9110, RFC 9112, read strictly). Not safe to use from several threads at once.
"""

import enum
from typing import Final, Literal, Self, final

from typing_extensions import Buffer

from highperf.wire.parser import Head
from highperf.wire.request import Headers, Query

class Signal(enum.Enum):
    """Events that carry nothing."""

    NEED_DATA = "NEED_DATA"
    CLOSED = "CLOSED"

NEED_DATA: Final = Signal.NEED_DATA
"""Everything fed has been turned into events."""

CLOSED: Final = Signal.CLOSED
"""No request will follow: the last one closes the connection, or input ended between two."""

@final
class RequestHead:
    """A request line and its field lines. It owns its octets."""

    def __new__(cls, head: Head) -> Self:
        """A view on the head; heads of real requests come from RequestParser.next_event."""
    @property
    def method(self) -> str:
        """The method as sent; it is case-sensitive (RFC 9110 section 9.1)."""
    @property
    def target(self) -> bytes:
        """The request target as sent (RFC 9112 section 3.2)."""
    @property
    def authority(self) -> bytes:
        """host or host:port, of the target if it has one, else of Host; empty if there is neither (HTTP/1.0)."""
    @property
    def raw_path(self) -> bytes:
        """The path of the target as sent; b"/" if it is left out, b"" for ``OPTIONS *`` and CONNECT."""
    @property
    def path(self) -> str:
        """raw_path, percent-decoded once, as UTF-8; octets that are not become U+FFFD."""
    @property
    def query(self) -> bytes:
        """What follows the "?" of the target as sent, or b""."""
    @property
    def query_fields(self) -> Query:
        """The query, to be parsed on first use."""
    @property
    def version(self) -> Literal["1.0", "1.1"]:
        """The version of HTTP that the request speaks."""
    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Name and value of every field line in the octets that were sent, without surrounding white space."""
    @property
    def fields(self) -> Headers:
        """The field lines as a case-insensitive multi-mapping."""
    @property
    def content_length(self) -> int | None:
        """The value of Content-Length, in octets; None without one."""
    @property
    def chunked(self) -> bool:
        """Whether the body is chunked (RFC 9112 section 7.1)."""
    @property
    def keep_alive(self) -> bool:
        """Whether the connection may be used again (RFC 9112 section 9.3); never after CONNECT."""
    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for 100 (Continue) before it sends the body (RFC 9110 section 10.1.1)."""
    @property
    def upgrade(self) -> bool:
        """Whether the client asks for another protocol (RFC 9110 section 7.8). The body is framed as usual."""

@final
class Data:
    """A part of the body."""

    def __init__(self, data: bytes) -> None: ...
    @property
    def data(self) -> bytes:
        """At least one octet, with the chunked coding removed."""

@final
class EndOfMessage:
    """The request is complete."""

    def __init__(self, trailers: list[tuple[bytes, bytes]]) -> None: ...
    @property
    def trailers(self) -> list[tuple[bytes, bytes]]:
        """Name and value of every trailer line (RFC 9110 section 6.5); they are never merged into the headers."""

@final
class RequestParser:
    """Turns the octets of one connection into events.

    After an error, and after a request that closes the connection, what is fed is ignored.
    """

    def __init__(
        self,
        limit_line: int = 8190,
        limit_field_size: int = 16384,
        limit_fields: int = 100,
        limit_head: int = 65536,
    ) -> None:
        """Every limit is at least 1 and at most 2**30; ValueError otherwise.

        limit_line: octets of the request line without its CRLF; 414 above.
        limit_field_size: octets of one field line without its CRLF; 431 above.
        limit_fields: number of field lines; 431 above. Holds for trailers on their own.
        limit_head: octets of a head, or of a trailer section, in all; 431 above.
        """
    def feed(self, data: Buffer) -> None:
        """Append what the peer sent, any contiguous bytes-like object. Raises ValueError after feed_eof."""
    def feed_eof(self) -> None:
        """The peer will send nothing more. May be called more than once."""
    def next_event(self) -> RequestHead | Data | EndOfMessage | Signal:
        """The next event of what was fed; NEED_DATA or CLOSED if there is none.

        Raises ProtocolError for the first mistake of the peer, once all that came before it has
        been handed out, and for ever after. An end of input inside a request is such a mistake.
        """
    @property
    def reworked_bytes(self) -> int:
        """Octets that were looked at or moved more than once so far, because of how the input was cut."""
