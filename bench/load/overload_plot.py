"""The overload runs as a picture: goodput and latency against the load, and ten times the load in time."""

import math
from collections.abc import Callable
from statistics import median

from bench.load import chart
from bench.load.chart import Axis, Line, Panel, Point
from bench.load.guarded import OFF, ON
from bench.load.overload_report import GOALS, TIMELINE_FACTOR, Report, Sample, formula

COLORS = {ON: "#0f7b8a", OFF: "#d1495b"}
NAMES = {ON: "guards on", OFF: "guards off"}
FORMULA_COLOR, GOAL_COLOR, BOUND_COLOR, BAND = "#8a97a3", "#b08900", "#b08900", "#fbf3e4"
WIDTH, HEIGHT = 1000, 790
UPPER = {"top": 164, "height": 250, "width": 400}
LOWER = {"left": 80, "top": 518, "height": 190, "width": 880}
NEAR = 1.3  # a factor so near to the next is drawn, but not named
TIMES = "\N{MULTIPLICATION SIGN}"


def draw(report: Report) -> str:
    factors = report.factors(ON) or report.factors(OFF)
    panels = []
    if len(factors) > 1:
        panels = [goodput(report, factors), latency(report, factors)]
    if report.timelines:
        panels.append(timeline(report))
    return chart.render(WIDTH, HEIGHT, "Goodput under overload, with and without the guards", subtitle(report), panels)


def subtitle(report: Report) -> list[str]:
    work_ms, deadline_ms = report.settings["work_us"] / 1000, report.settings["deadline_s"] * 1000
    return [
        f"Requests at fixed times, whether or not answers come. A handler of {work_ms:g} ms of CPU, one worker"
        f" on one CPU: {median(report.capacity):,.0f} requests/s are its capacity.",
        f"Goodput is what was answered 200 within {deadline_ms:g} ms of the time at which it was due.",
        f"Grey dots: what is left if nothing but refusals cost, each {report.cost:.2%} of a request served.",
    ]


def load_axis(factors: list[float]) -> Axis:
    label = "offered load, in times the capacity"
    ticks = [at for at, after in zip(factors, [*factors[1:], math.inf], strict=True) if after / at > NEAR]
    return Axis(min(factors), max(factors), ticks, label, log=True, spell=lambda factor: f"{factor:g}{TIMES}")


def curve(report: Report, guards: str, figure: Callable[[str, float], float]) -> list[Point]:
    return [(factor, figure(guards, factor)) for factor in report.factors(guards)]


def goodput(report: Report, factors: list[float]) -> Panel:
    high = max(factors)
    goals = [(factor, goal) for factor, goal in GOALS.items() if factor in factors]
    predicted = [(factor, formula(report.cost, factor)) for factor in dense(factors)]
    lines = [Line(predicted, FORMULA_COLOR, dashes="2 5", width=2)] if report.cost else []
    lines += [Line([(x / 1.12, y), (min(x * 1.12, high), y)], GOAL_COLOR, width=3) for x, y in goals]
    for guards in (OFF, ON):
        points = curve(report, guards, report.of_peak)
        if points:
            lines.append(Line(points, COLORS[guards], NAMES[guards], name_spot(guards, points), dots=True))
    notes = [(x, y - 0.075, "goal", "middle") for x, y in goals[-2:-1]]
    axis = Axis(0, 1.1, (0, 0.25, 0.5, 0.75, 1), spell=lambda share: f"{share:.0%}")
    return Panel(80, title="Goodput, of its peak", x=load_axis(factors), y=axis, lines=lines, notes=notes, **UPPER)


def name_spot(guards: str, points: list[Point]) -> Point:
    middle = next((point for point in points if point[0] >= 2), points[-1])
    return (middle[0] * 1.1, middle[1] + 0.05) if guards == ON else (middle[0] * 1.1, middle[1] + 0.06)


def latency(report: Report, factors: list[float]) -> Panel:
    deadline_ms = report.settings["deadline_s"] * 1000
    ends = min(factors), max(factors)
    patience_ms = report.settings["timeout_s"] * 1000
    bounds = (deadline_ms, f"deadline {deadline_ms:g} ms"), (patience_ms, "clients have given up")
    lines = [Line([(x, ms) for x in ends], BOUND_COLOR, dashes="6 5", width=1.5) for ms, _ in bounds]
    for guards in (OFF, ON):
        for figure, dashes in ((p99_ms, ""), (p50_ms, "1 5")):
            points = [
                (factor, report.middle(guards, factor, figure))
                for factor in report.factors(guards)
                if report.middle(guards, factor, figure)
            ]
            if points:
                lines.append(Line(points, COLORS[guards], dashes=dashes, dots=not dashes))
    notes = [(ends[1], ms * 1.15, words, "end") for ms, words in bounds]
    axis = Axis(0.5, 3000, (1, 10, 100, 1000), log=True, spell=lambda ms: f"{ms:g} ms")
    title = "Latency of what was answered 200: p99, dotted p50"
    return Panel(560, title=title, x=load_axis(factors), y=axis, lines=lines, notes=notes, **UPPER)


def p50_ms(sample: Sample) -> float:
    return sample.p50_ms


def p99_ms(sample: Sample) -> float:
    return sample.p99_ms


def timeline(report: Report) -> Panel:
    step, plateau = report.settings["bin_s"], report.settings["seconds"]
    calm, capacity = report.settings["calm_s"], median(report.capacity)
    seconds = max(len(rates) for _, rates in report.timelines.values()) * step
    lines = []
    for guards in (OFF, ON):
        if guards in report.timelines:
            _, good = report.timelines[guards]
            points = [((at + 0.5) * step, rate / capacity) for at, rate in enumerate(good)]
            spot = (
                calm + plateau / 2,
                points[round((calm + plateau / 2) / step)][1] + (0.07 if guards == OFF else -0.14),
            )
            lines.append(Line(points, COLORS[guards], NAMES[guards], spot, "middle", width=2, filled=guards == ON))
    title = "Goodput of each tenth of a second, of the capacity, while ten times the capacity is asked, and after"
    x = Axis(0, seconds, [float(k) for k in range(int(seconds) + 1)], "seconds")
    y = Axis(0, 1.3, (0, 0.25, 0.5, 0.75, 1), spell=lambda share: f"{share:.0%}")
    offered = ((0.0, calm, 0.8), (calm, calm + plateau, TIMELINE_FACTOR), (calm + plateau, seconds, 0.8))
    notes = [((begin + end) / 2, 1.17, f"{factor:g}{TIMES} offered", "middle") for begin, end, factor in offered]
    return Panel(title=title, x=x, y=y, lines=lines, notes=notes, bands=[(calm, calm + plateau, BAND)], **LOWER)


def dense(factors: list[float]) -> list[float]:
    low, high = 1.0, max(factors)
    return [low * (high / low) ** (step / 60) for step in range(61)]
