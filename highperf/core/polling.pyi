from typing import final

from highperf.core.stream import Stream
from highperf.core.worker import Worker

@final
class Poller:
    """Tells the connections of a worker that there is something to read, all that are ready in one callback.

    Where the system has no epoll(7), it watches nobody, and the transports read.

    Args:
        worker: whose loop waits for it.
    """

    def __init__(self, worker: Worker) -> None: ...
    def poll(self) -> None:
        """Lets each connection read that is ready, at most 256 in one call; the answers of up to 16 leave together."""

    def fail(self, stream: Stream, error: BaseException) -> None:
        """Ends a connection whose reading raised an error, and tells the loop's exception handler of it."""

    def close(self) -> None:
        """Watches nobody any more."""
