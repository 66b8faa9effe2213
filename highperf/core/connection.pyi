from asyncio import BaseTransport
from typing import final

from highperf.core.answering import Answering

@final
class HttpProtocol(Answering):
    """One HTTP/1.1 connection (RFC 9112), an asyncio.BufferedProtocol by its methods.

    Args:
        worker: the process's share of the server that the connection belongs to.
    """

    def connection_made(self, transport: BaseTransport) -> None:
        """The peer is there; its first head must be complete within the read timeout."""

    def eof_received(self) -> bool:
        """The peer has sent its last octet; True while a request may still be answered."""

    def connection_lost(self, error: BaseException | None) -> None:
        """The peer is gone: a running handler is cancelled."""

    def log_refusal(self, status: int, reason: str, octets: bytes) -> None:
        """One log line on what was refused, why, and how it began."""
