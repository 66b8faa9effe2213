from typing import final

from highperf.core.worker import Worker

@final
class Gauges:
    """What a worker tells of itself in its line of the metrics.

    Args:
        worker: which one; it must have metrics.
    """

    def __init__(self, worker: Worker) -> None: ...
    def write(self, beats: bool) -> None:
        """Writes all of it down. beats: this is a beat, not a look in between."""
