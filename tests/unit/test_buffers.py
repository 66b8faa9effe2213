"""Buffer and BufferPool: what is kept, what goes back, and who may touch what."""

import array
import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from highperf.wire.buffers import Buffer, BufferPool
from tests import compiled

KIB = 1024
MIB = 1024 * KIB


# --- Buffer ---------------------------------------------------------------------------------


def test_new_buffer_is_empty() -> None:
    buffer = Buffer(100)
    assert len(buffer) == 0
    assert bytes(buffer) == b""
    assert buffer.capacity_bytes == 100


@pytest.mark.parametrize("capacity", [0, -1, -(2**63)])
def test_buffer_needs_room_for_an_octet(capacity: int) -> None:
    with pytest.raises(ValueError, match=f"capacity must be positive, not {capacity}"):
        Buffer(capacity)


def test_buffer_that_no_memory_can_hold_is_refused() -> None:
    with pytest.raises(MemoryError):
        Buffer(2**62)


def test_writes_are_appended_and_counted() -> None:
    buffer = Buffer(100)
    assert buffer.write(b"HTTP/1.1 ") == 9
    assert buffer.write(b"") == 0
    assert buffer.write(b"200 OK\r\n") == 8
    assert len(buffer) == 17
    assert bytes(buffer) == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"abc\0",
        bytearray(b"abc\0"),
        memoryview(b"abc\0"),
        memoryview(b"-abc\0-")[1:5],
        memoryview(array.array("H", [0x6261, 0x0063])),
    ],
    ids=["bytes", "bytearray", "memoryview", "slice", "two-octet items"],
)
@pytest.mark.skipif(sys.byteorder != "little", reason="the array is written for little-endian machines")
def test_anything_contiguous_can_be_written(data: bytes) -> None:
    buffer = Buffer(100)
    assert buffer.write(data) == 4
    assert bytes(buffer) == b"abc\0"


@pytest.mark.parametrize("data", ["text", 7, None, memoryview(b"abcdef")[::2]], ids=["str", "int", "None", "strided"])
def test_anything_else_is_refused_and_appends_nothing(data: object) -> None:
    buffer = Buffer(100)
    with pytest.raises((TypeError, BufferError)):
        buffer.write(data)
    assert len(buffer) == 0


@pytest.mark.parametrize(
    ("written", "capacity"),
    [(8, 8), (9, 16), (16, 16), (17, 32), (100, 128), (4096, 4096)],
)
def test_capacity_doubles_until_the_data_fits(written: int, capacity: int) -> None:
    buffer = Buffer(8)
    buffer.write(b"x" * written)
    assert buffer.capacity_bytes == capacity
    assert bytes(buffer) == b"x" * written


def test_growing_keeps_what_was_written() -> None:
    buffer = Buffer(1)
    for octet in range(256):
        buffer.write(bytes([octet]))
    assert bytes(buffer) == bytes(range(256))
    assert buffer.capacity_bytes == 256


def test_clear_forgets_the_octets_and_keeps_the_capacity() -> None:
    buffer = Buffer(4)
    buffer.write(b"twelve octet")
    buffer.clear()
    assert len(buffer) == 0
    assert buffer.capacity_bytes == 16
    buffer.write(b"x")
    assert bytes(buffer) == b"x"


def test_memoryview_shows_the_octets_written_without_a_copy() -> None:
    buffer = Buffer(16)
    buffer.write(b"body")
    with memoryview(buffer) as view:
        assert (view.nbytes, view.format, view.readonly, view.c_contiguous) == (4, "B", False, True)
        view[0] = ord("B")
    assert bytes(buffer) == b"Body"


def test_memoryview_does_not_see_later_writes() -> None:
    buffer = Buffer(16)
    buffer.write(b"one")
    with memoryview(buffer) as view:
        buffer.write(b"two")
        assert view == b"one"
    assert bytes(buffer) == b"onetwo"


def test_buffer_cannot_grow_while_a_memoryview_exists() -> None:
    buffer = Buffer(4)
    buffer.write(b"abc")
    with memoryview(buffer):
        with pytest.raises(BufferError, match="cannot grow while a memoryview"):
            buffer.write(b"de")
        assert bytes(buffer) == b"abc"
    buffer.write(b"de")
    assert bytes(buffer) == b"abcde"


def test_buffer_cannot_be_cleared_until_its_last_memoryview_is_gone() -> None:
    buffer = Buffer(4)
    first, second = memoryview(buffer), memoryview(buffer)
    for view in (first, second):
        with pytest.raises(BufferError, match="cannot be cleared while a memoryview"):
            buffer.clear()
        view.release()
    buffer.clear()


def test_buffer_can_be_appended_to_itself_while_it_need_not_grow() -> None:
    buffer = Buffer(8)
    buffer.write(b"abcd")
    buffer.write(buffer)
    assert bytes(buffer) == b"abcdabcd"
    with pytest.raises(BufferError):
        buffer.write(buffer)


def test_memoryview_keeps_the_memory_of_a_buffer_that_is_gone() -> None:
    buffer = Buffer(16)
    buffer.write(b"still here")
    view = memoryview(buffer)
    del buffer
    gc.collect()
    assert view == b"still here"


def test_buffer_without_a_pool_can_be_used_in_a_with_statement() -> None:
    with Buffer(16) as buffer:
        buffer.write(b"x")
    assert bytes(buffer) == b"x"


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/buffers_probe.pyx")


def test_reserved_room_is_neither_written_nor_counted(probe: Any) -> None:
    buffer = Buffer(8)
    buffer.write(b"abc")
    probe.reserve(buffer, 5)
    assert buffer.capacity_bytes == 8
    probe.reserve(buffer, 6)
    assert buffer.capacity_bytes == 16
    assert bytes(buffer) == b"abc"


def test_append_takes_as_many_octets_as_it_is_told(probe: Any) -> None:
    buffer = Buffer(2)
    probe.append(buffer, b"abcdef", 3)
    probe.append(buffer, b"abcdef", 0)
    assert bytes(buffer) == b"abc"


@pytest.mark.parametrize("extra", [2**62, 2**63 - 1])
def test_room_that_no_memory_can_hold_is_refused_and_changes_nothing(probe: Any, extra: int) -> None:
    buffer = Buffer(8)
    buffer.write(b"abc")
    with pytest.raises(MemoryError):
        probe.reserve(buffer, extra)
    assert bytes(buffer) == b"abc"
    assert buffer.capacity_bytes == 8


# --- BufferPool: what acquire gives ----------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "capacity"),
    [
        (1, 128),
        (128, 128),
        (129, 256),
        (1 * KIB, 1 * KIB),
        (1 * KIB + 1, 2 * KIB),
        (3 * KIB, 4 * KIB),
        (512 * KIB + 1, MIB),
        (MIB, MIB),
        (MIB + 1, MIB + 1),
        (3 * MIB, 3 * MIB),
    ],
)
def test_capacity_is_rounded_up_to_a_power_of_two_as_far_as_buffers_are_kept(asked: int, capacity: int) -> None:
    assert BufferPool().acquire(asked).capacity_bytes == capacity


def test_capacity_is_one_kib_where_none_is_asked_for() -> None:
    assert BufferPool().acquire().capacity_bytes == KIB


@pytest.mark.parametrize("capacity", [0, -1])
def test_acquire_refuses_a_capacity_that_is_not_positive(capacity: int) -> None:
    pool = BufferPool()
    with pytest.raises(ValueError, match=f"capacity must be positive, not {capacity}"):
        pool.acquire(capacity)
    assert counters(pool) == (0, 0, 0, 0)


def test_counters_stay_true_when_there_is_no_memory() -> None:
    pool = BufferPool()
    with pytest.raises(MemoryError):
        pool.acquire(2**62)
    assert counters(pool) == (0, 0, 0, 0)


def test_released_buffer_is_acquired_again_empty() -> None:
    pool = BufferPool()
    buffer = pool.acquire()
    buffer.write(b"secret of the request before")
    pool.release(buffer)
    again = pool.acquire()
    assert again is buffer
    assert len(again) == 0


def test_last_released_buffer_is_acquired_first() -> None:
    pool = BufferPool()
    first, second = pool.acquire(), pool.acquire()
    pool.release(first)
    pool.release(second)
    assert pool.acquire() is second
    assert pool.acquire() is first


def test_buffer_of_another_capacity_is_not_handed_out() -> None:
    pool = BufferPool()
    pool.release(pool.acquire(8 * KIB))
    assert pool.acquire(4 * KIB).capacity_bytes == 4 * KIB
    assert pool.acquire(16 * KIB).capacity_bytes == 16 * KIB
    assert pool.acquire(8 * KIB).capacity_bytes == 8 * KIB
    assert (pool.hits, pool.misses) == (1, 3)


def test_buffer_that_grew_serves_its_new_capacity() -> None:
    pool = BufferPool()
    buffer = pool.acquire(KIB)
    buffer.write(bytes(3 * KIB))
    pool.release(buffer)
    assert pool.held_bytes == 4 * KIB
    assert pool.acquire(KIB) is not buffer
    assert pool.acquire(4 * KIB) is buffer


# --- BufferPool: counters --------------------------------------------------------------------


def counters(pool: BufferPool) -> tuple[int, int, int, int]:
    return pool.hits, pool.misses, pool.in_use, pool.held_bytes


def test_counters_tell_hits_misses_use_and_bytes_held() -> None:
    pool = BufferPool()
    assert counters(pool) == (0, 0, 0, 0)
    first = pool.acquire()
    second = pool.acquire(2 * KIB)
    assert counters(pool) == (0, 2, 2, 0)
    pool.release(first)
    assert counters(pool) == (0, 2, 1, KIB)
    pool.release(second)
    assert counters(pool) == (0, 2, 0, 3 * KIB)
    assert pool.acquire() is first
    assert counters(pool) == (1, 2, 1, 2 * KIB)


def test_counters_cannot_be_written() -> None:
    pool = BufferPool()
    for name in ("hits", "misses", "in_use", "held_bytes", "limit_bytes"):
        with pytest.raises(AttributeError):
            setattr(pool, name, 1)


# --- BufferPool: what release keeps ----------------------------------------------------------


@pytest.mark.parametrize(("capacity", "held"), [(MIB, MIB), (MIB + 1, 0), (4 * MIB, 0)])
def test_nothing_above_one_mib_is_kept(capacity: int, held: int) -> None:
    pool = BufferPool()
    pool.release(pool.acquire(capacity))
    assert counters(pool) == (0, 1, 0, held)


def test_buffer_that_grew_above_one_mib_is_not_kept() -> None:
    pool = BufferPool()
    buffer = pool.acquire()
    buffer.write(bytes(MIB + 1))
    pool.release(buffer)
    assert pool.held_bytes == 0


def test_pool_keeps_sixteen_mib_in_all_by_default() -> None:
    pool = BufferPool()
    assert pool.limit_bytes == 16 * MIB
    for buffer in [pool.acquire(MIB) for _ in range(20)]:
        pool.release(buffer)
    assert pool.held_bytes == 16 * MIB


def test_limit_counts_all_capacities_together() -> None:
    pool = BufferPool(limit_bytes=7 * KIB)
    one, two, four, other = pool.acquire(KIB), pool.acquire(2 * KIB), pool.acquire(4 * KIB), pool.acquire(KIB)
    for buffer in (four, two, one):
        pool.release(buffer)
    assert pool.held_bytes == 7 * KIB
    pool.release(other)
    assert pool.held_bytes == 7 * KIB
    assert pool.in_use == 0


def test_pool_with_limit_zero_keeps_nothing() -> None:
    pool = BufferPool(limit_bytes=0)
    pool.release(pool.acquire())
    pool.release(pool.acquire())
    assert counters(pool) == (0, 2, 0, 0)


def test_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="limit_bytes must be 0 or more, not -1"):
        BufferPool(-1)


def test_buffer_that_a_memoryview_looks_at_is_not_reused() -> None:
    pool = BufferPool()
    buffer = pool.acquire()
    buffer.write(b"being sent")
    view = memoryview(buffer)
    pool.release(buffer)
    assert counters(pool) == (0, 1, 0, 0)
    pool.acquire().write(b"of another request")
    assert view == b"being sent"


# --- BufferPool: whose buffer it is ----------------------------------------------------------


def test_second_release_is_refused() -> None:
    pool = BufferPool()
    buffer = pool.acquire()
    pool.release(buffer)
    with pytest.raises(ValueError, match="released before"):
        pool.release(buffer)
    assert counters(pool) == (0, 1, 0, KIB)


def test_second_release_is_refused_when_the_first_did_not_keep_the_buffer() -> None:
    pool = BufferPool()
    buffer = pool.acquire(2 * MIB)
    pool.release(buffer)
    with pytest.raises(ValueError, match="released before"):
        pool.release(buffer)
    assert pool.in_use == 0


@pytest.mark.parametrize("make", [lambda: Buffer(KIB), lambda: BufferPool().acquire()], ids=["none", "other pool"])
def test_buffer_from_elsewhere_is_refused(make: Callable[[], Buffer]) -> None:
    pool = BufferPool()
    with pytest.raises(ValueError, match="not acquired from this pool"):
        pool.release(make())
    assert counters(pool) == (0, 0, 0, 0)


@pytest.mark.parametrize("thing", [None, b"bytes", bytearray(8)])
def test_what_is_no_buffer_is_refused(thing: object) -> None:
    with pytest.raises(TypeError):
        BufferPool().release(thing)


@pytest.mark.parametrize("capacity", [KIB, 2 * MIB], ids=["kept", "not kept"])
@pytest.mark.parametrize(
    "use",
    [lambda b: b.write(b"x"), lambda b: b.clear(), bytes, memoryview, lambda b: b.__enter__()],
    ids=["write", "clear", "bytes", "memoryview", "with"],
)
def test_released_buffer_cannot_be_used(use: Callable[[Buffer], object], capacity: int) -> None:
    pool = BufferPool()
    buffer = pool.acquire(capacity)
    pool.release(buffer)
    with pytest.raises(ValueError, match="was released"):
        use(buffer)


def test_with_statement_releases_to_the_pool() -> None:
    pool = BufferPool()
    with pool.acquire() as buffer:
        buffer.write(b"x")
        assert pool.in_use == 1
    assert counters(pool) == (0, 1, 0, KIB)


def test_with_statement_releases_when_its_block_raises() -> None:
    pool = BufferPool()
    with pytest.raises(KeyError), pool.acquire():
        raise KeyError
    assert counters(pool) == (0, 1, 0, KIB)


def test_with_statement_accepts_that_its_block_released_the_buffer() -> None:
    pool = BufferPool()
    with pool.acquire() as buffer:
        pool.release(buffer)
    assert counters(pool) == (0, 1, 0, KIB)


def test_buffer_that_is_lost_is_no_longer_in_use() -> None:
    pool = BufferPool()
    buffer, view = pool.acquire(), memoryview(pool.acquire())
    assert pool.in_use == 2
    del buffer
    assert pool.in_use == 1
    del view
    assert counters(pool) == (0, 2, 0, 0)


def test_forgotten_buffer_is_its_users_own(probe: Any) -> None:
    pool = BufferPool()
    buffer = pool.acquire()
    buffer.write(b"kept ")
    probe.forget(pool, buffer)
    probe.forget(pool, buffer)
    assert counters(pool) == (0, 1, 0, 0)
    with buffer:
        buffer.write(b"for good")
    assert bytes(buffer) == b"kept for good"
    with pytest.raises(ValueError, match="not acquired from this pool"):
        pool.release(buffer)
    del buffer
    assert pool.in_use == 0


def test_lent_buffer_keeps_its_pool_alive() -> None:
    buffer = BufferPool().acquire()
    gc.collect()
    with buffer:
        buffer.write(b"x")


# --- BufferPool: trim ------------------------------------------------------------------------


def burst(pool: BufferPool, count: int, capacity: int = KIB) -> None:
    for buffer in [pool.acquire(capacity) for _ in range(count)]:
        pool.release(buffer)


def test_trim_gives_a_bursts_memory_back_over_some_calls() -> None:
    pool = BufferPool()
    burst(pool, 100)
    held = []
    while pool.held_bytes:
        pool.trim()
        held.append(pool.held_bytes // KIB)
    # The first call learns only that all of them were needed since the pool was made.
    assert held == [100, 50, 25, 12, 6, 3, 1, 0]


def test_trim_counts_each_capacity_by_itself() -> None:
    pool = BufferPool()
    burst(pool, 4, MIB)
    pool.trim()
    burst(pool, 2, KIB)
    pool.trim()
    assert pool.held_bytes == 2 * MIB + 2 * KIB


def test_trim_keeps_what_every_moment_needs() -> None:
    pool = BufferPool()
    burst(pool, 100)
    for _ in range(10):
        burst(pool, 10)
        pool.trim()
    assert pool.held_bytes == 10 * KIB
    misses = pool.misses
    burst(pool, 10)
    assert pool.misses == misses


def test_trim_frees_the_coldest_buffers() -> None:
    pool = BufferPool()
    buffers = [pool.acquire() for _ in range(4)]
    for buffer in buffers:
        pool.release(buffer)
    pool.trim()
    pool.trim()
    assert [pool.acquire(), pool.acquire()] == [buffers[3], buffers[2]]
    assert pool.held_bytes == 0


def test_trim_of_an_empty_pool_does_nothing() -> None:
    pool = BufferPool()
    pool.trim()
    assert counters(pool) == (0, 0, 0, 0)


# --- Both, in any order ----------------------------------------------------------------------


class AnyUse(RuleBasedStateMachine):
    """Whatever users do, counters are true, bounds hold and nobody sees another's octets."""

    lent = Bundle("lent")

    def __init__(self) -> None:
        super().__init__()
        self.pool = BufferPool(limit_bytes=8 * KIB)
        self.contents: dict[int, bytes] = {}

    @rule(target=lent, capacity=st.sampled_from([1, KIB, KIB + 1, 4 * KIB, 8 * KIB, 9 * KIB]))
    def acquire(self, capacity: int) -> Buffer:
        buffer = self.pool.acquire(capacity)
        assert id(buffer) not in self.contents
        assert buffer.capacity_bytes >= capacity
        self.contents[id(buffer)] = b""
        return buffer

    @rule(buffer=lent, data=st.sampled_from([b"", b"x", b"y" * 700, b"z" * 3000]))
    def write(self, buffer: Buffer, data: bytes) -> None:
        buffer.write(data)
        self.contents[id(buffer)] += data

    @rule(buffer=consumes(lent))
    def release(self, buffer: Buffer) -> None:
        assert bytes(buffer) == self.contents.pop(id(buffer))
        self.pool.release(buffer)

    @rule(buffer=consumes(lent))
    def release_while_exported(self, buffer: Buffer) -> None:
        contents = self.contents.pop(id(buffer))
        with memoryview(buffer) as view:
            self.pool.release(buffer)
            assert view == contents

    @rule()
    def trim(self) -> None:
        self.pool.trim()

    @invariant()
    def counters_are_true(self) -> None:
        assert self.pool.in_use == len(self.contents)
        assert 0 <= self.pool.held_bytes <= self.pool.limit_bytes
        assert self.pool.held_bytes % 128 == 0


def test_any_use_keeps_the_pool_honest() -> None:
    run_state_machine_as_test(
        AnyUse, settings=settings(max_examples=60, stateful_step_count=40, derandomize=True, deadline=None)
    )


@pytest.mark.release_build
def test_acquire_and_release_leave_no_memory_behind() -> None:
    pool = BufferPool()

    def use() -> None:
        for _ in range(10_000):
            buffer = pool.acquire()
            buffer.write(b"x")
            pool.release(buffer)

    use()
    before = sys.getallocatedblocks()
    use()
    assert sys.getallocatedblocks() - before < 10
