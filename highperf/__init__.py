"""highperf: an HTTP API server for Python that protects itself."""

from highperf._version import __version__
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
