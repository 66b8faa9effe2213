from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextvars import Context
from logging import Logger
from ssl import SSLContext
from typing import Any, final

from highperf.core.access import AccessLines
from highperf.core.proxies import TrustedProxies
from highperf.core.request_ids import RequestIds
from highperf.core.tracing import Recorder
from highperf.guards.shedder import Shedder
from highperf.observe.access_log import AccessLog
from highperf.observe.metrics import Metrics
from highperf.observe.traces import TraceSource
from highperf.segment import Segment
from highperf.wire.buffers import BufferPool
from highperf.wire.router import Router

@final
class Worker:
    """One process's share of the server: what all of its connections have in common.

    Args:
        router: leads to :class:`highperf.core.cycle.Route` objects.
        settings: gives ``read_timeout_ns``, ``write_timeout_ns``, ``idle_timeout_ns`` (0: off),
            ``limit_request_line`` (below 64 KiB), ``limit_request_field_size``,
            ``limit_request_fields``, ``limit_request_head``, ``limit_request_body`` (octets, number),
            ``limit_connections``, ``limit_body_rate`` (octets a second; both 0: off), ``server_header`` (bool),
            ``rate_limit_rps`` and ``rate_limit_burst`` (requests; 0: off), ``limit_concurrency`` (0: off),
            ``request_timeout_header`` and ``request_id_header`` (their names or the empty text),
            ``forwarded_allow_ips`` (networks of the standard library's ipaddress) and ``ssl_handshake_timeout_ns``.
        loop: the event loop that will run the connections.
        app: what handlers see as ``request.app``.
        fallback: the Route of requests that no route takes; None: they are answered 404, 405 or 204.
        segment: shared with the other workers of the server; default: one of its own.
        tls: secures every connection; None: none.
        line: of the board: where it counts, in the segment. No other process may have it.
        subject: the worker whose readiness, unless it is ready itself, and metrics this one tells; default: its own.
        access_log: is told of each request that is over; None: nobody is.

    Raises:
        ValueError: a limit is out of range.
    """

    ready: bool
    on_idle: Callable[[], object] | None
    on_full: Callable[[], object] | None
    limit_files: int
    def __init__(
        self,
        router: Router,
        settings: Any,
        loop: AbstractEventLoop,
        *,
        app: Any = None,
        fallback: Any = None,
        segment: Segment | None = None,
        tls: SSLContext | None = None,
        line: int = 0,
        subject: Worker | None = None,
        access_log: AccessLog | None = None,
    ) -> None: ...
    @property
    def app(self) -> Any:
        """What was given as ``app``."""

    @property
    def access(self) -> AccessLines | None:
        """What writes to the ``access_log`` that was given."""

    @property
    def ids(self) -> RequestIds:
        """Where its requests get their ids."""

    @property
    def tls(self) -> SSLContext | None:
        """What was given as ``tls``."""

    @property
    def loop(self) -> AbstractEventLoop:
        """The event loop."""

    @property
    def router(self) -> Router:
        """The routes."""

    @property
    def context(self) -> Context:
        """The context variables that each request begins with."""

    @property
    def pool(self) -> BufferPool:
        """The buffers of this process."""

    @property
    def logger(self) -> Logger:
        """``highperf.error``."""

    @property
    def decoders(self) -> dict[Any, Any]:
        """msgspec decoders by type, made when first used."""

    @property
    def fallback(self) -> Any:
        """What was given as ``fallback``."""

    @property
    def subject(self) -> Worker | None:
        """What was given as ``subject``."""

    @property
    def segment(self) -> Segment:
        """What it shares with the other workers."""

    @property
    def metrics(self) -> Metrics | None:
        """What it counts; None where settings turn that off."""

    @property
    def answering(self) -> int:
        """How many requests have no whole answer yet."""

    @property
    def longest_turn_ns(self) -> int:
        """The longest turn of the loop since the last beat, of those that were timed."""

    def beat(self, late_s: float) -> None:
        """Writes down how it stands; to be called about once a second.

        Args:
            late_s: by how much this is later than the loop was asked for.
        """

    def refresh_metrics(self) -> None:
        """Writes down how it stands, for somebody who is about to read."""

    @property
    def proxies(self) -> TrustedProxies:
        """Whose word on a request's client is believed."""

    @property
    def shedder(self) -> Shedder:
        """The permits of running requests, and whether requests wait too long for the loop."""

    @property
    def refused(self) -> dict[str, int]:
        """Requests refused so far, by reason; ``deadline_missed`` are those that ran too long."""

    @property
    def zombies(self) -> int:
        """Requests that were answered 504, and whose handlers still run."""

    @property
    def announced(self) -> bool:
        """Whether announce or begin_drain was called."""

    @property
    def draining(self) -> bool:
        """Whether begin_drain was called."""

    @property
    def limit_connections(self) -> int:
        """As many connections may be open before idle or unfinished ones end for new ones; 0: any number."""

    @property
    def evicted(self) -> int:
        """Connections that ended for new ones."""

    @property
    def served(self) -> int:
        """Answers completed so far."""

    @property
    def cancelled(self) -> int:
        """Requests cancelled so far, because the peer left or the server stopped."""

    @property
    def dropped(self) -> int:
        """Requests that got no answer: those that abort ended, and those that came too late on an idle connection."""

    @property
    def connections(self) -> int:
        """Open connections."""

    @property
    def in_flight(self) -> int:
        """Requests whose handlers wait for something."""

    def connection(self) -> Any:
        """An HttpProtocol for a new connection: the factory for ``loop.create_server``.

        Where the worker is crowded, others end for it; where none may, ``on_full`` is called soon.
        """

    def has_room(self, files: int) -> bool:
        """Whether another connection may come, beside that many other files."""

    def make_room(self) -> bool:
        """Ends idle, lingering or unfinished connections, the longest waiting first; False: there are none. Their
        files are free in the next turn of the loop."""

    def announce(self) -> None:
        """Not ready from now on, and every answer carries ``Connection: close`` and ends its connection. New
        ones are served all the same."""

    def begin_drain(self) -> None:
        """What announce does; besides, a connection on which nothing came for 250 ms is closed, and
        ``on_idle`` is called when the last connection is gone."""

    def cancel_requests(self, reason: str) -> None:
        """Cancels every waiting handler; its client gets 503 with the reason."""

    def abort(self) -> None:
        """Ends every connection now."""

    def close(self) -> None:
        """Disarms the loop's timer."""

    @property
    def spans_dropped(self) -> int:
        """Spans that were recorded and could not be exported."""

    def record(self, recorder: Recorder, source: TraceSource) -> None:
        """From now on record spans of the requests that the source samples."""

    def describe_requests(self) -> list[str]:
        """A line for each waiting request: method, path, request id."""

    def make_timers(self, settings: Any) -> None:
        """The lists of all timeouts; called by the constructor."""

    def begin_turn(self) -> None:
        """Begins to time turns of the loop; called by the loop."""

    def end_turn(self) -> None:
        """One turn of the loop has passed; called by the loop."""

    def tick(self) -> None:
        """Ends what has timed out; called by the loop's timer."""

    def advance(self, seconds: float, *, tick: bool = True) -> None:
        """For tests: from the first call on, the worker's clock moves only here.

        With ``tick=False`` time passes, but nothing that is due is done yet.
        """
