"""Imports run one way: service -> app -> core -> {files, guards, observe} -> {wire, segment, siphash, clock}."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.quality.source import PACKAGE, ROOT, compiled_sources, place, python_sources

# What each room may import, besides itself and the rooms that EVERYONE may.
ROOMS = {
    "clock": set(),
    "errors": set(),
    "_version": set(),
    "values": set(),
    "callables": set(),
    "threads": set(),
    "env_file": {"values"},
    "log_format": {"values"},
    "options": {"values"},
    "config": {"env_file", "log_format", "options", "values"},
    "segment": {"clock", "siphash"},
    "siphash": set(),
    "flag": set(),
    "checks": set(),
    "wire": {"clock", "checks"},
    "guards": {"clock", "segment", "siphash", "checks"},
    "files": {"wire", "clock", "siphash", "checks"},
    "observe": {"wire", "clock", "segment", "siphash", "flag", "log_format"},
    "core": {"wire", "guards", "observe", "files", "clock", "segment", "flag", "checks"},
    "server": {"core", "observe", "wire", "segment", "config", "log_format", "values"},
    "policies": {"guards", "callables", "values"},
    "mounts": {"core", "files"},
    "breakers": {"guards", "policies", "values"},
    "app": {"core", "wire", "guards", "observe", "config", "policies", "breakers", "mounts", "callables", "threads"}
    | {"values"},
    "testing": {"core", "wire", "config", "values"},
    "__init__": {"app", "policies", "core", "wire", "guards"},
    "service": {"__init__", "app", "values"},
    "cli": {"server", "app", "service", "config", "options", "env_file", "values"},
    "__main__": {"cli"},
}
EVERYONE = {"errors", "_version"}
# Imported when called or by the type checker alone, so that no room needs a higher one to be loaded.
NOT_AT_IMPORT = {("app", "server"), ("app", "testing"), ("testing", "app")}
WITHOUT_A_LOOP = {"wire", "guards", "observe", "files", "segment", "siphash", "clock", "flag", "checks"}
LOOPS = {"asyncio", "uvloop", "anyio", "trio"}

IMPORT = re.compile(
    r"""^(?P<indent>[ \t]*)
    (?: from [ ]+ (?P<module>[\w.]+) [ ]+ c?import [ ]* (?P<names>\([^)]*\) | [^\n]*)
      | c?import [ ]+ (?P<modules>[\w., ]+) )
    """,
    re.MULTILINE | re.VERBOSE,
)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].split(".")[0]


def imports(path: Path) -> Iterator[tuple[int, bool, str]]:
    """Yields (line, at the top of the module, absolute dotted name) of all that a file imports or cimports."""
    text = path.read_text()
    for match in IMPORT.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match["module"]:
            assert not match["module"].startswith("."), f"{place(path, line)}: relative import"
            names = re.sub(r"#[^\n]*|[()\n]", " ", match["names"]).split(",")
            imported = [f"{match['module']}.{name.split()[0]}" for name in names if name.split()]
        else:
            imported = [name.split()[0] for name in match["modules"].split(",")]
        for name in imported:
            yield line, not match["indent"], name


def target_room(name: str) -> str | None:
    parts = name.split(".")
    if parts[0] != "highperf":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else "__init__"


def breaches(path: Path) -> Iterator[str]:
    room = room_of(path)
    allowed = ROOMS[room] | EVERYONE | {room}
    for line, at_top, name in imports(path):
        target = target_room(name)
        if target is None:
            if room in WITHOUT_A_LOOP and name.split(".")[0] in LOOPS:
                yield f"{place(path, line)}: {room} must not know {name}"
        elif target not in allowed and (at_top or (room, target) not in NOT_AT_IMPORT):
            yield f"{place(path, line)}: {room} must not import {target} ({name})"


def test_every_file_lies_in_a_known_room() -> None:
    rooms = {room_of(path) for path in [*compiled_sources(), *python_sources()]}
    assert rooms <= ROOMS.keys()


def test_the_import_rules_have_no_cycle() -> None:
    settled: set[str] = set()
    while ready := {room for room, targets in ROOMS.items() if room not in settled and targets <= settled}:
        settled |= ready
    assert settled == ROOMS.keys()


def test_imports_follow_the_layers() -> None:
    found = [breach for path in [*compiled_sources(), *python_sources()] for breach in breaches(path)]
    assert not found, "\n".join(found)


def test_a_breach_is_seen(tmp_path: Path) -> None:
    guard = PACKAGE / "guards" / "deadlines.pyx"
    text = "import asyncio\nfrom highperf.wire.buffers cimport (Buffer,  # why\n    BufferPool)\ncimport cython\n"
    (tmp_path / "x.pyx").write_text(text)
    names = [name for _, _, name in imports(tmp_path / "x.pyx")]
    assert names == ["asyncio", "highperf.wire.buffers.Buffer", "highperf.wire.buffers.BufferPool", "cython"]
    assert target_room("highperf.wire.buffers.Buffer") == "wire"
    assert room_of(guard) == "guards"
    assert ROOT in guard.parents
