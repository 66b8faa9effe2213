"""Starts a server on one CPU, waits until it answers, and ends it: nothing stays behind."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.load import client, procfs
from bench.load.peers import Peer
from bench.load.places import APPS, HOST, LOG, ROOT, RUN, STATIC, WORK

START_S = 30.0
STOP_S = 3.0
END_S = 15.0
SETTLE_S = 0.3
POLL_S = 0.02


class NotMeasured(Exception):
    """This peer or workload has no figure; the message says why."""


class NotReady(NotMeasured):
    """The server cannot be started."""


def exit_on_sigterm() -> None:
    """Leaves by an exception, so that no server stays behind."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def start(command: list[str], cpu: int | str, **options: Any) -> "subprocess.Popen[Any]":
    """Starts a session on one CPU, or several (0-3), and, where that is allowed, ahead of the machine's other work."""
    process = subprocess.Popen(
        ["nice", "-n", "-15", "taskset", "-c", str(cpu), *command], start_new_session=True, **options
    )
    with contextlib.suppress(OSError):  # among sessions it is their autogroup's niceness that counts
        Path(f"/proc/{process.pid}/autogroup").write_text("-15")
    return process


def fill(peer: Peer, text: str, port: int = 0) -> str:
    return text.format(
        port=port,
        static=STATIC,
        apps=APPS,
        work=WORK,
        run=RUN,
        root=ROOT,
        python=sys.executable,
        venv=WORK / "venv" / peer.venv,
    )


def fill_all(peer: Peer, command: str, port: int = 0) -> list[str]:
    return [fill(peer, part, port) for part in command.split()]


def why_missing(peer: Peer) -> str:
    """'' when the peer can be started, else what is not there."""
    program = fill_all(peer, peer.command)[0]
    return "" if shutil.which(program) else f"{Path(program).name} is not installed (setup.sh)"


class Server:
    """One running peer."""

    def __init__(self, peer: Peer, cpu: int | str) -> None:
        if missing := why_missing(peer):
            raise NotReady(missing)
        self.peer = peer
        self.port = free_port()
        self.log = LOG / f"{peer.name}.log"
        self._log_begins = self.log.stat().st_size if self.log.exists() else 0
        self._write_config()
        self.process = self._start(cpu)
        self.pids = [self.process.pid]
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        time.sleep(SETTLE_S)
        self.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def refresh(self) -> None:
        """Looks again which processes belong to the server."""
        self.pids = procfs.tree(self.process.pid)

    def cpu(self) -> procfs.Cpu:
        return procfs.cpu_of(self.pids)

    def rss(self) -> int:
        return procfs.rss_of(self.pids)

    def peak_rss(self) -> int:
        return procfs.peak_rss_of(self.pids)

    def connections(self) -> int:
        return procfs.accepted(self.port)

    def ended(self) -> str:
        """How it ended, '' while it runs."""
        code = self.process.poll()
        return "" if code is None else f"exit code {code}: {self._last_words()}"

    def said(self) -> str:
        """What this process has written to its log."""
        return self.log.read_bytes()[self._log_begins :].decode(errors="replace")

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def end(self) -> str:
        """Asks it to end, as an operator would, and says how it did."""
        self.process.terminate()
        try:
            return f"exit code {self.process.wait(END_S)}"
        except subprocess.TimeoutExpired:
            return f"none within {END_S:g} s"

    def stop(self) -> None:
        self.process.terminate()
        self._wait()
        for pid in procfs.session(self.process.pid):  # what did not obey, and what outlived its parent
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self._wait()

    def _write_config(self) -> None:
        if self.peer.config:
            source, own = self.peer.config
            text = (APPS / source).read_text()
            for name, value in {"PORT": self.port, "STATIC": STATIC, "RUN": RUN, **own}.items():
                text = text.replace(f"@{name}@", str(value))
            (RUN / f"{self.peer.name}.conf").write_text(text)

    def _start(self, cpu: int | str) -> "subprocess.Popen[bytes]":
        command = fill_all(self.peer, self.peer.command, self.port)
        own = {name: fill(self.peer, value, self.port) for name, value in self.peer.env.items()}
        env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **own}
        with self.log.open("ab") as log:
            return start(command, cpu, env=env, cwd=RUN, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                if client.ask(self.port, "GET", "/healthz", timeout_s=2, scheme=self.peer.scheme).status == 200:
                    return
            time.sleep(POLL_S)
        raise NotReady(f"did not become ready: {self._last_words()}")

    def _last_words(self) -> str:
        last = self.said().strip().rpartition("\n")[2]
        return f"{last or 'it said nothing'} (see {self.log})"

    def _wait(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_S)
