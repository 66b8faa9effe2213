"""What GroupWriter promises, with a sink that the test opens and shuts like a gate."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from highperf.service.group_writer import GroupWriter, QueueFull, WriterStopped


class GatedSink:
    """Keeps what is written; while the gate is shut, a write (or the opening) waits at it."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.at_gate = threading.Event()
        self.groups: list[list[int]] = []
        self.closed = threading.Event()
        self.open_error: Exception | None = None
        self.write_error: Exception | None = None

    def open(self) -> None:
        self.pass_gate()
        if self.open_error:
            raise self.open_error

    def write(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.pass_gate()
        if self.write_error:
            raise self.write_error
        self.groups.append(list(items))
        return [item * 10 if item >= 0 else ValueError(item) for item in items]

    def close(self) -> None:
        self.closed.set()

    def pass_gate(self) -> None:
        self.at_gate.set()
        assert self.gate.wait(10)

    def shut(self) -> None:
        self.at_gate.clear()
        self.gate.clear()


async def started_with_one_at_the_gate(
    sink: GatedSink, **limits: int
) -> tuple[GroupWriter[int, int], asyncio.Future[int]]:
    """The writer stands before the gate with item 0; whatever is submitted now must queue."""
    writer: GroupWriter[int, int] = GroupWriter(sink, **limits)
    await writer.start()
    sink.shut()
    first = writer.submit(0)
    assert sink.at_gate.wait(10)
    return writer, first


def test_items_that_wait_are_written_as_one_group_in_order() -> None:
    async def scenario() -> None:
        sink = GatedSink()
        writer, first = await started_with_one_at_the_gate(sink)
        rest = [writer.submit(n) for n in range(1, 50)]
        sink.gate.set()
        assert await asyncio.gather(first, *rest) == [n * 10 for n in range(50)]
        assert sink.groups == [[0], list(range(1, 50))]
        await writer.stop()

    asyncio.run(scenario())


def test_group_is_no_larger_than_its_limit() -> None:
    async def scenario() -> None:
        sink = GatedSink()
        writer, first = await started_with_one_at_the_gate(sink, group_limit=4)
        rest = [writer.submit(n) for n in range(1, 10)]
        sink.gate.set()
        await asyncio.gather(first, *rest)
        assert sink.groups == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9]]
        await writer.stop()

    asyncio.run(scenario())


def test_item_that_fails_fails_alone() -> None:
    async def scenario() -> None:
        sink = GatedSink()
        writer, first = await started_with_one_at_the_gate(sink)
        good, bad, other = writer.submit(1), writer.submit(-1), writer.submit(2)
        sink.gate.set()
        results = await asyncio.gather(first, good, bad, other, return_exceptions=True)
        assert results[0] == 0
        assert results[1] == 10
        assert isinstance(results[2], ValueError)
        assert results[3] == 20
        await writer.stop()

    asyncio.run(scenario())


def test_sink_that_raises_fails_its_group_and_the_next_group_is_written() -> None:
    async def scenario() -> None:
        sink = GatedSink()
        writer: GroupWriter[int, int] = GroupWriter(sink)
        await writer.start()
        sink.write_error = OSError("full")
        doomed = [writer.submit(1), writer.submit(2)]
        results = await asyncio.gather(*doomed, return_exceptions=True)
        assert [type(result) for result in results] == [OSError, OSError]
        sink.write_error = None
        assert await writer.submit(3) == 30
        assert writer.waiting == 0
        await writer.stop()

    asyncio.run(scenario())


def test_item_cancelled_before_its_group_is_taken_is_not_written() -> None:
    async def scenario() -> None:
        sink = GatedSink()
        writer, first = await started_with_one_at_the_gate(sink)
        cancelled, kept = writer.submit(1), writer.submit(2)
        cancelled.cancel()
        sink.gate.set()
        assert await asyncio.gather(*[first, kept]) == [0, 20]
        assert sink.groups == [[0], [2]]
        assert writer.waiting == 0
        await writer.stop()

    asyncio.run(scenario())


def test_group_whose_items_were_all_cancelled_is_not_written() -> None:
    async def scenario() -> None:
        sink = GatedSink()
        writer, first = await started_with_one_at_the_gate(sink)
        for future in [writer.submit(1), writer.submit(2)]:
            future.cancel()
        sink.gate.set()
        await first
        await writer.stop()
        assert sink.groups == [[0]]
        assert writer.waiting == 0

    asyncio.run(scenario())


def test_item_cancelled_while_it_is_written_disturbs_no_other() -> None:
    async def scenario() -> None:
        sink = GatedSink()
        writer, first = await started_with_one_at_the_gate(sink)
        second = writer.submit(1)
        first.cancel()
        sink.gate.set()
        assert await second == 10
        assert sink.groups == [[0], [1]]
        await writer.stop()

    asyncio.run(scenario())


def test_queue_is_bounded_and_counts_what_is_being_written() -> None:
    async def scenario() -> None:
        sink = GatedSink()
        writer, first = await started_with_one_at_the_gate(sink, waiting_limit=3)
        rest = [writer.submit(1), writer.submit(2)]
        assert writer.waiting == 3
        with pytest.raises(QueueFull):
            writer.submit(3)
        sink.gate.set()
        await asyncio.gather(first, *rest)
        assert writer.waiting == 0
        assert await writer.submit(3) == 30
        await writer.stop()

    asyncio.run(scenario())


def test_stop_writes_what_is_waiting_and_closes_the_sink() -> None:
    async def scenario() -> None:
        sink = GatedSink()
        writer, first = await started_with_one_at_the_gate(sink)
        rest = [writer.submit(1), writer.submit(2)]
        stopping = asyncio.ensure_future(writer.stop())
        await asyncio.sleep(0)
        with pytest.raises(WriterStopped):
            writer.submit(3)
        sink.gate.set()
        await stopping
        assert [future.result() for future in (first, *rest)] == [0, 10, 20]
        assert sink.closed.is_set()
        await writer.stop()

    asyncio.run(scenario())


def test_stop_that_is_cancelled_still_ends_the_writer() -> None:
    async def scenario() -> None:
        sink = GatedSink()
        writer, first = await started_with_one_at_the_gate(sink)
        stopping = asyncio.ensure_future(writer.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        sink.gate.set()
        assert await first == 0
        await writer.stop()
        assert sink.closed.is_set()

    asyncio.run(scenario())


def test_writer_that_was_not_started_refuses_and_stops_at_once() -> None:
    async def scenario() -> None:
        writer: GroupWriter[int, int] = GroupWriter(GatedSink())
        with pytest.raises(WriterStopped):
            writer.submit(1)
        await writer.stop()

    asyncio.run(scenario())


def test_start_raises_what_the_sink_raises_on_opening() -> None:
    async def scenario() -> None:
        sink = GatedSink()
        sink.open_error = OSError("no such directory")
        writer: GroupWriter[int, int] = GroupWriter(sink)
        with pytest.raises(OSError, match="no such directory"):
            await writer.start()
        await writer.stop()

    asyncio.run(scenario())


def test_start_that_is_cancelled_closes_the_sink_again() -> None:
    async def scenario() -> None:
        sink = GatedSink()
        sink.shut()
        writer: GroupWriter[int, int] = GroupWriter(sink)
        starting = asyncio.ensure_future(writer.start())
        await asyncio.sleep(0)
        assert sink.at_gate.wait(10)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        sink.gate.set()
        assert sink.closed.wait(10)

    asyncio.run(scenario())


def test_loop_that_is_gone_ends_the_writer() -> None:
    sink = GatedSink()

    async def scenario() -> None:
        await started_with_one_at_the_gate(sink)

    asyncio.run(scenario())
    sink.gate.set()
    assert sink.closed.wait(10)
    assert sink.groups == [[0]]
