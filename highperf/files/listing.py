"""Directory listings, as HTML or JSON. Shows what would be served, and nothing else."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import orjson

from highperf.files.paths import name_allowed
from highperf.files.root import FileRoot
from highperf.wire.accept import read_accept

NAMES_MAX = 10_000

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem }}
td {{ padding-right: 2rem }}
td + td {{ text-align: right; font-variant-numeric: tabular-nums }}
</style>
<h1>{title}</h1>
<table>
{rows}</table>
</html>
"""


def render(root: FileRoot, path: bytes, shown: str, accept: str = "") -> tuple[str, bytes]:
    """The listing of a directory: its content type and its octets. Blocks; from any thread.

    Args:
        root: what the path is below.
        path: the directory's, decoded, with a slash at its end; empty for the root itself.
        shown: the path that the page is headed with.
        accept: the request's Accept field; JSON where it prefers that to HTML.

    Raises:
        OSError: the directory is gone, or cannot be read.
    """
    entries = sorted(_entries(root, path), key=lambda entry: (entry["type"] != "directory", entry["name"]))
    if prefers_json(accept):
        return "application/json", orjson.dumps(entries)
    return "text/html; charset=utf-8", _page(entries, f"Index of {shown}", below_root=bool(path)).encode()


def prefers_json(accept: str) -> bool:
    """Whether an Accept field (RFC 9110 section 12.5.1) gives JSON more weight than HTML."""
    weights = {kind: weight for kind, _, weight in read_accept(accept)}
    fallback = weights.get("*/*", 0.0)
    json = weights.get("application/json", weights.get("application/*", fallback))
    return json > weights.get("text/html", weights.get("text/*", fallback))


def _entries(root: FileRoot, path: bytes) -> Iterator[dict[str, Any]]:
    directory = root.open_directory(path.rstrip(b"/") or b".")
    if directory is None:
        raise FileNotFoundError(os.fsdecode(path))
    try:
        with os.scandir(directory) as names:
            for count, found in enumerate(names):
                if count == NAMES_MAX:
                    break
                name = os.fsencode(found.name)
                if name_allowed(name) and (entry := _entry(root, path, name)) is not None:
                    yield entry
    finally:
        os.close(directory)


def _entry(root: FileRoot, path: bytes, name: bytes) -> dict[str, Any] | None:
    # Opened rather than asked for, since a link may lead out and a file may be unreadable.
    kind = root.look(path + name)
    opener = {"file": root.open, "directory": root.open_directory}.get(kind)
    descriptor = None if opener is None else opener(path + name)
    if descriptor is None:
        return None
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    modified = datetime.fromtimestamp(int(status.st_mtime), UTC).isoformat().replace("+00:00", "Z")
    size = {"size": status.st_size} if kind == "file" else {}
    return {"name": name.decode(), "type": kind, **size, "modified": modified}


def _page(entries: list[dict[str, Any]], title: str, *, below_root: bool) -> str:
    from html import escape  # which knows all entities there are: half a megabyte

    rows = ['<tr><td><a href="../">../</a>\n'] if below_root else []
    for entry in entries:
        slash = "/" if entry["type"] == "directory" else ""
        # "./" in front, or a name with a colon would be read as a scheme.
        link = f'<a href="./{quote(entry["name"], safe="")}{slash}">{escape(entry["name"])}{slash}</a>'
        when = entry["modified"].replace("T", " ").replace("Z", " UTC")
        rows.append(f"<tr><td>{link}<td>{entry.get('size', '')}<td>{when}\n")
    return _PAGE.format(title=escape(title), rows="".join(rows))
