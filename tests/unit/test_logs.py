"""The lines that an operator reads, and those that must not wait for a lock or a full pipe."""

import io
import logging
import os
import re
import select
from collections.abc import Iterator
from types import SimpleNamespace

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


def fill(file: int) -> None:
    while select.select([], [file], [], 0)[1]:
        os.write(file, b"x" * 4096)


@pytest.fixture
def stderr(pipe: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The reading end of a pipe that is standard error for everybody."""
    with open(logs.STDERR, "w", closefd=False) as file:
        monkeypatch.setattr(logs, "sys", SimpleNamespace(stderr=file))  # pytest sets sys.stderr before each test
        logs.configure("info")
        yield pipe


def test_long_lines_are_written_whole(stderr: int) -> None:
    logs.logger.info("x" * 20_000)
    assert os.read(stderr, 65536).endswith(b" INFO " + b"x" * 20_000 + b"\n")


def test_what_is_no_unicode_is_written_all_the_same(stderr: int) -> None:
    logs.logger.info("\udc80")
    assert os.read(stderr, 4096).endswith(b" INFO \\udc80\n")


def test_lines_that_nobody_reads_are_lost_and_counted(stderr: int) -> None:
    fill(logs.STDERR)
    for _ in range(3):
        logs.logger.info("unheard")
    while select.select([stderr], [], [], 0)[0]:
        assert b"unheard" not in os.read(stderr, 65536)
    logs.logger.info("heard")
    logs.logger.info("again")
    lines = os.read(stderr, 4096).decode()
    assert re.fullmatch(rf"{TIME} WARNING 3 lines were lost\n{TIME} INFO heard\n{TIME} INFO again\n", lines)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_lines_that_a_full_disk_does_not_take_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as file:
        monkeypatch.setattr("sys.stderr", file)
        monkeypatch.setattr(logs, "STDERR", file.fileno())
        logs.configure("info")
        logs.logger.info("unheard")
        logs.write_unlocked("unheard")
        assert not logs.put("unheard")


@pytest.mark.parametrize("stderr", [None, "closed"])
def test_nothing_fails_where_there_is_no_standard_error(stderr: object, monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    file.close()
    monkeypatch.setattr("sys.stderr", stderr and file)
    monkeypatch.setattr(logs, "STDERR", 1_000_000)
    if stderr is None:
        logs.configure("info")
        logs.logger.info("unheard")
        logs.write_unlocked("unheard")
    logs.dump_stacks()
    assert not logs.put("unheard")


def test_nothing_is_written_where_it_would_block(pipe: int) -> None:
    fill(logs.STDERR)
    logs.write_unlocked("unheard")
    logs.dump_stacks()
    assert b"unheard" not in os.read(pipe, 1 << 20)
