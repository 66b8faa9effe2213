"""Lets connections in to a worker, and keeps them waiting outside while there is no room.

Owns the listening sockets that a worker serves, slot by slot. Must not know who opened them.

The loop's servers accept, for nothing is cheaper; but where a file cannot be had, libuv accepts what waits by
other means and closes it at once. So the last files are never touched: when only a few are left, and nobody can
go for a new connection (Worker.make_room), the servers are closed and the sockets kept. New connections then wait
with the kernel, and every now and then the door looks whether there is room again.
"""

import asyncio
import resource
import select
import socket
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final

from highperf.core.worker import Worker
from highperf.server.logs import logger
from highperf.server.sockets import take_waiting

FILES_MOST: Final = 1 << 30  # what no limit stands for
RESERVE_MOST: Final = 128  # files for whatever else the process opens
FEW: Final = 4  # connections that the reserve bears
LOOK_S: Final = 0.02  # from one look to the next, while closed
CALM_S: Final = 10.0  # once it was open for so long, closing it is news again


class Door:
    """What one worker accepts connections on, as far as there is room for them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, worker: Worker, backlog: int) -> None:
        self._loop = loop
        self._worker = worker
        self._backlog = backlog
        self._listeners: dict[int, Sequence[socket.socket]] = {}  # by slot
        self._servers: dict[int, list[asyncio.Server]] = {}  # by slot; none while it is closed
        self._look: asyncio.TimerHandle | None = None  # while it is closed
        self._opening: asyncio.Task[None] | None = None
        self._calm_s = 0.0  # loop.time() from which closing it is news
        worker.limit_files = files_for_connections()
        worker.on_full = self._close

    async def add(self, slot: int, listeners: Sequence[socket.socket]) -> None:
        """Accept the connections of these sockets, which are the door's from now on."""
        self._listeners[slot] = listeners
        if self._look is None:
            await self._serve(slot)

    def remove(self, slot: int) -> None:
        """Accept no more of a slot's connections, and close its sockets."""
        self._leave(slot)
        for listener in self._listeners.pop(slot, ()):
            listener.close()

    def shut(self) -> None:
        """Accept no more connections, and close all sockets."""
        self._stand_by()
        for slot in list(self._listeners):
            self.remove(slot)

    def _stand_by(self) -> None:
        self._worker.on_full = None
        if self._look:
            self._look.cancel()
        if self._opening:
            self._opening.cancel()
        for slot in list(self._servers):
            self._leave(slot)

    async def take_in(self) -> bool:
        """Take in the connections that the kernel has completed, for closing their listener would reset them.
        False where there is no room for all of them, and one should try again in LOOK_S. No other is accepted
        from now on."""
        self._stand_by()
        for listeners in self._listeners.values():
            for listener in listeners:
                if not await self._empty(listener):
                    return False
        return True

    async def _empty(self, listener: socket.socket) -> bool:
        # Only accept(2) knows whether somebody waits: a socket that was shut down always looks like it.
        while self._worker.has_room(FEW):
            if not (arrivals := take_waiting(listener, FEW)):
                return True
            await self._let_in(arrivals)
        return not _anybody_waits([listener])

    async def _let_in(self, arrivals: Sequence[socket.socket]) -> None:
        for connection in arrivals:
            try:
                await self._loop.connect_accepted_socket(self._worker.connection, connection)
            except OSError:
                connection.close()

    async def _serve(self, slot: int) -> None:
        self._servers[slot] = []
        for listener in self._listeners[slot]:
            copy = listener.dup()  # which the server will close
            server = await self._loop.create_server(self._worker.connection, sock=copy, backlog=self._backlog)
            if slot in self._servers:
                self._servers[slot].append(server)
            else:
                server.close()  # it has been left meanwhile

    def _leave(self, slot: int) -> None:
        for server in self._servers.pop(slot, ()):
            server.close()

    # While there is no room.

    def _close(self) -> None:
        if not self._servers:
            return
        now_s = self._loop.time()
        if now_s >= self._calm_s:
            logger.warning(
                "No room for another connection (%d are open): new ones wait until some end", self._worker.connections
            )
        for slot in list(self._servers):
            self._leave(slot)
        self._look = self._loop.call_later(LOOK_S, self._look_out)

    def _look_out(self) -> None:
        if self._worker.has_room(2 * sum(map(len, self._listeners.values()))):  # the servers need some as well
            self._look = None
            self._calm_s = self._loop.time() + CALM_S
            self._opening = self._loop.create_task(self._open())
            return
        if _anybody_waits(chain.from_iterable(self._listeners.values())):
            self._worker.make_room()
        self._look = self._loop.call_later(LOOK_S, self._look_out)

    async def _open(self) -> None:
        try:
            for slot in list(self._listeners):
                await self._serve(slot)
        except OSError:  # somebody else was faster to take the files
            for slot in list(self._servers):
                self._leave(slot)
            self._look = self._loop.call_later(LOOK_S, self._look_out)


def _anybody_waits(listeners: Iterable[socket.socket]) -> bool:
    poll = select.poll()
    for listener in listeners:
        poll.register(listener, select.POLLIN)
    return bool(poll.poll(0))


def files_for_connections() -> int:
    """The number of a file from which on files are not for connections."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES_MOST if limit == resource.RLIM_INFINITY else min(limit, FILES_MOST)
    return most - min(RESERVE_MOST, most // 8)
