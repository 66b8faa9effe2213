"""Exports spans by OTLP over HTTP, from a thread of its own.

Owns the bounded queue between requests, which never wait for it, and the thread. What does not fit in, or
cannot be exported, is dropped and counted; of that the log hears when it begins and when it is over.
Queue and batches are as large as the OTEL_BSP_* variables say.
"""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from highperf.server.logs import logger
from highperf.values import counted

HOPELESS_S: Final = 0.5  # at the end, for an exporter that has failed before
QUEUE_FULL: Final = "more of them come than can be exported"


class SpanExport(SpanProcessor):
    """Takes spans that have ended, in whatever thread.

    Args:
        exporter: what is called in the thread; default: OTLP, as the OTEL_EXPORTER_OTLP_* variables say.

    Attributes:
        dropped: how many were not exported.
    """

    def __init__(self, exporter: SpanExporter | None = None, environ: Mapping[str, str] = os.environ) -> None:
        self.dropped = 0
        self._exporter = exporter or trace_exporter.OTLPSpanExporter()
        self._most = _number(environ, "OTEL_BSP_MAX_QUEUE_SIZE", 2048)
        self._batch = min(self._most, _number(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512))
        self._delay_s = _number(environ, "OTEL_BSP_SCHEDULE_DELAY", 5000) / 1000
        self._waiting: deque[ReadableSpan] = deque()
        self._failing = False
        self._succeeded = False  # since something was dropped
        self._dropped_s = 0.0  # time.monotonic() then
        self._lock = threading.Lock()  # of what several threads may drop
        self._wanted = threading.Event()  # there is reason to look at what waits
        self._ending = False
        self._ended = threading.Event()
        self._on_ended: Callable[[], object] = bool
        self._told = _Told()
        self._thread = threading.Thread(target=self._run, name="span export", daemon=True)
        self._thread.start()

    def on_end(self, span: ReadableSpan) -> None:
        if not span.context.trace_flags.sampled:
            return
        if len(self._waiting) >= self._most or self._ended.is_set():
            self._drop(1, QUEUE_FULL)
            return
        self._waiting.append(span)
        if len(self._waiting) >= self._batch and not self._wanted.is_set():
            self._wanted.set()

    def shutdown(self) -> None:
        """Begin to export what waits, as the last thing; finish() waits for the end of that."""
        self._ending = True
        self._wanted.set()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Export what waits soon. The end is not waited for: whoever calls this may be the event loop."""
        self._wanted.set()
        return not self._waiting

    async def finish(self, until_s: float) -> None:
        """Export what waits, but no longer than until loop.time() is until_s; the rest is dropped."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        self._on_ended = partial(loop.call_soon_threadsafe, _settle, ended)
        if self._failing:
            until_s = min(until_s, loop.time() + HOPELESS_S)
        self.shutdown()
        if not self._ended.is_set():
            await asyncio.wait((ended,), timeout=max(0.0, until_s - loop.time()))
        self._ended.set()
        self._drop(len(self._waiting), "the server ends")
        if self.dropped:
            logger.warning("%s not exported", counted(self.dropped, "span"))

    # The thread.

    def _run(self) -> None:
        otel_context.attach(otel_context.set_value(otel_context._SUPPRESS_INSTRUMENTATION_KEY, True))
        self._told.thread = threading.get_ident()
        source = logging.getLogger(trace_exporter.__name__)
        source.addFilter(self._told)
        try:
            while not self._ending:
                self._wanted.wait(self._delay_s)
                self._wanted.clear()
                self._export_all()
                self._recover()
        finally:
            source.removeFilter(self._told)
            self._exporter.shutdown()
            self._ended.set()
            with contextlib.suppress(RuntimeError):  # nobody waited so long: the loop is closed
                self._on_ended()

    def _export_all(self) -> None:
        """What waits now. At the end, and where it fails then, no further batch is tried."""
        while self._waiting and not self._ended.is_set():
            batch = [self._waiting.popleft() for _ in range(min(self._batch, len(self._waiting)))]
            if why := self._failure_of(batch):
                self._drop(len(batch), why)
                if self._ending:
                    self._drop(len(self._waiting), why)
                    return
            else:
                self._succeeded = True

    def _recover(self) -> None:
        """Once nothing is dropped for a while, so that the log has a bound where too many come for long."""
        if self._failing and self._succeeded and time.monotonic() - self._dropped_s >= self._delay_s:
            self._failing = False
            logger.info("Spans are exported again; %s dropped so far", counted(self.dropped, "span"))

    def _failure_of(self, batch: list[ReadableSpan]) -> str:
        """Export it; the empty text, or why that failed."""
        self._told.reason = ""
        try:
            if self._exporter.export(batch) is SpanExportResult.SUCCESS:
                return ""
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return self._told.reason or "the exporter failed"

    def _drop(self, count: int, why: str) -> None:
        if count == 0:
            return
        with self._lock:
            self.dropped += count
            first, self._failing = not self._failing, True
            self._succeeded = False
            self._dropped_s = time.monotonic()
        if first:
            logger.warning("Spans are dropped, for they cannot be exported: %s", why)


class _Told(logging.Filter):
    """Keeps to itself what the exporter has to say in our thread, line by line: that is our one line's reason."""

    def __init__(self) -> None:
        super().__init__()
        self.reason = ""
        self.thread = 0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread != self.thread:
            return True
        self.reason = self.reason or record.getMessage()
        return False


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "").strip()
    if not text:
        return default
    if text.isdecimal() and int(text) > 0:
        return int(text)
    logger.warning("%s=%s: expected a number above 0, so it is %d", name, text, default)
    return default
