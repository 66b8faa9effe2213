from asyncio import Transport
from typing import Any, Self, final

from highperf.core.stream import Stream
from highperf.core.worker import Worker

@final
class TlsTransport(Stream):
    """One connection secured by TLS (RFC 8446): an asyncio.BufferedProtocol below, a transport above.

    When its handshake is done it makes a protocol of the worker's, whose transport it is from then
    on. It has what HttpProtocol asks of a transport, and does as asyncio's would.

    Args:
        worker: whose context, buffers, clock and timers it uses.
    """

    def __new__(cls, worker: Worker) -> Self: ...
    def connection_made(self, tcp: Transport) -> None:
        """The peer is there; its handshake must be complete within the handshake timeout."""

    def get_buffer(self, sizehint: int) -> memoryview:
        """The worker's buffer for what is still sealed; ``sizehint`` is ignored."""

    def buffer_updated(self, size: int) -> None:
        """That many octets were read into the buffer."""

    def eof_received(self) -> bool:
        """The peer has closed its side; False if the handshake was not done."""

    def connection_lost(self, error: BaseException | None) -> None:
        """The peer is gone."""

    def pause_writing(self) -> None:
        """The TCP transport holds octets."""

    def resume_writing(self) -> None:
        """The TCP transport has sent all it held."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """``sslcontext``, ``ssl_object``, ``peercert`` (as ``ssl.SSLObject.getpeercert``), or what the TCP transport
        knows."""

    def pause_reading(self) -> None:
        """Leave what comes sealed."""

    def resume_reading(self) -> None:
        """Open it again, from the next turn of the loop on."""

    def read_on(self) -> None:
        """Opens what came meanwhile."""

    def write(self, octets: bytes | memoryview) -> None:
        """Send octets, which must not change until they are sent."""

    def get_write_buffer_size(self) -> int:
        """Octets that were written and are still held here."""

    def can_write_eof(self) -> bool:
        """True."""

    def write_eof(self) -> None:
        """Send close_notify and FIN when all is sent; what comes is still read."""

    def is_closing(self) -> bool:
        """Whether it was closed or aborted."""

    def close(self) -> None:
        """Send close_notify and end the connection when all is sent."""

    def abort(self) -> None:
        """End the connection now."""
