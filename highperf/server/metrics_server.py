"""What is for operators, on an address of its own: /metrics, /healthz and /readyz.

Owns a second Worker beside the one that serves the application, in the same loop, and what it accepts
connections on: sockets that all worker processes share, so that any of them answers for all. No guard of the
application holds for it. It serves as long as its worker does, to the end of the drain, so that readiness can be
seen to go; but no longer than until its worker has a successor. Must not know what is told there.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from highperf.config import Settings
from highperf.core.cycle import Route
from highperf.core.worker import Worker
from highperf.server.sockets import listen
from highperf.wire.router import Router

CONNECTIONS_MOST: Final = 64  # then idle ones end for new ones
ENDING_S: Final = 0.35  # when all else is over; a silent connection ends before that


class MetricsServer:
    """Serves on these sockets, which are its own from now on, until it is closed."""

    def __init__(self, worker: Worker, settings: Settings, listeners: Sequence[socket.socket]) -> None:
        own = replace(settings, metrics=False, rate_limit_rps=0.0, limit_connections=CONNECTIONS_MOST)
        self._loop = worker.loop
        self._worker = Worker(_routes(settings), own, worker.loop, segment=worker.segment, subject=worker)
        self._listeners = list(listeners)
        self._servers: list[asyncio.Server] = []

    async def begin(self, backlog: int) -> None:
        """Accept connections. StartupError where somebody else has begun to since the sockets were bound."""
        while self._listeners:
            listener = self._listeners[-1]
            listen(listener, backlog)
            server = await self._loop.create_server(self._worker.connection, sock=listener, backlog=backlog)
            self._servers.append(server)
            self._listeners.pop()

    def leave(self) -> None:
        """Accept no more connections: others do."""
        self._close_sockets()
        self._worker.begin_drain()
        self._worker.ready = True  # as the server is, for whoever was let in before

    async def end(self, until_s: float) -> None:
        """Answer whoever was let in, but not for long, nor beyond loop.time() of until_s."""
        self._close_sockets()
        if not self._worker.draining:
            self._worker.begin_drain()
        if self._worker.connections:
            idle = asyncio.Event()
            self._worker.on_idle = idle.set
            with suppress(TimeoutError):
                await asyncio.wait_for(idle.wait(), min(ENDING_S, until_s - self._loop.time()))
        self.close()

    def close(self) -> None:
        """End now; harmless when it has ended."""
        self._close_sockets()
        self._worker.abort()
        self._worker.close()

    def _close_sockets(self) -> None:
        for server in self._servers:
            server.close()
        for listener in self._listeners:
            listener.close()
        self._servers.clear()
        self._listeners.clear()


def _routes(settings: Settings) -> Router:
    router = Router()
    router.add("GET", "/healthz", Route("/healthz", None, answers="health"))
    router.add("GET", "/readyz", Route("/readyz", None, answers="ready"))
    if settings.metrics:
        router.add("GET", "/metrics", Route("/metrics", None, answers="metrics"))
    return router
