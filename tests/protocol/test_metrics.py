"""Each kind of request and connection is counted once, under names that no client chooses."""

import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from highperf import Request, Response
from tests import compiled
from tests.protocol.harness import GET, Client, Wire, chunked, post

Key = tuple[str, str, int, str, int, str]

CONNECTIONS, ERRORS, REJECTED, RATE_LIMIT, TRANSITIONS, DEADLINES = range(1, 7)
ACTIVE, OPEN, BREAKER_STATE, LAG = 128, 129, 130, 131


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/metrics_probe.pyx")


@pytest.fixture
def requests(wire: Wire, probe: Any) -> Callable[[], dict[Key, int]]:
    return lambda: probe.requests(wire.worker.segment)


@pytest.fixture
def numbers(wire: Wire, probe: Any) -> Callable[[int], dict[tuple[str, ...], int]]:
    return lambda family: probe.numbers(wire.worker.segment, family)


def key(wire: Wire, route: str, method: str = "GET", status: int = 200, ending: str = "sent", minor: int = 1) -> Key:
    return (route, method, status, ending, minor, wire.scheme)


def test_a_request_has_the_series_of_its_route(wire: Wire, requests: Any) -> None:
    client = wire.connect()
    client.ask(3 * (GET % b"/now/a") + GET % b"/now/b%20c?d")
    client.ask(post(b"/body", b"abc"))
    client.ask(b"HEAD /now/a HTTP/1.1\r\nHost: a\r\n\r\n", ["HEAD"])
    client.ask(b"GET /now/a HTTP/1.0\r\n\r\n")
    assert requests() == {
        key(wire, "/now/:name"): 4,
        key(wire, "/body", "POST"): 1,
        key(wire, "/now/:name", "HEAD"): 1,
        key(wire, "/now/:name", minor=0): 1,
    }


def test_what_no_route_takes_shares_one_name(wire: Wire, requests: Any) -> None:
    client = wire.connect()
    for number in range(5):
        client.ask(GET % b"/nowhere/%d" % number)
        client.ask(b"DELETE /now/%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        client.ask(b"M%d /now/a HTTP/1.1\r\nHost: a\r\n\r\n" % number)
    assert requests() == {
        key(wire, "unmatched", status=404): 5,
        key(wire, "unmatched", "DELETE", 405): 5,
        key(wire, "unmatched", "_OTHER", 405): 5,
    }


def test_health_is_not_counted(wire: Wire, requests: Any) -> None:
    client = wire.connect()
    client.ask(GET % b"/healthz" + GET % b"/readyz")
    assert requests() == {}


def test_a_handler_that_waits_is_counted_with_its_time_when_it_has_answered(wire: Wire, probe: Any) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a")
    wire.drift(0.3)
    assert probe.requests(wire.worker.segment) == {}
    assert wire.worker.answering == 1
    wire.open("a")
    [(place, (sum_ns, buckets))] = probe.histograms(wire.worker.segment).items()
    assert place == key(wire, "/wait/:name")
    assert sum_ns == pytest.approx(300_000_000, abs=1000)
    assert buckets.index(1) == 7
    assert wire.worker.answering == 0


def test_who_leaves_before_the_answer_is_counted_as_gone(wire: Wire, requests: Any) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a")
    client.leave()
    assert requests() == {key(wire, "/wait/:name", status=0, ending="left"): 1}


def test_a_connection_that_we_end_cuts_its_request(wire: Wire, requests: Any) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a")
    wire.worker.abort()
    wire.settle()
    assert requests() == {key(wire, "/wait/:name", status=0, ending="cut"): 1}


def test_an_answer_that_fails_half_way_is_cut(wire: Wire, requests: Any, caplog: pytest.LogCaptureFixture) -> None:
    @wire.app.get("/broken")
    async def broken(request: Request) -> Response:
        async def parts() -> Any:
            yield b"some"
            raise RuntimeError

        return Response.stream(parts())

    wire.connect().send(GET % b"/broken")
    assert requests() == {key(wire, "/broken", ending="cut"): 1}


def test_a_handler_that_fails_is_counted_by_its_status(wire: Wire, requests: Any) -> None:
    @wire.app.get("/fail")
    def fail(request: Request) -> None:
        raise RuntimeError

    wire.connect().ask(GET % b"/fail")
    assert requests() == {key(wire, "/fail", status=500): 1}


REJECTIONS: list[tuple[bytes, str, int]] = [
    (b"GET / HTTP/1.1\r\n\r\n", "bad_request", 400),
    (GET % (b"/" + 9000 * b"a"), "uri_too_long", 414),
    (b"GET / HTTP/1.1\r\nHost: a\r\nA: %b\r\n\r\n" % (20_000 * b"a"), "header_too_large", 431),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "unsupported", 505),
    (b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", "body_too_large", 413),
]


@pytest.mark.parametrize(("octets", "reason", "status"), REJECTIONS, ids=[reason for _, reason, _ in REJECTIONS])
def test_what_the_wire_rejects_is_counted_by_its_reason(
    wire: Wire, requests: Any, numbers: Any, octets: bytes, reason: str, status: int
) -> None:
    wire.connect().send(octets)
    assert numbers(REJECTED) == {(reason,): 1}
    [(found, count)] = requests().items()
    assert (found[2], count) == (status, 1)


def test_a_slow_head_is_a_rejection(wire: Wire, requests: Any, numbers: Any) -> None:
    client = wire.connect()
    client.send(b"GET / HT")
    wire.advance(3)
    assert numbers(REJECTED) == {("header_timeout",): 1}
    assert requests() == {key(wire, "unmatched", "_OTHER", 408, minor=0): 1}


def test_a_body_that_stops_coming_is_a_rejection(wire: Wire, numbers: Any) -> None:
    client = wire.connect()
    client.send(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
    wire.advance(3)
    assert numbers(REJECTED) == {("body_timeout",): 1}


def test_chunks_beyond_the_limit_are_a_rejection(wire: Wire, numbers: Any) -> None:
    wire.settings["limit_request_body"] = 4
    wire.connect().ask(chunked(b"abc", b"def"))
    assert numbers(REJECTED) == {("body_too_large",): 1}


def test_connections_are_counted_when_they_come(wire: Wire, numbers: Any) -> None:
    clients = [wire.connect() for _ in range(3)]
    clients[0].send(GET % b"/wait/a")
    wire.worker.refresh_metrics()
    assert numbers(CONNECTIONS) == {(): 3}
    assert numbers(OPEN) == {("active",): 1, ("idle",): 2}
    assert numbers(ACTIVE) == {(): 1}
    wire.open("a")
    wire.worker.beat(0.5)
    assert numbers(OPEN) == {("idle",): 3}
    assert numbers(LAG) == {(): 500_000_000}
    wire.worker.refresh_metrics()
    assert numbers(LAG) == {(): 500_000_000}


def test_a_peer_that_takes_nothing_is_a_connection_error(wire: Wire, numbers: Any) -> None:
    @wire.app.get("/large")
    def large(request: Request) -> bytes:
        return bytes(1 << 20)

    client = wire.connect()
    client.window = 0
    client.send(GET % b"/large")
    wire.advance(3)
    assert numbers(ERRORS) == {("write_timeout",): 1}


def test_a_reset_is_a_connection_error(wire: Wire, numbers: Any) -> None:
    client = wire.connect()
    client._protocol.connection_lost(ConnectionResetError())
    client.leave()
    assert numbers(ERRORS) == {("reset",): 1}


def test_handshakes_that_fail_are_connection_errors(
    tls_contexts: tuple[ssl.SSLContext, ssl.SSLContext], probe: Any
) -> None:
    wire = Wire(*tls_contexts)
    silent, plain = Client(wire, "192.0.2.1"), Client(wire, "192.0.2.2")
    wire.clients += [silent, plain]
    plain.send(GET % b"/now/a")
    wire.advance(11)
    assert probe.numbers(wire.worker.segment, ERRORS) == {("tls_handshake",): 1, ("tls_timeout",): 1}
    assert probe.numbers(wire.worker.segment, CONNECTIONS) == {(): 2}
    wire.close()


# ---- guards -----------------------------------------------------------------------------------------------


def test_outcomes_of_rate_limits_are_counted_by_policy(wire: Wire, requests: Any, numbers: Any) -> None:
    wire.settings |= {"rate_limit_rps": 1, "rate_limit_capacity": 2}
    client = wire.connect()
    client.ask(5 * (GET % b"/now/a"))
    assert numbers(RATE_LIMIT) == {("server", "admitted"): 2, ("server", "refused"): 3}
    assert numbers(REJECTED) == {("rate_limit",): 3}
    assert requests() == {key(wire, "/now/:name"): 2, key(wire, "/now/:name", status=429): 3}


def test_transitions_of_breakers_are_counted(wire: Wire, numbers: Any) -> None:
    @wire.app.get("/fail", breaker="db")
    def fail(request: Request) -> Response:
        return Response(status=503)

    wire.settings["cb_failure_threshold"] = 3
    client = wire.connect()
    client.ask(5 * (GET % b"/fail"))
    for _ in range(2):
        wire.worker.refresh_metrics()
        assert numbers(TRANSITIONS) == {("db", "open"): 1}
        states = numbers(BREAKER_STATE)
        assert (states.pop(("db",)), set(states.values())) == (2, {1})
    assert numbers(REJECTED) == {("breaker",): 2}


def test_missed_deadlines_are_counted(wire: Wire, requests: Any, numbers: Any) -> None:
    @wire.app.get("/slow", deadline="80ms")
    async def slow(request: Request) -> str:
        return await wire.gate("slow")

    wire.connect().send(GET % b"/slow")
    wire.advance(0.1)
    assert numbers(DEADLINES) == {(): 1}
    assert requests() == {key(wire, "/slow", status=504): 1}


@pytest.fixture(autouse=True)
def _counted_once(wire: Wire) -> Iterator[None]:
    yield
    assert wire.worker.answering == wire.worker.in_flight
