"""The slots of a server: what may serve one, and how soon after a failure that is tried again.

Owns the book-keeping of one slot, and the shape of what the supervisor deals with. Must not decide anything.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from highperf.config import Settings
from highperf.server.board import Tally

LONG_LIFE_S: Final = 1.0  # a worker that served so long did not die of how it was started
PAUSE_MOST_S: Final = 30.0


class Part(Protocol):
    """Whatever serves a slot: a worker process, or the part of this process that served alone before."""

    @property
    def pid(self) -> int: ...
    @property
    def exited(self) -> asyncio.Future[int]: ...
    @property
    def tally(self) -> Tally: ...
    @property
    def lived_s(self) -> float: ...
    @property
    def end_reason(self) -> str: ...
    def is_silent(self, now_ns: int, timeout_ns: int) -> bool: ...
    def announce(self) -> None: ...
    def retire(self) -> None: ...
    def stop(self) -> None: ...
    def adopt(self, slot: int, listeners: list[socket.socket]) -> None: ...
    def release(self, slot: int) -> None: ...
    def send_signal(self, number: signal.Signals) -> None: ...
    def kill(self) -> None: ...
    def poll(self) -> None: ...
    def ended(self, code: int) -> None: ...


class Fresh(Part, Protocol):
    """A worker process from its start on."""

    @property
    def settings(self) -> asyncio.Future[Settings]: ...
    @property
    def ready(self) -> asyncio.Future[None]: ...
    async def reach(self, stage: asyncio.Future[Any]) -> Any: ...
    def place(self, slot: int, listeners: list[socket.socket], metrics: Sequence[socket.socket] = ()) -> None: ...


# Starts a worker process; it is given what to call when it asks for a successor, and when it has ended.
Start = Callable[[Callable[[Part, str], None], Callable[[Part], None]], Fresh]


class Backoff:
    """The pauses before a worker of one slot is started again: 0, 1, 2, 4 ... 30 seconds."""

    def __init__(self) -> None:
        self._failures = 0

    def after(self, lived_s: float) -> float:
        """The pause after a life of this length."""
        if lived_s >= LONG_LIFE_S:
            self._failures = 0
        pause = min(PAUSE_MOST_S, 2.0 ** (self._failures - 1)) if self._failures else 0.0
        self._failures += 1
        return pause


class Slot:
    """A place for one worker, with sockets of its own."""

    def __init__(self, index: int, listeners: list[socket.socket]) -> None:
        self.index = index
        self.listeners = listeners
        self.worker: Part | None = None
        self.adopter: Part | None = None  # who serves it while it has no worker
        self.backoff = Backoff()
        self.starting = asyncio.Lock()  # one start at a time
        self.tried = asyncio.Event()  # the first start is over
        self.filled = asyncio.Event()  # it has a worker
        self.closed = False
        self.renewed_for = ""  # why it gets another worker, in one word; empty: it gets its first
        self.keeper: asyncio.Task[None] | None = None

    def name(self, worker: Part) -> str:
        return f"Worker {self.index + 1} [{worker.pid}]"

    def close(self) -> None:
        for listener in self.listeners:
            listener.close()
