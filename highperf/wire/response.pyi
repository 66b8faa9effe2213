from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from os import PathLike
from typing import Any, Self, final

def http_date(unix_s: int) -> str:
    """IMF-fixdate (RFC 9110 section 5.6.7) of a time from 1970 to 9999; ValueError outside."""

def encode_default(value: Any) -> Any:
    """orjson's ``default``: msgspec Structs inside of other values; TypeError for the rest."""

@final
class StandingFields:
    """The fields that every answer carries: Server, unless turned off, and Date.

    Args:
        server_field: whether ``Server: highperf`` is sent.
    """

    def __new__(cls, server_field: bool = True) -> Self: ...

@final
class ResponseHeaders:
    """The fields of an answer: a case-insensitive multi-mapping.

    Names and values are checked when they are set (RFC 9110 section 5.5); the fields that frame the
    answer (Content-Length, Transfer-Encoding, Connection ...) and Date are refused, for the server sets
    them; a Server field takes the place of the server's own.

    Args:
        fields: a mapping, or (name, value) pairs.

    Raises:
        ValueError: a name or value that may not be sent.
    """

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]] | None = None) -> None: ...
    def append(self, name: str | bytes, value: str | bytes) -> None:
        """Adds a field, beside others of its name."""

    def get(self, name: str | bytes, default: Any = None) -> Any:
        """The first value of this name."""

    def discard(self, name: str | bytes) -> None:
        """Removes every field of this name."""

    def items(self) -> list[tuple[str, str]]:
        """Lower-case names and values in order."""

    def __setitem__(self, name: str | bytes, value: str | bytes, /) -> None: ...
    def __getitem__(self, name: str | bytes, /) -> str: ...
    def __delitem__(self, name: str | bytes, /) -> None: ...
    def __contains__(self, name: str | bytes, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...

@final
class Response:
    """An answer.

    Args:
        body: text (``text/plain; charset=utf-8``) or octets (``application/octet-stream``).
        status: 200 to 599.
        headers: fields to send besides Server, Date, Content-Type and the framing.
        content_type: replaces the type that follows from the body.

    Raises:
        ValueError: a status, name or value that may not be sent.
        TypeError: body is neither text nor octets.
    """

    def __init__(
        self,
        body: str | bytes | bytearray | memoryview | None = b"",
        status: int = 200,
        headers: Mapping[str, str] | ResponseHeaders | None = None,
        content_type: str | None = None,
    ) -> None: ...
    @staticmethod
    def json(value: Any, status: int = 200, headers: Mapping[str, str] | ResponseHeaders | None = None) -> Response:
        """JSON of dict, list, dataclass (orjson) or msgspec.Struct (msgspec), encoded at once."""

    @staticmethod
    def text(value: str, status: int = 200, headers: Mapping[str, str] | ResponseHeaders | None = None) -> Response:
        """``text/plain; charset=utf-8``."""

    @staticmethod
    def stream(
        source: AsyncIterable[bytes | str],
        status: int = 200,
        headers: Mapping[str, str] | ResponseHeaders | None = None,
        content_type: str = "application/octet-stream",
    ) -> Response:
        """Content in parts, as the source gives them; the head leaves with the first part."""

    @staticmethod
    def file(
        path: str | bytes | PathLike[str],
        *,
        root: str | PathLike[str] | None = None,
        headers: Mapping[str, str] | ResponseHeaders | None = None,
        content_type: str | None = None,
        download: str | bool | None = None,
        cache_control: str | None = None,
        precompressed: bool = False,
    ) -> Response:
        """A file, or what of it the request asks for (RFC 9110 sections 13 and 14): 200, 206, 304, 412 or 416.

        The file is opened when the answer is sent. One that is missing or may not be read answers 404.

        Args:
            path: the file; taken at its word, so it must not be made of what a client sent, unless `root` is given.
            root: a directory: path is relative to it, and leads nowhere else, whatever it is; names
                that begin with a dot are not served.
            headers: fields to send besides those of the file.
            content_type: replaces the type that follows from the name.
            download: the name to save it under (Content-Disposition, RFC 6266); True: its own.
            cache_control: value of Cache-Control.
            precompressed: whether ``.br``, ``.zst`` and ``.gz`` siblings of the file are used.

        Raises:
            ValueError: a name or value that may not be sent.
        """

    @property
    def status(self) -> int:
        """The status; may be changed to another of 200 to 599 (else ValueError) until the answer is sent.

        That of a file follows from the request: until then it is 200, and cannot be changed (ValueError).
        """

    @status.setter
    def status(self, value: int) -> None: ...
    @property
    def headers(self) -> ResponseHeaders:
        """The fields; may be changed until the answer is sent."""

    @property
    def content_type(self) -> str | None:
        """The media type; None: no Content-Type."""

    @content_type.setter
    def content_type(self, value: str | None) -> None: ...
    @property
    def body(self) -> bytes | None:
        """The content; None for a stream and for a file."""
