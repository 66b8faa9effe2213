"""highperf: an HTTP API server for Python that protects itself."""

from highperf._version import __version__
from highperf.app import App
from highperf.core.request import Request
from highperf.errors import ConfigError, HighperfError, HTTPError, ProtocolError, RouteConflict
from highperf.policies import RateLimit
from highperf.wire.buffers import Buffer, BufferPool
from highperf.wire.request_parser import RequestParser
from highperf.wire.response import Response
from highperf.wire.router import Router

__all__ = [
    "App",
    "Buffer",
    "BufferPool",
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
    "__version__",
]
