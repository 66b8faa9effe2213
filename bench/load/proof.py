"""What the proofs share: the server that they hurt, their command line, their verdicts and the file of results."""

import argparse
import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from bench.load import machine
from bench.load.connections import raise_descriptor_limit
from bench.load.openloop import NS
from bench.load.outcomes import Outcome, Request, failures, latencies_ms, rates
from bench.load.peers import Peer
from bench.load.places import LOG, RUN
from bench.load.server import NotMeasured, Server, exit_on_sigterm
from bench.load.tables import row
from bench.load.traffic import Traffic

EVERY_CPU = f"0-{(os.cpu_count() or 1) - 1}"
DETAILS = 20  # of failures
MET, MISSED = "met", "MISSED"


@dataclass(frozen=True)
class Verdict:
    words: str
    met: bool

    def __str__(self) -> str:
        return f"- {self.words}: {MET if self.met else MISSED}"


@dataclass
class Proof:
    """One run of one proof. `samples` are rows of the table, `timeline` what is drawn."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    samples: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    timeline: dict[str, Any] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def judge(self, words: str, met: bool) -> None:
        self.verdicts.append(Verdict(words, met))

    @property
    def met(self) -> bool:
        return all(verdict.met for verdict in self.verdicts)

    def table(self) -> str:
        """A column for each figure that any sample has."""
        titles = list(dict.fromkeys(name for sample in self.samples for name in sample))
        lines = [row(titles), "|---" * min(1, len(titles)) + "|---:" * (len(titles) - 1) + "|"]
        lines += [row([spell(sample.get(title, "-")) for title in titles]) for sample in self.samples]
        return "\n".join(lines)

    def newest(self) -> str:
        return "  " + "  ".join(f"{title} {spell(value)}" for title, value in self.samples[-1].items())

    def tell(self, name: str, lost: Sequence[Request], start_ns: int) -> None:
        """Of what failed, the first few: a start for whoever looks for the reason."""
        for request in lost[: max(0, DETAILS - len(self.lost))]:
            at_s, took_ms = (request.ended_ns - start_ns) / NS, (request.ended_ns - request.begun_ns) * 1000 / NS
            place = "first" if request.fresh else "later"
            words = f"{request.kind} {request.outcome} after {took_ms:.1f} ms, {place} on its connection"
            self.lost.append(f"{name}, at {at_s:.3f} s: {words} to {request.pid or 'an unknown worker'}")

    def render(self) -> str:
        lost = ["", "lost, for example:", *(f"- {words}" for words in self.lost)] if self.lost else []
        return "\n".join(["", self.table(), "", *map(str, self.verdicts), *lost])

    @classmethod
    def load(cls, path: Path) -> Self:
        data = json.loads(path.read_text())
        verdicts = [
            Verdict(words, met == MET) for words, _, met in (line.rpartition(": ") for line in data["verdicts"])
        ]
        names = ("machine", "settings", "samples", "timeline", "lost")
        return cls(**{name: data[name] for name in names}, verdicts=verdicts)

    def save(self, path: Path) -> None:
        samples = [{name: _rounded(value) for name, value in sample.items()} for sample in self.samples]
        verdicts = [str(verdict)[2:] for verdict in self.verdicts]
        data = asdict(self) | {"samples": samples, "verdicts": verdicts, "met": self.met}
        lines = [f" {json.dumps(name)}: {_spread(value)}" for name, value in data.items()]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def spell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def rounded(values: Iterable[float]) -> list[float]:
    return [_rounded(value) for value in values]


def _rounded(value: Any) -> Any:
    """To four digits that count, where it is a measured figure."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _spread(value: Any) -> str:
    """JSON with one entry of a list of entries, or of a mapping, a line."""
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"  {json.dumps(item)}" for item in value) + "\n ]"
    if isinstance(value, dict) and value:
        return "{\n" + ",\n".join(f"  {json.dumps(name)}: {json.dumps(item)}" for name, item in value.items()) + "\n }"
    return json.dumps(value)


# ---- the server ---------------------------------------------------------------------------------


def peer(name: str, workers: int = 1, env: dict[str, str] | None = None, flags: str = "") -> Peer:
    """highperf with the proofs' app. One worker is what it has unless it is told."""
    more = f" --workers {workers}" if workers > 1 else ""
    command = "{python} -m highperf proofs_app:app --app-dir {apps} --port {port} --backlog 4096 --no-access-log"
    command += f"{more} {flags}"
    return Peer(name, command.strip(), env={"PYTHONPATH": "{root}"} | (env or {}), distributions="highperf uvloop")


@contextlib.contextmanager
def serving(name: str, workers: int = 1, cpu: int | str = EVERY_CPU, **more: Any) -> Iterator[Server]:
    with Server(peer(name, workers, **more), cpu) as server:
        yield server


# ---- the command line ---------------------------------------------------------------------------


def parser(name: str, about: str | None, **quick: Any) -> argparse.ArgumentParser:
    """With what all proofs take; --quick sets what is given here."""
    made = argparse.ArgumentParser(
        prog=f"python -m bench.load.{name}", description=about, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    made.add_argument("--quick", action="store_true", help=f"a run to try it out: {quick}")
    made.add_argument("--out", type=Path, help="file of results; a plot goes beside it")
    made.add_argument("--client-cpu", type=int, default=(os.cpu_count() or 1) - 1)
    made.add_argument("--seed", type=int, default=1, help="of the clients' pauses and of what is chosen")
    made.set_defaults(quick_values=quick, name=name)
    return made


def options_of(made: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    options, _ = made.parse_known_args(arguments)
    if options.quick:
        made.set_defaults(**options.quick_values)
    options = made.parse_args(arguments)
    options.out = options.out or machine.results_file(options.name, quick=options.quick)
    del options.quick_values, options.name
    return options


def settings_of(options: argparse.Namespace, **more: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(options).items() if name != "out"} | more


def conclude(
    name: str,
    options: argparse.Namespace,
    measure: Callable[[argparse.Namespace, Proof], None],
    draw: Callable[[Proof], str],
    niceness: int = -15,
) -> None:
    """Measures, prints, saves, draws, and exits with 1 unless every goal was met."""
    exit_on_sigterm()
    raise_descriptor_limit()
    for folder in (RUN, LOG):
        folder.mkdir(parents=True, exist_ok=True)
    proof = Proof(machine.describe(0), settings_of(options))
    try:
        with machine.ahead(options.client_cpu, niceness):
            measure(options, proof)
    except NotMeasured as error:
        sys.exit(f"bench.load.{name}: {error}")
    print(proof.render())
    proof.save(options.out)
    print(f"\nsaved: {options.out}")
    picture = options.out.with_suffix(".svg")
    picture.write_text(draw(proof))
    print(f"drawn: {picture}")
    sys.exit(0 if proof.met else 1)


# ---- figures that several proofs show ---------------------------------------------------------------


def figures(traffic: Traffic, requests: Sequence[Request]) -> dict[str, Any]:
    """How many of the requests had which outcome, how long the right answers took, and how late the clients were."""
    counts = Counter(request.outcome for request in requests)
    p50, p99, longest = latencies_ms(requests)
    waits = {"p50 ms": p50, "p99 ms": p99, "max ms": longest, "clients late ms": traffic.late_ns * 1000 / NS}
    return {str(outcome): counts[outcome] for outcome in Outcome} | waits


def by_kind(requests: Iterable[Request]) -> dict[str, list[Request]]:
    found: dict[str, list[Request]] = {}
    for request in requests:
        found.setdefault(request.kind, []).append(request)
    return found


def timeline(traffic: Traffic, seconds: float, width_s: float, marks_s: Sequence[float]) -> dict[str, Any]:
    """Requests answered and failed a second, in each bin since the clients began; JSON can hold it."""

    def binned(requests: Iterable[Request]) -> list[float]:
        return rounded(rates((request.ended_ns for request in requests), traffic.start_ns, seconds, width_s))

    answered = [request for request in traffic.requests if request.outcome is Outcome.OK]
    return {
        "bin_s": width_s,
        "marks_s": rounded(marks_s),
        "answered": {kind: binned(requests) for kind, requests in by_kind(answered).items()},
        "refused": binned(request for request in traffic.requests if request.outcome is Outcome.REFUSED),
        "failed": binned(failures(traffic.requests, refused_from_ns=0)),
    }
