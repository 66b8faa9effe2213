"""Traces of requests: whose they are, what is passed on, and which ids are new."""

from typing import Any

import pytest

from highperf.observe.traces import TraceContext, TraceSource
from tests import compiled

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-2] + "00"


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/traces_probe.pyx")


def begin(probe: Any, source: TraceSource, *fields: tuple[str, str]) -> TraceContext:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return probe.begin(source, f"GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode())


def test_a_request_goes_on_with_its_callers_trace_by_a_span_of_its_own(probe: Any) -> None:
    trace = begin(probe, TraceSource("parentbased_always_on"), ("TraceParent", PARENT), ("tracestate", "a=1 , b=2"))
    assert (trace.trace_id, trace.parent_id) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert trace.span_id not in (trace.parent_id, "0" * 16)
    assert trace.sampled
    assert trace.traceparent == f"00-{trace.trace_id}-{trace.span_id}-01"
    assert trace.tracestate == "a=1 , b=2"
    assert trace.numbers == (int(trace.trace_id, 16), int(trace.span_id, 16), int(trace.parent_id or "", 16))


def test_a_request_without_a_caller_begins_a_trace(probe: Any) -> None:
    trace = begin(probe, TraceSource("always_on"), ("tracestate", "a=1"))
    assert trace.parent_id is None
    assert trace.tracestate == ""
    assert trace.flags == 3  # sampled, and its id is random
    assert trace.traceparent.endswith("-03")


def test_where_nothing_is_recorded_the_callers_trace_is_passed_on_as_it_is(probe: Any) -> None:
    for parent in (PARENT, UNSAMPLED):
        trace = begin(probe, TraceSource(), ("traceparent", parent), ("tracestate", "a=1"))
        assert (trace.traceparent, trace.tracestate) == (parent, "a=1")
    trace = begin(probe, TraceSource())
    assert (trace.parent_id, trace.sampled) == (None, False)


@pytest.mark.parametrize("second", [PARENT, UNSAMPLED, ""])
def test_of_two_callers_none_is_believed(probe: Any, second: str) -> None:
    trace = begin(probe, TraceSource("always_on"), ("traceparent", PARENT), ("traceparent", second))
    assert trace.parent_id is None


def test_callers_are_not_listened_to_where_that_is_not_wanted(probe: Any) -> None:
    trace = begin(probe, TraceSource("always_on", follows=False), ("traceparent", PARENT))
    assert trace.parent_id is None
    assert trace.trace_id not in PARENT


def test_flags_of_the_caller_that_nobody_knows_are_not_passed_on(probe: Any) -> None:
    trace = begin(probe, TraceSource(), ("traceparent", PARENT[:-2] + "ff"))
    assert trace.traceparent == PARENT[:-2] + "03"


def test_the_callers_word_counts_only_where_the_sampler_asks_for_it(probe: Any) -> None:
    def sampled(sampler: str, parent: str) -> bool:
        return begin(probe, TraceSource(sampler, 0.0), ("traceparent", parent)).sampled

    assert [sampled("parentbased_traceidratio", parent) for parent in (PARENT, UNSAMPLED)] == [True, False]
    assert [sampled("traceidratio", parent) for parent in (PARENT, UNSAMPLED)] == [False, False]
    assert [sampled("always_on", parent) for parent in (PARENT, UNSAMPLED)] == [True, True]


def test_a_ratio_samples_that_share_of_new_traces(probe: Any) -> None:
    source = TraceSource("parentbased_traceidratio", 0.25)
    count = sum(begin(probe, source).sampled for _ in range(10_000))
    assert 2_300 < count < 2_700


def test_ids_do_not_come_again(probe: Any) -> None:
    sources = [TraceSource("always_on") for _ in range(4)]
    traces = [begin(probe, source) for source in sources for _ in range(5_000)]
    assert len({trace.trace_id for trace in traces} | {trace.span_id for trace in traces}) == 2 * len(traces)


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_a_ratio_out_of_bounds_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="ratio"):
        TraceSource("traceidratio", ratio)


@pytest.mark.parametrize("sampler", ["", "parentbased_", "sometimes", "parentbased_parentbased_always_on"])
def test_an_unknown_sampler_is_refused(sampler: str) -> None:
    with pytest.raises(ValueError, match="expected one of"):
        TraceSource(sampler)


def test_a_trace_context_is_made_by_the_server_alone() -> None:
    with pytest.raises(TypeError):
        TraceContext()
