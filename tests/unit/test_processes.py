"""How a process is started like this one, and how its end is told."""

import os
import signal
import sys

import pytest

from highperf.errors import StartupError
from highperf.server.processes import CHANNEL_VARIABLE, BootFailure, Command, exit_reason, inherited_channel


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


def test_a_failure_is_told_whole_to_the_log_and_keeps_its_exit_code_as_an_error() -> None:
    failure = BootFailure("no database", "Traceback ...\n", 2)
    assert failure.whole == "no database\nTraceback ..."
    error = failure.as_error()
    assert (str(error), error.details, error.exit_code) == ("no database", "Traceback ...\n", 2)
