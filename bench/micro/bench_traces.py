"""Which trace a request belongs to, and whether it is recorded: for every request, recorded or not."""

from itertools import repeat
from typing import Any

import pytest

from bench.micro import twins
from bench.micro.conftest import Loop, Tight
from highperf.observe.traces import TraceSource
from tests import compiled

GROUP = "observing"
SAMPLER, RATIO = "parentbased_traceidratio", 0.01
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
ALONE = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CALLED = b"GET / HTTP/1.1\r\nHost: a\r\ntraceparent: %b\r\n\r\n" % PARENT.encode()


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/traces_probe.pyx")


def opentelemetry_loop(fields: dict[str, str]) -> Loop | None:
    """Reading the parent, and a span that is begun and ended, recorded by nobody."""
    sdk, sampling = twins.module("opentelemetry.sdk.trace"), twins.module("opentelemetry.sdk.trace.sampling")
    context = twins.module("opentelemetry.trace.propagation.tracecontext")
    if sdk is None or sampling is None or context is None:
        return None
    provider = sdk.TracerProvider(sampler=sampling.ParentBasedTraceIdRatio(RATIO), shutdown_on_exit=False)
    extract, start = context.TraceContextTextMapPropagator().extract, provider.get_tracer("bench").start_span

    def loop(calls: int) -> None:
        for _ in repeat(None, calls):
            start("GET /", context=extract(fields)).end()

    return loop


@pytest.mark.parametrize("called", [False, True], ids=["of its own", "by traceparent"])
def bench_trace(tight: Tight, probe: Any, called: bool) -> None:
    source = TraceSource(SAMPLER, RATIO)
    other = opentelemetry_loop({"traceparent": PARENT} if called else {})
    tight(
        lambda calls: probe.begin_often(source, CALLED if called else ALONE, calls),
        goal_ns=50,
        against={"opentelemetry-sdk": other},
    )
