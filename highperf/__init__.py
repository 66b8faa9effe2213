"""highperf: an HTTP API server for Python that protects itself.

A name is imported when it is first asked for: a supervisor of worker processes serves nothing itself
and needs none of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from highperf._version import __version__

if TYPE_CHECKING:
    from highperf.app import App
    from highperf.core.request import Request
    from highperf.errors import BreakerOpen, ConfigError, HighperfError, HTTPError, ProtocolError, RouteConflict
    from highperf.guards.breaker import CircuitBreaker
    from highperf.guards.limiter import TokenBucket
    from highperf.policies import RateLimit
    from highperf.wire.buffers import Buffer, BufferPool
    from highperf.wire.request_parser import RequestParser
    from highperf.wire.response import Response
    from highperf.wire.router import Router

__all__ = [
    "App",
    "BreakerOpen",
    "Buffer",
    "BufferPool",
    "CircuitBreaker",
    "ConfigError",
    "HTTPError",
    "HighperfError",
    "ProtocolError",
    "RateLimit",
    "Request",
    "RequestParser",
    "Response",
    "RouteConflict",
    "Router",
    "TokenBucket",
    "__version__",
]

_HOMES: Final = {
    "app": ("App",),
    "core.request": ("Request",),
    "errors": ("BreakerOpen", "ConfigError", "HighperfError", "HTTPError", "ProtocolError", "RouteConflict"),
    "guards.breaker": ("CircuitBreaker",),
    "guards.limiter": ("TokenBucket",),
    "policies": ("RateLimit",),
    "wire.buffers": ("Buffer", "BufferPool"),
    "wire.request_parser": ("RequestParser",),
    "wire.response": ("Response",),
    "wire.router": ("Router",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"highperf.{home}"), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
