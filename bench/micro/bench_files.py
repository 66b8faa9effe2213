"""A request for a file that is known: found in the cache, and what is sent of it planned; no octet is sent."""

import os
from itertools import repeat
from pathlib import Path
from types import ModuleType

import pytest

from bench.micro import twins
from bench.micro.conftest import Loop, Tight
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


def ask(
    tight: Tight,
    probe: ModuleType,
    cache: FileCache,
    octets: bytes,
    path: bytes = b"assets/app.js",
    against: dict[str, Loop | None] | None = None,
) -> None:
    cache.find(path, 0)
    tight(probe.Asker(cache, path, octets).answer, goal_ns=GOAL_NS, against=against)


def starlette_lookup(root: Path) -> Loop | None:
    """What StaticFiles does to find a file and to describe it: it asks the system each time."""
    if (static := twins.module("starlette.staticfiles")) is None:
        return None
    files = static.StaticFiles(directory=root)
    scope = {"method": "GET", "headers": []}

    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            path, stat = files.lookup_path("assets/app.js")
            files.file_response(path, stat, scope)

    return loop


def not_modified(name: str, value: str) -> dict[str, Loop | None]:
    """The judgement alone, without looking for the file."""
    http, static = twins.module("werkzeug.http"), twins.module("starlette.staticfiles")
    tag, date = TAG.decode(), DATE.decode()
    environ = {"REQUEST_METHOD": "GET", f"HTTP_{name.upper().replace('-', '_')}": value}
    others: dict[str, Loop | None] = {}
    if static is not None:
        answer, asked = static.Headers({"etag": tag, "last-modified": date}), static.Headers({name: value})
        judge = static.StaticFiles.is_not_modified
        assert judge(None, answer, asked)

        def starlette(calls: int) -> None:
            for _ in repeat(None, calls):
                judge(None, answer, asked)

        others["starlette, the condition alone"] = starlette
    if http is not None:
        assert not http.is_resource_modified(environ, etag=tag.strip('"'), last_modified=date)

        def werkzeug(calls: int) -> None:
            for _ in repeat(None, calls):
                http.is_resource_modified(environ, etag=tag.strip('"'), last_modified=date)

        others["werkzeug, the condition alone"] = werkzeug
    return others


def ranges(value: str, length: int) -> dict[str, Loop | None]:
    responses, http = twins.module("starlette.responses"), twins.module("werkzeug.http")
    others: dict[str, Loop | None] = {}
    if responses is not None:
        parse = responses.FileResponse._parse_range_header

        def starlette(calls: int) -> None:
            for _ in repeat(None, calls):
                parse(value, length)

        others["starlette, the field alone"] = starlette
    if http is not None:

        def werkzeug(calls: int) -> None:
            for _ in repeat(None, calls):
                http.parse_range_header(value).range_for_length(length)

        others["werkzeug, the field alone"] = werkzeug
    return others


def bench_file(tight: Tight, probe: ModuleType, cache: FileCache, tmp_path: Path) -> None:
    ask(tight, probe, cache, get(), against={"starlette, with its stat(2)": starlette_lookup(tmp_path)})


def bench_file_with_a_browsers_fields(tight: Tight, probe: ModuleType, cache: FileCache) -> None:
    ask(tight, probe, cache, BROWSER)


def bench_file_not_modified_by_tag(tight: Tight, probe: ModuleType, cache: FileCache) -> None:
    ask(tight, probe, cache, with_field(b"If-None-Match: " + TAG), against=not_modified("if-none-match", TAG.decode()))


def bench_file_not_modified_by_date(tight: Tight, probe: ModuleType, cache: FileCache) -> None:
    ask(
        tight,
        probe,
        cache,
        with_field(b"If-Modified-Since: " + DATE),
        against=not_modified("if-modified-since", DATE.decode()),
    )


def bench_coded_file(tight: Tight, probe: ModuleType, cache: FileCache) -> None:
    ask(tight, probe, cache, with_field(b"Accept-Encoding: gzip, deflate, br, zstd"), b"assets/coded.js")


def bench_file_range(tight: Tight, probe: ModuleType, cache: FileCache) -> None:
    cache.find(b"assets/app.js", 0)
    tight(probe.Asker(cache, b"assets/app.js", with_field(b"Range: bytes=0-3")).answer, against=ranges("bytes=0-3", 7))


def bench_missing_file(tight: Tight, probe: ModuleType, cache: FileCache) -> None:
    cache.find(b"missing.js", 0)
    tight(probe.Asker(cache, b"missing.js", get()).find, goal_ns=GOAL_NS)
