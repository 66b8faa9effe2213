"""A small SVG line chart: panels with axes, lines and their names. Knows nothing of what it shows."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

Point = tuple[float, float]

INK, SOFT, GRID, PAPER = "#1c2733", "#5d6b79", "#e4e8ec", "#ffffff"
FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
TICK_PX, LABEL_PX, TITLE_PX = 12, 12.5, 15


@dataclass(frozen=True)
class Axis:
    """Values low..high; ticks are the values that are named."""

    low: float
    high: float
    ticks: Sequence[float]
    label: str = ""
    log: bool = False
    spell: Callable[[float], str] = lambda value: f"{value:g}"

    def share(self, value: float) -> float:
        """Where a value lies, 0 at the low end and 1 at the high one; what is outside lies at the end."""
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / (high - low)

    def at(self, share: float) -> float:
        """The value that lies there."""
        if self.log:
            return float(self.low * (self.high / self.low) ** share)
        return self.low + (self.high - self.low) * share


def apart(places: Mapping[str, float], gap: float) -> dict[str, float]:
    """The places, 0..1, moved as little as it takes for names not to overlap: in their order, none nearer than gap."""
    order = sorted(places, key=lambda name: places[name])
    moved: dict[str, float] = {}
    least = 0.0
    for name in order:
        moved[name] = max(places[name], least)
        least = moved[name] + gap
    most = 1.0
    for name in reversed(order):
        moved[name] = min(moved[name], most)
        most = moved[name] - gap
    return moved


@dataclass(frozen=True)
class Line:
    points: Sequence[Point]
    color: str
    name: str = ""
    name_at: Point | None = None  # in values; none: not named
    name_anchor: str = "start"
    dashes: str = ""
    width: float = 2.5
    dots: bool = False
    filled: bool = False


@dataclass(frozen=True)
class Panel:
    """A rectangle of pixels with its axes and what is drawn between them."""

    left: float
    top: float
    width: float
    height: float
    title: str
    x: Axis
    y: Axis
    lines: Sequence[Line] = ()
    notes: Sequence[tuple[float, float, str, str]] = field(default=())  # x, y in values; text; anchor
    bands: Sequence[tuple[float, float, str]] = ()  # x from, x to, color

    def place(self, point: Point) -> Point:
        x, y = point
        return self.left + self.width * self.x.share(x), self.top + self.height * (1 - self.y.share(y))


def text(x: float, y: float, words: str, color: str, size: float, anchor: str = "start", weight: int = 400) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" font-size="{size:g}" text-anchor="{anchor}"'
        f' font-weight="{weight}">{escape(words)}</text>'
    )


def rule(x1: float, y1: float, x2: float, y2: float, color: str) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="{color}" fill="none"/>'


def render_panel(panel: Panel) -> list[str]:
    right, bottom = panel.left + panel.width, panel.top + panel.height
    out = [text(panel.left - 48, panel.top - 18, panel.title, INK, TITLE_PX, weight=600)]
    for begin, end, color in panel.bands:
        (x1, _), (x2, _) = panel.place((begin, panel.y.low)), panel.place((end, panel.y.low))
        out.append(
            f'<rect x="{x1:.1f}" y="{panel.top:g}" width="{x2 - x1:.1f}" height="{panel.height:g}" fill="{color}"/>'
        )
    for value in panel.y.ticks:
        _, y = panel.place((panel.x.low, value))
        out.append(rule(panel.left, y, right, y, GRID))
        out.append(text(panel.left - 8, y + 4, panel.y.spell(value), SOFT, TICK_PX, "end"))
    for value in panel.x.ticks:
        x, _ = panel.place((value, panel.y.low))
        out.append(rule(x, bottom, x, bottom + 5, SOFT))
        out.append(text(x, bottom + 19, panel.x.spell(value), SOFT, TICK_PX, "middle"))
    out.append(rule(panel.left, bottom, right, bottom, SOFT))
    out.append(text((panel.left + right) / 2, bottom + 38, panel.x.label, SOFT, LABEL_PX, "middle"))
    for line in panel.lines:
        out += render_line(panel, line)
    for x, y, words, anchor in panel.notes:
        out.append(text(*panel.place((x, y)), words, SOFT, LABEL_PX, anchor))
    return out


def render_line(panel: Panel, line: Line) -> list[str]:
    spots = [panel.place(point) for point in line.points]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in spots)
    dashes = f' stroke-dasharray="{line.dashes}"' if line.dashes else ""
    out = []
    if line.filled:
        ground = panel.top + panel.height
        area = f"{path}L{spots[-1][0]:.1f} {ground:.1f}L{spots[0][0]:.1f} {ground:.1f}Z"
        out.append(f'<path d="{area}" fill="{line.color}" fill-opacity=".12"/>')
    out.append(
        f'<path d="{path}" fill="none" stroke="{line.color}" stroke-width="{line.width:g}"'
        f' stroke-linejoin="round" stroke-linecap="round"{dashes}/>'
    )
    if line.dots:
        out += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{line.color}" stroke="{PAPER}" stroke-width="1.5"/>'
            for x, y in spots
        ]
    if line.name_at:
        out.append(text(*panel.place(line.name_at), line.name, line.color, LABEL_PX, line.name_anchor, 600))
    return out


def render(width: int, height: int, title: str, subtitle: Sequence[str], panels: Sequence[Panel]) -> str:
    """A whole SVG file on a paper of its own, so that it can be read on a dark page too."""
    body = [
        f'<rect width="{width}" height="{height}" rx="10" fill="{PAPER}"/>',
        text(32, 44, title, INK, 21, weight=700),
        *(text(32, 68 + 19 * number, words, SOFT, 13) for number, words in enumerate(subtitle)),
        *(part for panel in panels for part in render_panel(panel)),
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="{FONT}" role="img">'
    return "\n".join([head, f"<title>{escape(title)}</title>", *body, "</svg>"]) + "\n"
