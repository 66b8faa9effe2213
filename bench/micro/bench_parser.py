"""The request head alone: compiled loops around Head.parse_c and around httptools.

httptools calls back for each part and makes objects of them; Head makes none before it is asked.
So both belong to a comparison: `head`, and `request parser`, which takes all fields as objects.
"""

import random
from itertools import repeat
from types import ModuleType
from typing import Any

import pytest

from bench.micro import twins
from highperf.wire.request_parser import NEED_DATA, RequestParser
from tests import compiled

GROUP = "reading"
SHORT = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
TWO_FIELDS = b"GET /users/42 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: */*\r\n\r\n"
TEN_FIELDS = (
    b"GET /users/42?from=menu HTTP/1.1\r\nHost: api.example.com\r\nConnection: keep-alive\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/126.0.0.0 Safari/537.36\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9,de;q=0.8\r\n"
    b"Referer: https://www.example.com/people/overview?page=3\r\nSec-Fetch-Mode: navigate\r\n"
    b"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes; visitor=1234567890.1234567890\r\n"
    b"Cache-Control: max-age=0\r\n\r\n"
)


@pytest.fixture(scope="module")
def loops(pytestconfig: pytest.Config) -> ModuleType:
    return compiled.load(pytestconfig, "bench/micro/parser_loops.pyx")


@pytest.fixture(scope="module")
def twin(pytestconfig: pytest.Config) -> ModuleType | None:
    return twins.module("httptools") and compiled.load(pytestconfig, "bench/micro/httptools_twin.pyx")


@pytest.fixture(params=[TWO_FIELDS, TEN_FIELDS], ids=["two fields", "ten fields"])
def head(request: pytest.FixtureRequest) -> bytes:
    return request.param


def variants(head: bytes, count: int) -> list[bytes]:
    """The same fields in other orders, with a few left out."""
    dice = random.Random(1)
    line, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    made = []
    for _ in range(count):
        rest = dice.sample(fields[1:], k=dice.randrange(max(1, len(fields) - 4), len(fields)))
        made.append(b"\r\n".join([line, fields[0], *rest, b"", b""]))
    return made


def bench_shortest_head(tight: Any, loops: ModuleType) -> None:
    tight(lambda calls: loops.parse_many(SHORT, calls), goal_ns=60)


def bench_head(tight: Any, loops: ModuleType, twin: ModuleType | None, head: bytes) -> None:
    goal = 350 if head is TEN_FIELDS else None
    others = {"httptools": lambda calls: twin.parse_many(head, calls)} if twin else {}
    assert not twin or loops.parse_many(head, 1) == twin.parse_many(head, 1)
    tight(lambda calls: loops.parse_many(head, calls), goal_ns=goal, against=others)


def bench_heads_that_differ(tight: Any, loops: ModuleType, head: bytes) -> None:
    heads = variants(head, 500)
    tight(lambda calls: loops.parse_in_turn(heads, calls))


def bench_head_octet_by_octet(tight: Any, loops: ModuleType, head: bytes) -> None:
    tight(lambda calls: loops.parse_bytewise(head, calls), calls=500)


def bench_request_parser(tight: Any, head: bytes) -> None:
    """The Python interface: feed, head, all its header fields as objects, end of message."""
    parser = RequestParser()
    feed, next_event = parser.feed, parser.next_event

    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            feed(head)
            assert next_event().headers
            next_event()

    tight(loop, calls=5000)
    assert next_event() is NEED_DATA
