"""What counting costs a request: one histogram, found among the series of as many routes."""

from typing import Any

import pytest

from bench.micro.conftest import Tight
from highperf.observe.metrics import Metrics
from highperf.segment import Segment
from tests import compiled

GROUP = "observing"


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/metrics_probe.pyx")


@pytest.mark.parametrize("routes", [1, 200, 1000])
def bench_metrics_observe(tight: Tight, probe: Any, routes: int) -> None:
    metrics = Metrics(Segment.create(16 << 20), 0)
    tight(lambda calls: probe.observe_many(metrics, routes, calls), goal_ns=60)
