"""The queue of spans: bounded, never waited for, counted; and what is said of it."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from highperf.observe.traces import TraceSource
from highperf.server.span_export import SpanExport
from highperf.server.spans import redacted
from highperf.server.tracing import is_wanted, sampling

PATIENCE_S = 20.0


class Exporter(SpanExporter):
    """Exports when the test lets it, as the test says."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.begun, self.over = threading.Semaphore(0), threading.Semaphore(0)
        self.released = threading.Event()
        self.result: SpanExportResult | Exception = SpanExportResult.SUCCESS
        self.ended = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.begun.release()
        self.released.wait(PATIENCE_S)
        result = self.result
        self.over.release()
        if isinstance(result, Exception):
            raise result
        if result is SpanExportResult.SUCCESS:
            self.batches.append(len(spans))
        return result

    def shutdown(self) -> None:
        self.ended = True


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    exporter = Exporter()
    yield exporter
    exporter.released.set()


def start(exporter: Exporter, queue: int = 8, delay_ms: int = 60_000) -> tuple[SpanExport, Callable[[int], None]]:
    """The export, and what ends so many spans."""
    sizes = {"OTEL_BSP_MAX_QUEUE_SIZE": str(queue), "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4"}
    export = SpanExport(exporter, sizes | {"OTEL_BSP_SCHEDULE_DELAY": str(delay_ms)})
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(export)
    tracer = provider.get_tracer("test")

    def end(count: int) -> None:
        for _ in range(count):
            tracer.start_span("span").end()

    return export, end


def finish(export: SpanExport, patience_s: float = PATIENCE_S) -> None:
    async def run() -> None:
        await export.finish(asyncio.get_running_loop().time() + patience_s)

    asyncio.run(run())


def test_spans_are_exported_in_batches_and_all_of_them_at_the_end(exporter: Exporter) -> None:
    exporter.released.set()
    export, end = start(exporter)
    end(3)
    assert not exporter.begun.acquire(blocking=False)
    end(1)
    assert exporter.begun.acquire(timeout=PATIENCE_S)
    end(3)
    finish(export)
    assert sum(exporter.batches) == 7
    assert exporter.ended
    assert export.dropped == 0


def test_what_finds_no_room_is_dropped_and_counted(exporter: Exporter, caplog: pytest.LogCaptureFixture) -> None:
    export, end = start(exporter)
    end(4)
    assert exporter.begun.acquire(timeout=PATIENCE_S)  # and no more of them go on
    end(10)
    assert export.dropped == 2
    assert caplog.text.count("Spans are dropped") == 1
    exporter.released.set()
    finish(export)
    assert exporter.batches == [4, 4, 4]
    assert "2 spans not exported" in caplog.text


@pytest.mark.parametrize("result", [SpanExportResult.FAILURE, OSError("no way")])
def test_a_failure_is_told_once_and_so_is_its_end(
    exporter: Exporter, caplog: pytest.LogCaptureFixture, result: SpanExportResult | Exception
) -> None:
    caplog.set_level(logging.INFO)
    exporter.result = result
    exporter.released.set()
    export, end = start(exporter, queue=16, delay_ms=1)
    end(12)
    while export.dropped < 12:
        exporter.over.acquire(timeout=0.001)
    exporter.result = SpanExportResult.SUCCESS
    end(4)
    while "Spans are exported again" not in caplog.text:
        exporter.over.acquire(timeout=0.001)
    finish(export)
    assert caplog.text.count("Spans are dropped") == 1
    assert caplog.text.count("Spans are exported again") == 1
    assert (export.dropped, sum(exporter.batches)) == (12, 4)


def test_an_exporter_that_hangs_does_not_hold_up_the_end(exporter: Exporter) -> None:
    export, end = start(exporter)
    end(6)
    assert exporter.begun.acquire(timeout=PATIENCE_S)
    finish(export, 0.01)
    assert export.dropped == 2  # those in its hands may still arrive
    end(1)
    assert export.dropped == 3


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "shop"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": " otlp , console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4318"}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_spans_are_wanted_where_there_is_somewhere_to_send_them(environ: dict[str, str], wanted: bool) -> None:
    assert is_wanted(environ) is wanted


@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        ("", "", ("parentbased_always_on", 1.0)),
        ("TraceIdRatio", "0.5", ("traceidratio", 0.5)),
        ("always_off", "", ("always_off", 1.0)),
        ("jaeger_remote", "0.5", ("parentbased_always_on", 0.5)),
        ("traceidratio", "half", ("traceidratio", 1.0)),
        ("traceidratio", "nan", ("traceidratio", 1.0)),
    ],
)
def test_the_sampler_is_the_one_that_the_variables_name(name: str, argument: str, expected: tuple[str, float]) -> None:
    chosen = sampling({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})
    assert chosen == expected
    TraceSource(*chosen)


def test_secrets_in_a_query_are_not_exported() -> None:
    assert (
        redacted("a=1&sig=x&%73ig=y&Signature=&b&sig")
        == "a=1&sig=REDACTED&%73ig=REDACTED&Signature=REDACTED&b&sig=REDACTED"
    )
