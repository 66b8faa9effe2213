from typing import Self

from highperf.core.file_sending import Sending
from highperf.core.worker import Worker

class Incoming(Sending):
    """The half of a connection that receives content.

    Args:
        worker: whose pool, clock and timers it uses.
    """

    def __new__(cls, worker: Worker) -> Self: ...
