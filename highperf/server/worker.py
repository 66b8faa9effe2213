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
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final, Protocol

import uvloop

from highperf.config import Settings
from highperf.core.worker import Worker
from highperf.errors import SHUTTING_DOWN, StartupError
from highperf.server.loader import user_code_failure
from highperf.server.logs import logger
from highperf.server.signals import Signals
from highperf.server.sockets import listen, open_listeners, take_waiting, url_of
from highperf.server.systemd import Notifier
from highperf.values import SECOND, counted, show_decimal, show_duration, show_size
from highperf.wire.router import Router

EXIT_CLEAN: Final = 0
EXIT_CRASH: Final = 1

GRACE_S: Final = 0.4  # from the shutdown timeout to the end of the process
CANCELLING_S: Final = 0.1  # of that, for cancelled requests to clean up and answer
CLOSING_S: Final = 0.3  # of that, until application shutdown must be over
ENDING_S: Final = 0.35  # of that, until tasks of the application must have ended


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


def run(app: Application, settings: Settings) -> int:
    """Serve until a signal ends it, and return the exit code: 0, or 1 where application shutdown failed.

    ConfigError and StartupError come before the first request. To be called from the main thread,
    where signals arrive.
    """
    _raise_file_limit()
    router = app.build(settings)
    with closing(open_listeners(settings)) as listeners:
        loop = uvloop.new_event_loop()
        worker = Worker(router, settings, loop, app=app, fallback=app.fallback)
        server = Server(app, settings, loop, worker, Notifier.take(os.environ))
        try:
            with Signals(server, settings.shutdown_timeout_ns / SECOND, GRACE_S) as signals:
                code = loop.run_until_complete(server.serve(listeners.slots[0]))
                listeners.close()
                if asyncio.all_tasks(loop):
                    signals.leave(code)
            return code
        finally:
            loop.close()


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
    """One run of one application, which stop() or stop_quickly() ends."""

    def __init__(
        self,
        app: Application,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        worker: Worker,
        notifier: Notifier,
    ) -> None:
        self.app = app
        self.settings = settings
        self.loop = loop
        self.worker = worker
        self.notifier = notifier
        self.code: int | None = None  # the exit code, once serve() is over
        self._stopping: asyncio.Future[str] = loop.create_future()  # why
        self._hurrying: asyncio.Future[None] = loop.create_future()
        self._deadline_s = 0.0  # loop.time() at which running requests are cancelled
        self._accepting: list[tuple[asyncio.Server, socket.socket]] = []

    def stop(self, reason: str) -> None:
        """Let running requests finish within the shutdown timeout."""
        if not self._stopping.done():
            self._deadline_s = self.loop.time() + self.settings.shutdown_timeout_ns / SECOND
            self._stopping.set_result(reason)

    def stop_quickly(self, reason: str) -> None:
        """Cancel running requests now."""
        self._deadline_s = self.loop.time()
        _settle(self._hurrying)
        if not self._stopping.done():
            self._stopping.set_result(reason)

    def totals(self) -> str:
        """What became of the requests, in words."""
        worker = self.worker
        left = f", {worker.in_flight} left running" if worker.in_flight else ""
        return (
            f"{counted(worker.served, 'request')} served, {worker.cancelled} cancelled, {worker.dropped} dropped{left}"
        )

    async def serve(self, listeners: Sequence[socket.socket]) -> int:
        """From application start-up to application shutdown; returns the exit code."""
        logger.info("Started server process [%d]", os.getpid())
        try:
            code = await self._serve(listeners) if await self._start_application() else EXIT_CLEAN
        finally:
            self.stop("the start failed")  # does nothing where a signal was the reason
            await self._end_tasks()
        logger.info("Finished server process [%d]: %s", os.getpid(), self.totals())
        self.notifier.close()
        self.code = code
        return code

    async def _serve(self, listeners: Sequence[socket.socket]) -> int:
        try:
            await self._listen(listeners)
        except StartupError:
            self.stop("the start failed")
            await self._stop_application()
            raise
        reason = await self._stopping
        logger.info("Shutting down (%s)", reason)
        self.notifier.stopping(f"Shutting down ({reason})")
        await self._drain()
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

    async def _listen(self, listeners: Sequence[socket.socket]) -> None:
        for listener in listeners:
            listen(listener, self.settings.backlog)  # create_server would keep a refusal to itself
            server = await self.loop.create_server(self.worker.connection, sock=listener, backlog=self.settings.backlog)
            self._accepting.append((server, listener))
        self.worker.ready = True
        logger.info("Limits: %s", limits_in_force(self.settings, self.worker.router))
        urls = " and ".join(map(url_of, listeners))
        logger.info("highperf running on %s (Press CTRL+C to quit)", urls)
        self.notifier.ready(f"Running on {urls}")
        self.notifier.watch(self.loop)

    # Stop.

    async def _drain(self) -> None:
        worker = self.worker
        worker.begin_drain()
        await self._stop_accepting()
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

    async def _stop_accepting(self) -> None:
        """Take in the connections that the kernel has completed, for closing their listener would reset them."""
        arrivals: list[socket.socket] = []
        for server, listener in self._accepting:
            arrivals += take_waiting(listener)
            server.close()
        for connection in arrivals:
            try:
                await self.loop.connect_accepted_socket(self.worker.connection, connection)
            except OSError:
                connection.close()

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
        tasks = [task for task in asyncio.all_tasks(self.loop) if task is not asyncio.current_task()]
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
