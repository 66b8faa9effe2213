"""Figures of the micro-benchmarks: as a table of groups, and as a file."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path

from bench.load import machine

SEED = "the seed's three"
WRITING = "writing"
GROUPS = (SEED, "whole requests", "reading", "routing", WRITING, "guards", "files", "observing")
NAME_WIDTH = 54


@dataclass(frozen=True)
class Figure:
    """One call of something, and of others that do the same work."""

    name: str
    group: str
    best_ns: float
    median_ns: float
    goal_ns: float | None = None
    against: dict[str, float] = field(default_factory=dict)  # ns by name
    allocations: float | None = None  # None: not counted
    against_allocations: dict[str, float] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        yield line(self.name, spell(self.best_ns), spell(self.median_ns), self.verdict, count(self.allocations))
        for name, ns in self.against.items():
            times = f"{ns / self.best_ns:.1f} x as long" if self.best_ns else ""
            yield line(f"    {name}", spell(ns), "", times, count(self.against_allocations.get(name)))

    @property
    def verdict(self) -> str:
        if self.goal_ns is None:
            return ""
        return f"≤ {self.goal_ns:,.0f} {'met' if self.best_ns <= self.goal_ns else 'MISSED'}"


def line(name: str, best: str, median: str, goal: str, allocations: str) -> str:
    return f"{name:{NAME_WIDTH}}  {best:>9}  {median:>9}  {allocations:>6}  {goal}".rstrip()


def spell(ns: float) -> str:
    return f"{ns:,.0f}" if ns >= 10 else f"{ns:.1f}"


def count(allocations: float | None) -> str:
    return "" if allocations is None else f"{allocations:,g}"


def in_groups(figures: Sequence[Figure]) -> list[Figure]:
    return sorted(figures, key=lambda figure: GROUPS.index(figure.group))


def render(figures: Sequence[Figure]) -> str:
    lines = [line("CPU time of one call", "best ns", "median ns", "goal, or ratio", "allocs")]
    for group, members in groupby(in_groups(figures), key=lambda figure: figure.group):
        lines += ["", group, "-" * len(group)]
        lines += (line for figure in members for line in figure.lines())
    return "\n".join(lines)


def save(figures: Sequence[Figure], path: Path) -> None:
    def entry(figure: Figure) -> str:
        times = {"best_ns": rounded(figure.best_ns), "median_ns": rounded(figure.median_ns)}
        against = {name: rounded(ns) for name, ns in figure.against.items()}
        return json.dumps(asdict(figure) | times | {"against": against}, ensure_ascii=False)

    lines = ",\n".join(f"  {entry(figure)}" for figure in in_groups(figures))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{{"machine": {json.dumps(machine.describe(0))},\n "figures": [\n{lines}\n ]}}\n')


def load(path: Path) -> list[Figure]:
    return [Figure(**entry) for entry in json.loads(path.read_text())["figures"]]


def rounded(ns: float) -> float:
    return float(f"{ns:.4g}")
