"""Which requests a recorder is told of, what, and when; and request.trace, whether one records or not."""

import asyncio
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any

import pytest

from highperf import Request, Response
from highperf.observe.traces import TraceContext, TraceSource
from tests.protocol.harness import GET, Wire

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
ASK = b"GET %b HTTP/1.1\r\nHost: shop.example:81\r\n" + f"traceparent: 00-{TRACE}-{CALLER}-%b\r\n\r\n".encode()

current: ContextVar[str] = ContextVar("current", default="none")


@dataclass
class Told:
    trace: TraceContext
    name: str
    begun_ns: int
    attributes: dict[str, Any]
    errors: list[BaseException] = field(default_factory=list)
    ended: tuple[int, str | None] | None = None


class Recorder:
    """Remembers what it is told."""

    dropped = 0

    def __init__(self) -> None:
        self.spans: list[Told] = []

    def begin(
        self, trace: TraceContext, name: str, begun_ns: int, attributes: dict[str, Any], context: Context | None
    ) -> Told:
        self.spans.append(Told(trace, name, begun_ns, attributes))
        if context is not None:
            context.run(current.set, trace.span_id)
        return self.spans[-1]

    def fail(self, span: Told, error: BaseException) -> None:
        span.errors.append(error)

    def end(self, span: Told, ended_ns: int, status: int, failure: str | None) -> None:
        assert ended_ns > 0
        assert span.ended is None
        span.ended = (status, failure)


def add_routes(wire: Wire) -> None:
    @wire.app.get("/trace")
    async def trace(request: Request) -> list[Any]:
        first, parent, current_span = request.trace.traceparent, request.trace.parent_id, current.get()
        await asyncio.sleep(0)
        assert request.trace is request.trace
        assert request.trace.traceparent == first
        return [first, parent, current_span, request.trace.sampled]

    @wire.app.get("/fails")
    async def fails(request: Request) -> None:
        raise LookupError("nothing there")

    @wire.app.get("/breaks")
    async def breaks(request: Request) -> Response:
        async def parts() -> Any:
            yield b"a"
            await wire.gate("breaks")
            raise LookupError("nothing more")

        return Response.stream(parts())


@pytest.fixture
def recorder(wire: Wire) -> Recorder:
    add_routes(wire)
    recorder = Recorder()
    wire.worker.record(recorder, TraceSource("parentbased_always_on"))
    return recorder


def test_a_sampled_request_is_told_of_when_it_begins_and_when_it_is_over(wire: Wire, recorder: Recorder) -> None:
    client = wire.connect()
    client.send(ASK % (b"/wait/a?x=1", b"01"))
    [told] = recorder.spans
    assert told.ended is None
    assert (told.name, told.trace.trace_id, told.trace.parent_id) == ("GET /wait/:name", TRACE, CALLER)
    assert told.attributes == {
        "http.request.method": "GET",
        "http.route": "/wait/:name",
        "url.path": "/wait/a",
        "url.query": "x=1",
        "url.scheme": wire.scheme,
        "server.address": "shop.example",
        "server.port": 81,
        "client.address": "192.0.2.1",
        "client.port": 50_000,
        "network.protocol.version": "1.1",
    }
    wire.open("a")
    assert told.ended == (200, None)


def test_its_span_is_the_current_one_of_its_handler_and_of_no_other(wire: Wire, recorder: Recorder) -> None:
    [one, other, third] = wire.connect().ask(ASK % (b"/trace", b"01") + ASK % (b"/trace", b"00") + GET % b"/trace")
    spans = [told.trace.span_id for told in recorder.spans]
    assert one.json() == [f"00-{TRACE}-{spans[0]}-01", CALLER, spans[0], True]
    [traceparent, parent, current_span, sampled] = other.json()
    assert (parent, current_span, sampled) == (CALLER, "none", False)
    assert traceparent.startswith(f"00-{TRACE}-")
    assert traceparent.endswith("-00")
    assert third.json() == [f"00-{recorder.spans[1].trace.trace_id}-{spans[1]}-03", None, spans[1], True]


def test_what_the_server_answers_itself_is_told_of_too(wire: Wire, recorder: Recorder) -> None:
    wire.connect().send(ASK % (b"/metrics", b"01"))  # whose answer takes several turns of the loop
    for path in (b"/nothing", b"/healthz", b"/readyz"):
        wire.connect().ask(ASK % (path, b"01"))
    wire.connect().ask(b"bad\r\n\r\n")
    assert [(told.name, told.ended) for told in recorder.spans] == [("GET", (404, None))]


def test_what_a_handler_raised_is_told_before_its_end(wire: Wire, recorder: Recorder) -> None:
    wire.connect().ask(ASK % (b"/fails", b"01"))
    [told] = recorder.spans
    assert told.ended == (500, None)
    assert [type(error) for error in told.errors] == [LookupError]


def test_an_answer_that_broke_off_ends_as_aborted(wire: Wire, recorder: Recorder) -> None:
    wire.connect().send(ASK % (b"/breaks", b"01"))
    wire.open("breaks")
    [told] = recorder.spans
    assert told.ended == (200, "aborted")
    assert [type(error) for error in told.errors] == [LookupError]


def test_a_client_that_leaves_ends_the_span_of_its_request(wire: Wire, recorder: Recorder) -> None:
    client = wire.connect()
    client.send(ASK % (b"/wait/a", b"01"))
    client.leave()
    assert [told.ended for told in recorder.spans] == [(0, "client_disconnected")]


@pytest.mark.parametrize("broken", ["begin", "end", "fail"])
def test_a_recorder_that_fails_costs_no_request_anything(
    wire: Wire, recorder: Recorder, broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(recorder, broken, fail)
    statuses = [answer.status for answer in wire.connect().ask(ASK % (b"/trace", b"01") + ASK % (b"/fails", b"01"))]
    assert statuses == [200, 500]
    assert f"a span could not {'be told' if broken == 'fail' else broken}" in caplog.text


def test_without_a_recorder_a_callers_trace_is_passed_on_and_others_begin(wire: Wire) -> None:
    add_routes(wire)
    [asked, alone, next_one] = wire.connect().ask(ASK % (b"/trace", b"01") + GET % b"/trace" + GET % b"/trace")
    assert asked.json() == [f"00-{TRACE}-{CALLER}-01", CALLER, "none", True]
    assert alone.json()[1:] == [None, "none", False]
    assert alone.json()[0] != next_one.json()[0]
