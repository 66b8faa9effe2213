from typing import Self

from highperf.core.outgoing import Outgoing
from highperf.core.worker import Worker

class Incoming(Outgoing):
    """The half of a connection that receives content.

    Args:
        worker: whose pool, clock and timers it uses.
    """

    def __new__(cls, worker: Worker) -> Self: ...
