"""Every error that highperf raises for its user's sake is a HighperfError. Imports nothing of the package."""

from collections.abc import Mapping
from typing import Any

SHUTTING_DOWN = "the server is shutting down"  # the message of a CancelledError at the shutdown timeout
DEADLINE_PASSED = "the deadline has passed"  # the message of a CancelledError that a deadline caused
CLIENT_DEADLINE_PASSED = "the time that the client gave has passed"  # the same, where the client's was shorter


class HighperfError(Exception):
    """Base of the errors of this package.

    One that ends a start is said in one line, after `details`, and the process exits with `exit_code`.
    """

    exit_code = 3
    details = ""


class ProtocolError(HighperfError):
    """The peer broke the rules of HTTP: `status` answers it, `reason` says in plain words what was wrong."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.status}: {self.reason}"


class RouteConflict(HighperfError, ValueError):
    """Two routes would answer the same request; the message names both."""


class ConfigError(HighperfError, ValueError):
    """A setting or a declaration that cannot be used."""

    exit_code = 2


class StartupError(HighperfError):
    """The application or its address is not to be had.

    Its `details` are the traceback of the user's own code, where that raised.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class HTTPError(HighperfError):
    """Raised by a handler to answer with an ``application/problem+json`` (RFC 9457).

    Args:
        status: the answer's status, 400 to 599.
        detail: what went wrong this time, for the client's eyes.
        headers: fields to add to the answer.
        members: extension members of the problem (RFC 9457 section 3.2), such as
            ``errors=[{"pointer": "#/age", "detail": "expected int"}]``; ``type`` and ``title``
            replace the defaults ``about:blank`` and the status's reason phrase.

    Raises:
        ValueError: status is not an error status.
    """

    def __init__(
        self, status: int, detail: str = "", *, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        if not 400 <= status <= 599:
            raise ValueError(f"status must be 400 to 599, not {status}")
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.members = members

    def __str__(self) -> str:
        return f"{self.status} {self.detail}".rstrip()


class BreakerOpen(HTTPError):
    """A circuit breaker refuses a call; a handler that lets it pass answers 503 with ``Retry-After``.

    Args:
        name: the breaker's.
        retry_after_s: whole seconds until calls may pass again, at least 1.
    """

    def __init__(self, name: str, retry_after_s: int) -> None:
        fields = {"Retry-After": str(retry_after_s), "Cache-Control": "no-store"}
        super().__init__(503, f"the circuit breaker {name!r} is open: too many calls failed", headers=fields)
        self.args = name, retry_after_s
        self.name = name
        self.retry_after_s = retry_after_s
