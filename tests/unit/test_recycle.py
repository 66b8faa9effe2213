"""When a worker asks for a successor."""

import pytest

from highperf.config import Settings
from highperf.server.recycle import Recycling, memory_in_use

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("settings", "served", "used", "why"),
    [
        (Settings(), 10**9, 10**12, ""),
        (Settings(max_requests=20), 19, 0, ""),
        (Settings(max_requests=20), 20, 0, "it has served 20 requests"),
        (Settings(max_requests=20, max_requests_jitter=5), 22, 0, ""),
        (Settings(max_requests=20, max_requests_jitter=5), 23, 0, "it has served 23 requests"),
        (Settings(worker_max_rss=64 * MIB), 0, 64 * MIB, ""),
        (Settings(worker_max_rss=64 * MIB), 0, 65 * MIB, "it has 65m of memory in use"),
    ],
)
def test_it_is_time_above_a_limit_and_not_before(settings: Settings, served: int, used: int, why: str) -> None:
    recycling = Recycling(settings, jitter=lambda least, most: min(most, 3), measure=lambda: used)
    assert recycling.due(served) == why


def test_jitter_is_drawn_once_and_within_its_bounds() -> None:
    drawn: list[tuple[int, int]] = []

    def jitter(least: int, most: int) -> int:
        drawn.append((least, most))
        return most

    recycling = Recycling(Settings(max_requests=10, max_requests_jitter=7), jitter)
    assert [recycling.due(served) for served in (16, 17)] == ["", "it has served 17 requests"]
    assert drawn == [(0, 7)]


def test_workers_do_not_all_go_at_once() -> None:
    settings = Settings(max_requests=1000, max_requests_jitter=1000)
    limits = set()
    for _ in range(10):
        recycling = Recycling(settings)
        limits.add(next(served for served in range(1000, 2001) if recycling.due(served)))
    assert len(limits) > 1


def test_it_is_off_unless_a_limit_is_given() -> None:
    assert not Recycling(Settings(max_requests_jitter=5)).is_on
    assert Recycling(Settings(max_requests=1)).is_on
    assert Recycling(Settings(worker_max_rss=MIB)).is_on


def test_this_process_has_some_memory_in_use() -> None:
    assert MIB < memory_in_use() < 1024**4
