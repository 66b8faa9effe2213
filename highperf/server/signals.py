"""What an operator's signals mean for a running server, and the promise that it ends.

TERM, INT  finish running requests; a second one ends the process at once, with exit code 1
QUIT       cancel running requests
USR2       write every thread's stack and the requests in flight to standard error

Python-level handlers are used, not the loop's, because they run while a request blocks the loop
too. From the first signal on a thread watches over the end: it ends the process when the time is
up, whatever a handler does that blocks the loop or a pool's thread that cannot be joined.
"""

import faulthandler
import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Final, NoReturn, Protocol, Self

from highperf.server.logs import STDERR, dump_stacks, write_unlocked
from highperf.values import counted

EXIT_CLEAN: Final = 0
EXIT_FORCED: Final = 1


class Stoppable(Protocol):
    """What signals need of a server."""

    loop: Any
    worker: Any
    code: int | None  # None until it has ended

    def stop(self, reason: str) -> None: ...
    def stop_quickly(self, reason: str) -> None: ...
    def totals(self) -> str: ...


class Signals:
    """Gives the signals their meaning while entered, and guards the end of the server that they stop."""

    def __init__(self, server: Stoppable, shutdown_timeout_s: float, grace_s: float) -> None:
        self._server = server
        self._timeout_s = shutdown_timeout_s
        self._grace_s = grace_s
        self._stopping = False
        self._hurrying = False
        self._guards: list[threading.Timer] = []
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        handlers = {
            signal.SIGTERM: self._stop,
            signal.SIGINT: self._stop,
            signal.SIGQUIT: self._stop_quickly,
            signal.SIGUSR2: self._describe,
        }
        self._previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        # The stacks come from C, so that they come even while Python code is stuck; then chains to _describe.
        faulthandler.register(signal.SIGUSR2, file=STDERR, all_threads=True, chain=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        faulthandler.unregister(signal.SIGUSR2)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if not _threads_to_join():
            for guard in self._guards:
                guard.cancel()

    def leave(self, code: int) -> NoReturn:
        """End the process without waiting for what is still running in it."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._stopping:
            self._force(name)
        self._stopping = True
        self._guard(self._timeout_s + self._grace_s)
        self._server.loop.call_soon_threadsafe(self._server.stop, name)

    def _stop_quickly(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self._hurrying:
            self._force(name)
        self._stopping = self._hurrying = True
        self._guard(self._grace_s)
        self._server.loop.call_soon_threadsafe(self._server.stop_quickly, name)

    def _describe(self, number: int, frame: FrameType | None) -> None:
        requests = self._server.worker.describe_requests()
        write_unlocked("\n  ".join((f"{counted(len(requests), 'request')} in flight", *requests)))

    def _force(self, name: str) -> NoReturn:
        write_unlocked(f"Forced to stop by a second signal ({name}): {self._server.totals()}")
        os._exit(EXIT_FORCED)

    def _guard(self, seconds: float) -> None:
        guard = threading.Timer(seconds, self._end_overdue)
        guard.daemon = True
        guard.start()
        self._guards.append(guard)

    def _end_overdue(self) -> NoReturn:
        server = self._server
        if server.code is None:
            write_unlocked("The event loop is blocked, and the process ends without it. What blocks it:")
            dump_stacks()
            write_unlocked(f"Finished server process [{os.getpid()}]: {server.totals()}")
        os._exit(server.code or EXIT_CLEAN)


def _threads_to_join() -> bool:
    """Whether the interpreter's end would wait for a thread, maybe for ever."""
    return any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())
