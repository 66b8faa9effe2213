"""A server of one process, which needs no supervisor until it is reloaded.

Owns that process's signals, and its change: at HUP, or when it has served long enough, a supervisor
begins to run beside the part that serves. It starts a fresh worker process on the same sockets, and
when that is ready the part here drains. What remains is the supervisor, under the same process id.
"""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

from highperf.config import Settings
from highperf.server.board import OWN_LINE, Board, Tally, beat_period_s
from highperf.server.logs import logger
from highperf.server.processes import Command, WorkerProcess
from highperf.server.recycle import Recycling
from highperf.server.signals import Meaning, Signals
from highperf.server.sockets import Listeners, open_listeners, tell_metrics, url_of
from highperf.server.supervisor import Supervisor
from highperf.server.systemd import Notifier
from highperf.server.tls import server_context
from highperf.server.worker import GRACE_S, Application, Server, limits_in_force, new_server
from highperf.values import SECOND


def run(app: Application, settings: Settings, command: Command) -> int:
    """Serve until a signal ends it, and return the exit code: 0, or 1 where application shutdown failed.

    ConfigError and StartupError come before the first request.
    """
    tls = server_context(settings)
    router = app.build(settings)
    with closing(open_listeners(settings)) as listeners:
        # all close their own: the server the sockets that it is given, and who is left the others
        metrics = [listener.dup() for listener in listeners.metrics]
        server = new_server(app, settings, router, listeners.slots[0], tls=tls, metrics_listeners=metrics)
        server.before_drain = listeners.turn_away
        process = Alone(server, listeners, command)
        try:
            with Signals(process, process.meanings(), process.describe) as signals:
                code = server.loop.run_until_complete(process.serve())
                listeners.close()
                if asyncio.all_tasks(server.loop):
                    signals.leave(code)
            return code
        finally:
            server.loop.close()


class Alone:
    """The whole process: the part that serves, and the supervisor once there is one."""

    def __init__(self, server: Server, listeners: Listeners, command: Command) -> None:
        self.server = server
        self.loop = server.loop
        self.code: int | None = None
        self._notifier = Notifier.take(os.environ)
        self._listeners = listeners
        self._command = command
        self._recycling = Recycling(server.settings)
        self._part = OwnPart(server)
        self._supervisor: Supervisor | None = None
        self._supervising: asyncio.Task[int] | None = None
        self._stopping = False

    async def serve(self) -> int:
        self.code = await self.server.serve(self._begin)
        if self._supervising:
            self._part.ended(self.code)
            self.code = None  # not yet
            self.code = await self._supervising
        self._notifier.close()
        return self.code

    def _begin(self) -> None:
        """Connections are accepted."""
        settings = self.server.settings
        logger.info("Limits: %s", limits_in_force(settings, self.server.worker.router))
        tell_metrics(self._listeners)
        urls = " and ".join(url_of(listener, settings.scheme) for listener in self._listeners.slots[0])
        logger.info("highperf running on %s (Press CTRL+C to quit)", urls)
        self._notifier.ready(f"Running on {urls}")
        self._notifier.watch(self.loop)
        self._beat(self.loop.time())

    def _beat(self, due_s: float) -> None:
        self.server.worker.beat(self.loop.time() - due_s)
        why = self._recycling.due(self.server.worker.served)
        if why and (supervisor := self._supervise()):
            supervisor.replace(self._part, why)
        elif not self._part.exited.done():
            next_s = self.loop.time() + beat_period_s(self.server.settings.timeout_worker_healthcheck_ns)
            self.loop.call_at(next_s, self._beat, next_s)

    def _supervise(self) -> Supervisor | None:
        """The supervisor, which begins now if there was none; but not at the end."""
        if self._supervisor is None and not self._stopping:
            board = Board(self.server.worker.segment, own=True)
            start = partial(WorkerProcess, self._command, board)
            supervisor = Supervisor(self.loop, start, self.server.settings, self._notifier, board.restarted)
            # from here on the sockets are the supervisor's; the part that serves closes its own
            own = self._listeners.slots[0]
            supervisor.take_over(self._part, self._listeners._replace(slots=[[listener.dup() for listener in own]]))
            self._part.on_exit = partial(self._own_part_ended, supervisor, board)
            self.server.bystanders = supervisor.tasks
            self._supervising = supervisor.spawn(supervisor.end())
            self._supervisor = supervisor
        return self._supervisor

    def _own_part_ended(self, supervisor: Supervisor, board: Board, part: "OwnPart") -> None:
        board.free(OWN_LINE)
        supervisor.on_exit(part)

    # For signals.

    def meanings(self) -> dict[signal.Signals, Meaning]:
        return {
            signal.SIGHUP: self._reload,
            signal.SIGTTIN: self._grow,
            signal.SIGTTOU: self._shrink,
            signal.SIGUSR1: self._reopen_logs,
        }

    def _reload(self, reason: str) -> None:
        if supervisor := self._supervise():
            supervisor.reload(reason)

    def _reopen_logs(self, reason: str) -> None:
        self.server.reopen_logs()
        if self._supervisor:
            self._supervisor.reopen_logs(reason)

    def _grow(self, reason: str) -> None:
        if supervisor := self._supervise():
            supervisor.grow(reason)

    def _shrink(self, reason: str) -> None:
        if self._supervisor:
            self._supervisor.shrink(reason)

    @property
    def bound_s(self) -> float:
        settings = self.server.settings
        return (settings.shutdown_delay_ns + settings.shutdown_timeout_ns) / SECOND + self.quick_bound_s

    @property
    def quick_bound_s(self) -> float:
        return self._supervisor.quick_bound_s if self._supervisor else GRACE_S

    def stop(self, reason: str) -> None:
        self._stopping = True
        if self._supervisor:
            self._supervisor.stop(reason)
        else:
            self._notifier.stopping(f"Shutting down ({reason})")
            self.server.stop(reason, self.server.settings.shutdown_delay_ns / SECOND)

    def stop_quickly(self, reason: str) -> None:
        self.stop(reason)
        if self._supervisor:
            self._supervisor.stop_quickly(reason)
        self.server.stop_quickly(reason)

    def force(self) -> None:
        if self._supervisor:
            self._supervisor.force()

    def totals(self) -> str:
        return self._supervisor.totals() if self._supervisor else self.server.totals()

    def describe(self) -> str:
        if self._supervisor:
            self.loop.call_soon_threadsafe(self._supervisor.describe, "SIGUSR2")
        return self.server.describe()


class OwnPart:
    """The part of this process that serves, as its supervisor sees it beside the worker processes."""

    def __init__(self, server: Server) -> None:
        self.pid = os.getpid()
        self.exited: asyncio.Future[int] = server.loop.create_future()
        self.lived_s = 0.0
        self.end_reason = "ended"
        self.on_exit: Callable[[OwnPart], None] | None = None
        self._server = server

    @property
    def tally(self) -> Tally:
        return self._server.tally

    def ended(self, code: int) -> None:
        """It has served."""
        self.exited.set_result(code)
        if self.on_exit:
            self.on_exit(self)

    def is_silent(self, now_ns: int, timeout_ns: int) -> bool:
        return False  # who looks runs in the same loop

    def announce(self) -> None:
        self._server.announce()

    def retire(self) -> None:
        self._server.retire("its successor serves")

    def stop(self) -> None:
        self._server.stop("the server stops")

    def adopt(self, slot: int, listeners: Sequence[socket.socket]) -> None:
        self._server.adopt(slot, [listener.dup() for listener in listeners])

    def release(self, slot: int) -> None:
        self._server.release(slot)

    def send_signal(self, number: signal.Signals) -> None:
        pass  # what is meant for this process has reached it

    def kill(self) -> None:
        pass  # it ends with the process

    def poll(self) -> None:
        pass
