"""Of which requests a span is recorded, and what it says of them."""

from contextvars import Context
from logging import Logger
from typing import Any, Protocol, final, type_check_only

from highperf.observe.traces import TraceContext, TraceSource

@type_check_only
class Recorder(Protocol):
    """Makes spans of what a tracer tells it; called in the loop."""

    @property
    def dropped(self) -> int:
        """Spans that were not exported, because more came than could be, or it failed."""

    def begin(
        self, trace: TraceContext, name: str, begun_ns: int, attributes: dict[str, str | int], context: Context | None
    ) -> Any:
        """A new span, which began at this Unix time, and is the current one in the context from now on."""

    def fail(self, span: Any, error: BaseException) -> None:
        """The handler raised this."""

    def end(self, span: Any, ended_ns: int, status: int, failure: str | None) -> None:
        """The answer is over, with this status, 0 where none had begun; failure: why it is not whole."""

@final
class Tracer:
    """Tells a recorder of sampled requests; for compiled code.

    Args:
        recorder: what makes spans.
        source: what decides which are recorded.
        logger: is told of a recorder that raises.
    """

    def __init__(self, recorder: Recorder, source: TraceSource, logger: Logger) -> None: ...
