"""Whether spans are recorded and exported, as OpenTelemetry's variables say.

Owns what the OTEL_* variables mean for the server. The SDK is imported by `spans`, and that only where
spans are wanted. A variable that cannot be understood is told of and passed over, as OpenTelemetry has it.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from highperf.core.worker import Worker
from highperf.observe.traces import PARENT_BASED, SAMPLERS, TraceSource
from highperf.server.logs import logger

if TYPE_CHECKING:
    from highperf.server.spans import Recorder

DEFAULT_SAMPLER: Final = f"{PARENT_BASED}always_on"
PROTOCOL: Final = "http/protobuf"


def start_tracing(worker: Worker, environ: Mapping[str, str] = os.environ) -> "Recorder | None":
    """Record and export spans of the worker's requests from now on, if the environment asks for it."""
    if not is_wanted(environ):
        return None
    try:
        from highperf.server.spans import Recorder
    except ImportError as error:
        logger.warning("No spans are exported, though OTEL_* asks for it: %s (pip install 'highperf[otel]')", error)
        return None
    sampler, ratio = sampling(environ)
    recorder = Recorder(sampler, ratio)
    recorder.serve(worker.context)
    follows = "tracecontext" in environ.get("OTEL_PROPAGATORS", "tracecontext").lower()
    worker.record(recorder, TraceSource(sampler, ratio, follows=follows))
    return recorder


def is_wanted(environ: Mapping[str, str]) -> bool:
    def value(name: str) -> str:
        return environ.get(name, "").strip()

    if value("OTEL_SDK_DISABLED").lower() == "true":
        return False
    exporters = {name.strip() for name in value("OTEL_TRACES_EXPORTER").split(",")} - {""}
    if not exporters and not (value("OTEL_EXPORTER_OTLP_ENDPOINT") or value("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")):
        return False
    if unknown := exporters - {"otlp", "none"}:
        logger.warning("OTEL_TRACES_EXPORTER=%s: expected otlp or none", ",".join(sorted(unknown)))
    if exporters and "otlp" not in exporters:
        return False
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if protocol := value(name):
            if protocol != PROTOCOL:
                logger.warning("%s=%s: expected %s, so no spans are exported", name, protocol, PROTOCOL)
            return protocol == PROTOCOL
    return True


def sampling(environ: Mapping[str, str]) -> tuple[str, float]:
    """Which sampler decides what is recorded, and its ratio."""
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower() or DEFAULT_SAMPLER
    if sampler.removeprefix(PARENT_BASED) not in SAMPLERS:
        logger.warning("OTEL_TRACES_SAMPLER=%s: not known, so it is %s", sampler, DEFAULT_SAMPLER)
        sampler = DEFAULT_SAMPLER
    text = environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip() or "1"
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio <= 1:
        logger.warning("OTEL_TRACES_SAMPLER_ARG=%s: expected a share from 0 to 1, so it is 1", text)
        ratio = 1.0
    return sampler, ratio
