"""One process that serves one application: start-up, drain, end.

Owns the event loop, the listening sockets and the order of events. Must not know HTTP, which the
compiled Worker speaks, nor highperf.app: whatever is an Application will do.

Start: bind, so that an address in use is said before a slow start-up; application start-up; listen;
ready. Stop: not ready; the accept queue is emptied and closed; running requests finish, each with
"Connection: close"; at the shutdown timeout the rest are cancelled and their connections aborted;
application shutdown. All this ends within GRACE_S of the timeout whatever handlers do: a task that
ignores its cancellation is left behind, and where the loop itself is blocked Signals ends the process.
"""

import asyncio
import os
import resource
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import uvloop

from highperf.config import Settings
from highperf.core.worker import Worker
from highperf.errors import SHUTTING_DOWN, StartupError
from highperf.segment import Segment
from highperf.server.access import open_access_log, reopen_access_log
from highperf.server.board import OWN_LINE, Tally
from highperf.server.door import LOOK_S, Door
from highperf.server.loader import user_code_failure
from highperf.server.logs import logger
from highperf.server.metrics_server import MetricsServer
from highperf.server.sockets import listen
from highperf.server.tracing import start_tracing
from highperf.values import SECOND, counted, show_decimal, show_duration, show_size
from highperf.wire.router import Router

if TYPE_CHECKING:
    from highperf.server.spans import Recorder

OWN_SLOT: Final = -1

EXIT_CLEAN: Final = 0
EXIT_CRASH: Final = 1

GRACE_S: Final = 0.4  # from the shutdown timeout to the end of the process
CANCELLING_S: Final = 0.1  # of that, for cancelled requests to clean up and answer
CLOSING_S: Final = 0.3  # of that, until application shutdown must be over
ENDING_S: Final = 0.35  # of that, until tasks of the application must have ended, and spans are exported


class Application(Protocol):
    """What a worker can serve."""

    @property
    def defaults(self) -> Mapping[str, object]:
        """Settings that the application gives, by Option.name."""

    @property
    def fallback(self) -> Any:
        """Once built: the route for requests that no other takes, or None."""

    @property
    def breakers(self) -> Sequence[Any]:
        """Once built: every CircuitBreaker that routes or handlers use, to be shared among workers."""

    def build(self, settings: Settings) -> Router:
        """A new router of Routes for these settings; the routes are fixed from now on.

        ConfigError or RouteConflict says what is wrong with them.
        """

    async def startup(self) -> None:
        """Runs once before the first request; an exception ends the start."""

    async def shutdown(self) -> None:
        """Runs once after the last request."""


def new_server(
    app: Application,
    settings: Settings,
    router: Router,
    listeners: Sequence[socket.socket],
    segment: Segment | None = None,
    tls: ssl.SSLContext | None = None,
    line: int = OWN_LINE,
    metrics_listeners: Sequence[socket.socket] = (),
) -> "Server":
    """A server that is ready to serve() on these sockets, in a loop of its own.

    segment: of all workers; None: one of its own. tls: None: HTTP. line: of the board. metrics_listeners: for what
    is for operators.
    """
    _raise_file_limit()
    loop = uvloop.new_event_loop()
    worker = Worker(
        router,
        settings,
        loop,
        app=app,
        fallback=app.fallback,
        segment=segment,
        tls=tls,
        line=line,
        access_log=open_access_log(settings),
    )
    return Server(app, settings, worker, listeners, metrics_listeners)


def limits_in_force(settings: Settings, router: Router) -> str:
    def shown(timeout_ns: int) -> str:
        return show_duration(timeout_ns) if timeout_ns else "off"

    read = shown(settings.read_timeout_ns)
    rate = breaker = "off"
    if settings.rate_limit_rps:
        rate = f"{show_decimal(settings.rate_limit_rps)}/s burst {settings.rate_limit_burst}"
    if any(route.breaker is not None for _, _, route in router.routes()):
        breaker = f"{settings.cb_failure_threshold} failures/{show_duration(settings.cb_open_duration_ns)}"
    return (
        f"head {show_size(settings.limit_request_head)}/{read}, "
        f"body {show_size(settings.limit_request_body)}/{read} idle, "
        f"response {shown(settings.write_timeout_ns)} idle, "
        f"keep-alive {shown(settings.idle_timeout_ns)}, "
        f"shutdown {shown(settings.shutdown_timeout_ns)}, "
        f"rate {rate}, breaker {breaker}, deadline {shown(settings.request_timeout_ns)}, "
        f"concurrency {settings.limit_concurrency or 'off'}"
    )


class Server:
    """One run of one application, which stop(), retire() or stop_quickly() ends."""

    def __init__(
        self,
        app: Application,
        settings: Settings,
        worker: Worker,
        listeners: Sequence[socket.socket],
        metrics_listeners: Sequence[socket.socket] = (),
    ) -> None:
        self.app = app
        self.settings = settings
        self.loop = worker.loop
        self.worker = worker
        self.before_drain: Callable[[], object] = bool  # called when it accepts for the last time
        self.bystanders: set[asyncio.Task[Any]] = set()  # in the same loop, and none of its business
        self.code: int | None = None  # the exit code, once serve() is over
        self._listeners = listeners
        self._stopping: asyncio.Future[str] = self.loop.create_future()  # why
        self._hurrying: asyncio.Future[None] = self.loop.create_future()
        self._drain_s = 0.0  # loop.time() at which it stops to accept connections
        self._deadline_s = 0.0  # loop.time() at which running requests are cancelled
        self._has_successor = False  # on the same sockets
        self._door = Door(worker.loop, worker, settings.backlog)
        self._adopting: set[asyncio.Task[None]] = set()
        self._metrics = MetricsServer(worker, settings, metrics_listeners) if metrics_listeners else None
        self._recorder: Recorder | None = None

    def announce(self) -> None:
        """Tell clients that the end is near."""
        self.worker.announce()

    def stop(self, reason: str, delay_s: float = 0.0) -> None:
        """Go on for this time, and then let running requests finish within the shutdown timeout."""
        if not self._stopping.done():
            self._drain_s = self.loop.time() + delay_s
            self._deadline_s = self._drain_s + self.settings.shutdown_timeout_ns / SECOND
            self._stopping.set_result(reason)

    def retire(self, reason: str) -> None:
        """Let running requests finish, and leave the sockets and what waits in them to a successor."""
        self._has_successor = True
        self.stop(reason)

    def stop_quickly(self, reason: str) -> None:
        """Cancel running requests now."""
        self._deadline_s = self.loop.time()
        _settle(self._hurrying)
        if not self._stopping.done():
            self._stopping.set_result(reason)

    def adopt(self, slot: int, listeners: Sequence[socket.socket]) -> None:
        """Accept the connections of these sockets too, which are this server's to close."""
        if self._stopping.done():
            for listener in listeners:
                listener.close()
            return
        adopting = self.loop.create_task(self._door.add(slot, listeners))
        self._adopting.add(adopting)
        adopting.add_done_callback(self._adopting.discard)

    def release(self, slot: int) -> None:
        """Leave the sockets that were adopted to a worker of their own."""
        self._door.remove(slot)

    def reopen_logs(self) -> None:
        """Go on in new files, after somebody has moved those that were open."""
        if access := self.worker.access:
            reopen_access_log(access.log, self.settings.access_log_file)

    @property
    def tally(self) -> Tally:
        """What became of the requests."""
        worker = self.worker
        return Tally(worker.served, worker.cancelled, worker.dropped, worker.in_flight)

    def totals(self) -> str:
        return str(self.tally)

    def describe(self) -> str:
        """The requests in flight, a line each."""
        requests = self.worker.describe_requests()
        return "\n  ".join((f"{counted(len(requests), 'request')} in flight", *requests))

    async def serve(self, on_ready: Callable[[], object]) -> int:
        """From application start-up to application shutdown; returns the exit code.

        on_ready: called when connections are accepted.
        """
        logger.info("Started server process [%d]", os.getpid())
        self._recorder = start_tracing(self.worker)
        try:
            code = await self._serve(on_ready) if await self._start_application() else EXIT_CLEAN
        finally:
            self.stop("the start failed")  # does nothing where a signal was the reason
            if self._metrics:
                self._metrics.close()
            await self._end_tasks()
            if self._recorder:
                await self._recorder.export.finish(self._deadline_s + ENDING_S)
        logger.info("Finished server process [%d]: %s", os.getpid(), self.totals())
        self.code = code
        return code

    async def _serve(self, on_ready: Callable[[], object]) -> int:
        try:
            await self._listen()
            on_ready()
        except StartupError:
            self.stop("the start failed")
            await self._stop_application()
            raise
        logger.info("Shutting down (%s)", await self._stopping)
        if self._metrics and self._has_successor:
            self._metrics.leave()
        self.announce()
        if self._drain_s > self.loop.time():
            await self._wait(self._drain_s, self._hurrying)
        await self._drain()
        if self._metrics:
            await self._metrics.end(self._deadline_s + CANCELLING_S)
        if self._recorder:
            self._recorder.export.force_flush()  # while the application shuts down
        return await self._stop_application()

    # Start.

    async def _start_application(self) -> bool:
        """False where a signal came first."""
        logger.info("Waiting for application startup.")
        startup = self.loop.create_task(self.app.startup())
        await asyncio.wait((startup, self._stopping), return_when=asyncio.FIRST_COMPLETED)
        if not startup.done():
            logger.info("Shutting down (%s) before the application was up", self._stopping.result())
            return False
        if error := _error_of(startup):
            raise user_code_failure("Application startup failed", error)
        logger.info("Application startup complete.")
        return True

    async def _listen(self) -> None:
        for listener in self._listeners:
            listen(listener, self.settings.backlog)  # create_server would keep a refusal to itself
        await self._door.add(OWN_SLOT, self._listeners)
        self.worker.ready = True
        if self._metrics:
            await self._metrics.begin(self.settings.backlog)

    # Stop.

    async def _drain(self) -> None:
        worker = self.worker
        worker.begin_drain()
        if not self._has_successor:
            self.before_drain()
            await self._take_in_the_last()
        self._door.shut()
        idle = self.loop.create_future()
        worker.on_idle = partial(_settle, idle)
        if worker.connections:
            logger.info(
                "Waiting for connections to close. (CTRL+C to force quit) %s, %s running",
                counted(worker.connections, "connection"),
                counted(worker.in_flight, "request"),
            )
            await self._wait(self._deadline_s, idle, self._hurrying)
        if worker.connections:
            worker.cancel_requests(SHUTTING_DOWN)
            await self._wait(self._deadline_s + CANCELLING_S, idle)
            worker.abort()
        worker.on_idle = None
        worker.close()

    async def _take_in_the_last(self) -> None:
        """Those whom the kernel has connected, and a moment later those whose handshake was under way."""
        await self._take_in()
        await self._wait(min(self._deadline_s, self.loop.time() + LOOK_S), self._hurrying)
        await self._take_in()

    async def _take_in(self) -> None:
        while not await self._door.take_in() and self.loop.time() < self._deadline_s:
            await self._wait(min(self._deadline_s, self.loop.time() + LOOK_S), self._hurrying)

    async def _stop_application(self) -> int:
        shutdown = self.loop.create_task(self.app.shutdown())
        await self._wait(self._deadline_s + CLOSING_S, shutdown)
        if not shutdown.done():
            logger.error("Application shutdown did not finish within the shutdown timeout")
            return EXIT_CRASH
        if error := _error_of(shutdown):
            failure = user_code_failure("Application shutdown failed", error)
            logger.error("%s\n%s", failure, getattr(failure, "details", ""))
            return EXIT_CRASH
        return EXIT_CLEAN

    async def _end_tasks(self) -> None:
        """Cancel what the application left running."""
        tasks = asyncio.all_tasks(self.loop) - self.bystanders - {asyncio.current_task()}
        for task in tasks:
            if not task.cancelling():
                task.cancel()
        if tasks:
            await self._wait(self._deadline_s + ENDING_S, *tasks, wanted=asyncio.ALL_COMPLETED)
        if ignoring := sum(not task.done() for task in tasks):
            logger.warning("Left behind: %s that ignored cancellation", counted(ignoring, "task"))

    async def _wait(self, until_s: float, *futures: asyncio.Future[Any], wanted: str = asyncio.FIRST_COMPLETED) -> None:
        """Until one of the futures is done (or whatever is wanted), but no longer than until loop.time() is until_s."""
        await asyncio.wait(futures, timeout=max(0.0, until_s - self.loop.time()), return_when=wanted)


def _error_of(task: asyncio.Task[None]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _raise_file_limit() -> None:
    """A connection is an open file, and the usual limit of 1,024 is meant for programs that call select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        logger.debug("The limit of open files stays at %d", soft)
