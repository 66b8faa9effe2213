"""When a worker has served long enough, and asks for a successor: after so many requests, or above so much memory.

Must not know how it is replaced.
"""

import os
import resource
import sys
from collections.abc import Callable

from highperf.config import Settings
from highperf.observe.metrics import resident_bytes
from highperf.values import show_size


def memory_in_use() -> int:
    """Octets that this process has in RAM; where the system does not tell, the most that it ever had."""
    if resident := resident_bytes():
        return resident
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def at_random(least: int, most: int) -> int:
    """One of the numbers from least to most."""
    return least + int.from_bytes(os.urandom(8)) % (most - least + 1)


class Recycling:
    """The limits of one worker, with a jitter of its own so that not all of them are reached at once."""

    def __init__(
        self,
        settings: Settings,
        jitter: Callable[[int, int], int] = at_random,
        measure: Callable[[], int] = memory_in_use,
    ) -> None:
        self._requests_most = settings.max_requests
        if self._requests_most:
            self._requests_most += jitter(0, settings.max_requests_jitter)
        self._rss_most = settings.worker_max_rss
        self._measure = measure

    @property
    def is_on(self) -> bool:
        return bool(self._requests_most or self._rss_most)

    def due(self, served: int) -> str:
        """Why it is time to go, or nothing."""
        if self._requests_most and served >= self._requests_most:
            return f"it has served {served} requests"
        if self._rss_most and (used := self._measure()) > self._rss_most:
            return f"it has {show_size(used)} of memory in use"
        return ""
