"""Makes spans with OpenTelemetry's SDK.

Owns how the SDK is set up in a worker, and what the tracer's words become in it. `span_export` takes the spans.

The span of a request is the current one in its handler, so that spans of the application are its
children and are exported like it: the SDK's provider is the global one, unless the application has set
one of its own before. In requests that are not sampled the current span says so.
"""

import asyncio
import re
import threading
from collections.abc import Mapping
from contextvars import Context
from typing import Final
from urllib.parse import unquote_plus

from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from highperf._version import __version__
from highperf.observe.traces import PARENT_BASED, TraceContext
from highperf.server.span_export import SpanExport

SECRET: Final = frozenset({"AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"})  # keys, by the conventions
ERROR_TYPE: Final = "error.type"
STATUS: Final = "http.response.status_code"
# What the SDK knows as a key of tracestate: those of the recommendation's first level.
STATE_KEY: Final = re.compile(r"[a-z][_0-9a-z\-*/]{0,255}|[a-z0-9][_0-9a-z\-*/]{0,240}@[a-z][_0-9a-z\-*/]{0,13}")


def sampler_of(name: str, ratio: float) -> Sampler:
    root: Sampler
    match name.removeprefix(PARENT_BASED):
        case "always_on":
            root = ALWAYS_ON
        case "always_off":
            root = ALWAYS_OFF
        case _:
            root = TraceIdRatioBased(ratio)
    return ParentBased(root) if name.startswith(PARENT_BASED) else root


class Recorder:
    """Makes SERVER spans of requests; see highperf.core.tracing."""

    def __init__(self, sampler: str, ratio: float, export: SpanExport | None = None) -> None:
        self.export = export or SpanExport()
        self._ids = _GivenIds()
        self._provider = TracerProvider(
            sampler=sampler_of(sampler, ratio),
            resource=Resource.create(),
            id_generator=self._ids,
            shutdown_on_exit=False,  # the server flushes it, within bounds
        )
        self._provider.add_span_processor(self.export)
        self._tracer = self._provider.get_tracer("highperf", __version__)

    def serve(self, context: Context) -> None:
        """Take the application's spans too. context: what those of requests are copied from."""
        if isinstance(otel.get_tracer_provider(), otel.ProxyTracerProvider):
            otel.set_tracer_provider(self._provider)
        context.run(otel_context.attach, otel.set_span_in_context(_NotSampled(_NOBODY), otel_context.Context()))

    # For the tracer.

    @property
    def dropped(self) -> int:
        return self.export.dropped

    def begin(
        self, trace: TraceContext, name: str, begun_ns: int, attributes: dict[str, str | int], context: Context | None
    ) -> otel.Span:
        trace_id, span_id, parent_id = trace.numbers
        parent = otel_context.Context()
        if parent_id:
            caller = otel.SpanContext(trace_id, parent_id, True, otel.TraceFlags(trace.flags), state_of(trace))
            parent = otel.set_span_in_context(otel.NonRecordingSpan(caller), parent)
        if query := attributes.get("url.query"):
            attributes["url.query"] = redacted(str(query))
        self._ids.give(trace_id, span_id)
        span = self._tracer.start_span(name, parent, otel.SpanKind.SERVER, attributes, start_time=begun_ns)
        if context is not None:
            context.run(otel_context.attach, otel.set_span_in_context(span, otel_context.Context()))
        return span

    def fail(self, span: otel.Span, error: BaseException) -> None:
        kind = type(error)
        span.record_exception(error)
        span.set_attribute(
            ERROR_TYPE, kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        )

    def end(self, span: Span, ended_ns: int, status: int, failure: str | None) -> None:
        known: Mapping[str, object] = span.attributes or {}
        if status:
            span.set_attribute(STATUS, status)
        if failure is None and status >= 500:
            failure = str(status)
        if failure is not None:
            span.set_attribute(ERROR_TYPE, str(known.get(ERROR_TYPE, failure)))
            if failure != "client_disconnected":  # which is no failure of ours
                span.set_status(otel.StatusCode.ERROR)
        span.end(max(ended_ns, span.start_time or 0))


def state_of(trace: TraceContext) -> otel.TraceState:
    members = (member.strip(" \t").partition("=") for member in trace.tracestate.split(","))
    return otel.TraceState(list({key: value for key, _, value in members if STATE_KEY.fullmatch(key)}.items()))


def redacted(query: str) -> str:
    """The query without the values that give access to something."""
    pairs = (pair.partition("=") for pair in query.split("&"))
    return "&".join(
        f"{name}=REDACTED" if unquote_plus(name) in SECRET else name + sign + value for name, sign, value in pairs
    )


class _Given(threading.local):
    trace_id = 0
    span_id = 0


class _GivenIds(RandomIdGenerator):
    """Random ids, but for this thread's next trace and span those that are given."""

    def __init__(self) -> None:
        self._given = _Given()

    def give(self, trace_id: int, span_id: int) -> None:
        self._given.trace_id, self._given.span_id = trace_id, span_id

    def generate_trace_id(self) -> int:
        return self._given.trace_id or super().generate_trace_id()

    def generate_span_id(self) -> int:
        given = self._given
        span_id, given.trace_id, given.span_id = given.span_id, 0, 0
        return span_id or super().generate_span_id()


# Of no request in particular: no ratio samples a trace with such an id.
_NOBODY: Final = otel.SpanContext((1 << 128) - 1, (1 << 64) - 1, is_remote=False)


class _NotSampled(otel.NonRecordingSpan):
    """Stands for the span of whatever request is running: one object for all, so that they pay nothing for it."""

    def get_span_context(self) -> otel.SpanContext:
        try:
            task = asyncio.current_task()
        except RuntimeError:  # in a thread
            return _NOBODY
        trace: TraceContext | None = getattr(task, "trace", None)
        if trace is None:
            return _NOBODY
        trace_id, span_id, _ = trace.numbers
        return otel.SpanContext(trace_id, span_id, False, otel.TraceFlags(trace.flags), state_of(trace))
