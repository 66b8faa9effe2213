"""How every micro-benchmark is measured, and the table at the end.

A benchmark is a function `bench_*` that takes `tight` (a loop of its own, for figures in ns) or
pytest-benchmark's plain `benchmark`. Time is CPU time of this process. The best round counts: the
others were disturbed by the machine, the median shows how much.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

ROUNDS = 30
WARMUP_ROUNDS = 3
CALLS = 20_000


@dataclass(frozen=True)
class Figure:
    name: str
    best_ns: float
    median_ns: float
    goal_ns: float | None
    against: dict[str, float]  # other figures in ns, by name

    def row(self) -> list[str]:
        if self.goal_ns is None:
            goal = ""
        else:
            goal = f"≤ {self.goal_ns:,.0f} {'met' if self.best_ns <= self.goal_ns else 'MISSED'}"
        ratios = (f"{name} {ns:,.0f} ns: {ns / self.best_ns:.1f} x" for name, ns in self.against.items())
        return [self.name, f"{self.best_ns:,.0f}", f"{self.median_ns:,.0f}", goal, ", ".join(ratios)]


FIGURES = pytest.StashKey[list[Figure]]()
Tight = Callable[..., float]


@pytest.fixture
def tight(benchmark: Any) -> Tight:
    """Measures `loop(calls)`, which does its work `calls` times; returns the best ns per call.

    Keyword arguments: calls, goal_ns (shown as met or missed), against (other figures in ns by
    name, shown as how many times slower those are).
    """

    def measure(
        loop: Callable[[int], object],
        *,
        calls: int = CALLS,
        goal_ns: float | None = None,
        against: dict[str, float] | None = None,
    ) -> float:
        benchmark.extra_info.update(calls=calls, goal_ns=goal_ns, against=against or {})
        benchmark.pedantic(loop, args=(calls,), rounds=ROUNDS, warmup_rounds=WARMUP_ROUNDS, iterations=1)
        best_s: float = benchmark.stats.stats.min if benchmark.stats else 0.0
        return best_s / calls * 1e9

    return measure


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Function) -> Iterator[None]:
    result = yield
    benchmark: Any = item.funcargs.get("benchmark")
    if benchmark is not None and benchmark.stats:
        item.config.stash[FIGURES].append(figure_of(item, benchmark))
    return result


def figure_of(item: pytest.Function, benchmark: Any) -> Figure:
    stats, info = benchmark.stats.stats, benchmark.extra_info
    scale = 1e9 / info.get("calls", 1)
    name = item.name.removeprefix("bench_").replace("_", " ")
    return Figure(name, stats.min * scale, stats.median * scale, info.get("goal_ns"), info.get("against", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    figures = config.stash[FIGURES]
    if not figures:
        return
    rows = [["CPU time per call", "best ns", "median ns", "goal ns", "against"], *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    terminalreporter.write_line("")
    for name, best, median, goal, against in rows:
        numbers = f"{best:>{widths[1]}}  {median:>{widths[2]}}  {goal:<{widths[3]}}"
        terminalreporter.write_line(f"{name:<{widths[0]}}  {numbers}  {against}".rstrip())
