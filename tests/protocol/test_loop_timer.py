"""What the worker asks of the loop's own timer: a loop that is told to wait for nothing never rests."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

from highperf.config import Layers, resolve
from highperf.core.worker import Worker
from highperf.testing import MemoryTransport
from highperf.wire.router import Router


class Recording(uvloop.Loop):
    """A loop that notes each delay it is asked for."""

    delays: list[float]

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, **rest: Any) -> asyncio.TimerHandle:
        self.delays.append(delay)
        return super().call_later(delay, callback, *args, **rest)


@pytest.fixture
def loop() -> Iterator[Recording]:
    loop = Recording()
    loop.delays = []
    yield loop
    loop.close()


@pytest.mark.parametrize(("timeout", "seconds"), [("40ms", 0.04), ("700ms", 0.7), ("1s", 1.0), ("2500ms", 2.5)])
def test_the_loop_is_asked_to_wait_until_the_next_timeout_is_due(loop: Recording, timeout: str, seconds: float) -> None:
    worker = Worker(Router(), resolve(Layers(app={"read_timeout": timeout})), loop)
    transport = MemoryTransport(loop, worker.connection())
    loop.run_until_complete(asyncio.sleep(0))
    worker.abort()
    loop.run_until_complete(transport.closed)
    worker.close()
    assert len(loop.delays) == 1
    assert seconds <= loop.delays[0] <= seconds + 0.0011


def test_the_loop_rests_while_it_waits_for_a_timeout(loop: Recording) -> None:
    worker = Worker(Router(), resolve(Layers(app={"read_timeout": "50ms"})), loop)
    transport = MemoryTransport(loop, worker.connection())
    loop.run_until_complete(transport.closed)  # the connection that says nothing is closed
    worker.close()
    assert len(loop.delays) <= 3
