"""Starts `python -m highperf` as a real process and waits for it without sleeping.

    with running("main:app", files={"main.py": source}) as server:
        with server.connect() as client:
            client.sendall(b"GET /healthz HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")

    failed = run("main:ap", files={"main.py": source})
    assert failed.code == 3

Every process starts in an empty directory of its own, with no setting of the caller's environment,
on a port that the kernel picks, and is killed, with all that it has started, when the test leaves it.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from highperf import _version

PATIENCE_S = 30.0  # no test waits this long unless something is broken
RUNNING = re.compile(r"running on https?://(\[[^\]]+\]|[^:/]+):(\d+)")
# what a child may inherit: tools that look into it (coverage, sanitizers), never settings
INHERITED = ("PATH", "HOME", "TMPDIR", "LD_PRELOAD", "ASAN_OPTIONS", "UBSAN_OPTIONS", "PYTHONMALLOC", "COVERAGE_")


class Server:
    """A running process; its standard error is read by a thread, line by line, as it comes."""

    def __init__(self, process: subprocess.Popen[str], directory: Path) -> None:
        self.process = process
        self.directory = directory
        self.host = ""
        self.port = 0
        self._lines: list[str] = []
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        """What the process has written to standard error so far; all of it after wait()."""
        with self._changed:
            return "".join(self._lines)

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for the end of the process and return its exit code (negative: the signal that killed it)."""
        code = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        return code

    def signal_all(self, number: signal.Signals) -> None:
        """To the process and all that it has started, as a terminal does it."""
        os.killpg(self.pid, number)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait_for_all(self) -> None:
        """Wait until neither the process nor anything that it has started holds standard error."""
        self._reader.join(PATIENCE_S)
        assert not self._reader.is_alive(), "a process was left behind"

    def wait_for(self, pattern: str, timeout_s: float = PATIENCE_S) -> re.Match[str]:
        """Wait until standard error holds the regular expression; AssertionError if it ends without."""
        found: re.Match[str] | None = None

        def settled() -> bool:
            nonlocal found
            found = re.search(pattern, "".join(self._lines))
            return found is not None or self._ended

        with self._changed:
            self._changed.wait_for(settled, timeout_s)
            if found is None:
                raise AssertionError(f"no {pattern!r} in the server's output:\n{''.join(self._lines)}")
            return found

    def connect(self, timeout_s: float = PATIENCE_S) -> socket.socket:
        """A connected stream socket whose calls give up after timeout_s."""
        return socket.create_connection((self.host.strip("[]"), self.port), timeout_s)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


@contextmanager
def running(
    *arguments: str,
    program: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    port: int | None = 0,
    fds: Sequence[int] = (),
    directory: Path | None = None,
    until: str = RUNNING.pattern,
) -> Iterator[Server]:
    """Start `python -m highperf ARGUMENTS --port PORT`, with the given files (name -> text) beside it, and
    yield it once it says that it runs, or whatever else to wait for. In `directory` if given, else in a new
    one that is removed at the end. With `program`, that Python program is started instead, which looks after
    its port itself; so do arguments where the port is None. It inherits `fds`."""
    with _directory(directory, files) as place:
        address = [] if port is None else ["--port", str(port)]
        command = [sys.executable, *(program or ["-m", "highperf", *arguments, *address])]
        process = subprocess.Popen(
            command,
            cwd=place,
            env=_environment(env),
            pass_fds=fds,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        server = Server(process, place)
        try:
            server.wait_for(until)
            if found := RUNNING.search(server.stderr):
                server.host, server.port = found[1], int(found[2])
            yield server
        finally:
            with contextlib.suppress(ProcessLookupError):
                server.signal_all(signal.SIGKILL)
            server.wait()
            server.wait_for_all()
            assert process.stderr is not None
            process.stderr.close()


@dataclass(frozen=True)
class Finished:
    code: int
    stdout: str
    stderr: str


def run(
    *arguments: str,
    program: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    fds: Sequence[int] = (),
    directory: Path | None = None,
) -> Finished:
    """Run `python -m highperf ARGUMENTS`, or another Python program, to its end."""
    with _directory(directory, files) as place:
        command = [sys.executable, *(program or ["-m", "highperf", *arguments])]
        done = subprocess.run(
            command,
            check=False,
            cwd=place,
            env=_environment(env),
            pass_fds=fds,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        return Finished(done.returncode, done.stdout, done.stderr)


@contextmanager
def _directory(given: Path | None, files: Mapping[str, str] | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="highperf-") as temporary:
        place = given or Path(temporary)
        for name, text in (files or {}).items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        yield place


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name.startswith(INHERITED)}
    # the package that the test itself imported, wherever the child starts
    return {**inherited, "PYTHONPATH": str(Path(_version.__file__).parents[1]), **(extra or {})}
