"""The newest results of each kind in a folder, as one HTML page that needs no other file.

python -m bench.page [FOLDER]     default: bench/results; the page is made in that folder
"""

import os
import sys
from html import escape
from pathlib import Path

from bench import hypertext, record
from bench.load import chart, goals, overload_plot, places
from bench.parts import PARTS
from bench.sections import SECTIONS, Section

LINKED = ("rolling", "kills", "draining", "soak")  # timelines of many points: the page is to stay small
HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"/><meta name="viewport" content="width=device-width"/>
<title>highperf, measured</title>"""
QUICK = "Quick runs, to see whether something has changed. They are too short for the record."
FOR_THE_RECORD = "Made from the newest file of results of each kind, by <code>python -m bench.page</code>."
FAIR = "What is fair here, and what is not"
HERE = Path(__file__).resolve().parent

# What pictures are drawn with, and the variables of page.css that stand for it on a dark page.
THEMED = {chart.PAPER: "paper", chart.INK: "ink", chart.SOFT: "soft", chart.GRID: "grid", overload_plot.BAND: "ours"}


def write(folder: Path) -> None:
    found = record.newest(folder)
    if not found:
        print(f"no results in {folder}: no page")
        return
    page = folder / f"{record.stem(max(found.values()))}.html"
    page.write_text(render(folder))
    print(f"page: {page}")


def render(folder: Path) -> str:
    found = record.newest(folder)
    kinds = [kind for kind in SECTIONS if kind in found]
    sections = {kind: section_of(kind, found[kind]) for kind in kinds}
    links = "\n".join(f'<a href="#{name}">{name}</a>' for name in (*kinds, "fair"))
    body = [
        "<h1>highperf, measured</h1>",
        f'<p class="soft">{QUICK if folder.resolve() == places.TRIALS else FOR_THE_RECORD}</p>',
        f"<nav>{links}</nav>",
        facts(sections),
        summary(sections),
        *(whole_section(kind, sections[kind], found[kind]) for kind in kinds),
        fair(folder),
    ]
    return "\n".join([HEAD, f"<style>{style()}</style></head>", "<body>", *body, "</body></html>"]) + "\n"


def style() -> str:
    """With pictures in the colours of the page, so that they can be read on a dark one too."""
    pairs = [(at, color, name) for color, name in THEMED.items() for at in ("fill", "stroke")]
    themed = (f'svg [{at}="{color}"] {{ {at}: var(--{name}) }}' for at, color, name in pairs)
    return "\n".join([(HERE / "page.css").read_text(), *themed])


def section_of(kind: str, path: Path) -> Section:
    """A file that does not hold what it should costs its section, not the page."""
    try:
        return SECTIONS[kind](path)
    except (LookupError, ValueError, TypeError) as error:
        return Section(f"<p>{escape(path.name)} cannot be shown: {escape(repr(error))}</p>")


def facts(sections: dict[str, Section]) -> str:
    """What all files say of the machine; where they differ, each."""
    values: dict[str, dict[str, None]] = {}
    for section in sections.values():
        for name, value in section.machine.items():
            values.setdefault(name.replace("_", " "), {})[str(value)] = None
    rows = (hypertext.row([escape(name), escape("; ".join(said))]) for name, said in values.items())
    return '<table class="facts">' + "\n".join(rows) + "</table>"


def summary(sections: dict[str, Section]) -> str:
    """How many goals were met, and which were not, or only while other processes were in the way."""
    judged = [(kind, line) for kind, section in sections.items() for line in section.judged]
    missed = [(kind, line) for kind, line in judged if hypertext.is_missed(line)]
    doubtful = [(kind, line) for kind, line in judged if goals.DISTURBED in line and not hypertext.is_missed(line)]
    title = f"Goals: {len(judged) - len(missed)} of {len(judged)} met"
    if doubtful:
        title += f", {len(doubtful)} of them in a disturbed run"
    items = [f'<li><a href="#{kind}">{kind}</a>: {hypertext.inline(line)}</li>' for kind, line in missed + doubtful]
    return "\n".join([f'<h2 id="goals">{title}</h2>', *(["<ul>", *items, "</ul>"] if items else [])])


def whole_section(kind: str, section: Section, path: Path) -> str:
    part = PARTS.get(kind)
    title = part.answers if part else "Does anything pile up, with everything at once?"
    module = part.module if part else "bench.load.soak"
    taken = [f"<code>python -m {module}</code>", *sizes(section), f'<a href="{escape(path.name)}">the samples</a>']
    heading = f'<h2 id="{kind}">{escape(title)}</h2>\n<p class="soft">{", ".join(taken)}</p>'
    return "\n".join(filter(None, [heading, picture(kind, path), section.html]))


def sizes(section: Section) -> list[str]:
    """What was set: rounds, seconds of load, connections, and when."""
    settings, found = section.settings, []
    if section.rounds:
        found.append(f"{section.rounds} round{'s' * (section.rounds > 1)}")
    if "seconds" in settings:
        found.append(f"{settings['seconds']:g} s of load each")
    if connections := settings.get("connections"):
        numbers = connections if isinstance(connections, list) else [connections]
        found.append(f"{' and '.join(map(str, numbers))} connections")
    return [*found, *filter(None, [section.machine.get("date")])]


def picture(kind: str, path: Path) -> str:
    """The picture beside a file of results."""
    drawn = path.with_suffix(".svg")
    if not drawn.exists():
        return ""
    return f'<p><a href="{escape(drawn.name)}">The picture</a></p>' if kind in LINKED else drawn.read_text()


def fair(folder: Path) -> str:
    """What the load benchmark's own paper says of it."""
    paper = HERE / "load" / "README.md"
    _, _, rest = paper.read_text().partition(f"## {FAIR}\n")
    link = escape(os.path.relpath(paper, folder))
    text = hypertext.blocks(rest.partition("\n## ")[0])
    more = f'<p>How all this is measured: <a href="{link}">bench/load/README.md</a></p>'
    return f'<h2 id="fair">{FAIR}</h2>\n{text}\n{more}'


def main() -> int:
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else places.RESULTS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
