"""Spans as a collector receives them: what they say, whose children they are, and that none is lost or waited for."""

import http.client
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.collector import Collector, Exported
from tests.servers import Server, running

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=x,1level=2"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{CALLER}-00"}
SERVER_KIND, INTERNAL_KIND = 2, 1
ERROR = 2

APP = """
import asyncio
import threading

from opentelemetry import propagate, trace

from highperf import App, HTTPError, Response

app = App()
tracer = trace.get_tracer("shop")
open("file.txt", "w").write("x" * 100_000)
app.files("/files/*path", ".")


@app.get("/orders/:id")
async def order(request):
    with tracer.start_as_current_span("look up"):
        await asyncio.sleep(0)
    trace.get_current_span().set_attribute("order", request.params["id"])
    told = {}
    propagate.inject(told)
    own = request.trace
    return {"told": told.get("traceparent"), "own": own.traceparent, "parent": own.parent_id, "state": own.tracestate}


@app.get("/thread", blocking=True)
def thread(request):
    with tracer.start_as_current_span("in a thread"):
        return threading.current_thread() is not threading.main_thread()


@app.get("/waits", deadline="20ms")
async def waits(request):
    await asyncio.Event().wait()


@app.get("/fails")
async def fails(request):
    raise LookupError("nothing there")


@app.get("/busy")
async def busy(request):
    raise HTTPError(503, "busy")


@app.get("/breaks")
async def breaks(request):
    async def parts():
        yield b"a"
        raise LookupError("nothing more")
    return Response.stream(parts())


@app.get("/once", rate_limit="1/h")
async def once(request):
    return None
"""


@contextmanager
def traced(collector: Collector, *arguments: str, app: str = APP, **environ: str) -> Iterator[Server]:
    files = {"main.py": app}
    with running("main:app", *arguments, files=files, env=collector.environ | environ) as server:
        yield server


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def get(server: Server, path: str, fields: dict[str, str] | None = None, method: str = "GET") -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request(method, path, headers={"User-Agent": "test", **(fields or {})})
        return connection.getresponse().read()
    finally:
        connection.close()


def stop(server: Server) -> None:
    server.signal(signal.SIGTERM)
    assert server.wait() == 0, server.stderr


def named(spans: list[Exported], name: str) -> Exported:
    [span] = [span for span in spans if span.name == name]
    return span


def test_a_span_says_what_the_conventions_ask_of_it(collector: Collector) -> None:
    with traced(collector, OTEL_SERVICE_NAME="shop", OTEL_RESOURCE_ATTRIBUTES="deployment=test") as server:
        get(
            server, "/orders/7?a=1&sig=secret", SAMPLED | {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
        )
        stop(server)
    span = named(collector.spans(), "GET /orders/:id")
    assert collector.paths == {"/v1/traces"}
    assert (span.trace_id, span.parent_id, span.kind, span.status) == (TRACE, CALLER, SERVER_KIND, 0)
    assert span.state == "vendor=x"  # the other key is none by the first level of the recommendation
    assert span.flags & 0x300 == 0x300  # its parent is remote
    assert (span.scope, span.resource["service.name"], span.resource["deployment"]) == ("highperf", "shop", "test")
    assert 0 < span.ended_ns - span.begun_ns < 10_000_000_000
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/orders/:id",
        "http.response.status_code": 200,
        "url.path": "/orders/7",
        "url.query": "a=1&sig=REDACTED",
        "url.scheme": "https",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "client.address": "192.0.2.7",
        "network.protocol.version": "1.1",
        "user_agent.original": "test",
        "order": "7",  # the application's own word
    }


def test_spans_of_the_application_are_children_and_go_the_same_way(collector: Collector) -> None:
    with traced(collector) as server:
        answer = get(server, "/orders/7", SAMPLED).decode()
        get(server, "/thread", SAMPLED)
        stop(server)
    spans = collector.spans()
    span = named(spans, "GET /orders/:id")
    for name, parent in (("look up", span), ("in a thread", named(spans, "GET /thread"))):
        child = named(spans, name)
        assert (child.trace_id, child.parent_id) == (TRACE, parent.span_id)
        assert (child.kind, child.scope) == (INTERNAL_KIND, "shop")
    assert f'"told":"00-{TRACE}-{span.span_id}-01"' in answer
    assert f'"own":"00-{TRACE}-{span.span_id}-01","parent":"{CALLER}"' in answer


def test_status_and_error_are_those_of_the_answer(collector: Collector) -> None:
    paths = ("/fails", "/busy", "/waits", "/breaks", "/nothing", "/once", "/once", "/files/file.txt", "/files/none")
    with traced(collector) as server:
        for path in paths:
            try:
                get(server, path, SAMPLED)
            except http.client.HTTPException:
                assert path == "/breaks"
        get(server, "/orders/7", SAMPLED, method="BREW")
        get(server, "/healthz", SAMPLED)
        get(server, "/readyz", SAMPLED)
        stop(server)

    def told(span: Exported) -> tuple[str, str, object, int, object]:
        attributes = span.attributes
        status, error = attributes.get("http.response.status_code"), attributes.get("error.type")
        return span.name, attributes["url.path"], status, span.status, error

    assert {told(span) for span in collector.spans() if span.scope == "highperf"} == {
        ("GET /fails", "/fails", 500, ERROR, "LookupError"),
        ("GET /busy", "/busy", 503, ERROR, "503"),
        ("GET /waits", "/waits", 504, ERROR, "504"),
        ("GET /breaks", "/breaks", 200, ERROR, "LookupError"),
        ("GET", "/nothing", 404, 0, None),
        ("GET /once", "/once", 204, 0, None),
        ("GET /once", "/once", 429, 0, None),
        ("GET /files/*path", "/files/file.txt", 200, 0, None),
        ("GET /files/*path", "/files/none", 404, 0, None),
        ("HTTP", "/orders/7", 405, 0, None),
    }
    assert named(collector.spans(), "GET /fails").events == ["exception"]
    assert named(collector.spans(), "HTTP").attributes["http.request.method_original"] == "BREW"


def test_what_is_not_sampled_leaves_nothing_and_says_so_to_others(collector: Collector) -> None:
    with traced(collector) as server:
        answer = get(server, "/orders/7", UNSAMPLED).decode()
        get(server, "/thread", UNSAMPLED)
        stop(server)
    assert collector.spans() == []
    own = re.search(f'"own":"(00-{TRACE}-([0-9a-f]{{16}})-00)"', answer)
    assert own is not None
    assert own[2] != CALLER
    assert f'"told":"{own[1]}"' in answer


def test_a_ratio_samples_new_traces_and_leaves_others_to_their_callers(collector: Collector) -> None:
    sampler = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}
    with traced(collector, **sampler) as server:
        for _ in range(200):
            get(server, "/nothing")
        for fields in (SAMPLED, UNSAMPLED):
            get(server, "/orders/7", fields)
        stop(server)
    roots = [span for span in collector.spans() if not span.parent_id]
    assert 20 < len(roots) < 85
    assert all(int(span.trace_id[16:], 16) < 2**62 for span in roots)
    assert {span.trace_id for span in collector.spans() if span.parent_id} == {TRACE}


def test_nothing_is_lost_at_the_end_of_any_worker(collector: Collector) -> None:
    delay = {"OTEL_BSP_SCHEDULE_DELAY": "60000"}
    with traced(collector, "--workers", "2", **delay) as server:
        for number in range(100):
            get(server, f"/orders/{number}")
        server.signal(signal.SIGHUP)
        server.wait_for("(?s)Started server process.*Started server process.*Started server process.*Started server")
        for number in range(100, 200):
            get(server, f"/orders/{number}")
        stop(server)
    asked = [span.attributes["order"] for span in collector.spans() if span.scope == "highperf"]
    assert sorted(asked, key=int) == [str(number) for number in range(200)]


def test_a_reloaded_worker_records_too(collector: Collector) -> None:
    with traced(collector) as server:
        get(server, "/orders/1")
        collector.wait_for(2)
        server.signal(signal.SIGHUP)
        server.wait_for("Finished server process")
        get(server, "/orders/2")
        stop(server)
    assert {span.attributes["order"] for span in collector.spans() if span.scope == "highperf"} == {"1", "2"}


@pytest.mark.parametrize("status", [0, 400, 503])
def test_an_exporter_that_is_refused_or_slow_costs_no_request_anything(collector: Collector, status: int) -> None:
    collector.status = status
    patience = {
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_BSP_MAX_QUEUE_SIZE": "4",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4",
    }
    with traced(collector, **patience) as server:
        get(server, "/nothing")
        collector.wait_for_exports(1)
        for _ in range(20):
            get(server, "/nothing")
        server.wait_for("Spans are dropped")
        collector.recover()
        get(server, "/nothing")
        server.wait_for("Spans are exported again")
        stop(server)
    assert server.stderr.count("Spans are dropped") == 1
    assert server.stderr.count("Spans are exported again") == 1
    assert re.search(r"\d+ spans? not exported", server.stderr)
    assert "Traceback" not in server.stderr
    assert collector.spans()


def test_an_exporter_that_hangs_does_not_hold_up_the_end(collector: Collector) -> None:
    collector.status = 0
    with traced(collector, "--shutdown-timeout", "200ms") as server:
        get(server, "/nothing")
        collector.wait_for_exports(1)
        get(server, "/nothing")
        stop(server)
    assert re.search("1 span not exported", server.stderr)


def test_no_request_can_spoil_the_spans_of_others(collector: Collector) -> None:
    odd = "\xff\xfe\ud800".encode("utf-8", "surrogatepass").decode("latin-1") + "\xff"
    with traced(collector, OTEL_BSP_SCHEDULE_DELAY="60000") as server:
        get(server, "/%ff?%ff&&=&sig", {"Host": "[::1]", "User-Agent": odd})
        get(server, "/nothing", {"Host": "a:" + "9" * 40})  # which is no request
        get(server, "/nothing", {"User-Agent": ""})
        stop(server)
    [one, other] = collector.spans()
    assert (one.attributes["server.address"], one.attributes["url.query"]) == ("::1", "%ff&&=&sig=REDACTED")
    assert one.attributes["user_agent.original"] == "\xff\xfe\\xed\\xa0\\x80\\xff"
    assert other.attributes["user_agent.original"] == ""


def test_an_exporter_that_is_not_there_is_told_of_once_and_holds_up_no_end() -> None:
    with Collector() as collector:
        environ = collector.environ | {"OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with running("main:app", files={"main.py": APP}, env=environ) as server:
        for _ in range(50):
            get(server, "/orders/1")
        server.wait_for("Spans are dropped, for they cannot be exported: .*")
        get(server, "/orders/1")
        stop(server)
    assert server.stderr.count("Spans are dropped") == 1
    assert "opentelemetry" not in server.stderr


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_TRACES_SAMPLER": "always_off"},
    ],
)
def test_nothing_is_exported_where_that_is_not_wanted(collector: Collector, environ: dict[str, str]) -> None:
    with traced(collector, **environ) as server:
        answer = get(server, "/orders/7", SAMPLED).decode()
        stop(server)
    assert collector.exports == 0
    assert f'"own":"00-{TRACE}-' in answer


def test_variables_that_make_no_sense_are_told_of_and_passed_over(collector: Collector) -> None:
    environ = {
        "OTEL_TRACES_SAMPLER": "sometimes",
        "OTEL_TRACES_SAMPLER_ARG": "2",
        "OTEL_BSP_MAX_QUEUE_SIZE": "many",
        "OTEL_TRACES_EXPORTER": "otlp,console",
    }
    with traced(collector, **environ) as server:
        get(server, "/orders/7")
        stop(server)
    for name, value in environ.items():
        assert f"{name}={value.rpartition(',')[2]}: " in server.stderr
    assert named(collector.spans(), "GET /orders/:id")


def test_without_the_sdk_the_server_serves_and_says_what_is_missing(collector: Collector) -> None:
    files = {
        "main.py": "from highperf import App\napp = App()\n",
        "opentelemetry/__init__.py": "raise ImportError('it is not there')",
    }
    with running("main:app", files=files, env=collector.environ) as server:
        get(server, "/nothing", SAMPLED)
        stop(server)
    assert "it is not there (pip install 'highperf[otel]')" in server.stderr


def test_a_protocol_that_is_not_spoken_is_told_of(collector: Collector) -> None:
    with traced(collector, OTEL_EXPORTER_OTLP_PROTOCOL="grpc") as server:
        get(server, "/orders/7")
        stop(server)
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: expected http/protobuf" in server.stderr
    assert collector.exports == 0
