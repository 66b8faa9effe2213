"""Parts of a message: chunks, paths and queries are read, heads are written, buffers are borrowed."""

from collections.abc import Callable
from itertools import repeat
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest

from bench.micro import table, twins
from bench.micro.conftest import Loop, Tight
from highperf.wire.buffers import BufferPool
from highperf.wire.response import ResponseHeaders
from tests import compiled

GROUP = "reading"

CHUNKS = b"".join(b"%x\r\n%b\r\n" % (size, b"x" * size) for size in (16, 100, 1000, 3)) + b"0\r\n\r\n"
CHUNKED_HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
PLAIN, ENCODED = b"/users/42/friends/1234", b"/files/r%C3%A9sum%C3%A9s/a%20b/2026.pdf"
QUERY = b"q=caf%C3%A9+au+lait&page=3&sort=name&tag=a&tag=b"
FIELDS = [("Cache-Control", "max-age=60"), ("ETag", '"33a64df5"'), ("Vary", "Accept-Encoding")]


@pytest.fixture(scope="module")
def loops(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "bench/micro/wire_loops.pyx")


def often(function: Callable[[Any], object], argument: object) -> Loop:
    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            function(argument)

    return loop


def bench_chunked_body(tight: Tight, loops: Any, pytestconfig: pytest.Config) -> None:
    """Four chunks. httptools is given the same body behind a head of its own."""
    assert loops.decode_chunked(CHUNKS, 1) == 16 + 100 + 1000 + 3
    tight(
        lambda calls: loops.decode_chunked(CHUNKS, calls), against={"httptools, with a head": chunks_twin(pytestconfig)}
    )


def chunks_twin(config: pytest.Config) -> Loop | None:
    if twins.module("httptools") is None:
        return None
    twin: Any = compiled.load(config, "bench/micro/httptools_twin.pyx")
    return lambda calls: twin.parse_many(CHUNKED_HEAD + CHUNKS, calls)


@pytest.mark.parametrize("path", [PLAIN, ENCODED], ids=["plain", "encoded"])
def bench_path_as_text(tight: Tight, loops: Any, path: bytes) -> None:
    assert loops.decode_path(path, 1) == unquote(path.decode())
    tight(lambda calls: loops.decode_path(path, calls), against={"urllib.parse.unquote": often(unquote, path.decode())})


def bench_query(tight: Tight, loops: Any) -> None:
    octets = b"GET /search?%b HTTP/1.1\r\nHost: a\r\n\r\n" % QUERY
    others: dict[str, Loop | None] = {"urllib.parse.parse_qsl": often(parse_qsl, QUERY.decode())}
    if datastructures := twins.module("starlette.datastructures"):
        others["starlette"] = often(lambda query: datastructures.QueryParams(query).multi_items(), QUERY)
    assert loops.parse_query(octets, 1) == parse_qsl(QUERY.decode())
    tight(lambda calls: loops.parse_query(octets, calls), against=others)


@pytest.mark.parametrize("fields", [[], FIELDS], ids=["no fields of its own", "three fields"])
def bench_response_head(tight: Tight, loops: Any, fields: list[tuple[str, str]]) -> None:
    headers = ResponseHeaders()
    for name, value in fields:
        headers[name] = value
    assert loops.write_head(headers, 1).startswith(b"HTTP/1.1 200 OK\r\n")
    tight(lambda calls: loops.write_head(headers, calls), group=table.WRITING)


def bench_buffer_of_the_pool(tight: Tight, loops: Any) -> None:
    pool = BufferPool()
    tight(lambda calls: loops.take_and_give(pool, calls), group=table.WRITING)
    assert (pool.misses, pool.in_use) == (1, 0)
