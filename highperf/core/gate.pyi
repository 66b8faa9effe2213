from typing import Any, final

from highperf.core.worker import Worker
from highperf.segment import Segment

@final
class Limit:
    """One rate limit, as a worker holds requests to it.

    Args:
        limit: a :class:`highperf.RateLimit`, or what has its attributes.
        name: what clients are told that it is called.
        place: the name of its tokens in the segment.
        segment: where these lie.

    Raises:
        ValueError: its rate, capacity or cost is out of bounds.
    """

    def __init__(self, limit: Any, name: str, place: str, segment: Segment) -> None: ...

@final
class Gate:
    """All guards of one route in one worker, asked before its handler from compiled code.

    Args:
        worker: whose requests they are.
        route: a :class:`highperf.core.cycle.Route`; None: for requests that no route takes.
        limits: the rate limits that must all admit a request, at most 8.

    Raises:
        ValueError: there are more.
    """

    def __init__(self, worker: Worker, route: Any, limits: list[Limit]) -> None: ...
