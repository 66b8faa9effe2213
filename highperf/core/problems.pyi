from typing import final

from highperf.core.request import Request
from highperf.errors import HTTPError
from highperf.wire.response import Response

def problem_for(error: HTTPError, request: Request) -> Response:
    """The ``application/problem+json`` (RFC 9457) of an HTTPError."""

def rate_limit_fields(name: str, capacity: int, window_s: int, retry_s: int) -> dict[str, str]:
    """RateLimit-Policy and RateLimit of a refused request (draft-ietf-httpapi-ratelimit-headers-11).

    Args:
        name: the policy's name.
        capacity: its quota in requests.
        window_s: seconds in which that much is granted anew.
        retry_s: seconds until there is something again.
    """

@final
class Refusal:
    """An ``application/problem+json`` (RFC 9457) that is written but for the request's path.

    Args:
        status: of the answer.
        detail: why, for the client's eyes.
        kind: URI of the problem's type; default ``about:blank``.
        retries: whether it says Retry-After.
        policy: name, capacity and window in seconds of the rate limit that refuses.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str | None = None,
        retries: bool = True,
        policy: tuple[str, int, int] | None = None,
    ) -> None: ...
    @property
    def status(self) -> int:
        """As given."""

    def fields_for(self, retry_s: int) -> dict[str, str | bytes]:
        """The fields of the answer; 0 seconds: without Retry-After."""
