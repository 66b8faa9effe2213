"""Whatever clients send, there are as many series as the application has kinds of answers, and no more memory."""

import asyncio
import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import uvloop

from highperf import App, Request
from highperf.config import Layers, resolve
from highperf.core.worker import Worker
from tests import compiled

REQUESTS = 100_000
WARM_UP = 5_000
NOISE = 1000  # blocks that the caches of the interpreter may take
SEED = 7

REJECTED, MOST_SERIES, MOST_NAMES = 3, 60, 60

pytestmark = pytest.mark.release_build


class Sink(asyncio.Transport):
    """Takes what is written and forgets it."""

    def write(self, data: Any) -> None:
        pass

    def close(self) -> None:
        pass

    abort = write_eof = pause_reading = resume_reading = close

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


@pytest.fixture
def worker() -> Iterator[Worker]:
    app = App()

    @app.get("/users/:id", rate_limit="10/s")
    def user(request: Request) -> dict[str, str]:
        return request.params

    @app.route("/any/*rest", methods="*")
    def anything(request: Request) -> str:
        return "any"

    loop = uvloop.new_event_loop()
    settings = resolve(Layers())
    worker = Worker(app.build(settings), settings, loop, app=app, fallback=app.fallback)
    worker.logger.disabled = True
    yield worker
    worker.logger.disabled = False
    worker.close()
    loop.close()


def alphabet(octets: bytes) -> bytes:
    """What turns any octets into these."""
    return bytes(octets[value % len(octets)] for value in range(256))


PATHS = alphabet(b'abc019/%._~"\\{}\x00\x7f\xff\n ')
TOKENS = alphabet(b"ABCXYZ!#$%&'*+-.^_`|~")
FIELDS = alphabet(b'abc-:"\\{}=,\r\n\x00\xe9 ')
DIGITS = alphabet(b"0123456789.")


def some(chance: random.Random, kind: bytes, most: int) -> bytes:
    return chance.randbytes(1 + chance.getrandbits(8) % most).translate(kind)


def hostile_request(chance: random.Random) -> bytes:
    """Something that is, or pretends to be, a request; most of it nobody has sent before."""
    number = chance.getrandbits(16)
    method = (b"GET", b"POST", b"DELETE", some(chance, TOKENS, 32))[number & 3]
    prefix = (b"/", b"/users/", b"/any/", b"http://a/")[number >> 2 & 3]
    version = (b"1.1", b"1.1", b"1.0", some(chance, DIGITS, 4))[number >> 4 & 3]
    path, name, value = some(chance, PATHS, 40), some(chance, TOKENS, 9), some(chance, FIELDS, 60)
    return b"%b %b%b HTTP/%b\r\nHost: a\r\n%b: %b\r\n\r\n" % (method, prefix, path, version, name, value)


def send(worker: Worker, octets: bytes) -> None:
    protocol = worker.connection()
    protocol.connection_made(Sink())
    buffer = protocol.get_buffer(-1)
    buffer[: len(octets)] = octets
    protocol.buffer_updated(len(octets))
    protocol.connection_lost(None)


def test_hostile_requests_make_neither_series_nor_memory(worker: Worker, pytestconfig: pytest.Config) -> None:
    probe = compiled.load(pytestconfig, "tests/metrics_probe.pyx")
    chance = random.Random(SEED)
    for _ in range(WARM_UP):
        send(worker, hostile_request(chance))
    blocks = sys.getallocatedblocks()
    for _ in range(REQUESTS):
        send(worker, hostile_request(chance))
    assert sys.getallocatedblocks() - blocks < NOISE
    counts = probe.requests(worker.segment)
    assert sum(counts.values()) >= REQUESTS
    assert len(counts) < MOST_SERIES, counts
    assert {route for route, *_ in counts} == {"unmatched", "/users/:id", "/any/*rest"}
    assert {method for _, method, *_ in counts} <= {"GET", "POST", "DELETE", "_OTHER"}
    assert probe.names(worker.segment) < MOST_NAMES
    assert sum(probe.numbers(worker.segment, REJECTED).values()) > REQUESTS // 10
