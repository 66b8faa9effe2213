from collections.abc import Sequence
from typing import final

from highperf.log_format import Member, Part
from highperf.observe.line_sink import LineSink

@final
class AccessLog:
    """Writes a line for each request that was answered, in compiled code.

    What a client may choose is escaped (octets below 0x20 and from 0x7F on, quotes, backslashes: ``\\xHH``, in JSON
    ``\\u00HH``) and cut where the line would be longer than 4,096 octets.
    """

    def __init__(
        self,
        sink: LineSink,
        parts: Sequence[Part] | Sequence[Member],
        *,
        excluded: Sequence[str] = (),
        slow_ns: int = 0,
        sample: float | None = None,
    ) -> None:
        """parts: of highperf.log_format, whose Members make JSON.

        excluded: paths, as they are sent, whose requests are left out. slow_ns: only requests that took longer, and
        those with status 5xx. sample: this share of the others, from 0 to 1; None: none of them where there is
        slow_ns, else all.
        """

    @property
    def sink(self) -> LineSink:
        """Where its lines go."""

    @property
    def wants_fields(self) -> bool:
        """Whether a line tells fields of the answer."""

    @property
    def wants_route(self) -> bool:
        """Whether a line tells the route."""

    @property
    def wants_trace(self) -> bool:
        """Whether a line tells the trace."""

    def refresh(self, unix_s: int) -> None:
        """What time it is."""
