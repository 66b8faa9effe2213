"""Methods: which are routed, which the server answers itself, which are refused (RFC 9110 section 9)."""

from typing import Any

import pytest

from highperf import Request, Response
from tests.protocol.harness import Wire

ASK = b"%b %b HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(params=["plain", "with middleware"])
def wire(wire: Wire, request: pytest.FixtureRequest) -> Wire:
    """The server's own answers are the same whether it or the application gives them."""
    if request.param == "with middleware":

        @wire.app.middleware
        async def passes(request: Request, call_next: Any) -> Response:
            return await call_next(request)

    return wire


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW"])
def test_route_takes_its_methods(wire: Wire, method: str) -> None:
    @wire.app.route("/", [method])
    def handler(request: Request) -> Response:
        return Response("content", headers={"X-Method": request.method})

    client = wire.connect()
    [answer] = client.ask(ASK % (method.encode(), b"/"), [method])
    assert (answer.status, answer.headers["X-Method"]) == (200, method)


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "TRACE", "BREW", "get", "M-SEARCH", "x" * 32])
def test_star_takes_every_method(wire: Wire, method: str) -> None:
    @wire.app.route("/", "*")
    def handler(request: Request) -> Response:
        return Response("content", headers={"X-Method": request.method})

    [answer] = wire.connect().ask(ASK % (method.encode(), b"/"), [method])
    assert answer.headers["X-Method"] == method


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"TRACE", b"BREW", b"get", b"Get", b"PROPFIND"])
def test_other_methods_of_a_path_are_405_with_allow(wire: Wire, method: bytes) -> None:
    client = wire.connect()
    [answer] = client.ask(ASK % (method, b"/now/a"))
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert answer.json()["detail"] == f"{method.decode()} is not among the methods of this path"
    assert answer.json()["instance"] == "/now/a"
    assert not answer.closes


def test_allow_lists_the_methods_of_the_path(wire: Wire) -> None:
    @wire.app.route("/things", ["PUT", "POST"])
    def handler(request: Request) -> None: ...

    answers = wire.connect().ask(ASK % (b"GET", b"/things") + ASK % (b"OPTIONS", b"/things"))
    assert [answer.status for answer in answers] == [405, 204]
    for answer in answers:
        assert sorted(answer.headers["Allow"].split(", ")) == ["OPTIONS", "POST", "PUT"]


@pytest.mark.parametrize("path", [b"/now/a%2Fb", b"/%6eow/a", b"/now/%C3%A4", b"/now/%ff"])
def test_encoded_paths_are_matched_once_decoded(wire: Wire, path: bytes) -> None:
    answers = wire.connect().ask(ASK % (b"GET", path) + ASK % (b"PUT", path) + ASK % (b"OPTIONS", path))
    assert [answer.status for answer in answers] == [200, 405, 204]
    assert answers[1].json()["instance"] == path.decode()


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"OPTIONS", b"TRACE", b"BREW"])
def test_unknown_path_is_404_for_every_method(wire: Wire, method: bytes) -> None:
    [answer] = wire.connect().ask(ASK % (method, b"/nothing?a=b"))
    assert (answer.status, answer.json()["instance"]) == (404, "/nothing")
    assert "Allow" not in answer.headers


def test_options_of_the_server(wire: Wire) -> None:
    client = wire.connect()
    for target in (b"*", b"http://a"):
        [answer] = client.ask(ASK % (b"OPTIONS", target))
        assert answer.status == 204
        assert {"GET", "HEAD", "POST", "OPTIONS"} <= set(answer.headers["Allow"].split(", "))


def test_asterisk_is_for_options_only(wire: Wire) -> None:
    client = wire.connect()
    [answer] = client.ask(ASK % (b"GET", b"*"))
    assert (answer.status, answer.closes) == (400, True)


def test_connect_is_refused_and_the_end(wire: Wire) -> None:
    client = wire.connect()
    [answer] = client.ask(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n" + ASK % (b"GET", b"/wait/a"))
    assert (answer.status, answer.closes) == (501, True)
    assert client.half_closed
    assert wire.began == []


def test_target_may_be_absolute(wire: Wire) -> None:
    client = wire.connect()
    for target in (b"http://a/now/x", b"HTTP://b:80/now/x?y", b"https://a/now/x"):
        assert client.ask(ASK % (b"GET", target))[0].text == "x"
    for target in (b"http://a", b"http://a?x"):
        [answer] = client.ask(ASK % (b"GET", target))
        assert (answer.status, answer.json()["instance"]) == (404, "/")


def test_health_and_readiness(wire: Wire) -> None:
    client = wire.connect()
    for path, text in ((b"/healthz", "ok"), (b"/readyz", "ready")):
        got, head, put, options = client.ask(
            b"".join(ASK % (method, path) for method in (b"GET", b"HEAD", b"PUT", b"OPTIONS")), ["GET", "HEAD"]
        )
        assert (got.status, got.text, got.headers["Content-Type"]) == (200, text, "text/plain")
        assert (head.status, put.status, options.status) == (200, 405, 204)
        assert put.headers["Allow"] == options.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_readiness_says_why_it_is_not(wire: Wire) -> None:
    client = wire.connect()
    wire.worker.ready = False
    [answer] = client.ask(ASK % (b"GET", b"/readyz"))
    assert (answer.status, answer.headers["Retry-After"], answer.json()["detail"]) == (503, "1", "starting")
    assert answer.headers["Cache-Control"] == "no-store"
    client.send(b"GET /rea")
    wire.worker.begin_drain()
    [answer] = client.ask(b"dyz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.status, answer.json()["detail"], answer.closes) == (503, "draining", True)
