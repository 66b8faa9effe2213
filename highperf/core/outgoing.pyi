from typing import Self

from highperf.core.connected import Connected
from highperf.core.worker import Worker

class Outgoing(Connected):
    """The half of a connection that sends.

    Args:
        worker: whose pool, clock and timers it uses.
    """

    def __new__(cls, worker: Worker) -> Self: ...
    def pause_writing(self) -> None:
        """asyncio.BaseProtocol: the transport holds more than it likes."""

    def resume_writing(self) -> None:
        """asyncio.BaseProtocol: the transport has room again."""
