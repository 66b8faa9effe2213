"""One line of the access log, from a parsed head and what was noted of the answer; the write is not in it."""

import logging
import os
from collections.abc import Iterator
from itertools import repeat
from types import ModuleType
from typing import Any

import pytest

from bench.micro.conftest import Loop, Tight
from highperf.log_format import parse_format
from highperf.observe.access_log import AccessLog
from highperf.observe.line_sink import LineSink
from tests import compiled

GROUP = "observing"
GOAL_NS = 500
HEAD = (
    b"GET /users/1?verbose=true HTTP/1.1\r\nHost: api.example.com\r\nReferer: https://www.example.com/users\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36\r\n"
    b"Accept: */*\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\nConnection: keep-alive\r\n\r\n"
)
TOLD: dict[str, Any] = {
    "client": b"192.0.2.17",
    "port": 51234,
    "id": b"0a1b2c3d-1234567",
    "route": b"/users/:id",
    "took_ns": 412_345,
    "sent": 52,
}


@pytest.fixture
def sink() -> Iterator[LineSink]:
    sink = LineSink(os.open(os.devnull, os.O_WRONLY), "file", lambda reason, lost: None)
    yield sink
    sink.close()


class Forgetting(logging.Handler):
    """Formats the line; like ours, it is not written."""

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)


def logging_loop() -> Loop:
    """Python's logging with the values at hand, as servers written in Python log."""
    logger, handler = logging.Logger("access", logging.INFO), Forgetting()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger.addHandler(handler)
    values = ("192.0.2.17:51234", "GET", "/users/1?verbose=true", "1.1", 200, 52, 0.412345)

    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            logger.info('%s - "%s %s HTTP/%s" %d %d %.6f', *values)

    return loop


@pytest.mark.parametrize("name", ["default", "common", "combined", "json"])
def bench_line(tight: Tight, pytestconfig: pytest.Config, sink: LineSink, name: str) -> None:
    probe: ModuleType = compiled.load(pytestconfig, "tests/unit/access_log_probe.pyx")
    log = AccessLog(sink, parse_format(name), excluded=("/healthz", "/readyz", "/metrics"))
    tight(
        lambda calls: probe.add(log, HEAD, calls, **TOLD),
        goal_ns=GOAL_NS,
        against={"logging": logging_loop()} if name == "default" else None,
    )
