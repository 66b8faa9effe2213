"""README and docs quote figures from the newest files of results, and no others: this writes them there.

python -m bench.quotes            rewrites what stands between <!-- figures: NAME --> and <!-- end -->
python -m bench.quotes --check    only says where that would change something

A passage whose file of results does not exist is left as it is.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import figures, record, startup
from bench.load import files, goals, observed, overload_report, refusals, tables, tls
from bench.load.goals import PROJECT
from bench.load.guarded import OFF, ON
from bench.load.overload_report import Report, formula
from bench.load.places import RESULTS, ROOT
from bench.load.proof import Proof
from bench.load.results import Results
from bench.micro import table as micro

PAPERS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PASSAGE = re.compile(r"(<!-- figures: ([\w-]+) -->)(.*?)(<!-- end -->)", re.DOTALL)
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

COLUMNS = {
    PROJECT: "highperf",
    "go-fasthttp": "Go fasthttp",
    "go-nethttp": "Go net/http",
    "granian-rsgi": "granian RSGI",
    "starlette": "Starlette",
    "fastapi": "FastAPI",
}
ROWS = {
    "healthz": "`GET /healthz`",
    "healthz-pipe16": "the same, 16 pipelined",
    "user": "`GET /users/:id`, `async def` handler, JSON",
    "create": "`POST /users`, JSON checked, no database",
}
PROOFS = ("rolling", "kills", "draining", "slow", "workers")
CPU = "cpu_us"


@dataclass(frozen=True)
class Source:
    """A file of results, and the paper that quotes it."""

    path: Path
    paper: Path

    @property
    def link(self) -> str:
        return os.path.relpath(self.path, self.paper.parent)

    def beside(self, suffix: str) -> str:
        return os.path.relpath(self.path.with_suffix(suffix), self.paper.parent)


def number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    border = "| --- " + "| ---: " * (len(titles) - 1) + "|"
    return "\n".join([tables.row(list(titles)), border, *(tables.row(list(cells)) for cells in rows)])


# ---- load ---------------------------------------------------------------------------------------------


def load_method(source: Source) -> str:
    results = Results.load(source.path)
    counts = [len(record.figures["round"]) for record in results.under("user").values()]
    rounds = " to ".join(number(count) for count in sorted({min(counts), max(counts)}))
    python = ".".join(results.machine["python"].split(".")[:2])
    taken = f"medians of {rounds} interleaved rounds in one run, {number(results.machine['cpus'])} cores"
    load = f"CPython {python}, {results.settings['connections']} keep-alive connections"
    return f"{taken}, {load} ([the samples]({source.link}))"


def load_ratios(source: Source) -> str:
    """x floor of the best known peers, and what an idle connection holds."""
    results = Results.load(source.path)
    peers = [peer for peer in COLUMNS if peer in results.peers]
    rows = [[title, *(times_floor(results, peer, workload) for peer in peers)] for workload, title in ROWS.items()]
    rows.append(["memory of an idle connection", *(idle_bytes(results, peer) for peer in peers)])
    return markdown(["", *(COLUMNS[peer] for peer in peers)], rows)


def load_peers(source: Source) -> str:
    """CPU time of a request for every peer, cheapest first, with its share of user time."""
    results = Results.load(source.path)
    workloads = [workload for workload in ROWS if results.under(workload)]
    order = results.under("user")
    rows = []
    for peer in sorted(order, key=lambda peer: order[peer].median(CPU)):
        cells = [cpu_and_user(results, peer, workload) for workload in workloads]
        rows.append([peer, *cells, times_floor(results, peer, "user"), idle_bytes(results, peer)])
    return markdown(["CPU µs (of these user)", *map(ROWS.__getitem__, workloads), "x floor", "idle connection"], rows)


def cpu_and_user(results: Results, peer: str, workload: str) -> str:
    found = results.under(workload).get(peer)
    return f"{found.median(CPU):.2f} ({found.median('user_us'):.2f})" if found else "-"


def times_floor(results: Results, peer: str, workload: str) -> str:
    if peer not in results.under(workload):
        return "-"
    ratios = results.times_floor(peer, workload)
    return f"{median(ratios):.2f}" if ratios else "-"


def idle_bytes(results: Results, peer: str) -> str:
    found = results.under("idle").get(peer)
    return f"{found.median('bytes_per_connection'):,.0f} B" if found else "-"


def load_goals(source: Source) -> str:
    return "\n".join(line for line in goals.render(Results.load(source.path)).splitlines() if line.startswith("- "))


# ---- micro, and single figures ---------------------------------------------------------------------------


def micro_requests(source: Source) -> str:
    us = {figure.name: f"{figure.best_ns / 1000:.2f} µs" for figure in micro.load(source.path)}
    return f"health takes {us['healthz']}, `GET /users/:id` {us['get user']} and `POST /users` {us['post user']}"


def micro_table(source: Source) -> str:
    """What has a goal, or others beside it."""
    rows = []
    for figure in micro.load(source.path):
        if figure.goal_ns is not None or figure.against:
            times = [micro.spell(ns) for ns in (figure.best_ns, figure.median_ns)]
            against = ", ".join(f"{name} {micro.spell(ns)}" for name, ns in figure.against.items())
            rows.append([figure.name, *times, micro.count(figure.allocations), figure.verdict, against])
    titles = ["what", "best ns", "median ns", "allocations", "goal", "others, doing the same"]
    return (
        f"{markdown(titles, rows)}\n\nThese have a goal or others beside them; [the samples]({source.link}) have more."
    )


def startup_sentence(source: Source) -> str:
    value = {figure.name: figure.value for figure in figures.load(source.path)}
    first_s, rss_mb = value[startup.FIRST_ANSWER] / 1000, value[startup.IDLE_RSS]
    words = f"answers first after {first_s:.2f} s, an idle worker holds {rss_mb:.0f} MB"
    return f"{words}, the wheel {value[startup.WHEEL]:.2f} MB" if startup.WHEEL in value else words


def single_table(source: Source) -> str:
    rows = [
        [one.name, f"{figures.spell(one.value)} {one.unit}".strip(), one.verdict, one.note]
        for one in figures.load(source.path)
    ]
    return f"{markdown(['what', 'found', 'goal', ''], rows)}\n\n[The samples]({source.link})."


# ---- the other comparisons, and the proofs ----------------------------------------------------------------


def tables_of(render: Callable[[Results], str]) -> Callable[[Source], str]:
    """The tables of a comparison, and how they came about."""

    def write(source: Source) -> str:
        results = Results.load(source.path)
        rounds, seconds = results.last_round(), results.settings["seconds"]
        taken = f"{number(rounds).capitalize()} round{'s' * (rounds > 1)} of {seconds:g} s each"
        return f"{taken} ([the samples]({source.link})):\n\n{render(results).strip()}"

    return write


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def observed_shares(source: Source) -> str:
    records = Results.load(source.path).under(observed.REQUEST)
    more = {name: median(records[name].ratios(records[observed.OFF], CPU)) - 1 for name in observed.GOALS}
    on, logged = (percent(max(0.0, more[name])) for name in (observed.ON, observed.LOGGED))  # below nothing is noise
    return f"{on} of a request, {logged} with the log in a file"


def goodput(source: Source) -> str:
    return percent(Report.load(source.path).of_peak(ON, overload_report.TIMELINE_FACTOR))


def picture(words: str) -> Callable[[Source], str]:
    return lambda source: f"![{words}]({source.beside('.svg')})"


def overload_table(source: Source) -> str:
    report = Report.load(source.path)
    rows = [
        [
            f"{factor:g} x",
            percent(report.of_peak(ON, factor)),
            f"{report.middle(ON, factor, lambda sample: sample.p99_ms):.0f} ms",
            percent(report.of_peak(OFF, factor)),
            percent(formula(report.cost, factor)),
        ]
        for factor in report.factors(ON)
    ]
    titles = ["offered", "goodput, of its peak", "p99 of the 200s", "without guards", "if nothing but refusals cost"]
    most, cost = f"{median(report.capacity):,.0f} requests a second", f"{100 * report.cost:.2f} % of a served request"
    said = f"At most {most}; a refusal costs {cost} ([the samples]({source.link})):"
    verdicts = "\n".join(overload_report.verdicts(report))
    return f"{said}\n\n{markdown(titles, rows)}\n\n{verdicts}"


def proof_verdicts(source: Source) -> str:
    """What was judged, and the picture of it."""
    proof = Proof.load(source.path)
    lines = [str(verdict) for verdict in proof.verdicts]
    return "\n".join([f"[The picture]({source.beside('.svg')}), [the samples]({source.link}).", "", *lines])


# Name of a passage -> the kind of results that it is made from, and by what.
QUOTES: Mapping[str, tuple[str, Callable[[Source], str]]] = {
    "load-method": ("load", load_method),
    "load-ratios": ("load", load_ratios),
    "load-peers": ("load", load_peers),
    "load-goals": ("load", load_goals),
    "micro-requests": ("micro", micro_requests),
    "micro": ("micro", micro_table),
    "startup": ("startup", startup_sentence),
    "deadlines": ("deadlines", single_table),
    "guards": ("guards", single_table),
    "store": ("store", single_table),
    "scale": ("scale", picture("How the cost of a request grows")),
    "files": ("files", tables_of(files.render)),
    "tls": ("tls", tables_of(tls.render)),
    "observed": ("observed", tables_of(observed.render)),
    "observed-shares": ("observed", observed_shares),
    "refusals": ("refusals", tables_of(refusals.render)),
    "goodput": ("overload", goodput),
    "overload": ("overload", overload_table),
    "overload-picture": ("overload", picture("Goodput under overload, with and without the guards")),
    **{name: (name, proof_verdicts) for name in PROOFS},
}


# ---- papers ----------------------------------------------------------------------------------------------


def rewrite(text: str, paper: Path, found: Mapping[str, Path]) -> str:
    """The text of a paper with its passages as the results have them. One that begins a line has lines of its own."""

    def passage(match: re.Match[str]) -> str:
        begin, name, said, end = match.groups()
        kind, write = QUOTES[name]
        if kind in found:
            said = write(Source(found[kind], paper))
        alone = text[: match.start()].endswith("\n")
        return f"{begin}\n\n{said.strip()}\n\n{end}" if alone else f"{begin}{said}{end}"

    return PASSAGE.sub(passage, text)


def stale(folder: Path = RESULTS) -> dict[Path, str]:
    """The papers that say something else than the results, and what they should say."""
    found = record.newest(folder)
    fresh = {paper: rewrite(paper.read_text(), paper, found) for paper in PAPERS}
    return {paper: text for paper, text in fresh.items() if text != paper.read_text()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.quotes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 where something would")
    options = parser.parse_args(arguments)
    changed = stale()
    for paper, text in changed.items():
        if not options.check:
            paper.write_text(text)
        print(f"{paper.relative_to(ROOT)}: {'differs from the results' if options.check else 'rewritten'}")
    return int(options.check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
