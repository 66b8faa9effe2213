"""No byte from outside of the root, nor of what is hidden in it, however it is asked for."""

import os
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from highperf.files.cache import FileCache
from highperf.files.entry import FileEntry
from highperf.files.root import FileRoot
from tests import compiled, traversal

WAYS = ["kernel", "walk"]


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/files_probe.pyx")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return traversal.make_tree(tmp_path_factory.mktemp("tree"))


@pytest.fixture(params=WAYS)
def root(request: pytest.FixtureRequest, tree: Path) -> FileRoot:
    return FileRoot(tree, openat2=request.param == "kernel")


def content_of(probe: Any, entry: FileEntry) -> bytes | None:
    if entry.kind != probe.FILE:
        return None
    return entry.content if entry.content is not None else os.pread(probe.descriptor(entry), entry.size, 0)


def ask(probe: Any, cache: FileCache, payload: str) -> tuple[FileEntry, bytes]:
    """What the router would hand on for a target with this payload."""
    raw = payload.encode("utf-8").partition(b"?")[0]
    path = probe.decode(raw)
    return cache.find(path, 0), path


def test_the_corpus_is_large_and_has_every_trick() -> None:
    corpus = traversal.payloads()
    assert len(corpus) >= 2000
    text = "\n".join(corpus).lower()
    tricks = ["%2e%2e%2f", "%252e", "%c0%ae", "%c0%af", "%5c", "\\", "//", ";", "%00", "%ef%bc%8e", "..%20", "fifo"]
    assert not [trick for trick in tricks if trick not in text]


def test_nothing_leaks(probe: Any, root: FileRoot) -> None:
    cache = FileCache(root, listing=True)
    served, leaked = 0, []
    for payload in traversal.payloads():
        entry, path = ask(probe, cache, payload)
        content = content_of(probe, entry)
        served += content is not None
        if entry.kind == probe.BROKEN or (content is not None and not content.startswith(traversal.PUBLIC)):
            leaked.append((payload, path, entry.why, content))
    assert not leaked
    assert served > 10, "the corpus holds a few paths that are right, or it would prove nothing"


def test_payloads_that_somebody_decoded_before_leak_nothing_either(probe: Any, root: FileRoot) -> None:
    cache = FileCache(root)
    for payload in traversal.payloads():
        path = payload.encode("utf-8")
        for _ in range(3):
            path = probe.decode(path).replace(b"\0", b"/")
            content = content_of(probe, cache.find(path, 0))
            assert content is None or content.startswith(traversal.PUBLIC), path


def test_the_root_lets_nothing_out_even_without_the_rules_for_paths(probe: Any, root: FileRoot) -> None:
    opened = 0
    for payload in traversal.payloads():
        path = probe.decode(payload.encode("utf-8")).partition(b"\0")[0]
        descriptor = root.open(path)
        if descriptor is not None:
            opened += 1
            content = os.read(descriptor, 100)
            os.close(descriptor)
            assert content.startswith((traversal.PUBLIC, traversal.SECRET + b": root/")), path
    assert opened > 50


@pytest.mark.parametrize("name", [*traversal.LINKS_OUT, "root/absolute.txt", "root/absolute_in.txt"])
def test_link_that_leaves_the_root_is_missing(probe: Any, root: FileRoot, name: str) -> None:
    cache = FileCache(root)
    assert cache.find(name.removeprefix("root/").encode(), 0).kind == probe.MISSING
    assert root.open(name.removeprefix("root/").encode()) is None


@pytest.mark.parametrize("name", traversal.LINKS_IN)
def test_link_that_stays_inside_is_followed(probe: Any, root: FileRoot, name: str) -> None:
    cache = FileCache(root)
    path = name.removeprefix("root/").encode()
    entry = cache.find(path, 0)
    assert entry.kind == (probe.FILE if name.endswith(".txt") else entry.kind)
    assert root.look(path) in ("file", "directory")


def test_links_are_not_followed_where_that_is_asked_for(probe: Any, tree: Path) -> None:
    for openat2 in (True, False):
        cache = FileCache(FileRoot(tree, follow_symlinks=False, openat2=openat2))
        for name in traversal.LINKS_IN:
            assert cache.find(name.removeprefix("root/").encode(), 0).kind == probe.MISSING
        assert cache.find(b"hello.txt", 0).kind == probe.FILE


@pytest.mark.parametrize("name", ["fifo", "socket", "device"])
def test_what_is_no_file_is_never_opened(probe: Any, root: FileRoot, tree: Path, name: str) -> None:
    if not (tree / name).exists():
        pytest.skip("only root can make a device")
    cache = FileCache(root)
    assert root.look(name.encode()) == "special"
    assert root.open(name.encode()) is None
    assert cache.find(name.encode(), 0).kind == probe.MISSING
    assert cache.find(name.encode() + b"/", 0).kind == probe.MISSING


@pytest.mark.parametrize("path", [b".well-known/security.txt", b"with space.txt", b"%2e%2e/odd.txt", b"sub/inner.txt"])
def test_odd_names_that_are_meant_to_be_seen_are_served(probe: Any, root: FileRoot, path: bytes) -> None:
    content = content_of(probe, FileCache(root).find(path, 0))
    assert content is not None
    assert content.startswith(traversal.PUBLIC)


def test_missing_forbidden_and_refused_paths_are_answered_alike(probe: Any, root: FileRoot) -> None:
    cache = FileCache(root)
    paths = [
        b"nowhere",
        b".env",
        b".git",
        b"link_out.txt",
        b"fifo",
        b"../secret.txt",
        b"a\0b",
        b"bare",
        b"bare/",
        b"loop",
    ]
    assert {cache.find(path, 0).kind for path in paths} == {probe.MISSING}
    assert {cache.find(path, 1).why for path in paths} == {None}


parts = st.sampled_from(
    [*traversal.DOTS, *traversal.SLASHES, *traversal.STARTS, *traversal.GOALS, *traversal.ENDS]
    + [name.removeprefix("root/") for name in [*traversal.FILES, *traversal.LINKS_IN, *traversal.LINKS_OUT]]
)


@given(
    payload=st.lists(st.one_of(parts, st.text(max_size=3)), min_size=1, max_size=12).map("".join), walks=st.booleans()
)
def test_nothing_leaks_through_any_combination(probe: Any, tree: Path, payload: str, walks: bool) -> None:
    cache = FileCache(FileRoot(tree, openat2=not walks), listing=True)
    path = probe.decode(payload.encode("utf-8", "surrogatepass"))
    content = content_of(probe, cache.find(path, 0))
    assert content is None or content.startswith(traversal.PUBLIC)


@given(path=st.lists(parts, min_size=1, max_size=8).map("/".join))
def test_the_walk_finds_what_the_kernel_finds(probe: Any, tree: Path, path: str) -> None:
    kernel, walk = FileRoot(tree), FileRoot(tree, openat2=False)
    if kernel.walks:
        pytest.skip("this kernel has no openat2")
    name = path.strip("/").encode() or b"."
    if b"\0" not in name:
        assert probe.look(walk, name, True) == probe.look(kernel, name, True)


# ---- a tree that changes while it is looked at ------------------------------------------------------

ROUNDS = 40_000
WAYS_AT_ONCE = ["kernel", "walk", "walk alone"]


@contextmanager
def exchanging(probe: Any, one: Path, other: Path) -> Iterator[None]:
    """Meanwhile two names change places, as fast as the system does it."""
    over = array("i", [0])
    times: list[int] = []
    thread = threading.Thread(target=lambda: times.append(probe.exchange(os.fsencode(one), os.fsencode(other), over)))
    thread.start()
    try:
        yield
    finally:
        over[0] = 1
        thread.join()
    assert times[0] > 0


def seen(probe: Any, root: Path, path: bytes, way: str) -> dict[str, int]:
    file_root = FileRoot(root, openat2=way == "kernel")
    return probe.first_octets(file_root, path, ROUNDS, walk=way == "walk alone")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder with a root in it, and the same names in both."""
    for place, content in (
        (tmp_path, b"SECRET"),
        (tmp_path / "root", b"PUBLIC"),
        (tmp_path / "root" / "dir", b"PUBLIC"),
    ):
        place.mkdir(exist_ok=True)
        (place / "file.txt").write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("way", WAYS_AT_ONCE)
def test_directory_that_becomes_a_link_while_it_is_walked_leads_nowhere(probe: Any, outside: Path, way: str) -> None:
    (outside / "root" / "link").symlink_to("..")
    with exchanging(probe, outside / "root" / "dir", outside / "root" / "link"):
        assert seen(probe, outside / "root", b"dir/file.txt", way).keys() <= {"P"}


@pytest.mark.parametrize("way", WAYS_AT_ONCE)
def test_file_that_becomes_a_link_while_it_is_opened_leads_nowhere(probe: Any, outside: Path, way: str) -> None:
    (outside / "root" / "link.txt").symlink_to("../file.txt")
    with exchanging(probe, outside / "root" / "file.txt", outside / "root" / "link.txt"):
        assert seen(probe, outside / "root", b"file.txt", way).keys() <= {"P"}


@pytest.mark.parametrize("way", WAYS)
def test_file_that_becomes_a_fifo_while_it_is_opened_is_not_waited_for(probe: Any, outside: Path, way: str) -> None:
    os.mkfifo(outside / "root" / "fifo")
    with exchanging(probe, outside / "root" / "file.txt", outside / "root" / "fifo"):
        assert seen(probe, outside / "root", b"file.txt", way).keys() <= {"P"}


@pytest.mark.parametrize("way", WAYS_AT_ONCE)
def test_link_that_changes_its_target_while_it_is_followed_leads_nowhere(probe: Any, outside: Path, way: str) -> None:
    (outside / "root" / "in").symlink_to("dir")
    (outside / "root" / "out").symlink_to("../root/..")
    with exchanging(probe, outside / "root" / "in", outside / "root" / "out"):
        assert seen(probe, outside / "root", b"in/file.txt", way).keys() <= {"P"}
