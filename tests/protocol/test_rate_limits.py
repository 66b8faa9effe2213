"""Rate limits on the wire: who is refused, what the refusal says, and what it leaves alone."""

import asyncio
import gc
import logging
import weakref

import pytest

from highperf import App, HTTPError, RateLimit, Request
from tests.answers import Answer
from tests.protocol.harness import GET, Client, Wire, post

WIRE_KEY = b"GET %b HTTP/1.1\r\nHost: a\r\nX-Key: %b\r\n\r\n"


def ask(client: Client, path: bytes, times: int = 1) -> list[int]:
    return [answer.status for answer in client.ask(GET % path * times)]


def limited(wire: Wire, *limits: object) -> Wire:
    """Serves GET /limited under these limits."""

    @wire.app.get("/limited", rate_limit=list(limits))
    def handler(request: Request) -> str:
        wire.began.append("limited")
        return "served"

    return wire


def refusal(client: Client, path: bytes) -> Answer:
    [answer] = client.ask(GET % path)
    assert answer.status == 429
    return answer


def test_as_many_as_the_capacity_pass_at_once_and_then_as_the_rate_says(wire: Wire) -> None:
    client = limited(wire, RateLimit("10/s", capacity=3)).connect()
    assert ask(client, b"/limited", 5) == [200, 200, 200, 429, 429]
    wire.advance(0.1)
    assert ask(client, b"/limited", 2) == [200, 429]
    assert wire.began == ["limited"] * 4


def test_a_refusal_says_which_limit_and_when_to_come_again(wire: Wire) -> None:
    client = limited(wire, RateLimit("2/m", capacity=1)).connect()
    assert ask(client, b"/limited") == [200]
    answer = refusal(client, b"/limited")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["RateLimit-Policy"] == '"GET /limited";q=1;w=30'
    seconds = int(answer.headers["Retry-After"])
    assert 30 <= seconds <= 31  # never too early, and not for all at the same instant
    assert answer.headers["RateLimit"] == f'"GET /limited";r=0;t={seconds}'
    assert answer.problem() == {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Too Many Requests",
        "status": 429,
        "detail": 'the rate limit "GET /limited" of a request every 30 seconds is exceeded',
        "violated-policies": ["GET /limited"],
        "instance": "/limited",
    }
    wire.advance(seconds)
    assert ask(client, b"/limited") == [200]


def test_the_instance_of_a_refusal_is_the_path_as_sent(wire: Wire) -> None:
    @wire.app.get("/one/*rest", rate_limit=RateLimit("1/h"))
    def one(request: Request) -> str:
        return ""

    client = wire.connect()
    ask(client, b"/one/")
    for path in (b"/one/a%20b", b'/one/"', b"/one/\\", b'/one/"\\"x"', b"/one/a"):
        assert refusal(client, path).json()["instance"] == path.decode()


def test_a_refused_connection_lives_on_and_answers_in_order(wire: Wire) -> None:
    client = limited(wire, RateLimit("1/s")).connect()
    answers = client.ask(GET % b"/limited" * 3 + GET % b"/now/a" + post(b"/body", b"kept"))
    assert [answer.status for answer in answers] == [200, 429, 429, 200, 200]
    assert answers[-1].content == b"kept"
    assert not client.is_closing()


def test_the_content_of_a_refused_request_is_not_taken_for_the_next_one(wire: Wire) -> None:
    @wire.app.post("/once", rate_limit="1/h")
    def once(request: Request) -> str:
        return ""

    client = wire.connect()
    octets = post(b"/once", b"GET / HTTP/1.1\r\n\r\n")
    answers = client.ask(octets * 2 + GET % b"/now/a")
    assert [answer.status for answer in answers] == [200, 429, 200]
    assert not client.is_closing()


def test_a_refusal_is_told_by_its_cause_where_the_route_takes_more_than_the_server(wire: Wire) -> None:
    wire.settings = {"limit_request_body": "1k"}

    @wire.app.post("/large", rate_limit="1/h", limit_body="1m")
    async def large(request: Request) -> str:
        return str(len(await request.body()))

    client = wire.connect()
    answers = client.ask(post(b"/large", b"x" * 5000) * 2)
    assert [answer.status for answer in answers] == [200, 429]


def test_a_refused_head_request_gets_no_content(wire: Wire) -> None:
    client = limited(wire, RateLimit("1/h")).connect()
    octets = b"HEAD /limited HTTP/1.1\r\nHost: a\r\n\r\n"
    first, second = client.ask(octets * 2, ["HEAD", "HEAD"])
    assert (first.status, second.status) == (200, 429)
    assert int(second.headers["Content-Length"]) > 100


def test_the_limit_of_the_server_holds_for_all_that_it_answers_but_health(wire: Wire) -> None:
    wire.settings = {"rate_limit_rps": 1, "rate_limit_capacity": 4}
    client = wire.connect()
    assert ask(client, b"/now/a", 2) == [200, 200]
    assert ask(client, b"/nothing/here") == [404]
    assert [answer.status for answer in client.ask(post(b"/now/a", b""))] == [405]
    assert ask(client, b"/now/a") == ask(client, b"/nothing") == [429]
    assert ask(client, b"/healthz", 3) == ask(client, b"/readyz", 3) == [200, 200, 200]
    answer = refusal(client, b"/now/a")
    assert answer.headers["RateLimit-Policy"] == '"server";q=4;w=4'
    assert wire.worker.refused["rate_limit"] == 3


def test_a_rate_of_zero_refuses_nothing(wire: Wire) -> None:
    wire.settings = {"rate_limit_rps": 0, "rate_limit_capacity": 1}
    assert ask(wire.connect(), b"/now/a", 500) == [200] * 500


def test_a_request_that_one_limit_refuses_costs_nothing_at_the_others(wire: Wire) -> None:
    client = limited(
        wire, RateLimit("1/h", capacity=3, name="wide"), RateLimit("10/s", capacity=1, name="narrow")
    ).connect()
    assert ask(client, b"/limited", 20) == [200] + [429] * 19
    wire.advance(0.1)
    assert ask(client, b"/limited") == [200]
    wire.advance(0.1)
    assert ask(client, b"/limited") == [200]
    wire.advance(0.1)
    answer = refusal(client, b"/limited")  # both: the one that lasts longer is named
    assert answer.json()["violated-policies"] == ["wide"]


def test_clients_are_told_apart_by_address(wire: Wire) -> None:
    limited(wire, RateLimit("1/h", capacity=2, by="client"))
    first, second = wire.connect("192.0.2.1"), wire.connect("192.0.2.2")
    assert ask(first, b"/limited", 3) == [200, 200, 429]
    assert ask(second, b"/limited", 3) == [200, 200, 429]
    assert ask(wire.connect("192.0.2.1"), b"/limited") == [429]
    assert ask(wire.connect("::ffff:192.0.2.1"), b"/limited") == [429]  # the same, spelled as IPv6


def test_a_network_of_64_bits_is_one_client(wire: Wire) -> None:
    limited(wire, RateLimit("1/h", capacity=2, by="client"))
    addresses = ["2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:1:ffff:ffff:ffff:ffff", "fe80::1%eth0"]
    assert [ask(wire.connect(address), b"/limited") for address in addresses] == [[200], [200], [429], [200]]
    assert ask(wire.connect("2001:db8:0:2::1"), b"/limited") == [200]


def test_clients_are_told_apart_by_a_header(wire: Wire) -> None:
    client = limited(wire, RateLimit("1/h", by="header:X-Key")).connect()
    keys = [b"a", b"b", b"a", b"b", b"a" * 1000, b"a" * 1000]
    answers = client.ask(b"".join(WIRE_KEY % (b"/limited", key) for key in keys))
    assert [answer.status for answer in answers] == [200, 200, 429, 429, 200, 429]


def test_who_leaves_the_header_out_is_limited_by_address(wire: Wire) -> None:
    limited(wire, RateLimit("1/h", by="header:X-Key"))
    first, second = wire.connect("192.0.2.1"), wire.connect("192.0.2.2")
    assert ask(first, b"/limited", 2) == [200, 429]
    assert ask(second, b"/limited", 2) == [200, 429]


def test_nobody_can_spell_the_address_of_another(wire: Wire) -> None:
    limited(wire, RateLimit("1/h", by="header:X-Key"))
    [answer] = wire.connect("203.0.113.9").ask(WIRE_KEY % (b"/limited", bytes((198, 51, 100, 42))))
    assert answer.status == 200
    assert ask(wire.connect("198.51.100.42"), b"/limited") == [200]


def test_clients_are_told_apart_by_a_function(wire: Wire) -> None:
    def key(request: Request) -> str | bytes | None:
        name = request.query["name"]
        return None if name == "root" else name if name < "c" else name.encode()

    client = limited(wire, RateLimit("1/h", by=key)).connect()
    names = [b"a", b"a", b"b", b"c", b"c", b"root", b"root", b"root"]
    answers = client.ask(b"".join(GET % (b"/limited?name=" + name) for name in names))
    assert [answer.status for answer in answers] == [200, 429, 200, 200, 429, 200, 200, 200]
    assert wire.began == ["limited"] * 6


def test_the_request_that_a_key_is_made_of_is_the_one_that_the_handler_sees(wire: Wire) -> None:
    def key(request: Request) -> str:
        request.state.user = "ada"
        return "ada"

    @wire.app.post("/mine", rate_limit=RateLimit("9/s", by=key))
    async def mine(request: Request) -> str:
        return f"{request.state.user} {(await request.body()).decode()}"

    [answer] = wire.connect().ask(post(b"/mine", b"body"))
    assert answer.content == b"ada body"


def test_a_key_that_cannot_be_made_fails_the_request_alone(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    def key(request: Request) -> object:
        if "wrong" in request.query:
            return 7
        if "forbidden" in request.query:
            raise HTTPError(401, "who are you?")
        return request.query["name"]

    client = limited(wire, RateLimit("1/h", by=key)).connect()
    with caplog.at_level(logging.ERROR):
        assert ask(client, b"/limited") == [500]
        assert ask(client, b"/limited?wrong") == [500]
    assert "the key of a rate limit must be str, bytes or None, not int" in caplog.text
    assert ask(client, b"/limited?forbidden") == [401]
    assert ask(client, b"/limited?name=a", 2) == [200, 429]
    assert wire.worker.shedder.running == 0


@pytest.mark.parametrize("kind", [asyncio.CancelledError, SystemExit, GeneratorExit])
def test_a_key_fails_its_request_alone_whatever_it_raises(wire: Wire, kind: type[BaseException]) -> None:
    def key(request: Request) -> str:
        raise kind

    client = limited(wire, RateLimit("1/h", by=key)).connect()
    assert ask(client, b"/limited") == [500]
    assert ask(client, b"/now/a") == [200]
    assert wire.worker.shedder.running == 0


def test_a_client_without_an_address_shares_its_limit_with_its_like(wire: Wire) -> None:
    limited(wire, RateLimit("1/h", by="client"))
    for status in (200, 429):
        client = wire.connect()
        client._extra["peername"] = "/run/app.sock"
        assert ask(client, b"/limited") == [status]


def test_cost_is_what_a_request_takes(wire: Wire) -> None:
    client = limited(wire, RateLimit("1/h", capacity=10, cost=4)).connect()
    assert ask(client, b"/limited", 4) == [200, 200, 429, 429]


def test_methods_of_a_path_have_limits_of_their_own(wire: Wire) -> None:
    @wire.app.route("/both", ["GET", "POST"], rate_limit="1/h")
    def both(request: Request) -> str:
        return ""

    client = wire.connect()
    assert ask(client, b"/both", 2) == [200, 429]
    assert [answer.status for answer in client.ask(post(b"/both", b"") * 2)] == [200, 429]


def test_routes_may_share_a_limit_by_its_name(wire: Wire) -> None:
    for path in ("/a", "/b"):
        wire.app.get(path, rate_limit=RateLimit("1/h", capacity=3, name="together"))(lambda request: "")
    client = wire.connect()
    assert ask(client, b"/a", 2) == [200, 200]
    assert ask(client, b"/b", 2) == [200, 429]


def test_an_unmatched_request_is_limited_when_middleware_answers_it(wire: Wire) -> None:
    wire.settings = {"rate_limit_rps": 1, "rate_limit_capacity": 1}

    @wire.app.middleware
    async def count(request: Request, call_next: object) -> object:
        wire.began.append(request.path)
        return await call_next(request)  # type: ignore[operator]

    assert ask(wire.connect(), b"/nothing", 2) == [404, 429]
    assert wire.began == ["/nothing"]


def test_the_test_client_meets_the_same_limits() -> None:
    app = App()
    app.get("/", rate_limit="2/h")(lambda request: "")
    with app.test_client() as client:
        assert [client.get("/").status for _ in range(3)] == [200, 200, 429]
    with app.test_client() as client:  # another run of the server
        assert client.get("/").status == 200


def test_a_limit_may_have_the_name_of_the_servers_or_of_a_route_and_share_nothing_with_it(wire: Wire) -> None:
    wire.settings = {"rate_limit_rps": 1, "rate_limit_capacity": 3}
    wire.app.get("/a", rate_limit=RateLimit("1/h", capacity=2, name="server"))(lambda request: "")
    wire.app.get("/b", rate_limit=RateLimit("1/h", capacity=2, name="GET /c"))(lambda request: "")
    wire.app.get("/c", rate_limit=RateLimit("1/h", capacity=1))(lambda request: "")
    client = wire.connect()
    assert ask(client, b"/a") == ask(client, b"/b") == ask(client, b"/c") == [200]
    assert ask(client, b"/a") == [429]


def test_what_a_key_raised_is_forgotten_where_the_content_is_refused_as_well(wire: Wire) -> None:
    class WrongKeyError(Exception): ...

    raised: list[weakref.ref[WrongKeyError]] = []

    def key(request: Request) -> str:
        error = WrongKeyError()
        raised.append(weakref.ref(error))
        raise error

    @wire.app.post("/small", rate_limit=RateLimit("1/h", by=key), limit_body=3)
    def small(request: Request) -> str:
        return ""

    assert [answer.status for answer in wire.connect().ask(post(b"/small", b"long"))] == [413]
    gc.collect()
    assert [reference() for reference in raised] == [None]
