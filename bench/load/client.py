"""A plain client for single requests: what a peer answers matters here, not how fast."""

import http.client
import ssl
from functools import cache
from typing import NamedTuple

from bench.load.places import HOST


class Answer(NamedTuple):
    status: int
    media_type: str
    body: bytes


@cache
def unverified() -> ssl.SSLContext:
    """For the certificates that the benchmark makes for itself."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def ask(
    port: int,
    method: str,
    path: str,
    body: str | None = None,
    timeout_s: float = 10.0,
    scheme: str = "http",
    fields: dict[str, str] | None = None,
) -> Answer:
    """One request on a connection of its own; broken HTTP is an OSError, as a broken socket is."""
    fields = ({"Content-Type": "application/json"} if body else {}) | (fields or {})
    connection = http.client.HTTPConnection(HOST, port, timeout=timeout_s)
    if scheme == "https":
        connection = http.client.HTTPSConnection(HOST, port, timeout=timeout_s, context=unverified())
    try:
        connection.request(method, path, body, fields)
        response = connection.getresponse()
        return Answer(response.status, response.getheader("Content-Type", ""), response.read())
    except http.client.HTTPException as error:
        raise OSError(f"bad HTTP: {error!r}") from error
    finally:
        connection.close()
