"""Single figures with their goals, as text and as a file: for benchmarks that compare nothing."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.load import machine


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    unit: str = ""
    goal: str = ""  # in words: ≤ 500
    met: bool | None = None  # None: there is no goal
    note: str = ""

    @property
    def verdict(self) -> str:
        return "" if self.met is None else f"goal {self.goal}: {'met' if self.met else 'MISSED'}"


def at_most(name: str, value: float, unit: str, limit: float, note: str = "") -> Figure:
    return Figure(name, value, unit, f"≤ {limit:g}", value <= limit, note)


def spell(value: float) -> str:
    """With as many decimals as are worth reading."""
    if abs(value) < 0.005:
        return "0"
    return (
        f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.{1 if abs(value) >= 100 else 2}f}"
    )


def render(figures: Sequence[Figure]) -> str:
    """One line each; names, values and verdicts stand below each other."""
    rows = [(figure.name, spell(figure.value), figure.unit, figure.verdict, figure.note) for figure in figures]
    name, value, unit, verdict = (max(map(len, column)) for column in list(zip(*rows, strict=True))[:4])
    return "\n".join(
        f"{row[0]:{name}}  {row[1]:>{value}} {row[2]:{unit}}  {row[3]:{verdict}}  {row[4]}".rstrip() for row in rows
    )


def save(figures: Iterable[Figure], path: Path) -> None:
    def entry(figure: Figure) -> dict[str, Any]:
        return asdict(figure) | {"value": float(f"{figure.value:.4g}")}

    lines = ",\n".join(f"  {json.dumps(entry(figure), ensure_ascii=False)}" for figure in figures)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f' {{"machine": {json.dumps(machine.describe(0))},\n "figures": [\n{lines}\n ]}}\n'.lstrip())


def load(path: Path) -> list[Figure]:
    return [Figure(**entry) for entry in json.loads(path.read_text())["figures"]]


def conclude(name: str, figures: Sequence[Figure]) -> int:
    """Prints what was found, keeps it, and says by the exit status whether every goal was met."""
    path = machine.results_file(name)
    print(render(figures))
    save(figures, path)
    print(f"\nsaved: {path}")
    return int(any(figure.met is False for figure in figures))
