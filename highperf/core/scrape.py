"""Answers a scrape: the server's own series, then what the application counts with prometheus_client.

Owns the choice between the two text formats, and the pace: a part of the text at a time, with a turn of the loop
after each, so that other requests wait for none of it. The application's part, which is Python, is made in a thread.
Must not know how the series are kept or written (observe/exposition.pyx).
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from highperf._version import __version__
from highperf.observe import registry
from highperf.observe.exposition import Exposition
from highperf.wire.accept import read_accept
from highperf.wire.response import Response

if TYPE_CHECKING:
    from highperf.core.request import Request

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def scrape_of(worker: Any) -> Callable[["Request"], Awaitable[Response]]:
    """The handler that tells the metrics of a Worker, and of all that share its segment."""

    async def scrape(request: "Request") -> Response:
        openmetrics = wants_openmetrics(",".join(request.headers.get_all("accept")))
        content_type = OPENMETRICS if openmetrics else TEXT
        return Response.stream(_text(worker, openmetrics=openmetrics), content_type=content_type)

    return scrape


def wants_openmetrics(accept: str) -> bool:
    """Whether a client with this Accept field likes OpenMetrics 1.0 as much as the classic text, or better; it
    has to name it, for a browser that takes anything means text that it can show."""
    best = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for kind, parameters, weight in read_accept(accept):
        if kind in best and parameters.get("version", "1.0.0") in ("0.0.1", "0.0.4", "1.0.0"):
            best[kind] = max(best[kind], weight)
    openmetrics, text = best.values()
    return openmetrics > 0 and openmetrics >= text


def facts_of(worker: Any) -> list[tuple[str, str, str, str, list[tuple[dict[str, str], object]]]]:
    """What is told of the server besides its counts. They began when the shared segment did, so that is when a
    server of several processes, which come and go, has started."""
    age_s = (time.monotonic_ns() - worker.segment.epoch_ns) / 1e9
    build = {"version": __version__, "python": sys.version.split()[0]}
    return [
        ("highperf_build_info", "gauge", "", "1, and which versions run.", [(build, 1)]),
        (
            "process_start_time_seconds",
            "gauge",
            "seconds",
            "Unix time at which the server was started.",
            [({}, f"{time.time() - age_s:.2f}")],
        ),
    ]


async def _text(worker: Any, *, openmetrics: bool) -> AsyncIterator[bytes]:
    worker.refresh_metrics()
    exposition = Exposition(worker.segment, worker.metrics.line, openmetrics=openmetrics, facts=facts_of(worker))
    for _ in iter(exposition.step, False):
        await asyncio.sleep(0)
    for part in exposition.parts():
        yield part
        await asyncio.sleep(0)
    if registry.is_used():
        yield await _of_application(worker, exposition.families, openmetrics=openmetrics)
    if openmetrics:
        yield registry.END


async def _of_application(worker: Any, taken: frozenset[str], *, openmetrics: bool) -> bytes:
    """Nothing, and a line in the log, where a collector of the application fails."""
    render = partial(registry.render, openmetrics=openmetrics, taken=taken)
    try:
        return await asyncio.get_running_loop().run_in_executor(None, render)
    except Exception as error:
        worker.logger.error("the application's own metrics are left out of a scrape", exc_info=error)
        return b""
