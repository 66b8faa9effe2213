"""Each request's id: where it comes from, and where it is told."""

import re
from typing import Any

import pytest

from highperf import HTTPError, Request, Response
from tests.protocol.harness import Wire

ID = re.compile(r"[0-9a-f]{8}-\d+")
PROXY, STRANGER = "192.0.2.1", "198.51.100.1"


@pytest.fixture
def behind(wire: Wire) -> Wire:
    wire.settings["forwarded_allow_ips"] = PROXY

    @wire.app.get("/id")
    async def tell(request: Request) -> str:
        return request.id

    @wire.app.get("/own")
    async def own(request: Request) -> Response:
        return Response("own", headers={"x-request-id": "mine"})

    @wire.app.get("/fails")
    async def fail(request: Request) -> None:
        raise HTTPError(409)

    return wire


def get(path: str, *ids: str) -> bytes:
    fields = "".join(f"X-Request-ID: {value}\r\n" for value in ids)
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode("latin-1")


def ask(wire: Wire, octets: bytes, peer: str = PROXY) -> Any:
    [answer] = wire.connect(peer).ask(octets)
    return answer


def test_an_answer_tells_what_the_handler_knows(behind: Wire) -> None:
    first, second = behind.connect().ask(get("/id") * 2)
    assert ID.fullmatch(first.text)
    assert first.text != second.text
    assert [answer.headers["X-Request-ID"] for answer in (first, second)] == [first.text, second.text]


@pytest.mark.parametrize("given", ["x", "!~" * 64, 'a"b\\c'])
def test_a_trusted_proxy_may_give_one(behind: Wire, given: str) -> None:
    answer = ask(behind, get("/id", given))
    assert (answer.text, answer.headers["X-Request-ID"]) == (given, given)


@pytest.mark.parametrize("path", ["/fails", "/nowhere"])
def test_it_stands_in_problems_and_is_no_danger_to_them(behind: Wire, path: str) -> None:
    answer = ask(behind, get(path, 'a"b\\c'))
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"] == 'a"b\\c'


def test_it_stands_in_ready_made_refusals(behind: Wire) -> None:
    behind.settings["rate_limit_rps"] = "1"
    ask(behind, get("/id"))
    answer = ask(behind, get("/id", 'a"b\\c'))
    assert answer.status == 429
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"] == 'a"b\\c'
    answer = ask(behind, get("/id"))
    assert ID.fullmatch(answer.json()["request_id"])


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "\x80", "a\tb"])
def test_what_is_no_id_is_not_taken(behind: Wire, given: str) -> None:
    assert ID.fullmatch(ask(behind, get("/id", given)).text)


def test_a_stranger_gives_none(behind: Wire) -> None:
    assert ID.fullmatch(ask(behind, get("/id", "forged"), STRANGER).text)


def test_the_first_of_several_counts(behind: Wire) -> None:
    assert ask(behind, get("/id", "one", "two")).text == "one"


def test_an_application_that_tells_its_own_is_left_alone(behind: Wire) -> None:
    assert ask(behind, get("/own")).headers.get_all("X-Request-ID") == ["mine"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_have_none(behind: Wire, path: str) -> None:
    assert "X-Request-ID" not in ask(behind, get(path, "given")).headers


def test_another_field_tells_it(behind: Wire) -> None:
    behind.settings["request_id_header"] = "X-Correlation-ID"
    answer = ask(behind, b"GET /id HTTP/1.1\r\nHost: a\r\nx-correlation-id: c\r\nX-Request-ID: r\r\n\r\n")
    assert (answer.text, answer.headers["X-Correlation-ID"]) == ("c", "c")
    assert "X-Request-ID" not in answer.headers


def test_none_is_told_where_it_is_off(behind: Wire) -> None:
    behind.settings["request_id_header"] = "off"
    answer = ask(behind, get("/id", "given"))
    assert ID.fullmatch(answer.text)
    assert "X-Request-ID" not in answer.headers
    assert ID.fullmatch(ask(behind, get("/nowhere")).json()["request_id"])


def test_the_first_refusal_of_a_kind_is_told(behind: Wire, caplog: pytest.LogCaptureFixture) -> None:
    behind.settings["rate_limit_rps"] = "1"
    for _ in range(5):
        answer = ask(behind, get("/id"))
    assert answer.status == 429
    [message] = caplog.messages
    assert message.startswith("GET /id refused with 429: the rate limit is reached.")
    behind.advance(61)
    for _ in range(3):
        ask(behind, get("/id"))
    assert len(caplog.messages) == 2
