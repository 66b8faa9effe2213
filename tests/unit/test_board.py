"""The board in the segment: each worker has a line of its own, which outlives it until it is read."""

import pytest

from highperf.segment import Segment
from highperf.server.board import OWN_LINE, Board, Line, Tally, beat_period_s

SECOND = 1_000_000_000


def test_what_a_worker_writes_the_supervisor_reads() -> None:
    segment = Segment.create(1024 * 1024)
    line = Board(segment).take()
    assert (line.beat_ns, line.tally) == (0, Tally())
    Line(Segment.attach(segment.fd), line.number).write(7 * SECOND, Tally(5, 4, 3, 2))
    assert (line.beat_ns, line.tally) == (7 * SECOND, Tally(5, 4, 3, 2))


def test_lines_are_apart_and_blank_when_they_are_taken_again() -> None:
    board = Board(Segment.create(1024 * 1024))
    first, second = board.take(), board.take()
    first.write(1, Tally(served=1))
    assert second.tally == Tally()
    board.give_back(first)
    assert board.take().number == first.number
    assert first.tally == Tally()


def test_the_first_line_is_that_of_a_process_that_serves_itself() -> None:
    board = Board(Segment.create(1024 * 1024), own=True)
    assert board.take().number == 1
    board.free(OWN_LINE)
    assert board.take().number == 0


@pytest.mark.parametrize(
    ("tally", "words"),
    [
        (Tally(1, 0, 0, 0), "1 request served, 0 cancelled, 0 dropped"),
        (Tally(2, 1, 3, 0) + Tally(1, 1, 1, 4), "3 requests served, 2 cancelled, 4 dropped, 4 left running"),
    ],
)
def test_a_tally_in_words(tally: Tally, words: str) -> None:
    assert str(tally) == words


@pytest.mark.parametrize(("timeout_ns", "period_s"), [(30 * SECOND, 1.0), (SECOND, 0.25), (0, 1.0)])
def test_a_worker_beats_several_times_within_the_timeout_and_once_a_second_at_most(
    timeout_ns: int, period_s: float
) -> None:
    assert beat_period_s(timeout_ns) == period_s
