"""TestClient: talks to an app through the real parser, router and connection, without a socket.

Owns a loop, a worker and in-memory transports. What a test sees is what a client on the wire
would see: each request is serialised, each answer parsed by http.client.
"""

import asyncio
import http.client
import io
import json as jsonlib
from collections.abc import Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlencode

import uvloop

from highperf.config import Layers, resolve
from highperf.core.task import StepTask
from highperf.core.worker import Worker

if TYPE_CHECKING:
    from highperf.app import App

T = TypeVar("T")

_READ_STEP = 16 * 1024
_CLOSING_S = 5.0  # for handlers and tasks to clean up


class TestResponse:
    """An answer as a client sees it.

    Attributes:
        status: the status code.
        headers: the fields; ``headers["location"]``, ``headers.get_all("set-cookie")``.
        content: the content, with its transfer coding removed.
    """

    __test__ = False

    def __init__(self, octets: bytes, method: str) -> None:
        message = http.client.HTTPResponse(_Answer(octets), method=method)  # type: ignore[arg-type]
        message.begin()
        self.status = message.status
        self.headers = message.headers
        self.content = message.read()

    @property
    def text(self) -> str:
        """The content as UTF-8."""
        return self.content.decode("utf-8")

    def json(self) -> Any:
        """The content parsed as JSON."""
        return jsonlib.loads(self.content)

    def __repr__(self) -> str:
        return f"<TestResponse {self.status} {len(self.content)} bytes>"


class TestClient:
    """Runs an app in this thread and asks it.

    Used as a context manager it runs the app's start-up and shut-down around the block; otherwise
    the first request starts the app and ``close`` stops it.

        with app.test_client() as client:
            assert client.get("/users/1").json()["name"] == "Ada"
    """

    __test__ = False

    def __init__(self, app: "App") -> None:
        self.app = app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Worker | None = None

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops the app; harmless when it does not run."""
        if self._loop is None or self._worker is None:
            return
        loop, worker = self._loop, self._worker
        self._loop = self._worker = None
        worker.abort()
        try:
            loop.run_until_complete(self._stop())
        finally:
            worker.close()
            _close(loop)

    async def _stop(self) -> None:
        tasks: set[Any] = asyncio.all_tasks()
        await _ended({task for task in tasks if isinstance(task, StepTask)})
        try:
            await self.app.shutdown()
        finally:
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await _ended(left)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | Iterable[bytes] | None = None,
    ) -> TestResponse:
        """Sends one request on a connection of its own and waits for the answer.

        Args:
            method: the method token.
            path: the request target: path and, if any, query.
            params: appended to the target as a query.
            headers: fields to send besides Host and the framing.
            json: a value to send as ``application/json``.
            content: octets to send; an iterable of octets goes chunked.

        Raises:
            ConnectionResetError: the server ended the connection without a whole answer.
        """
        loop = self._start()
        options = {"params": params, "headers": headers, "json": json, "content": content}
        return loop.run_until_complete(self.exchange(method, path, **options))

    async def exchange(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        content: bytes | Iterable[bytes] | None = None,
    ) -> TestResponse:
        """As ``request``, inside of a coroutine that ``run`` runs: several may be under way at once."""
        fields = {"Host": "testserver", **(headers or {})}
        if params:
            path += ("&" if "?" in path else "?") + urlencode(params)
        if json is not None:
            content = jsonlib.dumps(json).encode()
            fields.setdefault("Content-Type", "application/json")
        head, body = _frame(method, path, fields, content)
        assert self._worker is not None
        transport = MemoryTransport(asyncio.get_running_loop(), self._worker.connection())
        transport.feed(head + body)
        await transport.closed
        try:
            return TestResponse(bytes(transport.sent), method)
        except http.client.HTTPException:
            raise ConnectionResetError("the server ended the connection without a whole answer") from None

    def get(self, path: str, **options: Any) -> TestResponse:
        """``request("GET", ...)``."""
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> TestResponse:
        """``request("POST", ...)``."""
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> TestResponse:
        """``request("PUT", ...)``."""
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> TestResponse:
        """``request("PATCH", ...)``."""
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> TestResponse:
        """``request("DELETE", ...)``."""
        return self.request("DELETE", path, **options)

    def head(self, path: str, **options: Any) -> TestResponse:
        """``request("HEAD", ...)``."""
        return self.request("HEAD", path, **options)

    def options(self, path: str, **options: Any) -> TestResponse:
        """``request("OPTIONS", ...)``."""
        return self.request("OPTIONS", path, **options)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine on the app's loop, e.g. to look into what its handlers share."""
        return self._start().run_until_complete(coroutine)

    def _start(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            loop = uvloop.new_event_loop()
            try:
                settings = resolve(Layers(app=self.app.defaults))
                worker = Worker(self.app.build(settings), settings, loop, app=self.app, fallback=self.app.fallback)
                loop.run_until_complete(self.app.startup())
            except BaseException:
                _close(loop)
                raise
            worker.ready = True
            self._loop, self._worker = loop, worker
        return self._loop


class MemoryTransport(asyncio.Transport):
    """A transport whose peer is memory: ``feed`` is what the peer sends, ``sent`` what it gets."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, protocol: Any, peername: tuple[str, int] = ("127.0.0.1", 50000)
    ) -> None:
        super().__init__({"peername": peername})
        self.sent = bytearray()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._protocol = protocol
        self._coming = memoryview(b"")
        self._reading = True
        self._closing = False
        loop.call_soon(protocol.connection_made, self)

    def feed(self, octets: bytes) -> None:
        """The peer sends; the protocol gets it as fast as it reads."""
        self._coming = memoryview(bytes(self._coming) + octets)
        self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        if self._closing or not self._reading or not self._coming:
            return
        buffer = self._protocol.get_buffer(-1)
        size = min(len(buffer), len(self._coming), _READ_STEP)
        buffer[:size] = self._coming[:size]
        self._coming = self._coming[size:]
        self._loop.call_soon(self._deliver)
        self._protocol.buffer_updated(size)

    def write(self, data: Any) -> None:
        self.sent += data

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self._loop.call_soon(self._deliver)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._lose)

    def abort(self) -> None:
        self.close()

    def _lose(self) -> None:
        self._protocol.connection_lost(None)
        if not self.closed.done():
            self.closed.set_result(None)


class _Answer:
    # What http.client asks of a socket.
    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._octets)


async def _ended(tasks: set[Any]) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=_CLOSING_S)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


def _frame(
    method: str, path: str, fields: dict[str, str], content: bytes | Iterable[bytes] | None
) -> tuple[bytes, bytes]:
    body = b""
    if isinstance(content, (bytes, bytearray, memoryview)):
        body = bytes(content)
        fields["Content-Length"] = str(len(body))
    elif content is not None:
        fields["Transfer-Encoding"] = "chunked"
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in content if part) + b"0\r\n\r\n"
    fields["Connection"] = "close"
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1"), body
