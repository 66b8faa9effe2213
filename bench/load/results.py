"""The file of samples: by peer and workload, one list per figure, one entry per round."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Self

from bench.load.peers import FLOOR
from bench.load.sampling import Sample

DIGITS = 4  # significant ones; rounds differ in the second


@dataclass
class Record:
    """All samples of one peer under one workload."""

    figures: dict[str, list[float]] = field(default_factory=dict)

    def add(self, number: int, sample: Sample) -> None:
        self.figures.setdefault("round", []).append(number)
        for name, value in sample.items():
            self.figures.setdefault(name, []).append(float(f"{value:.{DIGITS}g}"))

    def median(self, name: str) -> float:
        return median(self.figures[name])

    def total(self, name: str) -> float:
        return sum(self.figures[name])

    def spread_pct(self, name: str) -> float:
        values = self.figures[name]
        middle = median(values)
        return 100 * (max(values) - min(values)) / middle if middle else 0.0

    def by_round(self, name: str) -> dict[float, float]:
        return dict(zip(self.figures["round"], self.figures[name], strict=True))

    def ratios(self, other: "Record", name: str) -> list[float]:
        """This one's figure over the other's, for each round that has both."""
        mine, theirs = self.by_round(name), other.by_round(name)
        return [mine[number] / theirs[number] for number in mine if theirs.get(number)]


@dataclass
class Entry:
    """What is known of one peer."""

    note: str
    version: str
    records: dict[str, Record] = field(default_factory=dict)
    not_measured: dict[str, str] = field(default_factory=dict)  # workload -> why


@dataclass
class Results:
    machine: dict[str, Any]
    settings: dict[str, Any]
    peers: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Self:
        data = json.loads(path.read_text())
        peers = {
            name: Entry(
                entry["note"],
                entry["version"],
                {workload: Record(figures) for workload, figures in entry["figures"].items()},
                entry["not_measured"],
            )
            for name, entry in data["peers"].items()
        }
        return cls(data["machine"], data["settings"], peers)

    def save(self, path: Path) -> None:
        peers = {
            name: {
                "note": entry.note,
                "version": entry.version,
                "not_measured": entry.not_measured,
                "figures": {workload: record.figures for workload, record in entry.records.items()},
            }
            for name, entry in self.peers.items()
        }
        data = {"machine": self.machine, "settings": self.settings, "peers": peers}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_one_record_a_line(data) + "\n")

    def under(self, workload: str) -> dict[str, Record]:
        """The records of one workload by peer."""
        return {name: entry.records[workload] for name, entry in self.peers.items() if workload in entry.records}

    def times_floor(self, peer: str, workload: str) -> list[float]:
        """CPU time per request as a multiple of the floor's in the same round."""
        records = self.under(workload)
        if FLOOR not in records or "cpu_us" not in records[peer].figures:
            return []
        return records[peer].ratios(records[FLOOR], "cpu_us")

    def last_round(self) -> int:
        return max(
            (int(max(record.figures["round"])) for entry in self.peers.values() for record in entry.records.values()),
            default=0,
        )


def _one_record_a_line(value: Any, depth: int = 0) -> str:
    """JSON, indented down to the figures of a record, which share a line."""
    if not isinstance(value, dict) or not value:
        return json.dumps(value)
    if all(isinstance(item, list) for item in value.values()):
        return json.dumps(value)
    indent = " " * (depth + 1)
    lines = [f"{indent}{json.dumps(key)}: {_one_record_a_line(item, depth + 1)}" for key, item in value.items()]
    return "{\n" + ",\n".join(lines) + "\n" + " " * depth + "}"
