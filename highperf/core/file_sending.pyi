from typing import Any, final

from highperf.core.outgoing import Outgoing
from highperf.core.worker import Worker

def read_in(fd: int, offset: int, size: int, holder: object) -> int:
    """Reads a part of a file, so that the system has it in memory; for a thread.

    Args:
        fd: of the open file.
        offset: of the part's first octet.
        size: how many octets.
        holder: whom the file belongs to: it stays open.

    Returns:
        How many octets there were.

    Raises:
        OSError: it cannot be read.
    """

@final
class SendQueue:
    """Whose turn it is among the connections of one worker that send files.

    Args:
        worker: whose loop calls it.
    """

    def __init__(self, worker: Worker) -> None: ...
    def turn(self) -> None:
        """Slices, one of each connection in its turn, for half a millisecond."""

    def look(self) -> None:
        """Called when sockets that were full take octets again."""

    def close(self) -> None:
        """Gives its descriptor back."""

class Sending(Outgoing):
    """An outgoing half that sends files too: by sendfile(2), or copied under TLS."""

    def was_read_in(self, serial: int, end: int, reading: Any) -> None:
        """A thread has read in the part of file number `serial` that ends there."""
