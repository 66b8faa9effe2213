"""A request for a file that is known: found in the cache, and what is sent of it planned; no octet is sent."""

import os
from pathlib import Path
from types import ModuleType

import pytest

from bench.micro.conftest import Tight
from highperf.files.cache import FileCache
from highperf.files.root import FileRoot
from tests import compiled
from tests.streams import BROWSER, get, with_field

GROUP = "files"
GOAL_NS = 150
OLD_S = 1_000_000_000
TAG = b'"3b9aca00-7"'
DATE = b"Sun, 09 Sep 2001 01:46:40 GMT"


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> ModuleType:
    return compiled.load(pytestconfig, "tests/unit/files_probe.pyx")


@pytest.fixture
def cache(tmp_path: Path) -> FileCache:
    for name in ("assets/app.js", "assets/coded.js", "assets/coded.js.br"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"content")
        os.utime(path, (OLD_S, OLD_S))
    return FileCache(FileRoot(tmp_path))


def ask(tight: Tight, probe: ModuleType, cache: FileCache, octets: bytes, path: bytes = b"assets/app.js") -> None:
    cache.find(path, 0)
    tight(probe.Asker(cache, path, octets).answer, goal_ns=GOAL_NS)


def bench_file(tight: Tight, probe: ModuleType, cache: FileCache) -> None:
    ask(tight, probe, cache, get())


def bench_file_with_a_browsers_fields(tight: Tight, probe: ModuleType, cache: FileCache) -> None:
    ask(tight, probe, cache, BROWSER)


def bench_file_not_modified_by_tag(tight: Tight, probe: ModuleType, cache: FileCache) -> None:
    ask(tight, probe, cache, with_field(b"If-None-Match: " + TAG))


def bench_file_not_modified_by_date(tight: Tight, probe: ModuleType, cache: FileCache) -> None:
    ask(tight, probe, cache, with_field(b"If-Modified-Since: " + DATE))


def bench_coded_file(tight: Tight, probe: ModuleType, cache: FileCache) -> None:
    ask(tight, probe, cache, with_field(b"Accept-Encoding: gzip, deflate, br, zstd"), b"assets/coded.js")


def bench_file_range(tight: Tight, probe: ModuleType, cache: FileCache) -> None:
    cache.find(b"assets/app.js", 0)
    tight(probe.Asker(cache, b"assets/app.js", with_field(b"Range: bytes=0-3")).answer)


def bench_missing_file(tight: Tight, probe: ModuleType, cache: FileCache) -> None:
    cache.find(b"missing.js", 0)
    tight(probe.Asker(cache, b"missing.js", get()).find, goal_ns=GOAL_NS)
