"""What each kind of results is on the page: HTML, and the lines of what was judged."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from bench import figures, hypertext
from bench.figures import Figure
from bench.hypertext import bar, blocks, row, table
from bench.load import files, goals, observed, overload_report, refusals, scale, tables, tls
from bench.load.goals import PROJECT
from bench.load.overload_report import Report
from bench.load.peers import FILES
from bench.load.proof import Proof
from bench.load.results import Results
from bench.load.tables import Column, number
from bench.load.workloads import WORKLOADS, Workload
from bench.micro import table as micro_table
from bench.micro.table import Figure as MicroFigure
from bench.micro.table import count, spell

CUT = 5  # times the shortest bar: longer ones are cut
CUT_FIGURES = 4  # times the longest of ours, where others are beside it
TITLES = {
    "healthz": "GET /healthz",
    "healthz-pipe16": "GET /healthz, 16 pipelined",
    "user": "GET /users/:id",
    "create": "POST /users, JSON checked, no database",
    "static-1k": "A file of 1 KiB",
    "static-64k": "A file of 64 KiB",
    "static-8m": "A file of 8 MiB",
    "not-modified": "A file that is not modified: 304",
    "idle": "Memory of an idle connection",
    "crowd": "10,000 connections at once",
}
SPLIT, WHOLE = ("user_us", "system_us"), ("cpu_us",)
BESIDE = {
    "req/s", "MB/s", "p50 µs", "p99 µs", "wrk CPU %", "other CPU %", "RSS MB",
    "all answered in s", "bytes/connection",
}  # fmt: skip
CPU = (number("CPU µs", "cpu_us", 2), number("user", "user_us", 2), number("system", "system_us", 2))


@dataclass
class Section:
    """html: its body; judged: lines that end with met or MISSED; machine and settings: of its file."""

    html: str
    judged: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    rounds: int = 0


def of_results(results: Results, html: str, judged: list[str]) -> Section:
    return Section(html, judged, results.machine, results.settings, results.last_round())


# ---- load ---------------------------------------------------------------------------------------------


def load(path: Path) -> Section:
    results = Results.load(path)
    charts = "\n".join(workload_table(results, workload) for workload in WORKLOADS.values())
    verdicts = goals.render(results)
    more = blocks("\n".join(tables.not_measured(results)))
    html = "\n".join([blocks(verdicts), LEGEND, charts, *details("What was not measured", more), peers(results)])
    return of_results(results, html, hypertext.verdicts(verdicts))


LEGEND = (
    '<p class="legend"><i class="own"></i> user time, the server\'s own <i class="other"></i> system time,'
    f" the kernel's (what is more than {CUT} times the least is cut)</p>"
)


def workload_table(results: Results, workload: Workload) -> str:
    """A bar and the figures of each peer, cheapest first."""
    records = results.under(workload.name)
    if not records:
        return ""
    drawn, columns = columns_of(workload)
    lengths = {peer: sum(record.median(figure) for figure in drawn) for peer, record in records.items()}
    whole = min(max(lengths.values()), CUT * min(lengths.values()))
    floor = ["x floor"] if any(results.times_floor(peer, workload.name) for peer in records) else []
    rows = []
    for peer in sorted(lengths, key=lengths.__getitem__):
        record = records[peer]
        cells = [escape(peer), bar([record.median(figure) for figure in drawn], whole)]
        cells += [tables.times_floor(results, peer, workload.name) for _ in floor]
        cells += [column.cell(record) for column in columns]
        rows.append(row(cells, kind="ours" if peer.startswith(PROJECT) else ""))
    titles = ["peer", "", *floor, *(column.title for column in columns)]
    return f"<h3>{hypertext.inline(TITLES.get(workload.name, workload.name))}</h3>\n{table(titles, rows)}"


def columns_of(workload: Workload) -> tuple[tuple[str, ...], list[Column]]:
    """The figures that the bar is made of, and the columns beside it."""
    kept = [column for column in tables.columns_of(workload) if column.title in BESIDE]
    if workload.kind == "idle":
        return ("bytes_per_connection",), kept
    return (WHOLE, [CPU[0], *kept]) if workload.kind == "crowd" else (SPLIT, [*CPU, *kept])


def peers(results: Results) -> str:
    rows = (row(map(escape, (name, entry.version, entry.note))) for name, entry in sorted(results.peers.items()))
    return "".join(details("The peers and their versions", table(["peer", "version", "what it is"], rows)))


def details(title: str, html: str) -> Iterator[str]:
    if html:
        yield f"<details><summary>{title}</summary>{html}</details>"


# ---- the other comparisons, and the proofs --------------------------------------------------------------


def comparison(render: Callable[[Results], str], drawn: Sequence[str] = ()) -> Callable[[Path], Section]:
    """Of what saves Results and says in Markdown what they are; drawn: workloads that get bars as well."""

    def section(path: Path) -> Section:
        results = Results.load(path)
        text = render(results)
        charts = [LEGEND, *(workload_table(results, WORKLOADS[name]) for name in drawn)] if drawn else []
        return of_results(results, "\n".join([blocks(text), *charts]), hypertext.verdicts(text))

    return section


def overload(path: Path) -> Section:
    report = Report.load(path)
    text = overload_report.render(report)
    return Section(blocks(text), hypertext.verdicts(text), report.machine, report.settings, len(report.capacity))


def proof(path: Path) -> Section:
    found = Proof.load(path)
    text = found.render()
    return Section(blocks(text), hypertext.verdicts(text), found.machine, found.settings)


# ---- single figures ----------------------------------------------------------------------------------------


def single(path: Path) -> Section:
    found = figures.load(path)
    rows = (
        row(
            [
                escape(one.name),
                f"{figures.spell(one.value)} {one.unit}",
                hypertext.inline(one.verdict),
                escape(one.note),
            ]
        )
        for one in found
    )
    judged = [judged_figure(one) for one in found if one.met is not None]
    return Section(table(["", "value", "", ""], rows), judged, json.loads(path.read_text())["machine"])


def judged_figure(one: Figure) -> str:
    return f"{one.name}: {figures.spell(one.value)} {one.unit}, {one.verdict}"


def micro(path: Path) -> Section:
    found = micro_table.load(path)
    groups: dict[str, list[MicroFigure]] = {}
    for figure in found:
        groups.setdefault(figure.group, []).append(figure)
    html = "\n".join(micro_group(name, members) for name, members in groups.items())
    judged = [f"{one.name}: {spell(one.best_ns)} ns, goal {one.verdict}" for one in found if one.goal_ns is not None]
    return Section(html, judged, json.loads(path.read_text())["machine"])


def micro_group(name: str, found: Sequence[MicroFigure]) -> str:
    longest = max(ns for one in found for ns in (one.best_ns, *one.against.values()))
    whole = min(longest, CUT_FIGURES * max(one.best_ns for one in found))
    rows = [line for one in found for line in micro_rows(one, whole)]
    titles = ["CPU time of one call", "", "best ns", "median ns", "allocations", "goal"]
    return f"<h3>{escape(name)}</h3>\n{table(titles, rows)}"


def micro_rows(one: MicroFigure, whole: float) -> Iterator[str]:
    """Its own line, and one for each that does the same work."""
    figures_of_it = (spell(one.best_ns), spell(one.median_ns), count(one.allocations))
    yield row([escape(one.name), bar([one.best_ns], whole), *figures_of_it, hypertext.inline(one.verdict)])
    for name, ns in one.against.items():
        times = f"{ns / one.best_ns:.1f} x as long" if one.best_ns else ""
        blocks = count(one.against_allocations.get(name))
        yield row([escape(name), bar([0, ns], whole), spell(ns), "", blocks, times], kind="twin")


SECTIONS: dict[str, Callable[[Path], Section]] = {
    "load": load,
    "scale": comparison(scale.render),
    "micro": micro,
    "startup": single,
    "store": single,
    "guards": single,
    "files": comparison(files.render, FILES),
    "tls": comparison(tls.render, tls.REQUESTS),
    "observed": comparison(observed.render, [observed.REQUEST]),
    "refusals": comparison(refusals.render),
    "deadlines": single,
    "overload": overload,
    **dict.fromkeys(("rolling", "kills", "draining", "slow", "workers", "soak"), proof),
}
