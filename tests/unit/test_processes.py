"""How a process is started like this one, and how its end is told."""

import asyncio
import os
import signal
import sys
import time

import pytest

from highperf.errors import StartupError
from highperf.segment import Segment
from highperf.server.board import Board
from highperf.server.processes import (
    CHANNEL_VARIABLE,
    BootFailure,
    Command,
    WorkerProcess,
    exit_reason,
    inherited_channel,
)


@pytest.mark.parametrize(
    ("code", "asked", "words"),
    [
        (0, False, "ended with exit code 0"),
        (7, False, "ended with exit code 7"),
        (-signal.SIGSEGV, False, "was killed by SIGSEGV"),
        (-signal.SIGKILL, False, "was killed by SIGKILL. Perhaps out of memory?"),
        (-signal.SIGKILL, True, "was killed by SIGKILL"),
        (-(signal.SIGRTMIN + 5), False, f"was killed by signal {signal.SIGRTMIN + 5}"),
    ],
)
def test_the_end_of_a_process_in_words(code: int, asked: bool, words: str) -> None:
    assert exit_reason(code, asked=asked) == words


def test_a_command_is_this_one_again_without_what_is_meant_for_this_process_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    monkeypatch.setenv("SHOP", "open")
    command = Command.of_this_process()
    assert command.arguments == (sys.executable, *sys.orig_argv[1:])
    assert command.directory == os.getcwd()
    assert command.environ["SHOP"] == "open"
    assert not {"LISTEN_FDS", "NOTIFY_SOCKET"} & command.environ.keys()


def test_a_process_that_no_supervisor_started_has_no_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CHANNEL_VARIABLE, raising=False)
    assert inherited_channel() is None


@pytest.mark.parametrize("number", ["99999", "-1", "three"])
def test_a_wrong_channel_is_one_line(number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHANNEL_VARIABLE, number)
    handlers = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGHUP)}
    try:
        with pytest.raises(StartupError, match="HIGHPERF_CONTROL_FD is for workers alone: leave it unset"):
            inherited_channel()
        assert CHANNEL_VARIABLE not in os.environ
    finally:
        for name, handler in handlers.items():
            signal.signal(name, handler)


def started(code: str) -> tuple[WorkerProcess, list[str]]:
    """A process that runs this code as a worker, and what its supervisor is told of it."""
    told: list[str] = []
    command = Command((sys.executable, "-c", code), os.getcwd(), dict(os.environ))
    board = Board(Segment.create(1024 * 1024))
    return WorkerProcess(command, board, lambda _, why: told.append(why), lambda _: told.append("exited")), told


SPEAK = """
import json, os, socket, sys
channel = socket.socket(fileno=int(os.environ["HIGHPERF_CONTROL_FD"]))
def say(word, **values):
    channel.sendall(json.dumps({"word": word, "fds": 0, **values}).encode() + b"\\n")
"""


def test_a_process_is_followed_from_its_settings_to_its_end() -> None:
    async def follow() -> None:
        code = (
            SPEAK + "say('settings', settings={'workers': '3'}); say('ready'); say('leaving', why='old'); sys.exit(5)"
        )
        process, told = started(code)
        assert (await process.reach(process.settings)).workers == 3
        await process.reach(process.ready)
        assert process.lived_s >= 0
        await asyncio.wait((process.exited,))
        assert process.end_reason == "ended with exit code 5"
        assert told == ["old", "exited"]
        process.kill()  # nobody any more

    asyncio.run(follow())


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"),
    [
        ("import sys; sys.exit(4)", r"Worker process \[\d+\] ended with exit code 4 before it was ready", 3),
        (SPEAK + "say('failed', line='no database', details='', code=2)", "no database", 2),
    ],
    ids=["silent", "told"],
)
def test_a_process_that_ends_before_it_is_ready_says_why_or_how(code: str, reason: str, exit_code: int) -> None:
    async def follow() -> None:
        process, told = started(code)
        with pytest.raises(BootFailure, match=reason) as caught:
            await process.reach(process.ready)
        assert caught.value.code == exit_code
        assert told == ["exited"]

    asyncio.run(follow())


def test_a_process_that_is_not_ready_is_neither_silent_nor_sent_signals_but_stops() -> None:
    async def follow() -> None:
        process, _ = started("import time; time.sleep(60)")
        assert not process.is_silent(2**62, 1)
        process.send_signal(signal.SIGUSR1)
        process.stop()
        await asyncio.wait((process.exited,))
        assert process.exited.result() == -signal.SIGTERM

    asyncio.run(follow())


def test_a_process_that_was_ready_and_does_not_beat_is_silent_once() -> None:
    async def follow() -> None:
        process, _ = started(SPEAK + "say('ready'); channel.recv(1)")
        await process.reach(process.ready)
        now_ns = time.monotonic_ns()
        assert not process.is_silent(now_ns, 10**9)
        assert process.is_silent(now_ns + 2 * 10**9, 10**9)
        assert not process.is_silent(now_ns + 9 * 10**9, 10**9)
        process.kill()
        await asyncio.wait((process.exited,))
        assert process.end_reason == "was killed by SIGKILL"

    asyncio.run(follow())


def test_a_command_that_cannot_be_started_is_a_failure_to_boot() -> None:
    async def start() -> None:
        command = Command(("/nowhere/python",), os.getcwd(), {})
        with pytest.raises(BootFailure, match="No worker process can be started: No such file or directory"):
            WorkerProcess(command, Board(Segment.create(1024 * 1024)), lambda _, why: None, lambda _: None)

    asyncio.run(start())


def test_a_failure_is_told_whole_to_the_log_and_keeps_its_exit_code_as_an_error() -> None:
    failure = BootFailure("no database", "Traceback ...\n", 2)
    assert failure.whole == "no database\nTraceback ..."
    error = failure.as_error()
    assert (str(error), error.details, error.exit_code) == ("no database", "Traceback ...\n", 2)
