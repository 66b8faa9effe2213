"""Lines on their way out: in whole lines, without waiting, and none lost in silence."""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from highperf.observe.line_sink import LineSink

SINK_SIZE = 128 * 1024
PIPE_BUF = 4096
LINE = b"x" * 1023 + b"\n"


class Changes(list[tuple[str | None, int]]):
    def __call__(self, reason: str | None, lost: int) -> None:
        self.append((reason, lost))


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    yield reader, writer
    os.close(reader)


def drained(reader: int) -> bytes:
    os.set_blocking(reader, False)
    read = b""
    try:
        while octets := os.read(reader, 1 << 16):
            read += octets
    except BlockingIOError:
        pass
    return read


def filled(writer: int) -> None:
    try:
        while True:
            os.write(writer, b"-" * PIPE_BUF)
    except BlockingIOError:
        pass


def test_lines_leave_when_they_are_flushed(tmp_path: Path, changes: Changes) -> None:
    path = tmp_path / "log"
    sink = LineSink(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "file", changes)
    assert sink.add(b"one\n")
    assert sink.add(b"two\n")
    assert path.read_bytes() == b""
    assert sink.waiting == 8
    assert sink.flush()
    assert path.read_bytes() == b"one\ntwo\n"
    assert sink.waiting == 0
    sink.close()


def test_a_file_gets_more_than_fits_without_being_asked(tmp_path: Path, changes: Changes) -> None:
    path = tmp_path / "log"
    sink = LineSink(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "file", changes)
    for _ in range(1000):
        assert sink.add(LINE)
    sink.close()
    assert path.read_bytes() == LINE * 1000
    assert changes == []


def test_a_full_pipe_makes_lines_wait_and_then_be_lost_and_counted(pipe: tuple[int, int], changes: Changes) -> None:
    reader, writer = pipe
    filled(writer)
    sink = LineSink(writer, "nonblocking", changes)
    added = [sink.add(LINE) for _ in range(200)]
    room = (SINK_SIZE - PIPE_BUF) // len(LINE) + 1
    assert added == [True] * room + [False] * (200 - room)
    assert sink.lost == 200 - room
    assert changes == [("whoever reads it is too slow", 0)]
    assert not sink.flush()
    drained(reader)
    read = b""
    while not sink.flush():
        read += drained(reader)
    read += drained(reader)
    assert read == LINE * room
    assert changes[1:] == [(None, 200 - room)]
    sink.close()


def test_a_second_time_is_told_anew_and_counted_from_there(pipe: tuple[int, int], changes: Changes) -> None:
    reader, writer = pipe
    sink = LineSink(writer, "nonblocking", changes)
    for _ in range(2):
        while sink.add(LINE):
            pass
        while not sink.flush():
            drained(reader)
    assert changes == [("whoever reads it is too slow", 0), (None, 1)] * 2
    assert sink.lost == 2
    sink.close()


def test_a_pipe_is_given_whole_lines_that_it_takes_at_once(pipe: tuple[int, int], changes: Changes) -> None:
    # else those of several processes would mix
    reader, writer = pipe
    sink = LineSink(writer, "nonblocking", changes)
    for _ in range(60):
        sink.add(b"y" * 1500 + b"\n")
    while not sink.flush():
        chunk = os.read(reader, 1 << 20)
        assert chunk.endswith(b"\n")
    assert drained(reader).endswith(b"\n")
    sink.close()


@pytest.mark.parametrize("kind", ["nonblocking", "polled"])
def test_a_pipe_that_nobody_reads_any_more_loses_lines(kind: str, changes: Changes) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    sink = LineSink(writer, kind, changes)
    for _ in range(3):
        sink.add(b"one\n")
        sink.add(b"two\n")
        assert sink.flush()
    assert changes == [("nobody reads it any more", 0)]
    assert sink.lost == 6
    sink.close()


def test_a_pipe_of_others_is_asked_before_it_is_given_anything(changes: Changes) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    filled(writer)
    os.set_blocking(writer, True)  # from here on, a write without asking would hang
    sink = LineSink(writer, "polled", changes)
    sink.add(LINE)
    assert not sink.flush()
    drained(reader)
    assert sink.flush()
    assert drained(reader) == LINE
    sink.close()
    os.close(reader)


def test_a_socket_is_never_waited_for(changes: Changes) -> None:
    ours, theirs = socket.socketpair()
    sink = LineSink(ours.detach(), "socket", changes)
    while sink.add(LINE):
        pass
    assert changes == [("whoever reads it is too slow", 0)]
    theirs.close()
    assert sink.flush()
    assert sink.waiting == 0
    assert sink.lost > 100
    sink.close()


def test_a_full_disk_costs_the_lines_and_is_told_once(changes: Changes) -> None:
    sink = LineSink(os.open("/dev/full", os.O_WRONLY), "file", changes)
    for _ in range(2):
        sink.add(LINE)
        assert sink.flush()
    assert changes == [(os.strerror(errno.ENOSPC), 0)]
    assert sink.lost == 2
    sink.close()


def test_another_file_takes_over(tmp_path: Path, changes: Changes) -> None:
    def opened(name: str) -> int:
        return os.open(tmp_path / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    sink = LineSink(opened("old"), "file", changes)
    sink.add(b"one\n")
    sink.replace(opened("new"), "file")
    sink.add(b"two\n")
    sink.close()
    assert (tmp_path / "old").read_bytes() == b"one\n"
    assert (tmp_path / "new").read_bytes() == b"two\n"


@pytest.mark.parametrize("line", [b"", b"no end", b"x" * PIPE_BUF + b"\n"])
def test_what_is_no_line_is_refused(tmp_path: Path, changes: Changes, line: bytes) -> None:
    sink = LineSink(os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT), "file", changes)
    with pytest.raises(ValueError, match="a line must end"):
        sink.add(line)
    sink.close()
