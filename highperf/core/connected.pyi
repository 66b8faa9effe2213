from typing import Self

from highperf.core.stream import Stream
from highperf.core.worker import Worker

class Connected(Stream):
    """A stream that is one connection, of which it knows the transport and who is at the other end.

    Args:
        worker: which it belongs to.
    """

    def __new__(cls, worker: Worker) -> Self: ...
