"""A file that is known is found, and its frequent answers are planned, without any memory, not even for a moment."""

import os
from pathlib import Path
from types import ModuleType

import pytest

from highperf.files.cache import FileCache
from highperf.files.root import FileRoot
from tests import compiled
from tests.streams import BROWSER, get, with_field

pytestmark = pytest.mark.release_build

OLD_S = 1_000_000_000
TAG = b'"3b9aca00-7"'
DATE = b"Sun, 09 Sep 2001 01:46:40 GMT"


# Path, request, status.
KINDS = {
    "small file": (b"small.txt", get(), 200),
    "large file": (b"large.bin", get(), 200),
    "HEAD": (b"small.txt", get(method=b"HEAD"), 200),
    "index": (b"", get(), 200),
    "a browser's fields": (b"coded.js", BROWSER, 200),
    "coded file": (b"coded.js", with_field(b"Accept-Encoding: gzip, deflate, br;q=0.9"), 200),
    "not modified by tag": (b"small.txt", with_field(b'If-None-Match: "x", W/' + TAG), 304),
    "not modified by date": (b"small.txt", with_field(b"If-Modified-Since: " + DATE), 304),
    "range that is malformed": (b"small.txt", with_field(b"Range: bytes=x"), 200),
    "range of another file": (b"small.txt", get(b"/", b"Host: h", b"Range: bytes=0-1", b'If-Range: "x"'), 200),
}


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> ModuleType:
    return compiled.load(pytestconfig, "tests/unit/files_probe.pyx")


@pytest.fixture(scope="module")
def allocations(pytestconfig: pytest.Config) -> ModuleType:
    return compiled.load(pytestconfig, "tests/memory/allocations_probe.pyx")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> FileCache:
    folder: Path = tmp_path_factory.mktemp("files")
    contents = {"small.txt": b"content", "large.bin": b"x" * 200_000, "coded.js": b"x", "coded.js.gz": b"y"}
    for name, content in (contents | {"index.html": b"page"}).items():
        (folder / name).write_bytes(content)
        os.utime(folder / name, (OLD_S, OLD_S))
    return FileCache(FileRoot(folder))


@pytest.mark.parametrize("kind", KINDS)
def test_frequent_answer_is_free(probe: ModuleType, allocations: ModuleType, cache: FileCache, kind: str) -> None:
    path, octets, status = KINDS[kind]
    cache.find(path, 0)
    asker = probe.Asker(cache, path, octets)
    asker.answer(1)
    assert asker.status == status
    assert allocations.count(asker.answer, 10, 100) == (0, 0)


def test_missing_file_is_free(probe: ModuleType, allocations: ModuleType, cache: FileCache) -> None:
    cache.find(b"missing", 0)
    asker = probe.Asker(cache, b"missing", get())
    asker.find(1)
    assert allocations.count(asker.find, 10, 100) == (0, 0)


def test_what_is_rare_is_seen_by_the_count(probe: ModuleType, allocations: ModuleType, cache: FileCache) -> None:
    cache.find(b"small.txt", 0)
    asker = probe.Asker(cache, b"small.txt", with_field(b"Range: bytes=0-1"))
    assert allocations.count(asker.answer, 10, 100)[0] >= 1000
