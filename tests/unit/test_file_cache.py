"""FileCache: what it finds, for how long, and how much of it."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from highperf.files.cache import FileCache
from highperf.files.root import FileRoot
from tests import compiled
from tests.unit.test_file_root import unprivileged, without_descriptors

SECOND = 10**9
LARGE = b"x" * 100_000
OLD_S = 1_000_000_000


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/files_probe.pyx")


def write(path: Path, content: bytes, when_s: float = OLD_S) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (when_s, when_s))


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


# ---- what a path leads to ---------------------------------------------------------------------------


def test_small_file_is_in_memory_and_large_one_open(probe: Any, tmp_path: Path) -> None:
    write(tmp_path / "small.txt", b"content")
    write(tmp_path / "large.bin", LARGE)
    write(tmp_path / "empty", b"")
    cache = FileCache(FileRoot(tmp_path))
    small, large, empty = (cache.find(name, 0) for name in (b"small.txt", b"large.bin", b"empty"))
    assert (small.kind, small.content, small.size, probe.descriptor(small)) == (probe.FILE, b"content", 7, -1)
    assert (large.kind, large.content, large.size) == (probe.FILE, None, len(LARGE))
    assert os.pread(probe.descriptor(large), 10, 0) == LARGE[:10]
    assert (empty.content, empty.size) == (b"", 0)


def test_fields_of_a_file(tmp_path: Path) -> None:
    write(tmp_path / "page.html", b"content")
    entry = FileCache(FileRoot(tmp_path), cache_control="max-age=60").find(b"page.html", 0)
    assert entry.headers.items() == [
        ("content-type", "text/html; charset=utf-8"),
        ("last-modified", "Sun, 09 Sep 2001 01:46:40 GMT"),
        ("etag", '"3b9aca00-7"'),
        ("cache-control", "max-age=60"),
        ("accept-ranges", "bytes"),
    ]
    assert entry.not_modified.items() == [
        ("last-modified", "Sun, 09 Sep 2001 01:46:40 GMT"),
        ("etag", '"3b9aca00-7"'),
        ("cache-control", "max-age=60"),
    ]


@pytest.mark.parametrize("openat2", [True, False])
def test_directories(probe: Any, tmp_path: Path, openat2: bool) -> None:
    write(tmp_path / "index.html", b"top")
    write(tmp_path / "dir" / "index.html", b"page")
    write(tmp_path / "bare" / "file", b"x")
    (tmp_path / "odd" / "index.html").mkdir(parents=True)
    cache = FileCache(FileRoot(tmp_path, openat2=openat2))
    assert cache.find(b"", 0).content == b"top"
    assert cache.find(b"dir/", 0).content == b"page"
    assert cache.find(b"dir", 0).kind == probe.REDIRECT
    nothing = [b"bare", b"bare/", b"odd", b"odd/", b"missing/", b"index.html/", b"dir/index.html/"]
    assert [cache.find(path, 0).kind for path in nothing] == [probe.MISSING] * len(nothing)


def test_listings(probe: Any, tmp_path: Path) -> None:
    write(tmp_path / "dir" / "index.html", b"page")
    write(tmp_path / "bare" / "file", b"x")
    cache = FileCache(FileRoot(tmp_path), listing=True)
    assert [cache.find(path, 0).kind for path in (b"", b"bare/")] == [probe.LISTING] * 2
    assert cache.find(b"dir/", 0).content == b"page"
    assert [cache.find(path, 0).kind for path in (b"bare", b"dir")] == [probe.REDIRECT] * 2
    assert [cache.find(path, 0).kind for path in (b"missing/", b"bare/file/")] == [probe.MISSING] * 2


def test_without_index_there_are_no_pages(probe: Any, tmp_path: Path) -> None:
    write(tmp_path / "dir" / "index.html", b"page")
    cache = FileCache(FileRoot(tmp_path), index=None)
    assert [cache.find(path, 0).kind for path in (b"", b"dir", b"dir/")] == [probe.MISSING] * 3
    assert FileCache(FileRoot(tmp_path), index="file").find(b"dir/", 0).kind == probe.MISSING


def test_fallback_stands_in_for_what_is_missing_but_not_for_what_is_refused(probe: Any, tmp_path: Path) -> None:
    write(tmp_path / "app.html", b"app")
    write(tmp_path / "file", b"file")
    (tmp_path / "out").symlink_to("/etc/passwd")
    cache = FileCache(FileRoot(tmp_path), fallback="app.html")
    assert [cache.find(path, 0).content for path in (b"users/1", b"", b"out", b"file")] == [b"app"] * 3 + [b"file"]
    assert [cache.find(path, 1).content for path in (b"users/1", b"", b"out")] == [b"app"] * 3
    assert [cache.find(path, 0).kind for path in (b".env", b"../x", b"a//b")] == [probe.MISSING] * 3


def test_missing_fallback_is_missing(probe: Any, tmp_path: Path) -> None:
    cache = FileCache(FileRoot(tmp_path), fallback="app.html")
    assert cache.find(b"x", 0).kind == probe.MISSING
    write(tmp_path / "app.html", b"app")
    assert cache.find(b"x", SECOND).content == b"app"


@pytest.mark.parametrize(
    "options",
    [
        {"index": "../index.html"},
        {"index": ".hidden"},
        {"index": ""},
        {"index": "a/b"},
        {"fallback": "../x"},
        {"fallback": ""},
        {"fallback": "/index.html"},
        {"cache_control": "a\r\nb"},
        {"limit_entries": 0},
        {"limit_bytes": -1},
        {"limit_descriptors": -1},
        {"content_bytes": -1},
    ],
)
def test_nonsense_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        FileCache(FileRoot(tmp_path), **options)


def test_reason_is_given_when_it_is_seen(probe: Any, tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "fifo")
    cache = FileCache(FileRoot(tmp_path))
    for path, why in ((b"out", "a symbolic link leads out of the root"), (b"fifo", "neither a file nor a directory")):
        told = [cache.find(path, now_ns) for now_ns in (0, 1, SECOND - 1, SECOND)]
        assert [entry.kind for entry in told] == [probe.MISSING] * 4
        assert [entry.why for entry in told] == [why, None, None, why]


def test_file_without_permission_is_missing(probe: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    write(tmp_path / "secret", b"x")
    write(tmp_path / "dir" / "index.html", b"x")
    (tmp_path / "dir").chmod(0o755)
    for name in ("secret", "dir/index.html"):
        (tmp_path / name).chmod(0)
    cache = FileCache(FileRoot(tmp_path))
    with unprivileged():
        told = {path: cache.find(path, 0) for path in (b"secret", b"dir/", b"dir")}
    assert {entry.kind for entry in told.values()} == {probe.MISSING}
    assert told[b"secret"].why == "permission denied"


def test_siblings(probe: Any, tmp_path: Path) -> None:
    write(tmp_path / "a.js", b"content")
    write(tmp_path / "a.js.br", b"brotli")
    write(tmp_path / "a.js.gz", LARGE)
    (tmp_path / "a.js.zst").symlink_to("/etc/passwd")
    write(tmp_path / "b.js", b"content")
    cache = FileCache(FileRoot(tmp_path))
    entry = cache.find(b"a.js", 0)
    assert entry.headers["vary"] == entry.not_modified["vary"] == "Accept-Encoding"
    assert "content-encoding" not in entry.headers
    br, zstd, gzip = (probe.sibling(entry, coding) for coding in (probe.BR, probe.ZSTD, probe.GZIP))
    assert (br.content, br.headers["content-encoding"], br.headers["vary"]) == (b"brotli", "br", "Accept-Encoding")
    assert br.headers["content-type"] == entry.headers["content-type"] == "text/javascript; charset=utf-8"
    assert zstd is None
    assert (gzip.content, gzip.size, gzip.headers["content-encoding"]) == (None, len(LARGE), "gzip")
    assert len({entry.tag, br.tag, gzip.tag}) == 3
    alone = cache.find(b"b.js", 0)
    assert "vary" not in alone.headers
    assert probe.sibling(alone, probe.BR) is None
    assert cache.find(b"a.js.br", 0).headers["content-type"] == "application/octet-stream"
    assert "vary" not in FileCache(FileRoot(tmp_path), precompressed=False).find(b"a.js", 0).headers


def test_sibling_of_same_size_and_time_has_another_tag(probe: Any, tmp_path: Path) -> None:
    for name in ("a.js", "a.js.br", "a.js.gz"):
        write(tmp_path / name, b"content")
    entry = FileCache(FileRoot(tmp_path)).find(b"a.js", 0)
    entries = [entry, probe.sibling(entry, probe.BR), probe.sibling(entry, probe.GZIP)]
    assert len({entry.tag for entry in entries} | {entry.exact for entry in entries}) == 6


def test_unconfined_root_takes_any_path(probe: Any, tmp_path: Path) -> None:
    write(tmp_path / ".hidden", b"content")
    (tmp_path / "dir").mkdir()
    cache = FileCache(FileRoot("/", confined=False), precompressed=False)
    assert cache.find(os.fsencode(tmp_path / ".hidden"), 0).content == b"content"
    for path in (
        os.fsencode(tmp_path / "dir"),
        os.fsencode(tmp_path) + b"/dir/",
        b"",
        b"a\0b",
        b"/" * 5000,
        b"/dev/null",
    ):
        assert cache.find(path, 0).kind == probe.MISSING


# ---- for a second -----------------------------------------------------------------------------------


def test_same_entry_is_given_for_as_long_as_nothing_changes(tmp_path: Path) -> None:
    write(tmp_path / "file", b"content")
    cache = FileCache(FileRoot(tmp_path))
    entry = cache.find(b"file", 0)
    assert all(cache.find(b"file", now_ns) is entry for now_ns in (1, SECOND - 1, SECOND, 5 * SECOND, 9 * SECOND))


def replace(path: Path) -> None:
    write(path.with_name("new"), b"CONTENT")
    path.with_name("new").rename(path)


CHANGES = {
    "rewritten": lambda path: write(path, b"changed", OLD_S + 1),
    "longer": lambda path: write(path, b"content and more", OLD_S),
    "truncated": lambda path: os.truncate(path, 3),
    "touched": lambda path: os.utime(path, (OLD_S + 5, OLD_S + 5)),
    "rewritten in secret": lambda path: write(path, b"CONTENT", OLD_S),  # size and time are the same
    "replaced": replace,  # likewise
    "by nanoseconds": lambda path: os.utime(path, ns=(OLD_S * SECOND + 1, OLD_S * SECOND + 1)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("content", [b"content", LARGE], ids=["small", "large"])
def test_change_is_seen_after_a_second(probe: Any, tmp_path: Path, change: str, content: bytes) -> None:
    write(tmp_path / "file", content)
    cache = FileCache(FileRoot(tmp_path))
    old = cache.find(b"file", 0)
    CHANGES[change](tmp_path / "file")
    assert cache.find(b"file", SECOND - 1) is old
    new = cache.find(b"file", SECOND)
    assert new is not old
    assert new.content == (tmp_path / "file").read_bytes()[:65536] or new.content is None
    assert cache.entries == 1


@pytest.mark.parametrize("change", ["rewritten", "longer", "truncated", "touched"])
def test_changed_file_has_another_tag(tmp_path: Path, change: str) -> None:
    write(tmp_path / "file", b"content")
    cache = FileCache(FileRoot(tmp_path))
    old = cache.find(b"file", 0)
    CHANGES[change](tmp_path / "file")
    assert cache.find(b"file", SECOND).tag not in (old.tag, old.exact)


def test_deleted_file_is_missing_after_a_second_and_back_a_second_later(probe: Any, tmp_path: Path) -> None:
    write(tmp_path / "file", b"content")
    cache = FileCache(FileRoot(tmp_path))
    assert cache.find(b"file", 0).kind == probe.FILE
    (tmp_path / "file").unlink()
    assert cache.find(b"file", SECOND - 1).kind == probe.FILE
    assert cache.find(b"file", SECOND).kind == probe.MISSING
    assert (cache.entries, cache.missing_names) == (0, 1)
    write(tmp_path / "file", b"again")
    assert cache.find(b"file", 2 * SECOND - 1).kind == probe.MISSING
    assert cache.find(b"file", 2 * SECOND).content == b"again"
    assert (cache.entries, cache.missing_names) == (1, 0)


def test_file_that_becomes_a_directory_or_a_way_out(probe: Any, tmp_path: Path) -> None:
    write(tmp_path / "a", b"content")
    cache = FileCache(FileRoot(tmp_path))
    assert cache.find(b"a", 0).kind == probe.FILE
    (tmp_path / "a").unlink()
    write(tmp_path / "a" / "index.html", b"page")
    assert cache.find(b"a", SECOND).kind == probe.REDIRECT
    (tmp_path / "a").rename(tmp_path / "b")
    (tmp_path / "a").symlink_to("/etc/passwd")
    assert cache.find(b"a", 2 * SECOND).kind == probe.MISSING


def test_index_that_appears_and_goes(probe: Any, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    cache = FileCache(FileRoot(tmp_path), listing=True)
    assert cache.find(b"dir/", 0).kind == probe.LISTING
    write(tmp_path / "dir" / "index.html", b"page")
    assert cache.find(b"dir/", SECOND - 1).kind == probe.LISTING
    assert cache.find(b"dir/", SECOND).content == b"page"
    (tmp_path / "dir" / "index.html").unlink()
    assert cache.find(b"dir/", 2 * SECOND).kind == probe.LISTING


def test_siblings_that_appear_change_and_go(probe: Any, tmp_path: Path) -> None:
    write(tmp_path / "a.js", b"content")
    cache = FileCache(FileRoot(tmp_path))
    assert probe.sibling(cache.find(b"a.js", 0), probe.GZIP) is None
    write(tmp_path / "a.js.gz", b"one")
    assert probe.sibling(cache.find(b"a.js", SECOND), probe.GZIP).content == b"one"
    write(tmp_path / "a.js.gz", b"two")
    assert probe.sibling(cache.find(b"a.js", 2 * SECOND), probe.GZIP).content == b"two"
    (tmp_path / "a.js.gz").unlink()
    entry = cache.find(b"a.js", 3 * SECOND)
    assert probe.sibling(entry, probe.GZIP) is None
    assert "vary" not in entry.headers


def test_permission_that_is_taken_away_is_seen(probe: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    write(tmp_path / "file", b"content")
    cache = FileCache(FileRoot(tmp_path))
    assert cache.find(b"file", 0).kind == probe.FILE
    (tmp_path / "file").chmod(0)
    with unprivileged():
        assert cache.find(b"file", SECOND).why == "permission denied"


# ---- tags of files that were just written ------------------------------------------------------------


def test_file_written_within_this_second_is_told_by_nanoseconds(probe: Any, tmp_path: Path) -> None:
    when_ns = (probe.files_second() + 100) * SECOND + 123456789  # as if the clock had not got there
    write(tmp_path / "file", b"content")
    os.utime(tmp_path / "file", ns=(when_ns, when_ns))
    cache = FileCache(FileRoot(tmp_path))
    entry = cache.find(b"file", 0)
    assert not entry.settled
    assert entry.tag == entry.exact == b'"%x-7"' % when_ns
    assert entry.modified_s <= probe.files_second()
    assert entry.headers["etag"] == entry.tag.decode()


def test_file_that_is_not_settled_is_read_again_after_a_second(probe: Any, tmp_path: Path) -> None:
    later = probe.files_second() + 100
    write(tmp_path / "file", b"content", later)
    cache = FileCache(FileRoot(tmp_path))
    entry = cache.find(b"file", 0)
    assert cache.find(b"file", SECOND - 1) is entry
    assert cache.find(b"file", SECOND) is not entry


def test_settled_file_is_told_by_seconds_and_known_by_both(tmp_path: Path) -> None:
    write(tmp_path / "file", b"content")
    os.utime(tmp_path / "file", ns=(OLD_S * SECOND + 5, OLD_S * SECOND + 5))
    entry = FileCache(FileRoot(tmp_path)).find(b"file", 0)
    assert entry.settled
    assert entry.tag == b'"%x-7"' % OLD_S
    assert entry.exact == b'"%x-7"' % (OLD_S * SECOND + 5)


@pytest.mark.parametrize("when_s", [-1, 0, 2**33])
def test_odd_times(probe: Any, tmp_path: Path, when_s: int) -> None:
    write(tmp_path / "file", b"content", when_s)
    entry = FileCache(FileRoot(tmp_path)).find(b"file", 0)
    assert 0 <= entry.modified_s <= probe.files_second()


# ---- bounds -----------------------------------------------------------------------------------------


def test_entries_are_bounded(probe: Any, tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path / f"{number}", b"content")
    cache = FileCache(FileRoot(tmp_path), limit_entries=8)
    for number in range(20):
        assert cache.find(b"%d" % number, 0).kind == probe.FILE
        assert cache.entries <= 8
    assert cache.entries == 8


def test_missing_names_are_bounded_and_do_not_drive_out_files(tmp_path: Path) -> None:
    write(tmp_path / "file", b"content")
    cache = FileCache(FileRoot(tmp_path), limit_entries=8)
    entry = cache.find(b"file", 0)
    for number in range(100):
        cache.find(b"missing%d" % number, 0)
        cache.find(b"m" * 250 + b"/" + b"%d" % number, 0)
    assert cache.missing_names == 2
    assert cache.find(b"file", 1) is entry


def test_descriptors_are_bounded_and_closed(probe: Any, tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path / f"{number}", LARGE)
    before = open_files()
    cache = FileCache(FileRoot(tmp_path), limit_descriptors=5)
    for number in range(20):
        cache.find(b"%d" % number, 0)
        assert open_files() <= before + 6  # and the root's own
    assert cache.descriptors == cache.entries == 5
    cache.clear()
    assert (cache.descriptors, cache.entries, cache.held_bytes) == (0, 0, 0)
    assert open_files() == before + 1
    del cache
    assert open_files() == before


def test_octets_are_bounded(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path / f"{number}", b"x" * 10_000)
    cache = FileCache(FileRoot(tmp_path), limit_bytes=100_000)
    for number in range(20):
        cache.find(b"%d" % number, 0)
        assert cache.held_bytes <= 100_000
    assert cache.entries == 8


def test_what_is_too_much_alone_is_served_and_not_kept(probe: Any, tmp_path: Path) -> None:
    write(tmp_path / "small", b"x" * 10_000)
    write(tmp_path / "large", LARGE)
    cache = FileCache(FileRoot(tmp_path), limit_bytes=5000, limit_descriptors=0)
    assert cache.find(b"small", 0).kind == cache.find(b"large", 0).kind == probe.FILE
    assert cache.entries == 0


def test_replaced_files_are_closed(tmp_path: Path) -> None:
    write(tmp_path / "file", LARGE)
    write(tmp_path / "file.gz", LARGE)
    cache = FileCache(FileRoot(tmp_path))
    cache.find(b"file", 0)
    before = open_files()
    for number in range(1, 10):
        write(tmp_path / "file", LARGE, OLD_S + number)
        cache.find(b"file", number * SECOND)
        assert open_files() == before
    assert cache.descriptors == 2


def test_entry_that_is_being_sent_stays_open_when_it_is_driven_out(probe: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, name.encode() * 100_000)
    cache = FileCache(FileRoot(tmp_path), limit_descriptors=1)
    entry = cache.find(b"a", 0)
    cache.find(b"b", 0)
    (tmp_path / "a").unlink()
    cache.clear()
    assert os.pread(probe.descriptor(entry), 10, 99_990) == b"a" * 10
    assert probe.unchanged(entry)
    before = open_files()
    del entry
    assert open_files() == before - 1


def test_file_that_changes_while_it_is_sent_is_not_unchanged(probe: Any, tmp_path: Path) -> None:
    for name in ("longer", "shorter", "touched", "replaced", "small"):
        write(tmp_path / name, LARGE if name != "small" else b"x")
    cache = FileCache(FileRoot(tmp_path))
    entries = {name: cache.find(name.encode(), 0) for name in ("longer", "shorter", "touched", "replaced", "small")}
    assert all(probe.unchanged(entry) for entry in entries.values())
    write(tmp_path / "longer", LARGE + b"x")
    os.truncate(tmp_path / "shorter", 5)
    os.utime(tmp_path / "touched", (OLD_S, OLD_S + 1))
    replace(tmp_path / "replaced")
    write(tmp_path / "small", b"changed")
    unchanged = {name for name, entry in entries.items() if probe.unchanged(entry)}
    assert unchanged == {"replaced", "small"}  # the old file, and memory, are what they were


def test_finding_leaves_no_references(tmp_path: Path) -> None:
    write(tmp_path / "file", b"content")
    cache = FileCache(FileRoot(tmp_path))
    entry = cache.find(b"file", 0)
    before = sys.getrefcount(entry)
    for now_ns in range(0, 5 * SECOND, SECOND // 4):
        assert cache.find(b"file", now_ns) is entry
    assert sys.getrefcount(entry) == before


# ---- without waiting, and in need -------------------------------------------------------------------


def test_cold_path_is_told_and_warmed(probe: Any, tmp_path: Path) -> None:
    write(tmp_path / "file", b"content")
    cache = FileCache(FileRoot(tmp_path))
    if not cache.root.tells:
        pytest.skip("this kernel does not say when it would have to wait")
    assert cache.find(b"file", 0, waits=False).kind == probe.COLD  # nobody has asked for file.br before
    assert cache.find(b"file", 0, waits=False).kind == probe.COLD
    cache.warm(b"file")
    assert cache.entries == 0
    assert cache.find(b"file", 0, waits=True).content == b"content"
    assert cache.find(b"file", 5 * SECOND, waits=False).content == b"content"


def test_where_the_kernel_does_not_say_only_what_is_known_is_found_at_once(probe: Any, tmp_path: Path) -> None:
    write(tmp_path / "file", b"content")
    cache = FileCache(FileRoot(tmp_path, openat2=False))
    assert cache.find(b"file", 0, waits=False).kind == probe.COLD
    assert cache.find(b".env", 0, waits=False).kind == probe.MISSING
    cache.find(b"file", 0)
    assert cache.find(b"file", SECOND, waits=False).content == b"content"


def test_warming_leaves_nothing_open(tmp_path: Path) -> None:
    write(tmp_path / "file", LARGE)
    write(tmp_path / "file.gz", LARGE)
    cache = FileCache(FileRoot(tmp_path), fallback="file")
    before = open_files()
    for path in (b"file", b"missing", b"../x", b"", b"a\0b"):
        cache.warm(path)
    assert open_files() == before


def test_descriptors_of_the_cache_are_given_up_where_there_are_no_others(probe: Any, tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / f"{number}", LARGE)
    cache = FileCache(FileRoot(tmp_path))
    for number in range(5):
        cache.find(b"%d" % number, 0)
    with without_descriptors():
        entry = cache.find(b"5", 0)
    assert entry.kind == probe.FILE
    assert cache.entries == 1


def test_without_descriptors_the_failure_is_told_and_not_remembered(probe: Any, tmp_path: Path) -> None:
    write(tmp_path / "file", b"content")
    cache = FileCache(FileRoot(tmp_path))
    with without_descriptors():
        entry = cache.find(b"file", 0)
    assert entry.kind == probe.BROKEN
    assert entry.why == "no descriptor or memory left to open a file with"
    assert cache.find(b"file", 0).kind == probe.FILE
