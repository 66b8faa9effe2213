"""Requests that are sent before their predecessors are answered (RFC 9112 section 9.3.2)."""

import asyncio

import pytest

from highperf import HTTPError, Request, Response
from tests.protocol.harness import GET, Wire, chunked, post

KIB = 1024


def test_second_request_waits_for_first_response(wire: Wire) -> None:
    client = wire.connect()
    assert client.send(GET % b"/wait/first" + GET % b"/now/second" + GET % b"/wait/third") == b""
    assert wire.began == ["first"]
    wire.open("first")
    assert [answer.text for answer in client.answers()] == ["first", "second"]
    assert wire.began == ["first", "third"]
    wire.open("third")
    assert [answer.text for answer in client.answers()] == ["third"]


def test_requests_that_come_while_one_waits_are_answered_in_order(wire: Wire) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a")
    for name in (b"/now/b", b"/wait/c", b"/now/d"):
        assert client.send(GET % name) == b""
    wire.open("a")
    wire.open("c")
    assert [answer.text for answer in client.answers()] == ["a", "b", "c", "d"]


def test_answers_that_are_ready_together_leave_in_one_write(wire: Wire) -> None:
    client = wire.connect()
    answers = client.ask(b"".join(GET % b"/now/%d" % number for number in range(16)))
    assert [answer.text for answer in answers] == [str(number) for number in range(16)]
    assert len(client.writes) == 1


def test_answers_after_a_waiting_one_leave_with_it(wire: Wire) -> None:
    client = wire.connect()
    answers = client.ask(GET % b"/now/a" + GET % b"/wait/b" + GET % b"/now/c" + GET % b"/now/d")
    assert [answer.text for answer in answers] == ["a"]
    wire.open("b")
    assert [answer.text for answer in client.answers()] == ["b", "c", "d"]
    assert len(client.writes) == 2


def test_answers_of_all_kinds_keep_their_order(wire: Wire) -> None:
    @wire.app.get("/stream")
    async def stream(request: Request) -> Response:
        async def parts():
            for part in ("s", "", "tream"):
                await asyncio.sleep(0)
                yield part

        return Response.stream(parts())

    @wire.app.get("/error")
    async def error(request: Request) -> None:
        await asyncio.sleep(0)
        raise HTTPError(409, "error")

    @wire.app.get("/broken")
    def broken(request: Request) -> None:
        raise LookupError("broken")

    client = wire.connect()
    requests = [
        GET % b"/stream",
        b"HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n",
        GET % b"/error",
        GET % b"/healthz",
        chunked(b"chun", b"ked"),
        GET % b"/broken",
        GET % b"/nothing",
        post(b"/deaf", b"unread"),
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        post(b"/now/a", b"unread"),
        b"HEAD /now/a HTTP/1.1\r\nHost: a\r\n\r\n",
        GET % b"/now/z",
    ]
    methods = [request.split()[0].decode() for request in requests]
    answers = client.ask(b"".join(requests), methods)
    assert [answer.status for answer in answers] == [200, 200, 409, 200, 200, 500, 404, 200, 204, 405, 200, 200]
    assert [answers[index].text for index in (0, 3, 4, 7, 11)] == ["stream", "ok", "chunked", "heard nothing", "z"]


@pytest.mark.parametrize("depth", [100, 400])
def test_requests_that_wait_do_not_pile_up_on_the_stack(wire: Wire, depth: int) -> None:
    @wire.app.get("/sleep/:name")
    async def sleep(request: Request) -> str:
        await asyncio.sleep(0)
        return request.params["name"]

    client = wire.connect()
    answers = client.ask(b"".join(GET % b"/sleep/%d" % number for number in range(depth)))
    assert [answer.text for answer in answers] == [str(number) for number in range(depth)]


def test_reading_stops_while_too_much_waits_behind_a_request(wire: Wire) -> None:
    client = wire.connect()
    many = 8000
    client.send(GET % b"/wait/a" + (GET % b"/now/x") * many)
    assert not client.reading
    assert client.waits
    wire.open("a")
    answers = client.answers()
    assert len(answers) == many + 1
    assert {answer.status for answer in answers} == {200}
    assert client.reading
    assert not client.waits


def test_little_that_waits_does_not_stop_reading(wire: Wire) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a")
    client.send(b"x" * 63 * KIB)
    assert client.reading


def test_reading_stops_at_most_one_read_above_the_limit(wire: Wire) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a")
    client.send(bytes(1024 * KIB))
    assert 64 * KIB < 1024 * KIB - len(client._coming) <= 128 * KIB


def test_body_of_a_request_that_waited_for_its_turn_may_be_large(wire: Wire) -> None:
    client = wire.connect()
    body = bytes(range(256)) * 4 * KIB
    client.send(GET % b"/wait/a" + post(b"/body", body) + GET % b"/wait/z")
    wire.open("a")
    [_, answer] = client.answers()
    assert answer.content == body
    wire.open("z")
    assert client.answers()[0].text == "z"


def test_peer_that_takes_no_answers_is_not_served_on(wire: Wire) -> None:
    served = []

    @wire.app.get("/large")
    def large(request: Request) -> bytes:
        served.append(request)
        return bytes(20_000)

    client = wire.connect()
    client.window = 0
    client.send((GET % b"/large") * 6000)
    assert len(served) < 20
    assert client.waits
    client.take()
    assert len(served) == 6000
    assert len(client.answers()) == 6000
    assert client.reading


def test_request_behind_a_waiting_one_that_is_cut_times_out(wire: Wire) -> None:
    # The time of a head that has begun runs from the end of the answer before it.
    client = wire.connect()
    client.send(GET % b"/wait/a" + b"GET /now/b HT")
    wire.advance(10)
    wire.open("a")
    assert [answer.status for answer in client.answers()] == [200]
    wire.advance(1.9)
    assert not client.gone
    wire.advance(0.2)
    assert [answer.status for answer in client.answers()] == [408]


def test_connection_that_waits_for_its_peer_to_take_answers_is_not_idle(wire: Wire) -> None:
    @wire.app.get("/large")
    def large(request: Request) -> bytes:
        return bytes(200_000)

    client = wire.connect()
    client.window = 0
    client.send(GET % b"/large" + GET % b"/now/a")
    for _ in range(70):
        wire.advance(1)
        client.take(1000)
    client.take()
    assert [len(answer.content) for answer in client.answers()] == [200_000, 1]
