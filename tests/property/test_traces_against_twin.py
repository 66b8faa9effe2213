"""Whatever a caller writes: the compiled reader, its twin and OpenTelemetry's own take it for the same trace."""

import logging
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import sampling
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.trace.span import TraceState

from highperf.observe.traces import TraceSource
from tests import compiled
from tests.reference import traces_twin

IDS = ["0af7651916cd43dd8448eb211c80319c", "0" * 32, "F" * 32, "f" * 32, "0" * 31 + "1", "ffffffffffffffff" + "0" * 16]
PARENTS = ["b7ad6b7169203331", "0" * 16, "f" * 16, "B7AD6B7169203331", "0" * 15 + "1"]
SPANS_MOST = (1 << 64) - 1
KEYS = ["a", "rojo", "1a", "tenant@system", "a@b@c", "_a", "A", "a" * 256, "a" * 257, "", "a*b/c-d_e", "@a"]
VALUES = ["1", "a b", " a", "a" * 256, "a" * 257, "", "=", "a\x80", "é", "~!", "\t"]
GET = "GET / HTTP/1.1\r\nHost: a\r\n"

traceparents = st.builds(
    "{}-{}-{}-{}{}".format,
    st.sampled_from(["00", "00", "00", "01", "cc", "fe", "ff", "FE", "0", "000", ".0"]),
    st.sampled_from(IDS) | st.integers(0, 2**128 - 1).map("{:032x}".format),
    st.sampled_from(PARENTS) | st.integers(0, 2**64 - 1).map("{:016x}".format),
    st.integers(0, 255).map("{:02x}".format) | st.sampled_from(["0", "1", "0G", "A1", "001"]),
    st.sampled_from(["", "", "", "-", "-what", "x", "."]),
)
members = st.builds("{}={}".format, st.sampled_from(KEYS), st.sampled_from(VALUES))
members |= st.sampled_from(["", " ", "a", "="])
lines = st.lists(members, max_size=5).map(",".join) | st.integers(1, 40).map(
    lambda count: " ,\t".join(f"k{number}=v" for number in range(count))
)


@st.composite
def damaged(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> str:
    text = draw(texts)
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(["", "-", "g", " ", "A", "0", "\xff", ",", "="])) + text[at + 1 :]
    return text


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    return compiled.load(pytestconfig, "tests/unit/traces_probe.pyx")


def head(*fields: tuple[str, str]) -> bytes:
    return (GET + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n").encode("latin-1")


def extracted(**carrier: Any) -> SpanContext:
    return get_current_span(TraceContextTextMapPropagator().extract(carrier)).get_span_context()


@settings(max_examples=1000)
@given(text=damaged(traceparents))
@example("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
@example("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-")
def test_a_traceparent_is_what_the_twin_and_opentelemetry_take_it_for(probe: Any, text: str) -> None:
    ours = probe.parse_traceparent(text.encode("latin-1"))
    assert ours == traces_twin.parse_traceparent(text)
    theirs = extracted(traceparent=text.strip(" \t"))
    if text == text.strip(" \t"):  # blanks around it are no part of a field's value
        expected = (theirs.trace_id, theirs.span_id, theirs.trace_flags & 3) if theirs.is_valid else None
        assert ours == expected


@settings(max_examples=1000)
@given(texts=st.lists(damaged(lines), max_size=3))
@example(["a=1", "", "b=2"])
@example([",".join(f"k{number}=v" for number in range(32))])
@example([",".join(f"k{number}=v" for number in range(33))])
def test_a_tracestate_is_passed_on_as_the_twin_does_it(probe: Any, texts: list[str]) -> None:
    ours = probe.tracestate(head(*(("tracestate", text.strip(" \t")) for text in texts)))
    assert ours == traces_twin.pass_on(texts)
    theirs = TraceState.from_header(texts)
    if theirs:  # it knows the first level of the recommendation, and keys are unique there
        parts = [member.strip(" \t") for member in ours.split(",")]
        assert dict(part.split("=", 1) for part in parts if part) == dict(theirs)


SAMPLERS: dict[tuple[str, float], sampling.Sampler] = {
    ("always_on", 1.0): sampling.ALWAYS_ON,
    ("always_off", 1.0): sampling.ALWAYS_OFF,
    ("parentbased_always_on", 1.0): sampling.DEFAULT_ON,
    ("parentbased_always_off", 1.0): sampling.DEFAULT_OFF,
} | {
    (name, ratio): kind(ratio)
    for ratio in (0.0, 2**-64, 0.001, 0.25, 0.5, 1 - 2**-53, 1.0)
    for name, kind in (
        ("traceidratio", sampling.TraceIdRatioBased),
        ("parentbased_traceidratio", sampling.ParentBasedTraceIdRatio),
    )
}


@settings(max_examples=500)
@given(
    chosen=st.sampled_from(sorted(SAMPLERS)),
    trace_id=st.integers(1, 2**128 - 1) | st.sampled_from([1 << 64, 2**128 - 1, 2**126, 2**62, 2**63 - 1, 2**63]),
    parent_sampled=st.booleans(),
)
def test_a_request_is_sampled_as_opentelemetry_samples_it(
    probe: Any, chosen: tuple[str, float], trace_id: int, parent_sampled: bool
) -> None:
    source = TraceSource(*chosen)
    begun = probe.begin(source, head(("traceparent", f"00-{trace_id:032x}-{1:016x}-{parent_sampled:02x}")))
    parent = SpanContext(trace_id, 1, is_remote=True, trace_flags=TraceFlags(parent_sampled))
    theirs = SAMPLERS[chosen].should_sample(set_span_in_context(NonRecordingSpan(parent)), trace_id, "name")
    assert begun.sampled == theirs.decision.is_sampled()

    root = probe.begin(source, head())
    theirs = SAMPLERS[chosen].should_sample(None, int(root.trace_id, 16), "name")
    assert root.sampled == theirs.decision.is_sampled()
