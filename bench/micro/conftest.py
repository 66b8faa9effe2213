"""How every micro-benchmark is measured, and what becomes of the figures.

A benchmark is a function `bench_*` in a module with a GROUP, that takes `tight` and hands it a loop. Time is CPU
time of this process. The best round counts: the others were disturbed by the machine, the median shows how much.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.load import machine
from bench.micro import table, twins
from bench.micro.table import Figure
from tests import compiled

ROUNDS = 30
WARMUP_ROUNDS = 3
CALLS = 20_000
TWIN_ROUND_NS = 1_000_000
TWIN_ROUNDS = 20
HERE = Path(__file__).resolve().parent

FIGURES = pytest.StashKey[list[Figure]]()
Loop = Callable[[int], object]  # does its work so many times
Tight = Callable[..., float]
Allocations = Callable[[Loop, int], float]


@pytest.fixture(scope="session")
def allocations(pytestconfig: pytest.Config) -> Allocations:
    """How many blocks of memory one call asks Python's allocators for."""
    probe: Any = compiled.load(pytestconfig, "tests/memory/allocations_probe.pyx")

    def counted(loop: Loop, calls: int) -> float:
        once, twice = (probe.count(loop, times * calls, 1)[0] for times in (1, 2))
        return float(round((twice - once) / calls, 1))  # without what the loop itself asks for, once

    return counted


@pytest.fixture
def tight(request: pytest.FixtureRequest, benchmark: Any, allocations: Allocations) -> Tight:
    """Measures `loop(calls)`, which does its work `calls` times; returns the best ns per call.

    Keyword arguments: calls, goal_ns (shown as met or missed), against (by name: loops that do the same work, or
    None for one that is not installed), seed (the time in ns and the allocations that the Go service claims),
    group (default: the module's GROUP).
    """

    def measure(
        loop: Loop,
        *,
        calls: int = CALLS,
        goal_ns: float | None = None,
        against: dict[str, Loop | None] | None = None,
        seed: tuple[float, float] | None = None,
        group: str | None = None,
    ) -> float:
        benchmark.pedantic(loop, args=(calls,), rounds=ROUNDS, warmup_rounds=WARMUP_ROUNDS, iterations=1)
        if not benchmark.stats:
            return 0.0
        others = {name: twin for name, twin in (against or {}).items() if twin is not None}
        ns = {name: best_ns(twin) for name, twin in others.items()}
        blocks = {name: allocations(twin, 1000) for name, twin in others.items()}
        if seed is not None:
            ns["seed"], blocks["seed"] = seed
        stats, scale = benchmark.stats.stats, 1e9 / calls
        name, group = name_of(request.node), table.SEED if seed else group or request.module.GROUP
        figure = Figure(
            name, group, stats.min * scale, stats.median * scale, goal_ns, ns, allocations(loop, calls), blocks
        )
        request.config.stash[FIGURES].append(figure)
        return figure.best_ns

    return measure


def name_of(item: Any) -> str:
    return str(item.name.removeprefix("bench_").replace("_", " ").replace("[", ", ").removesuffix("]"))


def best_ns(loop: Loop) -> float:
    """CPU time of one call, in the best of rounds that are long enough for the clock."""
    calls = 1
    while time_ns(loop, calls) < TWIN_ROUND_NS:
        calls *= 2
    return min(time_ns(loop, calls) for _ in range(TWIN_ROUNDS)) / calls


def time_ns(loop: Loop, calls: int) -> int:
    began = time.process_time_ns()
    loop(calls)
    return time.process_time_ns() - began


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--out", type=Path, help="file of results; default: that of the record, for a whole run alone")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    figures, tell = config.stash[FIGURES], terminalreporter.write_line
    if not figures:
        return
    tell(f"\n{table.render(figures)}")
    if twins.missing:
        tell(f"\nnot installed, so left out: {', '.join(sorted(twins.missing))} (pip install --group bench)")
    whole = config.args == [str(HERE)] and "deselected" not in terminalreporter.stats and exitstatus == 0
    path: Path | None = config.getoption("out") or (machine.results_file("micro") if whole else None)
    if path is None:
        tell("\nnot saved: this is not a whole run, and --out names no file")
    else:
        table.save(figures, path)
        tell(f"\nsaved: {path}")
