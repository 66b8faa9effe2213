"""Trees made at random: the walk finds what the kernel finds, and a cache says a second later what a new one would."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from highperf.files.cache import FileCache
from highperf.files.entry import FileEntry
from highperf.files.root import FileRoot
from tests import compiled

SECOND = 10**9
OLD_S = 1_000_000_000


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/files_probe.pyx")


names = st.sampled_from(["a", "b", "c"])
ways = st.lists(names, min_size=1, max_size=3).map("/".join)
targets = st.lists(st.sampled_from(["a", "b", "c", "..", ".", "", "x"]), min_size=1, max_size=5).map("/".join)
walks = st.lists(st.sampled_from(["a", "b", "c", "..", "."]), min_size=1, max_size=6).map("/".join)
changes = st.one_of(
    st.tuples(st.just("file"), ways, st.sampled_from(["one", "two", "three!"])),
    st.tuples(st.just("dir"), ways, st.none()),
    st.tuples(st.just("link"), ways, targets),
    st.tuples(st.just("remove"), ways, st.none()),
    st.tuples(st.just("move"), ways, ways),
    st.tuples(st.just("index"), ways, st.sampled_from(["one", "two"])),
    st.tuples(st.just("gzip"), ways, st.sampled_from(["one", "two"])),
)


def write(path: Path, content: str) -> None:
    path.write_text(content)
    os.utime(path, (OLD_S, OLD_S))  # a change that neither size nor time of modification betray


def change(folder: Path, verb: str, name: str, value: str | None) -> None:
    """Does it, or nothing where it cannot be done."""
    path = folder / name
    try:
        if verb == "file":
            write(path, value or "")
        elif verb == "dir":
            path.mkdir(parents=True, exist_ok=True)
        elif verb == "link":
            path.symlink_to(value or "")
        elif verb == "move":
            path.rename(folder / (value or ""))
        elif verb == "index":
            write(path / "index.html", value or "")
        elif verb == "gzip":
            write(path.with_name(path.name + ".gz"), value or "")
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except (OSError, shutil.Error):
        pass


def inside(folder: Path, name: str) -> bool:
    """Whether a name leads to something below the folder, as Python sees it."""
    try:
        return (folder / name).resolve(strict=True).is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        return False


@settings(max_examples=200)
@given(made=st.lists(changes, max_size=12), asked=st.lists(walks, min_size=5, max_size=10))
def test_the_walk_finds_what_the_kernel_finds(probe: Any, made: list[tuple], asked: list[str]) -> None:
    base = Path(tempfile.mkdtemp())
    try:
        folder = base / "root"
        folder.mkdir()
        for step in made:
            change(folder, *step)
        kernel, walk = FileRoot(folder), FileRoot(folder, openat2=False)
        for path in asked:
            found = probe.look(walk, path.encode(), True)
            assert kernel.walks or found == probe.look(kernel, path.encode(), True), path
            if found[1] is not None:
                assert inside(folder, path), path
                assert found[1][0] == (folder / path).stat().st_ino
    finally:
        shutil.rmtree(base)


def told(probe: Any, entry: FileEntry) -> tuple:
    siblings = [probe.sibling(entry, coding) for coding in (probe.BR, probe.ZSTD, probe.GZIP)]
    contents = [None if sibling is None else sibling.content for sibling in siblings]
    return (entry.kind, entry.content, entry.tag, contents)


@settings(max_examples=150)
@given(
    rounds=st.lists(st.lists(changes, max_size=4), min_size=1, max_size=6),
    asked=st.lists(st.tuples(walks, st.sampled_from(["", "/"])).map("".join), min_size=3, max_size=8),
    listing=st.booleans(),
    walk=st.booleans(),
    limit=st.integers(1, 8),
)
def test_cache_says_a_second_later_what_a_new_one_would(
    probe: Any, rounds: list[list[tuple]], asked: list[str], listing: bool, walk: bool, limit: int
) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        root = FileRoot(folder, openat2=not walk)
        cache = FileCache(root, listing=listing, limit_entries=limit)
        for second, steps in enumerate(rounds):
            for step in steps:
                change(folder, *step)
            fresh = FileCache(root, listing=listing)
            for path in asked:
                entry = cache.find(path.encode(), second * SECOND)
                assert told(probe, entry) == told(probe, fresh.find(path.encode(), 0)), path
                assert cache.find(path.encode(), (second + 1) * SECOND - 1).kind == entry.kind
                assert cache.entries <= limit
    finally:
        shutil.rmtree(folder)
