"""The segment that all workers map: found by name, checked before it is believed, never resized."""

import os
import subprocess
import sys

import pytest

from highperf.errors import StartupError
from highperf.segment import Segment, memory_file

MIB = 1024 * 1024


@pytest.fixture
def segment() -> Segment:
    return Segment.create(MIB)


def test_an_area_is_zero_at_first_and_begins_on_a_cache_line(segment: Segment) -> None:
    offsets = [segment.area(f"bucket {number}", 8) for number in range(50)]
    assert len(set(offsets)) == 50
    assert all(offset % 64 == 0 and segment.read_word(offset) == 0 for offset in offsets)


def test_the_same_name_is_the_same_memory_for_whoever_attaches(segment: Segment) -> None:
    segment.write_word(segment.area("breaker db", 128), 42)
    other = Segment.attach(segment.fd)
    assert other.epoch_ns == segment.epoch_ns
    assert other.read_word(other.area("breaker db", 128)) == 42


def test_the_same_name_with_another_size_is_another_area(segment: Segment) -> None:
    assert segment.area("table", 64) != segment.area("table", 128)


def test_a_forked_process_sees_what_the_other_writes(segment: Segment) -> None:
    offset = segment.area("bucket", 8)
    child = os.fork()
    if child == 0:
        segment.write_word(segment.area("bucket", 8), 7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert segment.read_word(offset) == 7


def test_processes_that_ask_at_once_agree_on_every_area() -> None:
    program = """if True:
        import os
        from highperf.segment import Segment
        segment = Segment.create(1 << 20)
        children = []
        for _ in range(4):
            out, into = os.pipe()
            if os.fork() == 0:
                names = range(500)
                os.write(into, repr([segment.area(str(name), 64) for name in names]).encode())
                os._exit(0)
            os.close(into)
            children.append(out)
        seen = {b"".join(iter(lambda: os.read(child, 65536), b"")) for child in children}
        assert len(seen) == 1
        assert len(set(eval(seen.pop()))) == 500
    """
    subprocess.run([sys.executable, "-c", program], check=True)


def test_another_layout_version_is_refused_with_a_way_out(segment: Segment) -> None:
    segment.write_word(8, 2)
    with pytest.raises(StartupError, match="layout version 2, this highperf knows 1: restart the whole server"):
        Segment.attach(segment.fd)


def test_another_size_than_the_header_says_is_refused(segment: Segment) -> None:
    segment.write_word(16, 2 * MIB)
    with pytest.raises(StartupError, match="1048576 bytes where its header says 2097152"):
        Segment.attach(segment.fd)


def test_a_file_that_is_no_segment_is_refused() -> None:
    fd = memory_file(MIB)
    try:
        with pytest.raises(StartupError, match="is not a highperf segment"):
            Segment.attach(fd)
    finally:
        os.close(fd)


def test_a_small_file_a_pipe_and_a_closed_descriptor_are_refused() -> None:
    out, into = os.pipe()
    small = memory_file(4096)
    for fd in (out, small):
        with pytest.raises(StartupError, match="is not a highperf segment"):
            Segment.attach(fd)
    for fd in (out, into, small):
        os.close(fd)
    with pytest.raises(StartupError, match="is not a highperf segment: Bad file descriptor"):
        Segment.attach(out)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has seals")
def test_nobody_can_cut_a_segment_short_under_the_others(segment: Segment) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(segment.fd, 4096)


@pytest.mark.parametrize("size", [0, -64, MIB - 64, MIB + 1, 2**31])
def test_a_size_out_of_bounds_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="size must be a multiple of 64"):
        Segment.create(size)


def test_a_full_segment_says_so_and_leaves_what_is_there(segment: Segment) -> None:
    offset = segment.area("first", 64)
    with pytest.raises(StartupError, match="no room for 1048576 more"):
        segment.area("large", MIB)
    assert segment.area("first", 64) == offset


@pytest.mark.parametrize("offset", [-8, 4, MIB, MIB - 4])
def test_words_out_of_bounds_cannot_be_touched(segment: Segment, offset: int) -> None:
    with pytest.raises(ValueError, match="offset must be"):
        segment.read_word(offset)


def test_descriptors_go_back_with_their_segments() -> None:
    before = os.listdir("/dev/fd")
    for _ in range(3):
        segment = Segment.create(MIB)
        Segment.attach(segment.fd)
        with pytest.raises(TypeError):
            Segment()
    del segment
    assert os.listdir("/dev/fd") == before
