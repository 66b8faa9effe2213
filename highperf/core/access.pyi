import asyncio
from typing import final

from highperf.observe.access_log import AccessLog

@final
class AccessLines:
    """Has a line written for each request that is over, if the log wants one.

    Args:
        log: writes the lines.
        loop: in which requests end.
    """

    def __init__(self, log: AccessLog, loop: asyncio.AbstractEventLoop) -> None: ...
    @property
    def log(self) -> AccessLog:
        """What was given."""

    def flush(self) -> None:
        """Let the lines out that wait, and try again soon where they are not taken."""
