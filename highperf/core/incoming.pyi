from typing import Self

from highperf.core.file_sending import Sending
from highperf.core.worker import Worker

class Incoming(Sending):
    """The half of a connection that reads, by its transport or by the worker's poller, and that receives content.

    Args:
        worker: whose pool, clock and timers it uses.
    """

    def __new__(cls, worker: Worker) -> Self: ...
    def get_buffer(self, sizehint: int) -> memoryview:
        """asyncio.BufferedProtocol: the worker's read buffer; ``sizehint`` is ignored."""

    def buffer_updated(self, size: int) -> None:
        """asyncio.BufferedProtocol: that many octets were read into the buffer."""
