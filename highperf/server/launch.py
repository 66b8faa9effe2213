"""Decides what this process is: a worker, a supervisor of workers, or a server of one process.

Owns that decision, the pid file, and `app.run()`, which is to a program what highperf-serve is to
the command line: one line on standard error for what a user can mend, and the same exit codes.
Imports what a supervisor needs; the core, uvloop and the application come when this process serves.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from highperf.config import Layers, Settings, resolve, unknown_variables
from highperf.errors import HighperfError, StartupError
from highperf.observe import registry
from highperf.server import logs
from highperf.server.processes import Command, WorkerProcess, inherited_channel, inherited_line
from highperf.values import quote

if TYPE_CHECKING:
    from highperf.server.supervisor import Supervisor
    from highperf.server.worker import Application

EXIT_CRASH: Final = 1

Load = Callable[[], tuple["Application", Settings]]


class Launch:
    """One start of this process; to be made before an application may change what it was started with."""

    def __init__(self) -> None:
        logs.open_standard_files()
        self._channel = inherited_channel()
        self._line = inherited_line()
        self._command = Command.of_this_process()

    @property
    def is_worker(self) -> bool:
        """Whether a supervisor started this process."""
        return self._channel is not None

    def report(self, serve: Callable[[], int]) -> int:
        """Serve, and leave it to the supervisor, if there is one, to say why that failed."""
        try:
            return serve()
        except HighperfError as error:
            if self._channel is None:
                raise
            self._channel.send("failed", line=str(error), details=error.details, code=error.exit_code)
            return error.exit_code

    def serve(self, settings: Settings, load: Load) -> int:
        """Serve until a signal ends it, and return the exit code.

        settings: without what the application gives, which `load` adds when it imports it.
        """
        if self._channel:
            from highperf.server import supervised

            registry.join(os.environ.get(registry.DIRECTORY, ""), self._line)
            return supervised.run(*load(), self._channel)
        with _pid_file(settings.pid_file), registry.shared_directory() as directory:
            command = self._command.with_variables({registry.DIRECTORY: directory} if directory else {})
            if settings.workers != 1 or settings.reload:
                return _supervise(command, settings)

            from highperf.server import alone

            registry.join(directory, self._line)
            return alone.run(*load(), command)


def run(app: "Application", given: Mapping[str, object]) -> NoReturn:
    """Serve until a signal ends it, and exit; the settings that are given go before the environment."""
    _refuse_other_places()
    try:
        launch = Launch()
        code = launch.report(lambda: _serve(launch, app, given))
    except HighperfError as error:
        code = _fail(str(error), error.exit_code, error.details)
    except KeyboardInterrupt:
        code = _fail("Interrupted before the server was up.", EXIT_CRASH)
    sys.exit(code)


def _serve(launch: Launch, app: "Application", given: Mapping[str, object]) -> int:
    environ = dict(os.environ)
    settings = resolve(Layers(run=given, environ=environ, app=app.defaults))
    logs.configure(settings.log_level, [] if launch.is_worker else unknown_variables(environ), form=settings.log_format)
    return launch.serve(settings, lambda: (app, settings))


def _supervise(command: Command, settings: Settings) -> int:
    from highperf.segment import Segment
    from highperf.server.board import Board
    from highperf.server.signals import Signals
    from highperf.server.supervisor import Supervisor
    from highperf.server.systemd import Notifier

    loop = asyncio.new_event_loop()
    board = Board(Segment.create())
    supervisor = Supervisor(
        loop, partial(WorkerProcess, command, board), settings, Notifier.take(os.environ), board.restarted
    )
    if settings.reload:
        _watch_files(supervisor, settings)
    try:
        with Signals(supervisor, supervisor.meanings()):
            return loop.run_until_complete(supervisor.run())
    finally:
        loop.close()


def _watch_files(supervisor: "Supervisor", settings: Settings) -> None:
    from highperf.server.watch import Watch, named

    watch = Watch(settings)
    logs.logger.info("Watching %s for changes", named(watch.filter.directories))
    supervisor.spawn(watch.run(lambda paths: supervisor.reload(f"{named(paths)} changed")))


@contextmanager
def _pid_file(name: str) -> Iterator[None]:
    """Tell the process id in a file of this name, if there is one, for as long as this process serves."""
    if not name:
        yield
        return
    path, content = Path(name).absolute(), f"{os.getpid()}\n"
    try:
        before = path.read_text() if path.exists() else ""
        path.write_text(content)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds something else"
        raise StartupError(f"Could not write the pid file {quote(name)}: {reason}.") from None
    try:
        yield
    except HighperfError:
        path.write_text(before)  # of a server that runs already, maybe on the same port
        raise
    finally:
        if path.exists() and path.read_text() in (content, ""):
            path.unlink()


def _refuse_other_places() -> None:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("app.run() belongs in the main thread, where signals arrive")
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("app.run() runs a loop of its own and cannot be called inside of a coroutine")


def _fail(line: str, code: int, details: str = "") -> int:
    logs.put(f"{details}Error: {line}\n")
    return code
