"""A worker process under its supervisor: what it is given, what it is told, what it tells.

Owns the worker's side of the control channel. TERM asks the supervisor for a successor, so that no
request is lost by it; INT and HUP, which an operator's terminal sends to workers too, are the
supervisor's. The end of the channel is the end of the supervisor, and then the worker drains and
ends as well; a thread sees to that, because the loop may be blocked.
"""

import asyncio
import select
import signal
import socket
import threading
import time
from collections.abc import Iterable
from typing import Final

from highperf.config import Settings, as_texts
from highperf.segment import Segment
from highperf.server.board import Line, beat_period_s
from highperf.server.channel import Channel, Message
from highperf.server.logs import logger
from highperf.server.recycle import Recycling
from highperf.server.signals import Signals, ignore
from highperf.server.tls import server_context
from highperf.server.worker import GRACE_S, Application, Server, limits_in_force, new_server
from highperf.values import SECOND

EXIT_CLEAN: Final = 0
IGNORED: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU)


def run(app: Application, settings: Settings, channel: Channel) -> int:
    """Serve until the supervisor ends it, and return the exit code."""
    tls = server_context(settings)
    router = app.build(settings)
    channel.send("settings", settings=as_texts(settings))
    message = channel.wait()
    if message is None or message.word != "place":
        return EXIT_CLEAN  # the supervisor is gone, or stops
    segment_fd, *fds = message.fds
    number, shared = message.values["line"], message.values["metrics"]
    server = new_server(
        app,
        settings,
        router,
        _sockets(fds[shared:]),
        Segment(segment_fd),
        tls,
        number,
        metrics_listeners=_sockets(fds[:shared]),
    )
    line = Line(server.worker.segment, number)
    worker = Supervised(server, channel, line, speaks_for_all=message.values["slot"] == 0)
    meanings = {signal.SIGTERM: worker.leave, signal.SIGUSR1: worker.reopen_logs, **dict.fromkeys(IGNORED, ignore)}
    with Signals(worker, meanings, server.describe, supervised=True) as signals:
        threading.Thread(target=worker.outlive_nobody, args=(signals,), daemon=True).start()
        code = server.loop.run_until_complete(worker.serve(signals))
        if asyncio.all_tasks(server.loop):
            signals.leave(code)
    server.loop.close()
    return code


def _sockets(fds: Iterable[int]) -> list[socket.socket]:
    return [socket.socket(fileno=fd) for fd in fds]


class Supervised:
    """Carries out what the supervisor says, and shows it that the loop turns."""

    def __init__(self, server: Server, channel: Channel, line: Line, *, speaks_for_all: bool) -> None:
        self.server = server
        self.loop = server.loop
        self._signals: Signals | None = None
        self._channel = channel
        self._line = line
        self._period_s = beat_period_s(server.settings.timeout_worker_healthcheck_ns)
        self._recycling = Recycling(server.settings)
        self._speaks_for_all = speaks_for_all
        self._has_begun = False
        self._leaving = False

    async def serve(self, signals: Signals) -> int:
        self._signals = signals
        self.loop.add_reader(self._channel.fileno(), self._listen)
        self.loop.call_soon(self._listen)  # to what came with the first message
        try:
            return await self.server.serve(self._begin)
        finally:
            self.loop.remove_reader(self._channel.fileno())
            self._line.write(time.monotonic_ns(), self.server.tally)

    def leave(self, why: str) -> None:
        """Ask for a successor, if it serves already."""
        if not self._has_begun:
            self.stop(why)
        elif not self._leaving:
            self._leaving = True
            self._channel.send("leaving", why=why)

    def reopen_logs(self, why: str) -> None:
        self.server.reopen_logs()

    def outlive_nobody(self, signals: Signals) -> None:
        """Wait for the supervisor's end, and then no longer for this process's than that may take."""
        hanging_up = select.poll()
        hanging_up.register(self._channel.fileno(), 0)
        hanging_up.poll()
        signals.guard(self.bound_s)

    # For signals.

    @property
    def code(self) -> int | None:
        return self.server.code

    @property
    def bound_s(self) -> float:
        return self.server.settings.shutdown_timeout_ns / SECOND + GRACE_S

    @property
    def quick_bound_s(self) -> float:
        return GRACE_S

    def stop(self, reason: str) -> None:
        self._guard_end()
        self.server.stop(reason)

    def stop_quickly(self, reason: str) -> None:
        self.server.stop_quickly(reason)

    def force(self) -> None:
        pass

    def totals(self) -> str:
        return self.server.totals()

    def _guard_end(self) -> None:
        if self._signals:
            self._signals.guard(self.bound_s)

    # The channel.

    def _listen(self) -> None:
        while messages := self._channel.receive():
            for message in messages:
                self._obey(message)
        if messages is None:
            self.loop.remove_reader(self._channel.fileno())
            self.stop("its supervisor is gone")

    def _obey(self, message: Message) -> None:
        match message.word:
            case "announce":
                self.server.announce()
            case "stop":
                self.stop("its supervisor stops it")
            case "retire":
                self._guard_end()
                self.server.retire("its successor serves")
            case "adopt":
                self.server.adopt(message.values["slot"], _sockets(message.fds))
            case "release":
                self.server.release(message.values["slot"])

    def _begin(self) -> None:
        """Connections are accepted."""
        self._has_begun = True
        if self._speaks_for_all:
            logger.info("Limits: %s", limits_in_force(self.server.settings, self.server.worker.router))
        self._beat(self.loop.time())
        self._channel.send("ready")

    def _beat(self, due_s: float) -> None:
        self.server.worker.beat(self.loop.time() - due_s)
        tally = self.server.tally
        self._line.write(time.monotonic_ns(), tally)
        if why := self._recycling.due(tally.served):
            self.leave(why)
        next_s = self.loop.time() + self._period_s
        self.loop.call_at(next_s, self._beat, next_s)
