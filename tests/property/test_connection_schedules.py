"""Requests of all kinds, cut anywhere, on several connections, among handlers that wait, fail and stream,
slow readers, clients that leave, and a clock: whatever the schedule, what tests/protocol/schedules.py says holds.
"""

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol import schedules

REQUESTS = st.lists(
    st.tuples(st.sampled_from(schedules.KINDS), st.sampled_from(schedules.SIZES_OF_BODIES)), min_size=1, max_size=8
)
SIZES = st.lists(st.sampled_from(schedules.SIZES_OF_PIECES), min_size=1, max_size=6)
TALKS = st.lists(st.tuples(REQUESTS, SIZES), min_size=1, max_size=3)
STEPS, BREAKING_STEPS = (
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(kinds)), max_size=60)
    for kinds in (schedules.STEPS, schedules.BREAKING_STEPS)
)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("highperf.error"), "disabled", True)


@settings(max_examples=400)
@given(
    talks=TALKS,
    steps=STEPS | BREAKING_STEPS,
    signals=st.sampled_from(schedules.SIGNALS),
    end=st.sampled_from(schedules.ENDS),
    secure=st.booleans(),
)
def test_whatever_the_schedule(
    talks: list[tuple[list[tuple[str, int]], list[int]]],
    steps: list[tuple[int, str]],
    signals: str,
    end: str,
    secure: bool,
) -> None:
    schedules.Run(talks, signals, secure=secure).play(steps, end)
