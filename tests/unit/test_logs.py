"""The lines that an operator reads, and those that must not wait for a lock or a full pipe."""

import io
import logging
import os
import re
import select
from collections.abc import Iterator

import pytest

from highperf.server import logs

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def fresh_logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logs.logger, "handlers", [])
    monkeypatch.setattr(logs.logger, "propagate", True)
    yield
    logs.logger.setLevel(logging.NOTSET)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The reading end of a pipe that stands for standard error."""
    reader, writer = os.pipe()
    monkeypatch.setattr(logs, "STDERR", writer)
    yield reader
    os.close(reader)
    os.close(writer)


def test_a_terminal_gets_the_level_and_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    logs.configure("info")
    logs.logger.info("up on %d", 8080)
    logs.logger.warning("slow")
    logs.logger.debug("unseen")
    assert terminal.getvalue() == "INFO:     up on 8080\nWARNING:  slow\n"


def test_a_file_gets_the_time_in_utc_too(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)
    logs.configure("debug")
    logging.getLogger("highperf.error").debug("seen")
    assert re.fullmatch(rf"{TIME} DEBUG seen\n", file.getvalue())


def test_an_application_keeps_the_handlers_that_it_set() -> None:
    handler = logging.NullHandler()
    logs.logger.addHandler(handler)
    logs.configure("error")
    assert logs.logger.handlers == [handler]
    assert logs.logger.propagate
    assert logs.logger.level == logging.ERROR


def test_a_line_without_locks_reads_like_the_others(pipe: int) -> None:
    logs.write_unlocked("the loop is blocked")
    assert re.fullmatch(rf"{TIME} WARNING the loop is blocked\n", os.read(pipe, 4096).decode())


def test_stacks_are_written_without_locks(pipe: int) -> None:
    logs.dump_stacks()
    assert b"most recent call first" in os.read(pipe, 65536)


def test_nothing_is_written_where_it_would_block(pipe: int) -> None:
    while select.select([], [logs.STDERR], [], 0)[1]:
        os.write(logs.STDERR, b"x" * 4096)
    logs.write_unlocked("unheard")
    logs.dump_stacks()
    assert b"unheard" not in os.read(pipe, 1 << 20)
