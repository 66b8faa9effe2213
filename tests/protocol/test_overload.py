"""Overload on the wire: how many requests may run, who is refused when they wait, and what health sees."""

import asyncio

import pytest

from highperf import HTTPError, Request
from tests.protocol.harness import GET, Client, Wire, post

WAVES_MAX = 10_000


def statuses(client: Client, path: bytes, times: int = 1) -> list[int]:
    return [answer.status for answer in client.ask(GET % path * times)]


def occupy(wire: Wire, count: int, path: bytes = b"/wait/%d") -> list[Client]:
    clients = [wire.connect() for _ in range(count)]
    for number, client in enumerate(clients):
        client.send(GET % (path % number if b"%d" in path else path))
    return clients


def test_above_the_limit_requests_are_refused_until_one_has_ended(wire: Wire) -> None:
    wire.settings = {"limit_concurrency": 3}
    occupy(wire, 3)
    client = wire.connect()
    [answer] = client.ask(GET % b"/now/a")
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json()["detail"] == "as many requests are running as may (3)"
    assert wire.worker.refused["concurrency"] == 1
    wire.open("1")
    assert statuses(client, b"/now/a") == [200]


def test_health_readiness_and_unmatched_paths_need_no_room(wire: Wire) -> None:
    wire.settings = {"limit_concurrency": 1}
    occupy(wire, 1)
    client = wire.connect()
    assert [statuses(client, path) for path in (b"/healthz", b"/readyz", b"/nothing")] == [[200], [200], [404]]


def test_no_limit_where_it_is_off(wire: Wire) -> None:
    wire.settings = {"limit_concurrency": 0}
    occupy(wire, 600)
    assert statuses(wire.connect(), b"/now/a") == [200]


def test_the_default_is_512(wire: Wire) -> None:
    occupy(wire, 512)
    assert statuses(wire.connect(), b"/now/a") == [503]


def test_a_permit_comes_back_however_a_request_ends(wire: Wire) -> None:
    wire.settings = {"limit_concurrency": 1}

    @wire.app.get("/raises")
    def raises(request: Request) -> str:
        raise HTTPError(418, "no")

    @wire.app.get("/late", deadline="10ms")
    async def late(request: Request) -> str:
        return await wire.gate("late")

    @wire.app.post("/small", limit_body=3)
    async def small(request: Request) -> str:
        return (await request.body()).decode()

    client = wire.connect()
    assert statuses(client, b"/raises", 2) == [418, 418]
    [gone] = occupy(wire, 1)
    gone.leave()
    assert statuses(client, b"/now/a") == [200]
    client.send(GET % b"/late")
    wire.advance(0.011)
    assert [answer.status for answer in client.answers()] == [504]
    assert [answer.status for answer in wire.connect().ask(post(b"/small", b"long"))] == [413]
    chunked = b"POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert [answer.status for answer in wire.connect().ask(chunked + b"zz\r\n")] == [400]
    assert [answer.status for answer in wire.connect().ask(chunked + b"4\r\nlong\r\n0\r\n\r\n")] == [413]
    assert statuses(client, b"/now/a") == [200]
    assert wire.worker.shedder.running == 0


def test_a_route_may_have_a_limit_of_its_own(wire: Wire) -> None:
    @wire.app.get("/narrow/:name", limit_concurrency=2)
    async def narrow(request: Request) -> str:
        return await wire.gate(request.params["name"])

    first, second = occupy(wire, 2, b"/narrow/%d")
    client = wire.connect()
    [answer] = client.ask(GET % b"/narrow/2")
    assert answer.status == 503
    assert answer.json()["detail"] == "as many requests to this path are running as may (2)"
    assert wire.worker.refused["route_concurrency"] == 1
    assert statuses(client, b"/now/a") == [200]
    first.leave()
    client.send(GET % b"/narrow/2")
    wire.open("1")
    wire.open("2")
    assert [answer.status for answer in client.answers() + second.answers()] == [200, 200]


def test_the_last_fifth_is_kept_for_critical_routes(wire: Wire) -> None:
    wire.settings = {"limit_concurrency": 10}

    @wire.app.get("/critical", critical=True)
    async def critical(request: Request) -> str:
        return await wire.gates.setdefault("critical", wire.loop.create_future())

    occupy(wire, 8)
    client = wire.connect()
    assert statuses(client, b"/now/a") == [503]
    occupy(wire, 2, b"/critical")
    assert statuses(client, b"/critical") == [503]


def slow(wire: Wire) -> None:
    """GET /slow keeps the loop busy for 4 ms of the wire's clock, and so does POST /critical."""

    @wire.app.get("/slow")
    def work(request: Request) -> str:
        wire.drift(0.004)
        return ""

    @wire.app.get("/critical", critical=True)
    def critical(request: Request) -> str:
        wire.drift(0.004)
        return ""


def storm(wire: Wire, path: bytes, *, waves: int = WAVES_MAX) -> list[int]:
    """Ten clients ask in each turn of the loop, until one is refused or all waves have come."""
    peers = [wire.connect() for _ in range(10)]
    seen: list[int] = []

    async def run() -> None:
        for _ in range(waves):
            for peer in peers:
                peer.feed(GET % path)
            await asyncio.sleep(0)
            seen.extend(answer.status for peer in peers for answer in peer.answers())
            if 503 in seen:
                return

    wire.loop.run_until_complete(run())
    wire.settle()
    return seen + [answer.status for peer in peers for answer in peer.answers()]


def test_a_loop_that_stands_still_answers_what_it_can_and_refuses_the_rest(wire: Wire) -> None:
    slow(wire)
    seen = storm(wire, b"/slow")
    assert set(seen) == {200, 503}
    assert seen.count(200) > seen.count(503)
    assert wire.worker.refused["queue_delay"] == seen.count(503)
    wire.advance(1)
    assert statuses(wire.connect(), b"/slow") == [200]


def test_a_critical_route_is_exempt(wire: Wire) -> None:
    slow(wire)
    assert set(storm(wire, b"/critical", waves=1000)) == {200}


def test_one_burst_is_no_overload(wire: Wire) -> None:
    slow(wire)
    assert storm(wire, b"/slow", waves=1) == [200] * 10


@pytest.mark.parametrize("path", [b"/healthz", b"/readyz"])
def test_health_is_answered_in_any_storm(wire: Wire, path: bytes) -> None:
    wire.settings = {"limit_concurrency": 1, "rate_limit_rps": 1}
    occupy(wire, 1)
    assert statuses(wire.connect(), path, 20) == [200] * 20


def test_a_pipelined_request_finds_the_room_of_the_one_before(wire: Wire) -> None:
    wire.settings = {"limit_concurrency": 1}
    client = wire.connect()
    assert statuses(client, b"/now/a", 3) == [200] * 3
    client.send(GET % b"/wait/x" + GET % b"/now/a")
    wire.open("x")
    assert [answer.status for answer in client.answers()] == [200, 200]
