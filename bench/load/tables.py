"""Samples as text: one Markdown table per workload, cheapest first."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from bench.load.results import Record, Results
from bench.load.workloads import WORKLOADS, Workload


@dataclass(frozen=True)
class Column:
    title: str
    cell: Callable[[Record], str]


def number(title: str, figure: str, digits: int = 0) -> Column:
    return Column(title, lambda record: f"{record.median(figure):,.{digits}f}")


COMMON = (
    number("CPU µs/req", "cpu_us", 2),
    number("user", "user_us", 2),
    number("system", "system_us", 2),
    Column("spread %", lambda record: f"{record.spread_pct('cpu_us'):.0f}"),
)
LATENCY = (number("p50 µs", "p50_us"), number("p99 µs", "p99_us"))
SURROUNDINGS = (
    Column("errors", lambda record: f"{record.total('errors'):.0f}"),
    number("server CPU %", "server_cpu_pct"),
    number("wrk CPU %", "client_cpu_pct"),
    number("other CPU %", "other_cpu_pct"),
    number("calib µs", "calibration_us"),
    number("RSS MB", "rss_mb", 1),
)
IDLE = (
    number("bytes/connection", "bytes_per_connection"),
    number("RSS before MB", "rss_before_mb", 1),
    number("RSS after MB", "rss_after_mb", 1),
)
CROWD = (
    number("connections", "connections"),
    number("CPU µs/req", "cpu_us", 2),
    number("all answered in s", "wave_s", 2),
    number("connected in s", "connect_s", 2),
    number("bytes/connection", "bytes_per_connection"),
)


def columns_of(workload: Workload) -> tuple[Column, ...]:
    if workload.kind == "idle":
        return IDLE
    if workload.kind == "crowd":
        return CROWD
    speed = [number("req/s", "rps")]
    if workload.content_bytes:
        speed.append(number("MB/s", "mb_per_s"))
    return (*speed, *COMMON, *(LATENCY if workload.latency else ()), *SURROUNDINGS)


def times_floor(results: Results, peer: str, workload: str) -> str:
    ratios = results.times_floor(peer, workload)
    if not ratios:
        return "-"
    if len(ratios) == 1:
        return f"{ratios[0]:.2f}"
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def table(results: Results, workload: Workload) -> list[str]:
    records = results.under(workload.name)
    if not records:
        return []
    columns = columns_of(workload)
    order = "bytes_per_connection" if workload.kind == "idle" else "cpu_us"
    titles = ["peer", "x floor", *(column.title for column in columns)]
    lines = [f"\n### {workload.name}\n", row(titles), "|---" + "|---:" * (len(titles) - 1) + "|"]
    for peer in sorted(records, key=lambda peer: records[peer].median(order)):
        cells = (column.cell(records[peer]) for column in columns)
        lines.append(row([peer, times_floor(results, peer, workload.name), *cells]))
    return lines


def growth(results: Results, title: str, points: dict[str, str], figure: str, digits: int) -> list[str]:
    """One figure along a curve, a row for each peer; points: workloads and what stands above their columns."""
    names = dict.fromkeys(peer for workload in points for peer in results.under(workload))
    if not names:
        return []
    titles = ["peer", *points.values(), "last / least"]
    lines = [f"\n### {title}\n", row(titles), "|---" + "|---:" * (len(titles) - 1) + "|"]
    for peer in names:
        records = [results.peers[peer].records.get(workload) for workload in points]
        figures = [record.median(figure) for record in records if record]
        cells = [f"{record.median(figure):,.{digits}f}" if record else "-" for record in records]
        lines.append(row([peer, *cells, f"{figures[-1] / min(figures):.2f}" if min(figures) else "-"]))
    return lines


def row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def not_measured(results: Results) -> list[str]:
    lines = [
        f"- {peer}, {workload}: {why}"
        for peer, entry in results.peers.items()
        for workload, why in entry.not_measured.items()
    ]
    return ["\n### not measured\n", *lines] if lines else []


def render(results: Results) -> str:
    lines = [line for workload in WORKLOADS.values() for line in table(results, workload)]
    return "\n".join([*lines, *not_measured(results)])


def progress(peer: str, workload: Workload, record: Record) -> str:
    """The newest sample on one line."""
    last = {name: values[-1] for name, values in record.figures.items()}
    head = f"  {peer:18} {workload.name:14}"
    if workload.kind == "idle":
        return f"{head} {last['bytes_per_connection']:9,.0f} B per connection"
    if workload.kind == "crowd":
        return f"{head} {last['connections']:,.0f} at once, answered in {last['wave_s']:.2f} s"
    latency = f"p50 {last['p50_us']:.0f} p99 {last['p99_us']:.0f} " if "p50_us" in last else ""
    return (
        f"{head} {last['rps']:9,.0f}/s {last['cpu_us']:9.2f} µs CPU "
        f"(user {last['user_us']:.2f}, system {last['system_us']:.2f}) "
        f"{latency}errors {last['errors']:.0f} "
        f"server {last['server_cpu_pct']:.0f}% wrk {last['client_cpu_pct']:.0f}% "
        f"other {last['other_cpu_pct']:.0f}%"
    )
