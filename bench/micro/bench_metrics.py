"""What counting costs a request: one histogram, found among the series of as many routes."""

from itertools import cycle, islice
from typing import Any

import pytest

from bench.micro import twins
from bench.micro.conftest import Loop, Tight
from highperf.observe.metrics import Metrics
from highperf.segment import Segment
from tests import compiled

GROUP = "observing"


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/metrics_probe.pyx")


def prometheus_loop(routes: int) -> Loop | None:
    """A counter and a histogram with the labels of a request, which are looked up as a middleware does."""
    if (prometheus := twins.module("prometheus_client")) is None:
        return None
    labels, registry = ["route", "method", "status"], prometheus.CollectorRegistry()
    counter = prometheus.Counter("requests", "Requests.", labels, registry=registry)
    histogram = prometheus.Histogram("seconds", "Their time.", labels, registry=registry)
    asked = cycle([(f"/api/{number}", "GET", "200") for number in range(routes)])

    def loop(calls: int) -> None:
        for values in islice(asked, calls):
            counter.labels(*values).inc()
            histogram.labels(*values).observe(0.001)

    return loop


@pytest.mark.parametrize("routes", [1, 200, 1000])
def bench_metrics_observe(tight: Tight, probe: Any, routes: int) -> None:
    metrics = Metrics(Segment.create(16 << 20), 0)
    tight(
        lambda calls: probe.observe_many(metrics, routes, calls),
        goal_ns=60,
        against={"prometheus-client": prometheus_loop(routes)},
    )
