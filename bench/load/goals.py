"""What the project set itself, and whether a run met it."""

from dataclasses import dataclass
from statistics import median

from bench.figures import spell
from bench.load.peers import FLOOR, GUARDED, UNGUARDED
from bench.load.results import Results

PROJECT = "highperf"
DISTURBED = "DISTURBED"
UNITS = {"cpu_us": "µs", "user_us": "µs of user time", "bytes_per_connection": "bytes per connection"}


@dataclass(frozen=True)
class Goal:
    """A figure of a server, the project's own unless told: at most `limit`, or `limit` times another peer's."""

    workload: str
    figure: str
    limit: float
    against: str = ""
    of: str = PROJECT

    def verdict(self, results: Results) -> str:
        """One line, '' where the run did not measure it."""
        records = results.under(self.workload)
        needed = [records.get(name) for name in (self.of, self.against) if name]
        if any(record is None or self.figure not in record.figures for record in needed):
            return ""
        if self.against:
            value = median(records[self.of].ratios(records[self.against], self.figure) or [0.0])
            shown = f"{value:.2f} x {self.against}, goal ≤ {self.limit:.2f}"
        else:
            value = records[self.of].median(self.figure)
            shown = f"{spell(value)} {UNITS[self.figure]}, goal ≤ {spell(self.limit)}"
        if not value:
            return ""
        verdict = "met" if value <= self.limit else "MISSED"
        name = "" if self.of == PROJECT else f" of {self.of}"
        return f"- {self.workload}{name}: {shown}: {verdict}{self.doubt(results)}"

    def doubt(self, results: Results) -> str:
        """Other processes slow down whom they meet: such a run proves nothing either way."""
        records = results.under(self.workload)
        judged = [records[peer] for peer in (self.of, self.against) if peer in records]
        others = [record.median("other_cpu_pct") for record in judged if "other_cpu_pct" in record.figures]
        worst = max(others, default=0.0)
        if worst <= results.settings.get("max_other_pct", worst):
            return ""
        return f", but {DISTURBED} by other processes ({worst:.0f} % of a CPU): run it again on a quiet machine"


GOALS = (
    Goal("healthz", "cpu_us", 1.20, FLOOR),
    Goal("healthz-pipe16", "cpu_us", 2.50, FLOOR),
    Goal("healthz-pipe16", "cpu_us", 1.00),
    Goal("user", "cpu_us", 1.30, FLOOR),
    Goal("user", "cpu_us", 1.00, "go-fasthttp"),
    Goal("user", "cpu_us", 1.25, FLOOR, of=GUARDED),
    Goal("user", "user_us", 1.80, of=GUARDED),
    Goal("user", "cpu_us", 1.05, UNGUARDED, of=GUARDED),
    Goal("create", "cpu_us", 1.40, FLOOR),
    Goal("create", "cpu_us", 1.00, "go-fasthttp"),
    Goal("idle", "bytes_per_connection", 2048),
)


def render(results: Results) -> str:
    lines = [line for goal in GOALS if (line := goal.verdict(results))]
    return "\n".join(["\n### goals\n", *lines]) if lines else ""
