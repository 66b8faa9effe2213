"""The end of a worker: announce, begin_drain, cancel_requests, abort, and how they are counted.

A draining worker closes a connection that was idle for 250 ms, half of it first, and the rest 50 ms later."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from highperf import Request, Response
from tests.protocol.harness import GET, Client, Wire, post

REASON = "the server is shutting down"
POST_100 = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"


def drain(wire: Wire) -> list[str]:
    """Begins to drain; the list tells how often on_idle was called."""
    idle: list[str] = []
    wire.worker.on_idle = lambda: idle.append("idle")
    wire.worker.begin_drain()
    wire.settle()
    return idle


def test_worker_without_connections_is_idle_at_once(wire: Wire) -> None:
    assert drain(wire) == ["idle"]
    assert wire.worker.draining
    assert not wire.worker.ready


# ---- announce -------------------------------------------------------------------------------------


def test_announcing_worker_is_not_ready_and_says_close_to_everybody(wire: Wire) -> None:
    before, waiting = wire.connect(), wire.connect()
    waiting.send(GET % b"/wait/a")
    wire.worker.announce()
    assert (wire.worker.ready, wire.worker.announced, wire.worker.draining) == (False, True, False)
    after = wire.connect()
    for client in (before, after):
        [answer] = client.ask(GET % b"/now/b")
        assert (answer.text, answer.closes) == ("b", True)
        assert client.half_closed
    wire.open("a")
    assert waiting.answers()[0].closes


def test_announcing_worker_ends_no_connection_that_waits(wire: Wire) -> None:
    client = wire.connect()
    client.ask(GET % b"/now/a")
    wire.worker.announce()
    wire.advance(59)
    assert not client.half_closed
    assert client.ask(GET % b"/now/b")[0].closes


def test_readiness_turns_with_the_announcement(wire: Wire) -> None:
    wire.worker.announce()
    [answer] = wire.connect().ask(GET % b"/readyz")
    assert (answer.status, answer.json()["detail"]) == (503, "draining")


def test_worker_drains_after_its_announcement(wire: Wire) -> None:
    client = wire.connect()
    client.ask(GET % b"/now/a")
    wire.worker.announce()
    wire.advance(10)
    idle = drain(wire)
    wire.advance(0.25)
    assert client.half_closed
    wire.advance(0.06)
    assert idle == ["idle"]


# ---- begin_drain ----------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [b"", GET % b"/now/a", GET % b"/now/a" + GET % b"/now/b", post(b"/body", b"x")])
def test_idle_connections_end_after_a_moment(wire: Wire, before: bytes) -> None:
    client = wire.connect()
    client.send(before)
    client.taken()
    wire.advance(1)
    idle = drain(wire)
    wire.advance(0.24)
    assert not client.is_closing()
    assert not client.half_closed
    wire.advance(0.02)
    assert client.half_closed  # a request may be on its way
    client.finish_sending()
    assert client.gone
    assert client.taken() == b""
    assert idle == ["idle"]
    assert wire.worker.dropped == 0


def test_idle_connection_whose_peer_does_not_close_ends_all_the_same(wire: Wire) -> None:
    client = wire.connect()
    client.ask(GET % b"/now/a")
    idle = drain(wire)
    wire.advance(0.25)
    wire.advance(0.04)
    assert not client.gone
    wire.advance(0.02)
    assert client.gone
    assert idle == ["idle"]


def test_idle_connection_ends_with_the_answer_to_a_request_that_comes_meanwhile(wire: Wire) -> None:
    client = wire.connect()
    client.ask(GET % b"/now/a")
    idle = drain(wire)
    wire.advance(0.24)
    [answer] = client.ask(GET % b"/now/b")
    assert (answer.text, answer.closes) == ("b", True)
    client.finish_sending()
    assert idle == ["idle"]


def test_request_that_crosses_with_the_end_of_an_idle_connection_counts_as_dropped(wire: Wire) -> None:
    client = wire.connect()
    client.ask(GET % b"/now/a")
    idle = drain(wire)
    wire.advance(0.25)
    assert client.send(GET % b"/now/b", b"more") == b""
    assert wire.worker.dropped == 1
    for _ in range(3):
        wire.advance(0.2)
        client.send(b"still more")
    assert not client.gone  # closed now, it would be reset
    wire.advance(0.26)
    assert client.gone
    assert idle == ["idle"]
    assert (wire.worker.served, wire.worker.dropped) == (1, 1)


def test_connection_that_pipelined_before_ends_as_well(wire: Wire) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a" + GET % b"/now/b")
    wire.open("a")
    idle = drain(wire)
    wire.advance(0.25)
    wire.advance(0.06)
    assert idle == ["idle"]


@pytest.mark.parametrize("octets", [b"", b"GET /now/a HT"])
def test_new_connection_has_a_moment_for_its_first_octet_and_the_usual_time_for_the_rest(
    wire: Wire, octets: bytes
) -> None:
    drain(wire)
    wire.advance(0.2)
    client = wire.connect()
    wire.advance(0.2)
    client.send(octets)
    wire.advance(0.1)
    assert client.half_closed == (octets == b"")
    wire.advance(2.0)
    assert [answer.status for answer in client.answers()] == ([408] if octets else [])


def test_announced_end_lets_the_peer_go_first(wire: Wire) -> None:
    # A request that was sent before the peer read "Connection: close" must not draw a reset onto the answer.
    client = wire.connect()
    drain(wire)
    assert client.ask(GET % b"/now/a")[0].closes
    assert client.half_closed
    assert client.send(GET % b"/now/b") == b""
    assert not client.gone
    client.finish_sending()
    assert client.gone
    assert not client.reset


def test_peer_that_asked_for_the_end_is_not_waited_for(wire: Wire) -> None:
    client = wire.connect()
    drain(wire)
    assert client.ask(b"GET /now/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")[0].closes
    assert client.gone


def test_running_request_finishes_and_says_that_it_is_the_last(wire: Wire) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a" + GET % b"/wait/b")
    idle = drain(wire)
    assert idle == []
    wire.open("a")
    [answer] = client.answers()
    assert (answer.text, answer.closes) == ("a", True)
    assert wire.began == ["a"]
    assert client.half_closed  # the second request may still be on its way
    client.finish_sending()
    assert idle == ["idle"]


def test_request_that_has_begun_to_come_is_served(wire: Wire) -> None:
    client = wire.connect()
    client.send(b"GET /now/a HT")
    idle = drain(wire)
    wire.advance(0.3)
    [answer] = client.ask(b"TP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.text, answer.closes) == ("a", True)
    client.finish_sending()
    assert idle == ["idle"]


def test_content_that_is_coming_is_waited_for(wire: Wire) -> None:
    client = wire.connect()
    client.send(POST_100 % b"/body")
    idle = drain(wire)
    wire.advance(0.3)
    [answer] = client.ask(b"x" * 100)
    assert (len(answer.content), answer.closes) == (100, True)
    client.finish_sending()
    assert idle == ["idle"]


def test_answer_is_not_lost_to_content_that_nobody_read(wire: Wire) -> None:
    client = wire.connect()
    assert not client.ask(POST_100 % b"/deaf")[0].closes
    idle = drain(wire)
    for _ in range(3):
        client.send(b"x" * 10)
        wire.advance(0.2)
    assert not client.half_closed
    wire.advance(0.06)
    assert client.half_closed
    client.send(b"x" * 10)
    wire.advance(0.24)
    assert not client.gone
    wire.advance(0.02)
    assert idle == ["idle"]
    assert wire.worker.dropped == 0


def test_content_that_nobody_read_may_still_come_to_its_end(wire: Wire) -> None:
    client = wire.connect()
    client.ask(POST_100 % b"/deaf")
    drain(wire)
    client.send(b"x" * 100)
    wire.advance(0.24)
    assert client.ask(GET % b"/now/a")[0].closes


def test_stream_that_has_begun_is_finished(wire: Wire) -> None:
    @wire.app.get("/stream")
    async def stream(request: Request) -> Response:
        async def parts() -> AsyncIterator[str]:
            yield "a"
            await wire.gate("stream")
            yield "b"

        return Response.stream(parts())

    client = wire.connect()
    client.send(GET % b"/stream")
    idle = drain(wire)
    wire.open("stream")
    [answer] = client.answers()
    assert (answer.text, answer.closes) == ("ab", False)
    assert not client.half_closed  # its head had left before, and promised more
    assert client.ask(GET % b"/now/c")[0].closes
    client.finish_sending()
    assert idle == ["idle"]


def test_new_connection_is_served_once(wire: Wire) -> None:
    # One that the kernel had accepted before.
    drain(wire)
    client = wire.connect()
    [answer] = client.ask(GET % b"/now/a" + GET % b"/wait/b")
    assert (answer.text, answer.closes) == ("a", True)
    assert wire.began == []


def test_connections_that_linger_do_not_hold_the_end_up_for_long(wire: Wire) -> None:
    client = wire.connect()
    client.send(b"bad\r\n")
    assert client.half_closed
    idle = drain(wire)
    wire.advance(0.24)
    client.send(b"worse\r\n")
    wire.advance(0.24)
    assert idle == []
    wire.advance(0.02)
    assert idle == ["idle"]


# ---- cancel_requests ------------------------------------------------------------------------------


def test_cancelled_request_is_told_why(wire: Wire) -> None:
    clients = [wire.connect(), wire.connect()]
    for client, name in zip(clients, (b"a", b"b"), strict=True):
        client.send(GET % (b"/wait/" + name))
    drain(wire)
    wire.worker.cancel_requests(REASON)
    wire.settle()
    for client in clients:
        [answer] = client.answers()
        assert (answer.status, answer.closes, answer.headers["Retry-After"]) == (503, True, "1")
        assert answer.json()["detail"] == REASON
        assert answer.json()["request_id"]
        assert client.half_closed
    assert wire.cancelled == [REASON] * 2
    assert (wire.worker.cancelled, wire.worker.served, wire.worker.dropped) == (2, 2, 0)


def test_cancelled_request_may_still_answer(wire: Wire) -> None:
    @wire.app.get("/")
    async def polite(request: Request) -> str:
        try:
            await wire.gate("never")
        except asyncio.CancelledError:
            return f"sorry: {request.cancel_reason}"
        raise AssertionError

    client = wire.connect()
    client.send(GET % b"/")
    wire.worker.cancel_requests(REASON)
    wire.settle()
    assert client.answers()[0].text == f"sorry: {REASON}"


def test_cancelled_stream_does_not_look_whole(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    @wire.app.get("/")
    async def stream(request: Request) -> Response:
        async def parts() -> AsyncIterator[str]:
            yield "a"
            await wire.gate("never")

        return Response.stream(parts())

    client = wire.connect()
    client.send(GET % b"/")
    wire.worker.cancel_requests(REASON)
    wire.settle()
    assert client.sent.endswith(b"1\r\na\r\n")
    assert client.gone
    assert wire.worker.served == 0
    assert not caplog.records


def test_cancelling_leaves_a_connection_usable_where_the_worker_does_not_drain(wire: Wire) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a")
    wire.worker.cancel_requests(REASON)
    wire.settle()
    assert [answer.status for answer in client.answers()] == [503]
    assert client.ask(GET % b"/now/b")[0].text == "b"


# ---- abort ----------------------------------------------------------------------------------------


def stubborn(wire: Wire) -> Client:
    @wire.app.get("/stubborn")
    async def handler(request: Request) -> str:
        while True:
            try:
                await wire.gate("on")
                return "done"
            except asyncio.CancelledError:
                pass

    client = wire.connect()
    client.send(GET % b"/stubborn")
    return client


def test_abort_ends_what_is_left(wire: Wire) -> None:
    client, waiting = stubborn(wire), wire.connect()
    waiting.send(GET % b"/wait/a")
    idle = drain(wire)
    wire.worker.cancel_requests(REASON)
    wire.settle()
    assert not client.gone
    wire.worker.abort()
    wire.settle()
    assert client.gone
    assert idle == ["idle"]
    worker = wire.worker
    assert (worker.cancelled, worker.dropped, worker.served, worker.in_flight) == (2, 1, 1, 1)
    wire.open("on")
    assert (worker.served, worker.in_flight) == (1, 0)


def test_request_whose_client_has_left_or_was_answered_is_not_dropped(wire: Wire) -> None:
    @wire.app.get("/late", deadline="50ms")
    async def late(request: Request) -> str:
        while True:
            try:
                return await asyncio.shield(wire.gate("late"))
            except asyncio.CancelledError:
                pass

    gone, late_one = stubborn(wire), wire.connect()
    gone.leave()
    late_one.send(GET % b"/late")
    wire.advance(0.1)
    assert late_one.answers()[0].status == 504
    drain(wire)
    wire.worker.cancel_requests(REASON)
    wire.settle()
    assert wire.worker.in_flight == 2
    wire.worker.abort()
    wire.settle()
    assert (wire.worker.dropped, wire.worker.cancelled) == (0, 1)
    wire.open("late")
    wire.open("on")


def test_request_that_ignores_its_cancellation_is_counted_once_and_keeps_the_reason(wire: Wire) -> None:
    reasons: list[str | None] = []

    @wire.app.get("/")
    async def handler(request: Request) -> None:
        for _ in range(2):
            try:
                await wire.gate("never")
            except asyncio.CancelledError:
                reasons.append(request.cancel_reason)

    client = wire.connect()
    client.send(GET % b"/")
    wire.worker.cancel_requests(REASON)
    wire.settle()
    client.leave()
    assert reasons == [REASON, REASON]
    assert wire.worker.cancelled == 1


def test_requests_in_flight_can_be_described(wire: Wire) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a?secret=1")
    [line] = wire.worker.describe_requests()
    assert line.startswith("GET /wait/a [request ")
    assert "secret" not in line


def test_counters_of_what_was_served(wire: Wire) -> None:
    client = wire.connect()
    client.send(GET % b"/now/a" + GET % b"/healthz" + GET % b"/nothing" + post(b"/deaf", b"x") + GET % b"/wait/a")
    worker = wire.worker
    assert (worker.served, worker.in_flight, worker.connections) == (4, 1, 1)
    wire.open("a")
    assert (worker.served, worker.in_flight, worker.connections) == (5, 0, 1)
