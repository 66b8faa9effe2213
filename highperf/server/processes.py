"""One worker process as its supervisor sees it: start, what it says, how it is told to end, why it ended.

Owns the process and its side of the control channel. Must not know when a worker is to be started or
ended, which is the supervisor's to decide. A worker is the command line of this process started
again, so it reads code, settings and certificates anew; environment variables tell it, before it
imports anything, where its channel is and which line of the board is its own. Its end is found by a
descriptor of the process where the system has one, and otherwise by poll(), which the supervisor
calls now and then.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from highperf.config import Settings, from_texts
from highperf.errors import HighperfError, StartupError
from highperf.observe import registry
from highperf.server import systemd
from highperf.server.board import Board, Tally
from highperf.server.channel import Channel, Message
from highperf.values import SECOND

EXIT_UNKNOWN: Final = 255
CHANNEL_VARIABLE: Final = "HIGHPERF_CONTROL_FD"
LINE_VARIABLE: Final = "HIGHPERF_CONTROL_LINE"

# An operator's key or `pkill -HUP` reaches workers too. They ignore both once they run Python code;
# until then both are kept from them.
_NOT_FOR_WORKERS: Final = (signal.SIGINT, signal.SIGHUP)


class Command(NamedTuple):
    """How this process was started, and how another one like it is."""

    arguments: Sequence[str]
    directory: str
    environ: Mapping[str, str]

    @classmethod
    def of_this_process(cls) -> "Command":
        """To be called before an application may change what it was started with."""
        environ = {name: value for name, value in os.environ.items() if name not in systemd.VARIABLES}
        return cls((sys.executable, *sys.orig_argv[1:]), os.getcwd(), environ)

    def with_variables(self, variables: Mapping[str, str]) -> "Command":
        """The same with these in its environment."""
        return self._replace(environ={**self.environ, **variables})


def inherited_channel() -> Channel | None:
    """The channel to this process's supervisor, if it has one; the first call takes it."""
    number = os.environ.pop(CHANNEL_VARIABLE, "")
    if not number:
        return None
    for ignored in _NOT_FOR_WORKERS:
        signal.signal(ignored, _ignore)  # not SIG_IGN, which the application's own children would inherit
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _NOT_FOR_WORKERS)
    try:
        connection = socket.socket(fileno=int(number))
    except (OSError, ValueError):
        raise StartupError(f"{CHANNEL_VARIABLE} is for workers alone: leave it unset.") from None
    connection.set_inheritable(False)
    return Channel(connection)


def inherited_line() -> int:
    """The number of this process's line on the board, if it has a supervisor; 0 otherwise."""
    return int(os.environ.pop(LINE_VARIABLE, "0"))


def _ignore(number: int, frame: Any) -> None:
    pass


def exit_reason(code: int, *, asked: bool = False) -> str:
    """How a process ended, in words that follow its name.

    code: the exit code; negative: the signal that killed it. asked: that was the supervisor's.
    """
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    guess = ". Perhaps out of memory?" if code == -signal.SIGKILL and not asked else ""
    return f"was killed by {name}{guess}"


class BootFailure(Exception):
    """A worker ended before it was ready.

    The message is one line; `details` go before it; `code` is the exit code that it asks for.
    """

    def __init__(self, line: str, details: str = "", code: int = StartupError.exit_code) -> None:
        super().__init__(line)
        self.details = details
        self.code = code

    @property
    def whole(self) -> str:
        """For the log: the line, then the details."""
        return f"{self}\n{self.details}".rstrip()

    def as_error(self) -> HighperfError:
        error = StartupError(str(self), self.details)
        error.exit_code = self.code
        return error


class WorkerProcess:
    """A worker process, from its start on.

    on_leaving is called when it asks for a successor, on_exit when it has ended.
    """

    def __init__(
        self,
        command: Command,
        board: Board,
        on_leaving: Callable[["WorkerProcess", str], None],
        on_exit: Callable[["WorkerProcess"], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._board = board
        self._on_leaving = on_leaving
        self._on_exit = on_exit
        self.settings: asyncio.Future[Settings] = self._loop.create_future()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.exited: asyncio.Future[int] = self._loop.create_future()
        self._ready_ns = 0
        self._hangs = False
        self._killed = False
        self._failed: BootFailure | None = None
        self._values = command.environ.get(registry.DIRECTORY, "")
        self._line = board.take()
        try:
            self._process, self._channel = _start(command.with_variables({LINE_VARIABLE: str(self._line.number)}))
        except BootFailure:
            board.give_back(self._line)
            raise
        self.pid = self._process.pid
        self._loop.add_reader(self._channel.fileno(), self._listen)
        self._exit_fd = _exit_descriptor(self.pid)
        if self._exit_fd >= 0:
            self._loop.add_reader(self._exit_fd, self.poll)

    # What it has told.

    @property
    def tally(self) -> Tally:
        """What became of its requests; those that ran when it was killed are dropped."""
        tally = self._line.tally
        if self.exited.done() and self.exited.result() < 0:
            return Tally(tally.served, tally.cancelled, tally.dropped + tally.in_flight)
        return tally

    @property
    def end_reason(self) -> str:
        """Once it has ended: how, in words that follow its name."""
        return exit_reason(self.exited.result(), asked=self._killed)

    @property
    def lived_s(self) -> float:
        """Seconds since it was ready; 0 if it never was."""
        return (time.monotonic_ns() - self._ready_ns) / SECOND if self._ready_ns else 0.0

    def is_silent(self, now_ns: int, timeout_ns: int) -> bool:
        """Whether its loop has not turned for this time, though it was ready. True only once."""
        if not self._ready_ns or self._hangs:
            return False
        self._hangs = now_ns - max(self._ready_ns, self._line.beat_ns) > timeout_ns
        return self._hangs

    async def reach(self, stage: asyncio.Future[Any]) -> Any:
        """Wait for one of its stages. BootFailure: it ended before that."""
        await asyncio.wait((stage, self.exited), return_when=asyncio.FIRST_COMPLETED)
        if stage.done():
            return stage.result()
        raise self._failed or BootFailure(f"Worker process [{self.pid}] {self.end_reason} before it was ready")

    # What it is told.

    def place(self, slot: int, listeners: Sequence[socket.socket], metrics: Sequence[socket.socket] = ()) -> None:
        """Its part of the server: sockets of its own, and those for metrics, that it shares with all."""
        fds = [self._board.segment.fd, *(listener.fileno() for listener in (*metrics, *listeners))]
        self._channel.send("place", fds, slot=slot, line=self._line.number, metrics=len(metrics))

    def announce(self) -> None:
        self._channel.send("announce")

    def retire(self) -> None:
        self._channel.send("retire")

    def stop(self) -> None:
        """End politely; one that is not ready, and may not listen yet, has nothing to be polite about."""
        self._channel.send("stop")
        if not self.ready.done():
            self._send_signal(signal.SIGTERM)

    def adopt(self, slot: int, listeners: Sequence[socket.socket]) -> None:
        self._channel.send("adopt", [listener.fileno() for listener in listeners], slot=slot)

    def release(self, slot: int) -> None:
        self._channel.send("release", slot=slot)

    def send_signal(self, number: signal.Signals) -> None:
        """One that is not ready knows no signals yet, and would die of them."""
        if self.ready.done():
            self._send_signal(number)

    def kill(self) -> None:
        self._killed = True
        self._send_signal(signal.SIGKILL)

    def _send_signal(self, number: signal.Signals) -> None:
        if not self.exited.done():
            os.kill(self.pid, number)

    # Its end.

    def poll(self) -> None:
        """See whether it has ended."""
        if self.exited.done():
            return
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # somebody else has waited for it
            self.ended(EXIT_UNKNOWN)
        else:
            if pid:
                self.ended(os.waitstatus_to_exitcode(status))

    def ended(self, code: int) -> None:
        """It has ended, and its process is no more."""
        self._process.returncode = code
        self._listen()  # its last words
        self._loop.remove_reader(self._channel.fileno())
        self._channel.close()
        if self._exit_fd >= 0:
            self._loop.remove_reader(self._exit_fd)
            os.close(self._exit_fd)
        self.exited.set_result(code)
        self._on_exit(self)
        registry.forget(self._values, self._line.number, self.pid)
        self._board.give_back(self._line)

    def _listen(self) -> None:
        while messages := self._channel.receive():
            for message in messages:
                self._hear(message)
        if messages is None:
            self._loop.remove_reader(self._channel.fileno())

    def _hear(self, message: Message) -> None:
        match message.word:
            case "settings":
                self.settings.set_result(from_texts(message.values["settings"]))
            case "ready":
                self._ready_ns = time.monotonic_ns()
                self.ready.set_result(None)
            case "leaving":
                self._on_leaving(self, message.values["why"])
            case "failed":
                self._failed = BootFailure(**message.values)


def _start(command: Command) -> tuple[subprocess.Popen[bytes], Channel]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_WORKERS)
    try:
        with contextlib.ExitStack() as stack:
            ours, theirs = map(stack.enter_context, socket.socketpair())
            process = subprocess.Popen(
                command.arguments,
                cwd=command.directory,
                env={**command.environ, CHANNEL_VARIABLE: str(theirs.fileno())},
                pass_fds=(theirs.fileno(),),
            )
            return process, Channel(ours.dup())
    except OSError as error:
        raise BootFailure(f"No worker process can be started: {error.strerror}.") from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _exit_descriptor(pid: int) -> int:
    """A descriptor that is readable once the process has ended, or -1."""
    with contextlib.suppress(AttributeError, OSError):
        return os.pidfd_open(pid)
    return -1
