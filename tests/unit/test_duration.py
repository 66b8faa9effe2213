"""What a client may give as its request's time: read as a slow twin with exact numbers reads it, or not at all."""

import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import compiled

SECOND = 1_000_000_000
UNITS = {"": SECOND, "s": SECOND, "ms": 1_000_000, "us": 1_000, "ns": 1, "m": 60 * SECOND}
FORM = re.compile(r"([0-9]{1,18})(?:\.([0-9]+))?(s|ms|us|ns|m|)", re.ASCII)
MOST = 10**9 * SECOND

NUMBERS = st.from_regex(r"[0-9]{1,20}(\.[0-9]{0,20})?", fullmatch=True)
SPELLED = st.builds("{}{}".format, NUMBERS, st.sampled_from([*UNITS, "h", "M", "mss", " ms"]))


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/duration_probe.pyx")


def twin(text: str) -> int:
    found = FORM.fullmatch(text)
    if not found or int(found[1]) > MOST // UNITS[found[3]]:
        return -1
    eight_digits = Fraction(int((found[2] or "0")[:8]), 10 ** len((found[2] or "0")[:8]))
    return int(found[1]) * UNITS[found[3]] + int(eight_digits * UNITS[found[3]])


@settings(max_examples=500, deadline=None, derandomize=True)
@given(text=SPELLED | st.text(alphabet="0123456789.smun -", max_size=30))
def test_a_time_is_read_exactly_or_not_at_all(probe: Any, text: str) -> None:
    assert probe.parse(text.encode()) == twin(text)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("0", 0), ("0.08", 80_000_000), ("80ms", 80_000_000), ("1m", 60 * SECOND), ("1.5s", 1_500_000_000), ("1h", -1)],
)
def test_some_times_in_plain_numbers(probe: Any, text: str, nanoseconds: int) -> None:
    assert probe.parse(text.encode()) == nanoseconds
