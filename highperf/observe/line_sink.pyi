from collections.abc import Callable
from typing import final

@final
class LineSink:
    """Lines on their way to a file, a pipe, a terminal or a socket.

    Lines of one turn of the loop gather and leave in one write (to anything but a regular file: one for each
    4 KiB, which a pipe takes whole, so that the lines of several processes do not mix). Nothing ever waits: where the
    other side is full they are kept, up to 128 KiB, and then new ones are lost and counted; where writing fails,
    those that were written are.
    """

    def __init__(self, fd: int, kind: str, on_change: Callable[[str | None, int], object]) -> None:
        """fd: to write to; closed at the end. kind: file, nonblocking (its description is, and is nobody
        else's), socket or polled.

        on_change(reason, lost): lines begin to be lost, for this reason; None: no more of them are, and so
        many were.
        """

    @property
    def fd(self) -> int:
        """The descriptor that is written to; -1: closed."""

    @property
    def lost(self) -> int:
        """Lines that were lost since the start."""

    @property
    def waiting(self) -> int:
        """Octets that wait to be written."""

    def add(self, line: bytes) -> bool:
        """Add a line of at most 4096 octets, its end included; False: it is lost, for want of room."""

    def flush(self) -> bool:
        """Write what can be written now; whether nothing waits any more."""

    def replace(self, fd: int, kind: str) -> None:
        """Write to this descriptor from now on; what waits goes to the old one, as far as it takes it."""

    def close(self) -> None:
        """Write what can be written, and close the descriptor."""
