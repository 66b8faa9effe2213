"""Circuit breakers on the wire: what they count, what they answer, how a route comes back."""

import asyncio
from collections.abc import Callable

import pytest

from highperf import BreakerOpen, HTTPError, Request, Response
from highperf.app import CallNext
from tests.answers import Answer
from tests.protocol.harness import GET, Wire

ITEM = GET % b"/item"


class Breaking:
    """GET /item behind a breaker, doing what `act` says."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.calls = 0
        self.act: Callable[[Request], object] = lambda request: "well"
        wire.settings = {"cb_failure_threshold": 20, "cb_open_duration": "2s"}

        @wire.app.get("/item", breaker="db", deadline="100ms")
        async def item(request: Request) -> object:
            self.calls += 1
            result = self.act(request)
            return await result if asyncio.iscoroutine(result) else result

    def ask(self, times: int = 1) -> list[int]:
        client = self.wire.connect()
        return [answer.status for _ in range(times) for answer in client.ask(ITEM)]

    def fail(self, request: Request) -> object:
        raise HTTPError(500, "as asked")

    def break_(self) -> None:
        self.act = self.fail
        assert self.ask(20) == [500] * 20
        self.calls = 0

    def refusal(self) -> Answer:
        [answer] = self.wire.connect().ask(ITEM)
        assert answer.status == 503
        return answer


@pytest.fixture
def breaking(wire: Wire) -> Breaking:
    return Breaking(wire)


def test_twenty_failures_in_a_row_open_it_and_no_handler_is_called(breaking: Breaking) -> None:
    breaking.act = breaking.fail
    assert breaking.ask(25) == [500] * 20 + [503] * 5
    assert breaking.calls == 20
    assert breaking.wire.worker.refused["breaker"] == 5


def test_a_refusal_names_the_breaker_and_when_to_come_again(breaking: Breaking) -> None:
    breaking.break_()
    answer = breaking.refusal()
    assert 1 <= int(answer.headers["Retry-After"]) <= 4
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.problem() == {
        "type": "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity",
        "title": "Service Unavailable",
        "status": 503,
        "detail": 'the circuit breaker "db" is open: too many requests failed',
        "instance": "/item",
    }
    assert breaking.calls == 0


def test_after_its_time_one_probe_passes_and_three_successes_close_it(breaking: Breaking) -> None:
    breaking.break_()
    breaking.act = lambda request: "well"
    breaking.wire.advance(2.5)
    assert breaking.ask(3) == [200, 200, 200]
    breaking.wire.advance(2.1)  # the ramp of two seconds
    assert breaking.ask(50) == [200] * 50


def test_while_one_probe_runs_all_others_are_refused(breaking: Breaking) -> None:
    breaking.break_()
    breaking.wire.advance(2.5)
    breaking.act = lambda request: waiting(breaking.wire)
    prober = breaking.wire.connect()
    prober.send(ITEM)
    assert breaking.ask(5) == [503] * 5
    breaking.wire.open("probe")
    assert [answer.status for answer in prober.answers()] == [200]
    assert breaking.calls == 1


def test_a_probe_whose_client_leaves_makes_room_for_the_next(breaking: Breaking) -> None:
    breaking.break_()
    breaking.wire.advance(2.5)
    breaking.act = lambda request: waiting(breaking.wire)
    prober = breaking.wire.connect()
    prober.send(ITEM)
    prober.leave()
    breaking.act = lambda request: "well"
    assert breaking.ask(3) == [200, 200, 200]


async def waiting(wire: Wire) -> str:
    return await wire.gate("probe")


def test_an_unhandled_exception_counts(breaking: Breaking) -> None:
    breaking.act = lambda request: 1 / 0
    assert breaking.ask(21) == [500] * 20 + [503]


def test_a_missed_deadline_counts(breaking: Breaking) -> None:
    breaking.act = lambda request: waiting(breaking.wire)
    clients = [breaking.wire.connect() for _ in range(20)]
    for client in clients:
        client.send(ITEM)
    breaking.wire.advance(0.11)
    assert {answer.status for client in clients for answer in client.answers()} == {504}
    assert breaking.ask() == [503]


def test_a_deadline_that_clients_shortened_does_not_count(breaking: Breaking) -> None:
    octets = ITEM.replace(b"\r\n\r\n", b"\r\nRequest-Timeout: 1ms\r\n\r\n")
    breaking.act = lambda request: waiting(breaking.wire)
    clients = [breaking.wire.connect() for _ in range(25)]
    for client in clients:
        client.send(octets)
    breaking.wire.advance(0.01)
    assert {answer.status for client in clients for answer in client.answers()} == {504}

    def busy(request: Request) -> str:
        breaking.wire.drift(0.01)
        return "late for its client"

    breaking.act = busy
    assert [breaking.wire.connect().ask(octets)[0].status for _ in range(25)] == [200] * 25
    breaking.act = lambda request: "well"
    assert breaking.ask() == [200]


def test_an_answer_of_5xx_counts_however_it_is_given(breaking: Breaking) -> None:
    async def parts() -> object:
        yield b"x"

    breaking.act = lambda request: Response(status=502)
    assert breaking.ask(10) == [502] * 10
    breaking.act = lambda request: Response.stream(parts(), status=500)
    assert breaking.ask(10) == [500] * 10
    assert breaking.ask() == [503]


def test_a_stream_that_fails_midway_counts(breaking: Breaking) -> None:
    async def parts() -> object:
        yield b"x"
        raise OSError("gone")

    breaking.act = lambda request: Response.stream(parts())
    for _ in range(20):
        breaking.wire.connect().send(ITEM)
    assert breaking.ask() == [503]


@pytest.mark.parametrize("status", [400, 404, 409, 422, 429, 501])
def test_what_the_client_did_wrong_does_not_count(breaking: Breaking, status: int) -> None:
    def refuse(request: Request) -> object:
        raise HTTPError(status, "no")

    breaking.act = refuse
    assert breaking.ask(40) == [status] * 40


def test_clients_that_leave_do_not_count(breaking: Breaking) -> None:
    breaking.act = lambda request: waiting(breaking.wire)
    for _ in range(40):
        client = breaking.wire.connect()
        client.send(ITEM)
        client.leave()
    breaking.act = lambda request: "well"
    assert breaking.ask() == [200]


def test_the_refusals_of_another_breaker_do_not_count(breaking: Breaking) -> None:
    inner = breaking.wire.app.breaker("inner")

    async def outbound(request: Request) -> str:
        async with inner:
            raise OSError("the other side is down")

    breaking.act = outbound

    async def run() -> None:
        for _ in range(20):
            with pytest.raises(OSError, match="down"):
                await outbound(None)  # type: ignore[arg-type]

    assert breaking.wire.worker  # the breaker is bound
    breaking.wire.loop.run_until_complete(run())
    assert inner.state == "open"
    [answer] = breaking.wire.connect().ask(ITEM)
    assert answer.status == 503
    assert "inner" in answer.json()["detail"]
    assert int(answer.headers["Retry-After"]) >= 1
    assert breaking.ask(40) == [503] * 40
    breaking.act = lambda request: "well"
    assert breaking.ask() == [200]


@pytest.mark.parametrize("status", [503, 500])
def test_another_breakers_refusal_does_not_count_through_middleware(breaking: Breaking, status: int) -> None:
    @breaking.wire.app.middleware
    async def passes_on(request: Request, call_next: CallNext) -> Response:
        answer = await call_next(request)
        return answer if answer.status == status else Response(status=status)

    def refused(request: Request) -> object:
        raise BreakerOpen("inner", 1)

    breaking.act = refused
    assert breaking.ask(40) == [status] * 40
    breaking.act = breaking.fail
    assert breaking.ask(21) == [status] * 20 + [503]


def test_a_server_that_stops_does_not_count(breaking: Breaking) -> None:
    breaking.act = lambda request: waiting(breaking.wire)
    clients = [breaking.wire.connect() for _ in range(25)]
    for client in clients:
        client.send(ITEM)
    breaking.wire.worker.cancel_requests("the server is shutting down")
    breaking.wire.settle()
    assert {answer.status for client in clients for answer in client.answers()} == {503}
    breaking.act = lambda request: "well"
    assert breaking.ask() == [200]


def test_one_success_in_between_begins_the_count_anew(breaking: Breaking) -> None:
    for _ in range(3):
        breaking.act = lambda request: "well"
        assert breaking.ask(25) == [200] * 25  # as many as keep failures below a half
        breaking.act = breaking.fail
        assert breaking.ask(19) == [500] * 19


def test_half_of_twenty_calls_that_fail_open_it(breaking: Breaking) -> None:
    statuses = []
    for turn in range(40):
        breaking.act = breaking.fail if turn % 2 else (lambda request: "well")
        statuses += breaking.ask()
    assert statuses == [200, 500] * 10 + [503] * 20


def test_a_breaker_of_a_name_is_shared_by_its_routes(breaking: Breaking) -> None:
    @breaking.wire.app.get("/other", breaker="db")
    def other(request: Request) -> str:
        return "well"

    @breaking.wire.app.get("/apart", breaker="else")
    def apart(request: Request) -> str:
        return "well"

    breaking.break_()
    client = breaking.wire.connect()
    assert [answer.status for answer in client.ask(GET % b"/other" + GET % b"/apart")] == [503, 200]


def test_a_refused_request_takes_no_tokens(wire: Wire) -> None:
    @wire.app.get("/both", breaker=True, rate_limit="25/h")
    def both(request: Request) -> str:
        raise HTTPError(500, "no")

    wire.settings = {"cb_failure_threshold": 20}
    client = wire.connect()
    statuses = [answer.status for answer in client.ask(GET % b"/both" * 60)]
    assert statuses == [500] * 20 + [503] * 40


def test_a_request_that_a_limit_refuses_does_not_probe(wire: Wire) -> None:
    @wire.app.get("/both", breaker=True, rate_limit="20/h")
    def both(request: Request) -> str:
        raise HTTPError(500, "no")

    wire.settings = {"cb_failure_threshold": 20}
    client = wire.connect()
    assert len(client.ask(GET % b"/both" * 20)) == 20
    wire.advance(3)
    assert [answer.status for answer in client.ask(GET % b"/both" * 5)] == [429] * 5


def test_health_is_asked_of_no_breaker(breaking: Breaking) -> None:
    breaking.break_()
    [answer] = breaking.wire.connect().ask(GET % b"/healthz")
    assert answer.status == 200
