"""The curves of bench.load.scale as a picture: one panel for each, lines named at their ends."""

from dataclasses import dataclass, replace

from bench.load.chart import Axis, Line, Panel, Point, apart, render
from bench.load.results import Results
from bench.load.scale_curves import CURVES, Curve

COLORS = {
    "floor": "#8a97a3",
    "highperf": "#0f7b8a",
    "highperf-whole": "#35a7b5",
    "go-fasthttp": "#b08900",
    "go-nethttp": "#d1495b",
    "granian-rsgi": "#7a5195",
    "starlette": "#4a7c59",
    "fastapi": "#2e8b57",
    "falcon-asgi": "#56789a",
    "aiohttp": "#3b5bdb",
    "sanic": "#c2577f",
    "blacksheep": "#1c2733",
    "robyn": "#9a6a56",
    "socketify": "#c46210",
    "nginx": "#5a9e2f",
}
OURS, OTHER = "highperf", "#5d6b79"
WIDTH, PANEL_WIDTH, PANEL_HEIGHT = 1120, 330, 250
LEFTS, TOP, STEP = (90, 650), 150, 370
NAME_PX = 15.0  # between the names of two lines
ROOM = 0.04  # of the width, between the last point and the names


@dataclass(frozen=True)
class View:
    """What a panel shows of a curve."""

    curve: str
    figure: str
    title: str
    since: int = 0  # the point at which it begins


VIEWS = (
    View("connections", "cpu_us", "CPU µs per request"),
    View("routes", "cpu_us", "CPU µs per request"),
    View("headers", "cpu_us", "CPU µs per request"),
    View("bodies", "cpu_us_per_mb", "CPU µs per MB of upload", since=16 << 10),
    View("bodies", "peak_mb", "Peak memory of the server, MB"),
    View("workers", "cpu_us", "CPU µs per request"),
)
Drawn = dict[str, list[Point]]  # by peer


def points_of(results: Results, curve: Curve, figure: str) -> Drawn:
    drawn: Drawn = {}
    for value in curve.points:
        for peer, record in results.under(curve.workload(value).name).items():
            drawn.setdefault(peer, []).append((float(value), record.median(figure)))
    return drawn


def panels(results: Results) -> str:
    """A whole SVG file; curves that were not measured are left out."""
    shown = []
    for view in VIEWS:
        curve = CURVES[view.curve]
        curve = replace(curve, points=tuple(value for value in curve.points if value >= view.since))
        if drawn := points_of(results, curve, view.figure):
            place = len(shown)
            shown.append(panel(view, curve, drawn, LEFTS[place % 2], TOP + STEP * (place // 2)))
    height = TOP + STEP * ((len(shown) + 1) // 2) - 20
    subtitle = [
        "One server process on one CPU, wrk on another; medians. Both axes are logarithmic but that of header fields."
    ]
    return render(WIDTH, height, "How the cost of a request grows", subtitle, shown)


def panel(view: View, curve: Curve, drawn: Drawn, left: float, top: float) -> Panel:
    x, y = x_axis(curve), y_axis([value for points in drawn.values() for _, value in points])
    ends = apart({peer: y.share(points[-1][1]) for peer, points in drawn.items()}, NAME_PX / PANEL_HEIGHT)
    lines = [line(peer, points, (x.high, y.at(ends[peer]))) for peer, points in sorted(drawn.items(), key=ours_last)]
    return Panel(left, top, PANEL_WIDTH, PANEL_HEIGHT, f"{view.title}, by {curve.unit}", x, y, lines)


def ours_last(drawn: tuple[str, list[Point]]) -> bool:
    return drawn[0] == OURS


def line(peer: str, points: list[Point], name_at: Point) -> Line:
    color, width, dashes = COLORS.get(peer, OTHER), 3.2 if peer == OURS else 1.8, "4 3" if peer == "floor" else ""
    return Line(points, color, peer, name_at, dashes=dashes, width=width, dots=peer == OURS)


def x_axis(curve: Curve) -> Axis:
    low, high = curve.points[0], curve.points[-1]
    end = high * (high / low) ** ROOM if curve.log else high + ROOM * (high - low)
    return Axis(low, end, curve.points, curve.unit, curve.log, lambda value: curve.spell(int(value)))


def y_axis(values: list[float]) -> Axis:
    """From a round value below to one above, with ticks at 1, 2, 5, 10, ..."""
    steps = [digit * 10.0**power for power in range(-3, 9) for digit in (1, 2, 5)]
    low = max((step for step in steps if step <= min(values)), default=steps[0])
    high = min((step for step in steps if step >= max(values) and step > low), default=steps[-1])
    ticks = [step for step in steps if low <= step <= high]
    if len(ticks) > 8:
        ticks = [step for step in ticks if f"{step:.0e}".startswith("1")]
    return Axis(low, high, ticks, log=True, spell=lambda value: f"{value:,g}")
