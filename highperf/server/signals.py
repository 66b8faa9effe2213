"""What an operator's signals mean for a running server, and the promise that it ends.

TERM, INT  finish running requests; a second one ends the process at once, with exit code 1
QUIT       cancel running requests
USR2       write every thread's stack and the requests in flight to standard error
others     as whoever makes this says, in the loop

Python-level handlers are used, not the loop's, because they run while a request blocks the loop
too. From the first signal on a thread watches over the end: it ends the process when the time is
up, whatever a handler does that blocks the loop or a pool's thread that cannot be joined.
"""

import contextlib
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType, TracebackType
from typing import Any, Final, NoReturn, Protocol, Self

from highperf.server.logs import STDERR, dump_stacks, write_unlocked

EXIT_CLEAN: Final = 0
EXIT_FORCED: Final = 1

Meaning = Callable[[str], object]  # called in the loop with the signal's name


class Stoppable(Protocol):
    """What signals need of a server."""

    @property
    def loop(self) -> Any: ...
    @property
    def code(self) -> int | None:
        """The exit code, once it has ended."""

    @property
    def bound_s(self) -> float:
        """The longest time from stop() to the end."""

    @property
    def quick_bound_s(self) -> float:
        """The same for stop_quickly()."""

    def stop(self, reason: str) -> None: ...
    def stop_quickly(self, reason: str) -> None: ...
    def force(self) -> None:
        """The process ends at once: called from a signal handler."""

    def totals(self) -> str:
        """What became of the requests."""


class Signals:
    """Gives the signals their meaning while entered, and guards the end of the server that they stop.

    meanings: go before those above.
    describe: what goes on, called from a signal handler; without it, USR2 means what `meanings` says.
    supervised: a second signal is no more than the first one, and none cuts short the process's exit.
    """

    def __init__(
        self,
        server: Stoppable,
        meanings: Mapping[signal.Signals, Meaning],
        describe: Callable[[], str] | None = None,
        *,
        supervised: bool = False,
    ) -> None:
        self._server = server
        self._meanings = meanings
        self._describe = describe
        self._supervised = supervised
        self._stopping = False
        self._hurrying = False
        self._guards: list[threading.Timer] = []
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        handlers = {
            signal.SIGTERM: self._stop,
            signal.SIGINT: self._stop,
            signal.SIGQUIT: self._stop_quickly,
            **dict.fromkeys(self._meanings, self._pass_on),
        }
        if self._describe:
            handlers[signal.SIGUSR2] = self._write_description
        self._previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        if self._describe:
            # The stacks come from C, so that they come even while Python code is stuck; then chains to the handler.
            faulthandler.register(signal.SIGUSR2, file=STDERR, all_threads=True, chain=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        faulthandler.unregister(signal.SIGUSR2)
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_IGN if self._supervised else handler)
        if not _threads_to_join():
            for guard in self._guards:
                guard.cancel()

    def guard(self, seconds: float) -> None:
        """End the process after this time, whatever goes on in it."""
        guard = threading.Timer(seconds, self._end_overdue)
        guard.daemon = True
        guard.start()
        self._guards.append(guard)

    def leave(self, code: int) -> NoReturn:
        """End the process without waiting for what is still running in it."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, OSError, ValueError):  # it is closed, or its disk is full
                stream.flush()
        os._exit(code)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._stopping:
            self._force(name)
            return
        self._stopping = True
        self.guard(self._server.bound_s)
        self._server.loop.call_soon_threadsafe(self._server.stop, name)

    def _stop_quickly(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._hurrying:
            self._force(name)
            return
        self._stopping = self._hurrying = True
        self.guard(self._server.quick_bound_s)
        self._server.loop.call_soon_threadsafe(self._server.stop_quickly, name)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number)
        self._server.loop.call_soon_threadsafe(self._meanings[name], name.name)

    def _write_description(self, number: int, frame: FrameType | None) -> None:
        if self._describe:
            write_unlocked(self._describe())

    def _force(self, name: str) -> None:
        if self._supervised:
            return
        self._server.force()
        write_unlocked(f"Forced to stop by a second signal ({name}): {self._server.totals()}")
        os._exit(EXIT_FORCED)

    def _end_overdue(self) -> NoReturn:
        server = self._server
        if server.code is None:
            write_unlocked("The event loop is blocked, and the process ends without it. What blocks it:")
            dump_stacks()
            write_unlocked(f"Finished server process [{os.getpid()}]: {server.totals()}")
        os._exit(server.code or EXIT_CLEAN)


def ignore(name: str) -> None:
    """The meaning of a signal that means nothing."""


def _threads_to_join() -> bool:
    """Whether the interpreter's end would wait for a thread, maybe for ever."""
    return any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())
