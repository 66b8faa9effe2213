"""Refusals that are given over and over: every one is what the first was, for its own request."""

import pytest

from highperf import RateLimit
from tests.answers import Answer
from tests.protocol.harness import GET, Client, Wire

RETRY = {"x-request-id", "retry-after", "ratelimit"}  # some are told to come a second later, lest all come at once

PROXY, STRANGER = "192.0.2.1", "198.51.100.1"


@pytest.fixture
def client(wire: Wire) -> Client:
    """Of a server that refuses all but one request in an hour; that one has been."""
    limit = RateLimit("1/h", name="all")
    wire.settings["forwarded_allow_ips"] = PROXY
    for route in (wire.app.get("/", rate_limit=limit), wire.app.get("/*path", rate_limit=limit)):
        route(lambda request: "served")
    wire.app.post("/*path", rate_limit=limit)(lambda request: "served")
    client = wire.connect(STRANGER)
    assert [answer.status for answer in client.ask(GET % b"/first")] == [200]
    return client


def check(answer: Answer, path: str) -> str:
    """Its request's id."""
    assert answer.status == 429
    problem = answer.json()
    assert problem["instance"] == path
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers.get_all("X-Request-ID") == [problem["request_id"]]
    return str(problem["request_id"])


def test_each_has_the_id_of_its_own_request(client: Client) -> None:
    answers = client.ask(GET % b"/a" * 150)  # so that ids grow by a digit, twice
    ids = [check(answer, "/a") for answer in answers]
    numbers = [int(id_.partition("-")[2]) for id_ in ids]
    assert numbers == list(range(2, 152))
    assert len({id_.partition("-")[0] for id_ in ids}) == 1


def test_what_differs_between_them_is_nothing_but_the_id(client: Client) -> None:
    told = []
    for answer in client.ask(GET % b"/a" * 7):
        fields = [(name, value) for name, value in answer.headers.items() if name.lower() not in RETRY]
        told.append((fields, {k: v for k, v in answer.json().items() if k != "request_id"}))
    assert all(one == told[0] for one in told)


@pytest.mark.parametrize(
    ("paths", "instances"),
    [
        (["/a", "/b"], ["/a", "/b"]),
        (["/a", "/aa", "/a/"], ["/a", "/aa", "/a/"]),
        (["/", "/?q=1", "/"], ["/", "/", "/"]),
        (["/a?x", "/a?y"], ["/a", "/a"]),
        (['/x"', "/x\\", "/x", '/x"'], ['/x"', "/x\\", "/x", '/x"']),
        (["/%41", "/A"], ["/%41", "/A"]),
    ],
)
def test_each_names_the_path_that_was_asked_for(client: Client, paths: list[str], instances: list[str]) -> None:
    for order in (paths * 4, [path for path in paths for _ in range(4)]):
        answers = client.ask(b"".join(GET % path.encode() for path in order))
        expected = dict(zip(paths, instances, strict=True))
        ids = [check(answer, expected[path]) for answer, path in zip(answers, order, strict=True)]
        assert len(set(ids)) == len(order)


def test_a_path_that_holds_the_last_id_is_told_as_it_came(client: Client) -> None:
    [answer] = client.ask(GET % b"/a")
    path = "/" + check(answer, "/a")
    for answer in client.ask(GET % path.encode() * 5):
        check(answer, path)


def test_each_second_has_its_date(client: Client, wire: Wire) -> None:
    dates = []
    for _ in range(3):
        pair = client.ask(GET % b"/a" * 3)
        assert len({answer.headers["Date"] for answer in pair}) == 1
        dates.append(pair[-1].headers["Date"])
        wire.advance(1)
    assert len(set(dates)) == 3


def test_head_has_no_content_and_the_next_has_it_again(client: Client) -> None:
    head = b"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n"
    answers = client.ask((GET % b"/a") * 3 + head + (GET % b"/a") * 2, ["GET"] * 3 + ["HEAD"] + ["GET"] * 2)
    assert [answer.status for answer in answers] == [429] * 6
    assert answers[3].content == b""
    assert answers[3].headers["Content-Length"] == answers[2].headers["Content-Length"]
    assert [check(answer, "/a") for answer in (*answers[:3], *answers[4:])]


@pytest.mark.parametrize(
    ("request_octets", "connection"),
    [
        (b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "close"),
        (b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive"),
        (b"GET /a HTTP/1.0\r\n\r\n", "close"),
        (b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n", "close"),
    ],
)
def test_one_after_which_the_connection_is_treated_otherwise_says_so(
    client: Client, wire: Wire, request_octets: bytes, connection: str
) -> None:
    *before, last = client.ask((GET % b"/a") * 4 + request_octets)
    assert all("Connection" not in answer.headers for answer in before)
    assert last.headers["Connection"] == connection
    for answer in wire.connect().ask((GET % b"/a") * 3):
        check(answer, "/a")
        assert "Connection" not in answer.headers


def test_one_whose_id_a_proxy_gave_has_that(client: Client, wire: Wire) -> None:
    given = b"GET /a HTTP/1.1\r\nHost: a\r\nX-Request-ID: abc\r\n\r\n"
    answers = wire.connect(PROXY).ask((GET % b"/a") * 3 + given + (GET % b"/a") * 2)
    ids = [check(answer, "/a") for answer in answers]
    assert ids.index("abc") == 3
    assert len(set(ids)) == 6


@pytest.mark.parametrize("name", ["off", "X-Correlation-ID"])
def test_the_field_with_the_id_has_another_name_or_none(wire: Wire, name: str) -> None:
    wire.settings["request_id_header"] = name
    wire.app.get("/a", rate_limit="1/h")(lambda request: "served")
    _, *answers = wire.connect().ask(GET % b"/a" * 6)
    ids = [answer.json()["request_id"] for answer in answers]
    assert len(set(ids)) == 5
    assert [answer.headers.get(name) for answer in answers] == ([None] * 5 if name == "off" else ids)
    assert not any("X-Request-ID" in answer.headers for answer in answers)


def test_connections_share_them(client: Client, wire: Wire) -> None:
    others = [wire.connect(f"198.51.100.{n}") for n in range(2, 5)]
    ids = [check(other.ask(GET % b"/a")[0], "/a") for _ in range(4) for other in (client, *others)]
    assert len(set(ids)) == len(ids)
