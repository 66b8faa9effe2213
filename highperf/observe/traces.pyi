"""Which trace a request belongs to (W3C Trace Context, Level 2), and whether its span is recorded."""

from typing import final

SAMPLERS: tuple[str, ...]
PARENT_BASED: str

@final
class TraceSource:
    """Finds the traces of requests, and makes new ones; for compiled code.

    Args:
        sampler: which spans are recorded, by OpenTelemetry's names: ``always_on``, ``always_off`` or
            ``traceidratio``, and ``parentbased_`` before each: as the caller's was, where there is a caller.
            None: nothing is recorded, and the caller's span stands for the request's.
        ratio: the share that ``traceidratio`` records, 0 to 1.
        follows: read what a caller says; False: each request begins a trace.

    Raises:
        ValueError: there is no such sampler, or the ratio is out of bounds.
    """

    def __init__(self, sampler: str | None = None, ratio: float = 1.0, *, follows: bool = True) -> None: ...

@final
class TraceContext:
    """The place of one request in a trace; made by the server.

    Attributes:
        tracestate: what the caller's vendors say of the trace, as sent, its lines joined; empty where it came
            without, or with one that is not valid. To be passed on together with ``traceparent``.
    """

    @property
    def tracestate(self) -> str:
        """See the class."""
    @property
    def trace_id(self) -> str:
        """Of the trace: 32 lower-case hexadecimal digits."""
    @property
    def span_id(self) -> str:
        """Of this request's span: 16 such digits. The caller's where no spans are recorded."""
    @property
    def parent_id(self) -> str | None:
        """Of the caller's span; None: the trace begins here."""
    @property
    def sampled(self) -> bool:
        """Whether spans of this trace are recorded."""
    @property
    def flags(self) -> int:
        """1: sampled; 2: the trace's id is random."""
    @property
    def numbers(self) -> tuple[int, int, int]:
        """The ids of the trace, this span and the caller's, which is 0 where there is none."""
    @property
    def traceparent(self) -> str:
        """What to send with calls that this request makes."""
