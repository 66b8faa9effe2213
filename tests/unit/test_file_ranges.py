"""Range: RFC 9110 section 14."""

from typing import Any

import pytest

from tests import compiled
from tests.reference import files_twin

LENGTH = 1000


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/files_probe.pyx")


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (b"bytes=0-0", [(0, 1)]),
        (b"bytes=0-499", [(0, 500)]),
        (b"bytes=500-999", [(500, 500)]),
        (b"bytes=999-999", [(999, 1)]),
        (b"bytes=0-", [(0, 1000)]),
        (b"bytes=999-", [(999, 1)]),
        (b"bytes=-1", [(999, 1)]),
        (b"bytes=-1000", [(0, 1000)]),
        (b"bytes=-5000", [(0, 1000)]),
        (b"bytes=990-5000", [(990, 10)]),
        (b"bytes=990-99999999999999999999999", [(990, 10)]),
        (b"bytes=-99999999999999999999999", [(0, 1000)]),
        (b"bytes=0000000000000000000000001-2", [(1, 2)]),
        (b"BYTES=0-0", [(0, 1)]),
        (b"bytes=0-0,-1", [(0, 1), (999, 1)]),
        (b"bytes=-1,0-0", [(999, 1), (0, 1)]),
        (b"bytes= 0-0 ,\t 10-10\t", [(0, 1), (10, 1)]),
        (b"bytes=,,0-0,,10-10,", [(0, 1), (10, 1)]),
        (b"bytes=5-6,2000-3000", [(5, 2)]),
        (b"bytes=-0,5-6", [(5, 2)]),
    ],
)
def test_ranges_that_can_be_had(probe: Any, value: bytes, parts: list[tuple[int, int]]) -> None:
    assert probe.parse_ranges(value, LENGTH) == parts


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (b"bytes=0-9,5-14", [(0, 15)]),
        (b"bytes=5-14,0-9", [(0, 15)]),
        (b"bytes=0-9,10-19", [(0, 20)]),
        (b"bytes=10-19,0-9", [(0, 20)]),
        (b"bytes=0-9,20-29,10-19", [(0, 30)]),
        (b"bytes=0-9,20-29,9-20", [(0, 30)]),
        (b"bytes=0-99,10-20", [(0, 100)]),
        (b"bytes=10-20,0-99", [(0, 100)]),
        (b"bytes=40-49,0-9,45-54", [(40, 15), (0, 10)]),
        (b"bytes=0-9,40-49,45-54,5-14", [(0, 15), (40, 15)]),
        (b"bytes=0-9,11-19", [(0, 10), (11, 9)]),
    ],
)
def test_ranges_that_overlap_or_touch_become_one_where_the_first_was(
    probe: Any, value: bytes, parts: list[tuple[int, int]]
) -> None:
    assert probe.parse_ranges(value, LENGTH) == parts


@pytest.mark.parametrize("value", [b"bytes=1000-", b"bytes=1000-1001", b"bytes=-0", b"bytes=9999999999999999999999-"])
def test_ranges_beyond_the_end_cannot_be_had(probe: Any, value: bytes) -> None:
    assert probe.parse_ranges(value, LENGTH) == "unsatisfiable"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"bytes",
        b"bytes=",
        b"bytes=,",
        b"bytes= ",
        b"bytes=-",
        b"bytes=--1",
        b"bytes=1",
        b"bytes=a-b",
        b"bytes=0-0x1",
        b"bytes=1-0",
        b"bytes=0-0,5-4",
        b"bytes=99999999999999999999-99999999999999999998",
        b"bytes=+0-1",
        b"bytes=0 - 1",
        b"bytes=0- 1",
        b"bytes=0-1 2-3",
        b"bytes=0-1;2-3",
        b"bytes =0-1",
        b"bytes:0-1",
        b" bytes=0-1",
        b"byte=0-1",
        b"items=0-1",
        b"bytes=0-1,x",
        b"bytes=0-1-2",
        b"bytes=0.0-1",
        b"bytes=1e1-20",
        "bytes=\u0660-\u0661".encode(),
        "bytes=\uff10-\uff11".encode(),
        "bytes=\u00b2-\u00b3".encode("latin-1"),
        b"bytes=0-1\x00",
    ],
)
def test_malformed_range_is_ignored(probe: Any, value: bytes) -> None:
    assert probe.parse_ranges(value, LENGTH) == "whole"


def test_ten_ranges_are_served_and_eleven_are_the_whole(probe: Any) -> None:
    ten = ",".join(f"{at}-{at}" for at in range(0, 40, 4))
    assert probe.parse_ranges(f"bytes={ten}".encode(), LENGTH) == [(at, 1) for at in range(0, 40, 4)]
    assert probe.parse_ranges(f"bytes={ten},100-100".encode(), LENGTH) == "whole"
    assert probe.parse_ranges(f"bytes={ten},5000-".encode(), LENGTH) == "whole"


@pytest.mark.parametrize("value", [b"bytes=0-,0-", b"bytes=0-999,-1", b"bytes=0-599,300-999", b"bytes=-1000,0-0"])
def test_set_that_asks_for_more_than_there_is_is_the_whole(probe: Any, value: bytes) -> None:
    assert probe.parse_ranges(value, LENGTH) == "whole"


@pytest.mark.parametrize("value", [b"bytes=0-", b"bytes=-1", b"bytes=0-0", b"bytes=5-9", b"bytes=-0"])
def test_no_range_of_an_empty_file_is_told(probe: Any, value: bytes) -> None:
    assert probe.parse_ranges(value, 0) == "whole"


def test_range_of_a_huge_file_keeps_all_its_digits(probe: Any) -> None:
    length = 2**63 - 1
    assert probe.parse_ranges(b"bytes=-1", length) == [(length - 1, 1)]
    assert probe.parse_ranges(b"bytes=0-", length) == [(0, length)]
    value = b"bytes=%d-%d" % (2**59, 2**59 + 1)
    assert probe.parse_ranges(value, 2**60) == [(2**59, 2)] == files_twin.ranges(value, 2**60)


def test_long_field_costs_its_length_once(probe: Any) -> None:
    for value in (b"bytes=" + b"," * 16000, b"bytes=" + b"0" * 16000 + b"-", b"bytes=" + b"0-0," * 4000):
        assert probe.parse_ranges(value, LENGTH) in ("whole", [(0, LENGTH)])
