"""What the overload runs found: the file of samples, the table, the verdicts. Nothing here measures."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Self

from bench.load.guarded import OFF, ON
from bench.load.tables import row

# Share of the peak goodput that must be left at so many times the capacity.
GOALS = {5.0: 0.90, 10.0: 0.80, 20.0: 0.60}
RECOVERY_GOAL_S = 2.0
TIMELINE_FACTOR = 10.0
NEVER = -1.0  # the recovery that did not come while it was watched


@dataclass(frozen=True)
class Sample:
    """A server under `factor` times its capacity. Rates are per second, of the requests due in the plateau."""

    round: int
    guards: str
    factor: float
    offered: float
    good: float  # answered 200 within the deadline
    onset: float  # the same in the first second, which the others leave out
    late: float
    refused: float
    failed: float
    p50_ms: float
    p99_ms: float
    sent_late_ms: float
    recovery_s: float
    server_cpu_pct: float
    client_cpu_pct: float
    other_cpu_pct: float


@dataclass
class Report:
    machine: dict[str, Any]
    settings: dict[str, Any]
    capacity: list[float] = field(default_factory=list)  # requests a second, by round
    served_us: list[float] = field(default_factory=list)  # CPU of one request served, by round
    refused_us: list[float] = field(default_factory=list)  # CPU of one refused, by round
    samples: list[Sample] = field(default_factory=list)
    # Guards -> offered and good rates in each bin of the run at TIMELINE_FACTOR.
    timelines: dict[str, tuple[list[float], list[float]]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Self:
        data = json.loads(path.read_text())
        samples = [Sample(*values) for values in data.pop("samples")]
        del data["columns"]
        return cls(**data, samples=samples)

    def save(self, path: Path) -> None:
        data = asdict(self) | {
            "columns": list(Sample.__dataclass_fields__),
            "samples": [_rounded(asdict(sample).values()) for sample in self.samples],
            "timelines": {guards: [_rounded(rates) for rates in both] for guards, both in self.timelines.items()},
        }
        lines = [f" {json.dumps(name)}: {_one_entry_a_line(value)}" for name, value in data.items()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n")

    @property
    def cost(self) -> float:
        """c: the CPU of a refusal as a share of that of a request served; 0 where it was not measured."""
        ratios = [refused / served for refused, served in zip(self.refused_us, self.served_us, strict=False)]
        return median(ratios) if ratios else 0.0

    def factors(self, guards: str) -> list[float]:
        return sorted({sample.factor for sample in self.samples if sample.guards == guards})

    def of(self, guards: str, factor: float) -> list[Sample]:
        return [sample for sample in self.samples if (sample.guards, sample.factor) == (guards, factor)]

    def middle(self, guards: str, factor: float, figure: Callable[[Sample], float]) -> float:
        return median(figure(sample) for sample in self.of(guards, factor))

    def peak(self, number: int) -> float:
        """The best goodput of a round, with guards."""
        return max((s.good for s in self.samples if (s.round, s.guards) == (number, ON)), default=0.0)

    def of_peak(self, guards: str, factor: float) -> float:
        return self.middle(guards, factor, lambda sample: sample.good / (self.peak(sample.round) or 1.0))

    def recovery(self, guards: str, factor: float) -> float:
        """Of the rounds the worst; NEVER is worse than any."""
        times = [sample.recovery_s for sample in self.of(guards, factor)]
        return NEVER if NEVER in times else max(times)


def formula(cost: float, factor: float) -> float:
    """Goodput left at `factor` times the capacity if refusals cost `cost` of a served one and nothing else does."""
    return factor if factor <= 1 else max(0.0, (1 - cost * factor) / (1 - cost))


def _rounded(values: Iterable[Any]) -> list[Any]:
    return [float(f"{value:.4g}") if isinstance(value, float) else value for value in values]


def _one_entry_a_line(value: Any) -> str:
    if isinstance(value, dict) and value and isinstance(next(iter(value.values())), list):
        return "{\n" + ",\n".join(f"  {json.dumps(name)}: {json.dumps(item)}" for name, item in value.items()) + "\n }"
    if isinstance(value, list) and value and isinstance(value[0], list):
        return "[\n" + ",\n".join(f"  {json.dumps(item)}" for item in value) + "\n ]"
    return json.dumps(value)


# ---- as text ----------------------------------------------------------------------------------

COLUMNS: Sequence[tuple[str, Callable[[Sample], float], str]] = (
    ("offered/s", lambda sample: sample.offered, ",.0f"),
    ("goodput/s", lambda sample: sample.good, ",.0f"),
    ("in 1st second", lambda sample: sample.onset, ",.0f"),
    ("late/s", lambda sample: sample.late, ",.0f"),
    ("refused/s", lambda sample: sample.refused, ",.0f"),
    ("failed/s", lambda sample: sample.failed, ",.0f"),
    ("p50 ms", lambda sample: sample.p50_ms, ".1f"),
    ("p99 ms", lambda sample: sample.p99_ms, ".1f"),
    ("sent late ms", lambda sample: sample.sent_late_ms, ".1f"),
    ("server CPU %", lambda sample: sample.server_cpu_pct, ".0f"),
    ("client CPU %", lambda sample: sample.client_cpu_pct, ".0f"),
    ("other CPU %", lambda sample: sample.other_cpu_pct, ".0f"),
)


def table(report: Report) -> list[str]:
    titles = ["load", "guards", *(title for title, _, _ in COLUMNS), "of peak", "formula", "recovered in"]
    lines = [row(titles), "|---" * 2 + "|---:" * (len(titles) - 2) + "|"]
    for guards in (ON, OFF):
        for factor in report.factors(guards):
            cells = [format(report.middle(guards, factor, figure), spec) for _, figure, spec in COLUMNS]
            predicted = f"{formula(report.cost, factor):.0%}" if guards == ON else "-"
            share, back = f"{report.of_peak(guards, factor):.0%}", spell_recovery(report.recovery(guards, factor))
            lines.append(row([f"{factor:g} x", guards, *cells, share, predicted, back if factor > 1 else "-"]))
    return lines


def progress(sample: Sample) -> str:
    """The newest sample on one line."""
    cells = (f"{title} {format(figure(sample), spec)}" for title, figure, spec in COLUMNS)
    return f"  {sample.factor:4g} x {sample.guards:4}" + "  ".join([*cells, spell_recovery(sample.recovery_s)])


def spell_recovery(seconds: float) -> str:
    return "never" if seconds == NEVER else f"{seconds:.1f} s"


def verdicts(report: Report) -> list[str]:
    lines = []
    for factor in report.factors(ON):
        if goal := GOALS.get(factor):
            share = report.of_peak(ON, factor)
            verdict = "met" if share >= goal else "MISSED"
            lines.append(f"- goodput at {factor:g} x: {share:.1%} of its peak, goal ≥ {goal:.0%}: {verdict}")
        if factor > 1:
            back = report.recovery(ON, factor)
            verdict = "met" if 0 <= back <= RECOVERY_GOAL_S else "MISSED"
            lines.append(
                f"- recovered from {factor:g} x in {spell_recovery(back)}, goal ≤ {RECOVERY_GOAL_S:g} s: {verdict}"
            )
    return lines


def render(report: Report) -> str:
    capacity = f"\ncapacity {median(report.capacity):,.0f} requests a second" if report.capacity else ""
    if report.refused_us:
        served, refused = median(report.served_us), median(report.refused_us)
        capacity += f"; CPU of one served {served:,.0f} µs, of one refused {refused:.1f} µs: c = {report.cost:.4f}"
    return "\n".join([capacity, "", *table(report), "", *verdicts(report)])
