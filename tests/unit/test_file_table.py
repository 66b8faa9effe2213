"""PathTable: bounded, and what was not used for longest goes first."""

import gc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from highperf.files.table import PathTable
from tests import compiled


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/files_probe.pyx")


@pytest.mark.parametrize("capacity", [0, -1, 2**24 + 1])
def test_capacity_has_bounds(capacity: int) -> None:
    with pytest.raises(ValueError, match="capacity"):
        PathTable(capacity)


def test_what_was_put_is_found(probe: Any) -> None:
    table = PathTable(10)
    probe.put(table, b"a/b", "value", 7)
    assert probe.get(table, b"a/b") == ("value", 7)
    assert probe.get(table, b"a/") is None
    assert table.count == 1


def test_keys_may_hold_any_octets(probe: Any) -> None:
    table = PathTable(10)
    for number, key in enumerate([b"", b"\0", b"\0\0", b"a\0b", b"a\0c", b"x" * 4096]):
        probe.put(table, key, number)
    assert [probe.get(table, key)[0] for key in (b"", b"\0", b"\0\0", b"a\0b", b"a\0c", b"x" * 4096)] == list(range(6))


def test_full_table_gives_up_what_was_not_used(probe: Any) -> None:
    table = PathTable(3)
    for key in (b"a", b"b", b"c"):
        probe.put(table, key, key)
    probe.get(table, b"a")
    probe.get(table, b"c")
    probe.put(table, b"d", b"d")
    assert table.count == 3
    assert probe.get(table, b"b") is None
    assert all(probe.get(table, key) for key in (b"a", b"c", b"d"))


def test_names_asked_for_once_do_not_drive_out_what_is_asked_for_always(probe: Any) -> None:
    table = PathTable(8)
    for key in (b"hot", b"warm"):
        probe.put(table, key, key)
    for number in range(1000):
        assert probe.get(table, b"hot") is not None
        assert probe.get(table, b"warm") is not None
        probe.put(table, b"%d" % number, number)


def test_values_are_let_go(probe: Any) -> None:
    class Value:
        living = 0

        def __init__(self) -> None:
            Value.living += 1

        def __del__(self) -> None:
            Value.living -= 1

    table = PathTable(2)
    for number in range(5):
        probe.put(table, b"%d" % number, Value())
    assert Value.living == 2
    probe.drop(table, b"4")
    assert Value.living == 1
    probe.clear(table)
    assert Value.living == 0
    assert table.count == 0
    probe.put(table, b"x", Value())
    del table
    gc.collect()
    assert Value.living == 0


def test_weights_add_up(probe: Any) -> None:
    table = PathTable(3)
    for number in range(5):
        probe.put(table, b"%d" % number, None, 0, 10 + number)
    assert table.weight == 12 + 13 + 14
    probe.drop(table, b"3")
    assert table.weight == 12 + 14
    probe.clear(table)
    assert table.weight == 0
    assert probe.coldest(table) is None


keys = st.binary(max_size=2)
steps = st.lists(st.tuples(st.sampled_from(["put", "get", "drop"]), keys), max_size=60)


@given(steps=steps, capacity=st.integers(1, 9))
def test_table_is_a_dict_that_forgets(probe: Any, steps: list[tuple[str, bytes]], capacity: int) -> None:
    table, twin = PathTable(capacity), dict[bytes, int]()
    for number, (verb, key) in enumerate(steps):
        if verb == "put" and key not in twin:
            if len(twin) == capacity:
                victim = probe.coldest(table)
                del twin[victim]
                probe.drop(table, victim)
            probe.put(table, key, number)
            twin[key] = number
        elif verb == "drop":
            twin.pop(key, None)
            probe.drop(table, key)
        found = probe.get(table, key)
        assert (None if found is None else found[0]) == twin.get(key)
        assert table.count == len(twin)
