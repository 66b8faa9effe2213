from collections.abc import Callable
from typing import Any, Literal, final

from highperf.core.file_answer import FileMount
from highperf.core.request import Request
from highperf.core.task import StepTask
from highperf.observe.traces import TraceContext
from highperf.wire.response import Response

@final
class Route:
    """What a router leads to.

    Args:
        pattern: the path's pattern, for people.
        handler: called with the Request; None where the server answers.
        name: what it is called in messages, and its limits in the shared segment; default: the pattern.
        limit_body: largest content in octets; -1: the server's limit.
        deadline_ns: nanoseconds from the request's head to its answer; 0: no deadline.
        limits: the :class:`highperf.RateLimit` objects that all must admit a request.
        breaker: the CircuitBreaker that is asked before the handler and told of its outcome, or None.
        limit_concurrency: requests of this route that may run at once in one worker; 0: no such limit.
        critical: may use the reserve of the server's limit of concurrent requests.
        files: what is served, as what the pattern's catch-all takes; then there is no handler.
        answers: ``"health"``, ``"ready"`` or ``"metrics"``: the server answers by itself, whatever the load, and
            such requests are not counted.

    Raises:
        KeyError: ``answers`` is something else.
    """

    def __init__(
        self,
        pattern: str,
        handler: Callable[[Request], Any] | None,
        *,
        name: str | None = None,
        limit_body: int = -1,
        answers: Literal["health", "ready", "metrics"] | None = None,
        deadline_ns: int = 0,
        limits: tuple[Any, ...] = (),
        breaker: Any = None,
        limit_concurrency: int = 0,
        critical: bool = False,
        files: FileMount | None = None,
    ) -> None: ...
    @property
    def pattern(self) -> str:
        """As given."""

    @property
    def handler(self) -> Callable[[Request], Any] | None:
        """As given."""

    @property
    def limit_body(self) -> int:
        """As given."""

    @property
    def name(self) -> str:
        """As given, or the pattern."""

    @property
    def deadline_ns(self) -> int:
        """As given."""

    @property
    def limits(self) -> tuple[Any, ...]:
        """As given."""

    @property
    def breaker(self) -> Any:
        """As given."""

    @property
    def limit_concurrency(self) -> int:
        """As given."""

    @property
    def critical(self) -> bool:
        """As given."""

    @property
    def files(self) -> FileMount | None:
        """As given."""

    @property
    def exempt(self) -> bool:
        """Whether no guard is asked, and nobody counts or tells its requests."""

def furnish(worker: Any, settings: Any) -> None:
    """Gives each route of a Worker its guards, in the segment that the worker has."""

def to_response(value: Any) -> Response:
    """The Response that a handler's return value stands for; TypeError for what may not be returned."""

def unmatched(request: Request) -> Response:
    """The answer to a request that no route takes: 404, 405 or, to OPTIONS, 204 with Allow."""

async def close_source(source: Any) -> None:
    """Ends an async iterable that can be ended."""

@final
class RequestCycle(StepTask):
    """One request and its answer; made by the server."""

    def stopped(self) -> bool:
        """Whether the server cancelled it."""

    def stop(self, reason: str) -> bool:
        """Cancels the handler; its client gets 503 with the reason. False: it has ended already, or its client
        has left or was told 504."""

    @property
    def unanswered(self) -> bool:
        """Whether its client still waits for the end of the answer."""

    @property
    def trace(self) -> TraceContext | None:
        """That of its request, as Request.trace; None: it has been answered."""

    async def send_parts(self, response: Response) -> None:
        """Sends the parts of a streamed answer."""

    def response_for(self, error: BaseException) -> Response:
        """The answer to a request whose handler raised."""

    def log(self, words: str, error: BaseException) -> None:
        """One log entry with traceback and request id."""

    def describe(self) -> str:
        """Method, path and id, for the dump of running requests."""
