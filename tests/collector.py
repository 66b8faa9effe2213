"""An OTLP/HTTP collector in the process of the test: decodes what is exported to it, as protobuf.

with Collector() as collector:
    ...                                     # a server with collector.environ
    collector.spans()                       # all that has come so far
    collector.wait_for(3)
"""

import http.server
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE_S = 20.0


@dataclass(frozen=True)
class Exported:
    """One span."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    begun_ns: int
    ended_ns: int
    attributes: Mapping[str, Any]
    status: int  # 0: unset, 2: error
    state: str
    flags: int
    events: Sequence[str]
    scope: str
    resource: Mapping[str, Any]


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def decode(octets: bytes) -> list[Exported]:
    request = ExportTraceServiceRequest()
    request.ParseFromString(octets)
    return [
        Exported(
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.name,
            span.kind,
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            _values(span.attributes),
            span.status.code,
            span.trace_state,
            span.flags,
            [event.name for event in span.events],
            scope.scope.name,
            _values(resource.resource.attributes),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


class Collector:
    """Answers exports with `status`, 200 unless a test says otherwise; 0: not at all."""

    def __init__(self) -> None:
        self.status = 200
        self.exports = 0
        self.paths: set[str] = set()
        self._spans: list[Exported] = []
        self._changed = threading.Condition()
        self._released = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def recover(self) -> None:
        """Take what comes from now on; exports that wait are told nothing."""
        self.status = 200
        self._released.set()

    @property
    def environ(self) -> dict[str, str]:
        """What makes a server export to it, soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "20",
        }

    def spans(self) -> list[Exported]:
        with self._changed:
            return list(self._spans)

    def wait_for(self, count: int) -> list[Exported]:
        """Until so many spans have come; AssertionError if they do not."""
        self._wait(lambda: len(self._spans) >= count)
        return self.spans()

    def wait_for_exports(self, count: int) -> None:
        """Until it was tried so often, whatever came of it."""
        self._wait(lambda: self.exports >= count)

    def _wait(self, holds: Any) -> None:
        with self._changed:
            assert self._changed.wait_for(holds, PATIENCE_S), f"{len(self._spans)} spans in {self.exports} exports"

    def _take(self, path: str, octets: bytes) -> int:
        with self._changed:
            self.exports += 1
            self.paths.add(path)
            status = self.status
            if status == 200:
                self._spans += decode(octets)
            self._changed.notify_all()
        return status

    def _handler(collector) -> type[http.server.BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 1.0  # a connection that is kept open must not outlive the test

            def do_POST(self) -> None:
                octets = self.rfile.read(int(self.headers["Content-Length"]))
                status = collector._take(self.path, octets)
                if status == 0:
                    collector._released.wait(PATIENCE_S)
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler
