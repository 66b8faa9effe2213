"""Markdown, as the benchmark writes it, and bars as HTML. Knows headings, tables, lists, code, bold and links."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import groupby

VERDICT = re.compile(r"\b(met|MISSED)\b(?=$|, but|;)")
BORDER = re.compile(r"\|[-:| ]+\|")


def inline(text: str) -> str:
    text = escape(text, quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)
    text = re.sub(r"(?<!\w)\*([^*]+)\*", r"<em>\1</em>", text)
    text = re.sub(r"\[([^\]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', text)
    return VERDICT.sub(lambda found: f'<span class="{found[1].lower()}">{found[1]}</span>', text)


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def row(cells: Iterable[str], tag: str = "td", kind: str = "") -> str:
    """Of cells that are HTML already."""
    inner = "".join(f"<{tag}>{cell}</{tag}>" for cell in cells)
    return f'<tr class="{kind}">{inner}</tr>' if kind else f"<tr>{inner}</tr>"


def table(titles: Sequence[str], rows: Iterable[str]) -> str:
    head = row([inline(title) for title in titles], "th")
    return "\n".join(['<div class="wide"><table>', head, *rows, "</table></div>"])


def blocks(markdown: str) -> str:
    """Of lines of one kind a block each; a line that begins with two blanks goes on with the one before."""
    joined = re.sub(r"\n {2,}(?!- )(?=\S)", " ", markdown)
    parts = []
    for kind, lines in groupby(joined.splitlines(), key=_kind):
        parts.append(_block(kind, [line.strip() for line in lines]))
    return "\n".join(filter(None, parts))


def _kind(line: str) -> str:
    marks = {"#": "heading", "|": "table", "-": "list", "": "gap"}
    return marks.get(line.strip()[:1], "text")


def _block(kind: str, lines: list[str]) -> str:
    if kind == "heading":
        return "".join(f"<h3>{inline(line.lstrip('# '))}</h3>" for line in lines)
    if kind == "table":
        rows = [cells_of(line) for line in lines if not BORDER.fullmatch(line)]
        return table(rows[0], (row(map(inline, cells)) for cells in rows[1:]))
    if kind == "list":
        return "<ul>" + "\n".join(f"<li>{inline(line.removeprefix('- '))}</li>" for line in lines) + "</ul>"
    return f"<p>{inline(' '.join(lines))}</p>" if kind == "text" else ""


def verdicts(markdown: str) -> list[str]:
    """What was judged, a line each: items of lists, and rows of tables with the figure that was compared."""
    found, titles = [], []
    for line in markdown.splitlines():
        if line.startswith("- ") and VERDICT.search(line):
            found.append(line.removeprefix("- "))
        if not line.startswith("|"):
            titles = []
        elif not titles:
            titles = cells_of(line)
        elif VERDICT.search(line.rstrip("| ")):
            found.append(_judged(titles, cells_of(line)))
    return found


def _judged(titles: Sequence[str], cells: Sequence[str]) -> str:
    columns = list(zip(titles, cells, strict=True))
    compared = [f"{title} {cell}" for title, cell in columns if title.startswith(("x ", "of "))][:1]
    judged = [f"{title} {cell}" for title, cell in columns if VERDICT.search(cell)]
    return f"{cells[0]}: {', '.join([*compared, *judged])}"


def is_missed(verdict: str) -> bool:
    return "MISSED" in verdict


def bar(parts: Sequence[float], whole: float) -> str:
    """A server's own part and another's side by side, as shares of the whole; what is longer is cut, and looks so."""
    total = sum(parts)
    scale = 100 / max(whole, total) if whole or total else 0.0
    shares = zip(("own", "other"), parts, strict=False)
    pieces = "".join(f'<i class="{kind}" style="width:{part * scale:.1f}%"></i>' for kind, part in shares if part)
    return f'<div class="bar{" cut" if total > whole else ""}">{pieces}</div>'
