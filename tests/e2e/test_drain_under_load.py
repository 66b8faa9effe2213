"""SIGTERM under load: whoever got a connection gets an answer, until nobody listens any more."""

import signal
import time

import pytest

from bench.load.outcomes import Outcome
from bench.load.traffic import Kind
from tests.load import FILES, Load
from tests.servers import running

KINDS = (
    Kind("keep-alive", 10, 0.01),
    Kind("one-shot", 10, 0.005, keeps=False),
    Kind("content", 4, 0.01, "/content", content=2000),
    Kind("waits", 4, 0.01, "/nap"),
)
WARM = 200  # requests


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("delay", ["0", "300ms"])
def test_no_request_is_lost_in_a_drain(workers: int, delay: str) -> None:
    arguments = ("--workers", str(workers), "--shutdown-delay", delay)
    with running("proofs_app:app", *arguments, files=FILES, env={"SHUTDOWN_TIMEOUT": "30s"}) as server:
        load = Load(server, *KINDS, until_refused=True)
        load.until(lambda: len(load.requests) >= WARM and len(load.workers) == workers)
        told_ns = time.monotonic_ns()
        server.signal(signal.SIGTERM)
        load.until(load.traffic.over)
        assert load.end(refused_from_ns=told_ns) == []
        refused_ns = [request.ended_ns for request in load.requests if request.outcome is Outcome.REFUSED]
        assert min(refused_ns) - told_ns >= (300_000_000 if delay == "300ms" else 0)
        assert server.wait() == 0
