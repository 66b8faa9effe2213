from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, TypeVar, final, overload

from highperf.errors import HTTPError
from highperf.observe.traces import TraceContext
from highperf.wire.request import Headers, Query

_T = TypeVar("_T")

def invalid_value(error: Exception) -> HTTPError:
    """HTTPError 422 with an RFC 6901 pointer, from msgspec's ValidationError."""

@final
class Request:
    """What a handler sees of one request; made by the server. It may be kept for as long as one likes."""

    cancel_reason: str | None
    """Why the server cancelled the handler, e.g. ``"client disconnected"``; None: it did not."""

    @property
    def method(self) -> str:
        """The method token, as sent (RFC 9110 section 9.1: case matters)."""

    @property
    def path(self) -> str:
        """The path, percent-decoded once, as UTF-8 with replacement."""

    @property
    def raw_path(self) -> bytes:
        """The target's path as sent."""

    @property
    def query_string(self) -> bytes:
        """What follows the ``?``, as sent."""

    @property
    def query(self) -> Query:
        """The query's names and values, decoded."""

    @property
    def headers(self) -> Headers:
        """The fields: a case-insensitive multi-mapping."""

    @property
    def http_version(self) -> str:
        """``"1.1"`` or ``"1.0"``."""

    @property
    def params(self) -> dict[str, str]:
        """The path's parameters, decoded."""

    @property
    def route(self) -> str | None:
        """The pattern of the route that took the request; None in middleware where none did."""

    @property
    def trace(self) -> TraceContext:
        """The trace that it belongs to, by the caller's ``traceparent`` (W3C Trace Context), or one that begins here.

        ``request.trace.traceparent`` and ``.tracestate`` are what to send with calls to others. Where no spans
        are recorded, the caller's span stands for the request's own.
        """

    @property
    def deadline(self) -> float | None:
        """When it must be answered, in seconds of ``time.monotonic()`` and ``loop.time()``; None: whenever.

        Later by the time that the client took to send its content while the handler waited for it.
        """

    def remaining(self) -> float:
        """Seconds until the deadline, 0 when it has passed, infinite where there is none.

        What to give an outbound call, less a margin: never the instant itself, for clocks differ.
        """

    @property
    def client(self) -> tuple[str, int] | None:
        """Address and port of who sent it: the peer, or whom a trusted proxy (``forwarded_allow_ips``) had it from.

        The port is 0 where a proxy does not tell it. None when the peer is gone or has no address, and where
        ``Forwarded`` and ``X-Forwarded-For`` contradict each other, for one of them is forged.
        """

    @property
    def scheme(self) -> str | None:
        """``"http"`` or ``"https"``, as its sender has it: by a trusted proxy's ``X-Forwarded-Proto`` or
        ``Forwarded``, or else by the connection. None when the peer is gone."""

    @property
    def client_certificate(self) -> dict[str, Any] | None:
        """The certificate of the peer, which an authority of ``ssl_ca_certs`` vouches for, as
        ``ssl.SSLSocket.getpeercert()`` tells it.

        None where it gave none or ``ssl_client_auth`` is ``none``, where there is no TLS, and when the peer is gone.
        """

    @property
    def app(self) -> Any:
        """The application."""

    @property
    def state(self) -> SimpleNamespace:
        """A place for middleware to leave things for handlers."""

    @property
    def id(self) -> str:
        """The request's id, as in the server's log and in the problem of a 500."""

    async def body(self) -> bytes:
        """The whole content.

        Raises:
            HTTPError: 413 above the limit, 408 if the peer was too slow, 400 if it ended early.
            RuntimeError: parts of it were read before by ``stream`` or ``json_items``.
        """

    def stream(self) -> AsyncIterator[bytes]:
        """The content in parts, as they come; the peer is slowed down to the reader's pace."""

    @overload
    async def json(self, type: None = None) -> Any:
        """The content parsed as JSON; see the other form for the errors."""

    @overload
    async def json(self, type: type[_T]) -> _T:
        """The content parsed as JSON into a value of this type, by msgspec.

        Raises:
            HTTPError: 415 if Content-Type names something else, 400 if it is no JSON, 422 with
                ``errors`` (pointer, detail) if it does not fit the type; and those of ``body``.
        """

    def json_items(self, prefix: str = "item") -> AsyncIterator[Any]:
        """The values below ``prefix`` (as ijson spells it), one by one, while the content comes.

        ``"item"`` is each element of a top-level array, ``"users.item"`` each of the array ``users``.
        Memory does not grow with the content.

        Raises:
            HTTPError: 415 or 400, as ``json``.
        """
