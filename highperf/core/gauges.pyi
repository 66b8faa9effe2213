from typing import final

from highperf.core.worker import Worker
from highperf.guards.breaker import CircuitBreaker
from highperf.observe.metrics import Metrics

@final
class Gauges:
    """What a worker tells of itself in its line of the metrics.

    Args:
        worker: which one; it must have metrics.
    """

    def __init__(self, worker: Worker) -> None: ...
    def write(self, beats: bool) -> None:
        """Writes all of it down. beats: this is a beat, not a look in between."""

@final
class BreakerTally:
    """What was told of one circuit breaker.

    Args:
        breaker: which one.
        metrics: whom it is told.
    """

    def __init__(self, breaker: CircuitBreaker, metrics: Metrics) -> None: ...
