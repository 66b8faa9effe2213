"""What happened to requests in time, as a picture: answered and failed ones, and the moments that count."""

from collections.abc import Sequence
from typing import Any

from bench.load.chart import Axis, Line, Panel, Point, render

COLORS = ("#0f7b8a", "#7a5195", "#4a7c59", "#b08900", "#56789a", "#9a6a56")  # of the kinds of clients
ALARM, MARK, ENDED = "#d1495b", "#b9c2ca", "#8a97a3"
WIDTH, LEFT, PANEL_WIDTH = 1000, 90, 710
PANEL_HEIGHT, STEP, TOP = 190, 300, 150
NAMES_GAP = 0.085  # of the panel's height, between the names of two lines


def draw(title: str, subtitle: Sequence[str], timelines: dict[str, dict[str, Any]]) -> str:
    panels = [panel(name, timeline, TOP + STEP * number) for number, (name, timeline) in enumerate(timelines.items())]
    return render(WIDTH, TOP + STEP * len(panels) - 30, title, subtitle, panels)


def panel(title: str, timeline: dict[str, Any], top: float) -> Panel:
    """Of one timeline, as proof.timeline makes it."""
    width_s, answered = timeline["bin_s"], timeline["answered"]
    drawn = {kind: (rates, COLORS[place % len(COLORS)]) for place, (kind, rates) in enumerate(sorted(answered.items()))}
    if any(timeline["refused"]):
        drawn["refused"] = timeline["refused"], ENDED
    drawn["failed"] = timeline["failed"], ALARM
    seconds = max(len(rates) for rates, _ in drawn.values()) * width_s
    high = max((max(rates, default=0.0) for rates, _ in drawn.values()), default=0.0) * 1.15 or 1.0
    lines = [Line([(at, 0.0), (at, high)], MARK, width=1.2, dashes="3 3") for at in timeline["marks_s"]]
    for place, (name, (rates, color)) in enumerate(drawn.items()):
        points: list[Point] = [((bin_ + 0.5) * width_s, rate) for bin_, rate in enumerate(rates)]
        spot = (seconds * 1.01, high * (1 - NAMES_GAP * (place + 0.5)))
        width = 2.5 if name == "failed" else 1.6
        lines.append(Line(points, color, f"{name} ({round(sum(rates) * width_s):,})", spot, width=width))
    x = Axis(0, seconds, ticks(seconds), "seconds")
    y = Axis(0, high, ticks(high, 4), spell=lambda rate: f"{rate:,.0f}/s")
    return Panel(LEFT, top, PANEL_WIDTH, PANEL_HEIGHT, title, x, y, lines)


def ticks(high: float, about: int = 10) -> list[float]:
    """Round values from 0 up to `high`."""
    step = next(
        digit * 10.0**power for power in range(-3, 9) for digit in (1, 2, 5) if high / (digit * 10.0**power) <= about
    )
    return [step * number for number in range(int(high / step) + 1)]
