"""The one timer that a worker sets in its loop: for the millisecond, not for the second before."""

from collections.abc import Callable
from typing import Any

import pytest

from highperf import App
from highperf.config import Layers, resolve
from highperf.core.worker import Worker


class Handle:
    def cancel(self) -> None:
        pass


class Recorder:
    """A loop that notes what it is asked to do later, and does nothing."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> Handle:
        self.asked.append((callback.__name__, delay_s))
        return Handle()

    def call_soon(self, callback: Callable[[], object]) -> Handle:
        return self.call_later(0, callback)


class Silent:
    """A transport whose peer says nothing."""

    def get_extra_info(self, name: str) -> None:
        return None


def worker_in(recorder: Recorder, **given: object) -> Worker:
    app = App()
    settings = resolve(Layers(app=given))
    loop: Any = recorder
    worker = Worker(app.build(settings), settings, loop, app=app)
    worker.advance(0)
    recorder.asked.clear()
    return worker


@pytest.mark.parametrize("timeout_s", [0.001, 0.08, 0.999, 1.5, 1.9999])
def test_timer_is_set_for_when_the_first_timeout_is_due(timeout_s: float) -> None:
    recorder = Recorder()
    worker = worker_in(recorder, read_timeout=f"{timeout_s * 1e6:.0f}us")
    transport: Any = Silent()
    worker.connection().connection_made(transport)
    [(name, delay_s)] = recorder.asked
    assert name == "tick"
    assert timeout_s < delay_s <= timeout_s + 0.002


def test_timer_that_fires_early_is_set_again_for_the_rest() -> None:
    recorder = Recorder()
    worker = worker_in(recorder, read_timeout="1500ms")
    transport: Any = Silent()
    worker.connection().connection_made(transport)
    worker.advance(0.7)
    [_, (name, delay_s)] = recorder.asked
    assert name == "tick"
    assert 0.8 < delay_s <= 0.802
