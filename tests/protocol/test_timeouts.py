"""What ends a connection on which too little happens, by a clock that only the test moves.

Read timeout 2 s, write timeout 2 s, idle timeout 60 s, linger 2 s, half-close grace 1 s."""

import asyncio
import logging

import pytest

from highperf import HTTPError, Request, Response
from tests.protocol.harness import GET, Client, Wire, post

CROWD = 150
AT_ONCE = 32  # of one kind, in one turn of the loop

POST_100 = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
TRICKLE = b"GET /now/a HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1000


def assert_refused(client: Client, status: int) -> None:
    [answer] = client.answers()
    assert answer.status == status
    assert answer.closes
    assert answer.headers["Content-Type"] == "application/problem+json"
    client.finish_sending()
    assert client.gone


# ---- heads ----------------------------------------------------------------------------------------


def test_silent_connection_is_closed_without_a_word(wire: Wire) -> None:
    client = wire.connect()
    wire.advance(1.9)
    assert not client.is_closing()
    wire.advance(0.2)
    assert client.gone
    assert client.taken() == b""


@pytest.mark.parametrize("octets", [b"G", b"\r\n", TRICKLE])
def test_head_that_is_not_complete_in_time_is_refused(wire: Wire, octets: bytes) -> None:
    client = wire.connect()
    client.send(octets)
    wire.advance(1.9)
    assert client.taken() == b""
    wire.advance(0.2)
    assert_refused(client, 408)


def test_time_of_a_head_is_not_prolonged_by_octets(wire: Wire) -> None:
    client = wire.connect()
    for place in range(19):
        client.send(TRICKLE[place : place + 1])
        wire.advance(0.1)
    assert not client.is_closing()
    client.send(b"x")
    wire.advance(0.2)
    assert_refused(client, 408)


def test_time_of_a_later_head_runs_from_its_first_octet(wire: Wire) -> None:
    client = wire.connect()
    client.ask(GET % b"/now/a")
    wire.advance(30)
    client.send(b"GET")
    for _ in range(9):
        wire.advance(0.2)
        assert client.send(b"X") == b""
    wire.advance(0.3)
    assert_refused(client, 408)


def test_empty_lines_do_not_keep_a_connection_open(wire: Wire) -> None:
    client = wire.connect()
    client.ask(GET % b"/now/a")
    for _ in range(8):
        client.send(b"\r\n")
        wire.advance(0.3)
    assert_refused(client, 408)


def test_head_in_time_stops_the_clock(wire: Wire) -> None:
    client = wire.connect()
    client.send(b"GET /wait/a HT")
    wire.advance(1.9)
    client.send(b"TP/1.1\r\nHost: a\r\n\r\n")
    wire.advance(1000)
    wire.open("a")
    assert client.answers()[0].text == "a"
    wire.advance(59)
    assert not client.is_closing()


def test_slow_head_is_one_line_in_the_log(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    client = wire.connect()
    client.send(b"GET /s", b"ecret")
    wire.advance(2.1)
    [record] = caplog.records
    assert record.name == "highperf.error"
    assert record.levelno == logging.WARNING
    assert "head took too long" in record.getMessage()
    assert b"GET /secret".hex() in record.getMessage()
    assert "secret" not in record.getMessage()


# ---- bodies ---------------------------------------------------------------------------------------


def test_body_must_make_progress(wire: Wire) -> None:
    wire.settings["limit_body_rate"] = "0"
    client = wire.connect()
    client.send(POST_100 % b"/body")
    for _ in range(20):
        wire.advance(1.9)
        assert client.send(b"x") == b""
    wire.advance(2.1)
    assert_refused(client, 408)


def test_body_that_never_comes_is_refused(wire: Wire) -> None:
    client = wire.connect()
    client.send(POST_100 % b"/body")
    wire.advance(2.1)
    assert_refused(client, 408)


def test_handler_may_answer_a_slow_body_in_its_own_way(wire: Wire) -> None:
    @wire.app.post("/patient")
    async def patient(request: Request) -> Response:
        try:
            await request.body()
        except HTTPError as error:
            return Response(f"was {error.status}", status=503)
        raise AssertionError

    client = wire.connect()
    client.send(POST_100 % b"/patient")
    wire.advance(2.1)
    [answer] = client.answers()
    assert (answer.status, answer.text, answer.closes) == (503, "was 408", True)


def test_body_that_nobody_reads_is_not_waited_for_longer_than_any_other(wire: Wire) -> None:
    client = wire.connect()
    [answer] = client.ask(POST_100 % b"/deaf")
    assert not answer.closes
    for _ in range(3):
        wire.advance(1.9)
        client.send(b"x")
    assert not client.is_closing()
    wire.advance(2.1)
    assert client.half_closed
    assert client.taken() == b""
    assert client.send(b"x" * 97 + GET % b"/now/a") == b""


def test_handler_that_reads_late_is_not_the_clients_fault(wire: Wire) -> None:
    # More came than the server holds for a handler that does not read: so it stopped reading.
    @wire.app.post("/late")
    async def late(request: Request) -> str:
        await asyncio.shield(wire.gate("late"))
        return str(len(await request.body()))

    client = wire.connect()
    client.send(b"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + bytes(900_000))
    assert not client.reading
    wire.advance(600)
    wire.open("late")
    assert client.reading
    wire.advance(1.9)
    assert client.ask(bytes(100_000))[0].text == "1000000"


def test_client_that_waits_for_100_continue_is_not_slow(wire: Wire) -> None:
    @wire.app.post("/late")
    async def late(request: Request) -> bytes:
        await asyncio.shield(wire.gate("late"))
        return await request.body()

    client = wire.connect()
    client.send(b"POST /late HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    wire.advance(600)
    wire.open("late")
    assert client.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.advance(1.9)
    assert client.ask(b"abc")[0].text == "abc"


def test_client_that_was_told_to_continue_must_send(wire: Wire) -> None:
    client = wire.connect()
    client.send(b"POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    wire.advance(2.1)
    assert_refused(client, 408)


# ---- rates: 240 octets a second once the server has waited 10 s in all ----------------------------


def trickle(wire: Wire, client: Client, *, size: int, times: int, pause_s: float = 1.0) -> int:
    """Octets that were sent, a piece after each pause, until the server had enough of it."""
    for number in range(times):
        wire.advance(pause_s)
        if client.half_closed:
            return number * size
        client.send(b"x" * size)
    return times * size


@pytest.mark.parametrize("path", [b"/body", b"/deaf"])
def test_body_that_trickles_in_is_refused_after_ten_seconds(wire: Wire, path: bytes) -> None:
    client = wire.connect()
    client.send(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" % path)
    client.taken()
    assert trickle(wire, client, size=200, times=60) == 10 * 200
    if path == b"/body":
        assert_refused(client, 408)


def test_body_that_is_fast_enough_is_taken_in_to_its_end(wire: Wire) -> None:
    client = wire.connect()
    client.send(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n")
    assert trickle(wire, client, size=250, times=120) == 30_000
    assert client.answers()[0].status == 200


def test_rate_of_a_body_is_an_average(wire: Wire) -> None:
    client = wire.connect()
    client.send(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + bytes(240 * 30))
    assert trickle(wire, client, size=1, times=60) == 31


def test_rate_of_a_body_does_not_count_chunk_lines(wire: Wire) -> None:
    client = wire.connect()
    client.send(b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(9):
        wire.advance(1)
        client.send(b"1;" + b"x" * 250 + b"\r\nx\r\n")
    assert client.taken() == b""
    wire.advance(1)
    client.send(b"1;" + b"x" * 250 + b"\r\nx\r\n")
    assert_refused(client, 408)


def test_time_in_which_the_server_did_not_read_is_not_the_clients(wire: Wire) -> None:
    @wire.app.post("/late")
    async def late(request: Request) -> str:
        await asyncio.shield(wire.gate("late"))
        return str(len(await request.body()))

    client = wire.connect()
    client.send(b"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + bytes(262_145))
    assert not client.reading
    wire.advance(100_000)
    wire.open("late")
    trickle(wire, client, size=4000, times=20)
    assert client.answers()[0].text == "300000"


def test_rate_is_a_setting(wire: Wire) -> None:
    wire.settings["limit_body_rate"] = "1k"
    client = wire.connect()
    client.send(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n")
    assert trickle(wire, client, size=1000, times=60) == 10_000
    assert_refused(client, 408)


def test_next_request_begins_anew(wire: Wire) -> None:
    client = wire.connect()
    for _ in range(4):
        client.send(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n")
        assert trickle(wire, client, size=1, times=8) == 8
        assert client.answers()[0].status == 200


def test_client_that_takes_an_answer_too_slowly_is_given_up(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    client = large(wire)
    client.send(GET % b"/large")
    seconds = 0
    while not client.gone:
        client.take(100)
        wire.advance(1)
        seconds += 1
    assert seconds in (10, 11, 12)
    assert client.reset
    assert "took its answer too slowly" in caplog.text


def test_client_that_takes_an_answer_fast_enough_is_served(wire: Wire) -> None:
    client = large(wire)
    client.send(GET % b"/large")
    for _ in range(100):
        client.take(300)
        wire.advance(1)
    assert not client.gone
    client.take()
    assert len(client.answers()[0].content) == 300_000


# ---- between requests -----------------------------------------------------------------------------


def test_idle_connection_is_closed_without_a_word(wire: Wire) -> None:
    client = wire.connect()
    client.ask(GET % b"/now/a")
    wire.advance(59)
    client.ask(GET % b"/now/a")
    wire.advance(59)
    assert not client.is_closing()
    wire.advance(2)
    assert client.gone
    assert client.taken() == b""


def test_idle_time_runs_from_the_answer(wire: Wire) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a")
    wire.advance(100)
    wire.open("a")
    wire.advance(59)
    assert not client.is_closing()
    wire.advance(2)
    assert client.gone


def test_handler_may_take_its_time(wire: Wire) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a")
    wire.advance(100_000)
    wire.open("a")
    assert client.answers()[0].text == "a"


@pytest.mark.parametrize(
    ("setting", "prepare", "seconds"),
    [
        ("read_timeout", b"GET", 5.1),
        ("read_timeout", POST_100 % b"/body", 5.1),
        ("idle_timeout", GET % b"/now/a", 5.1),
    ],
)
def test_timeouts_are_settings(wire: Wire, setting: str, prepare: bytes, seconds: float) -> None:
    wire.settings[setting] = "5s"
    client = wire.connect()
    client.send(prepare)
    wire.advance(4.9)
    assert not client.is_closing()
    wire.advance(0.2)
    assert client.is_closing() or client.half_closed


@pytest.mark.parametrize("octets", [b"", b"GET", POST_100 % b"/body", GET % b"/now/a"])
def test_timeouts_can_be_turned_off(wire: Wire, octets: bytes) -> None:
    wire.settings.update(read_timeout="0", write_timeout="0", idle_timeout="0")
    client = wire.connect()
    client.send(octets)
    wire.advance(1_000_000)
    assert not client.is_closing()
    assert not client.half_closed


# ---- answers --------------------------------------------------------------------------------------


def large(wire: Wire, size: int = 300_000) -> Client:
    @wire.app.get("/large")
    def handler(request: Request) -> bytes:
        return bytes(size)

    client = wire.connect()
    client.window = 0
    return client


def test_client_that_takes_nothing_of_its_answer_is_given_up(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    client = large(wire)
    client.send(GET % b"/large")
    wire.advance(1.9)
    assert not client.gone
    wire.advance(0.2)
    assert client.reset
    assert client.gone
    [record] = caplog.records
    assert "took nothing of its answer" in record.getMessage()


def test_client_that_takes_little_is_served(wire: Wire) -> None:
    client = large(wire)
    client.send(GET % b"/large")
    for _ in range(10):
        wire.advance(1.9)
        client.take(1_000)
    client.take()
    assert len(client.answers()[0].content) == 300_000


def test_client_that_takes_little_is_served_to_the_end_of_the_connection(wire: Wire) -> None:
    client = large(wire)
    client.send(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    for _ in range(50):
        wire.advance(1.9)
        client.take(1_000)
    client.take()
    assert len(client.answers()[0].content) == 300_000
    assert client.gone


def test_client_that_stops_taking_is_given_up_though_the_connection_is_closing(wire: Wire) -> None:
    client = large(wire)
    client.send(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    wire.advance(2.1)
    assert client.reset
    assert client.gone


def test_client_is_not_slow_because_more_was_written_meanwhile(wire: Wire) -> None:
    @wire.app.get("/stream")
    async def stream(request: Request) -> Response:
        async def parts():
            for number in range(5):
                await asyncio.shield(wire.gate(str(number)))
                yield bytes(10_000)

        return Response.stream(parts())

    client = wire.connect()
    client.window = 0
    client.send(GET % b"/stream")
    for number in range(5):
        client.take(5_000)
        wire.open(str(number))
        wire.advance(1.9)
        assert not client.gone
    client.take()
    assert len(client.answers()[0].content) == 50_000


def test_answer_that_begins_late_has_its_whole_time(wire: Wire) -> None:
    # Nothing else happened since the request came: the clock was last read then.
    client = large(wire)
    client.send(GET % b"/wait/a")
    wire.drift(100)
    wire.open("a", "x" * 300_000)
    wire.advance(1.9)
    assert not client.gone
    wire.advance(0.2)
    assert client.gone


def test_peer_of_a_waiting_request_that_closed_its_side_gets_a_second(wire: Wire) -> None:
    client = wire.connect()
    client.send(GET % b"/wait/a")
    client.finish_sending()
    wire.advance(0.9)
    assert wire.cancelled == []
    wire.advance(0.2)
    assert wire.cancelled == ["client disconnected"]
    assert client.gone


def test_peer_that_closed_its_side_may_take_an_answer_that_has_begun(wire: Wire) -> None:
    # Were it gone, its system would answer our octets with a reset.
    @wire.app.get("/stream")
    async def stream(request: Request) -> Response:
        async def parts():
            for number in range(5):
                yield b"%d" % number
                await asyncio.shield(wire.gate(str(number)))

        return Response.stream(parts())

    client = wire.connect()
    client.send(GET % b"/stream")
    client.finish_sending()
    for number in range(5):
        wire.advance(5)
        wire.open(str(number))
    assert client.answers()[0].text == "01234"
    assert client.gone


def test_body_of_one_connection_does_not_delay_the_timeout_of_another(wire: Wire) -> None:
    slow, busy = wire.connect(), wire.connect()
    slow.send(b"GET /")
    busy.send(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
    for _ in range(3):
        wire.advance(0.7)
        busy.send(b"x")
    assert_refused(slow, 408)
    assert busy.ask(b"x" * 97)[0].status == 200
    assert busy.ask(post(b"/body", b"y"))[0].text == "y"


# ---- many at once ---------------------------------------------------------------------------------


def turn(wire: Wire) -> None:
    wire.loop.run_until_complete(asyncio.sleep(0))


def test_good_client_is_served_while_a_crowd_times_out(wire: Wire) -> None:
    crowd = [wire.connect() for _ in range(CROWD)]
    for client in crowd:
        client.feed(b"G")
    wire.settle()
    good = wire.connect()
    wire.drift(2.1)
    wire.worker.tick()
    good.feed(GET % b"/now/a")
    left = []
    while any(not client.half_closed for client in crowd):
        left.append(sum(not client.half_closed for client in crowd))
        if good.sent:
            break
        turn(wire)
    assert good.answers()[0].text == "a"
    assert left[-1] >= CROWD - 3 * AT_ONCE
    wire.settle()
    assert all(client.half_closed for client in crowd)


def test_each_kind_of_timeout_has_its_turn(wire: Wire) -> None:
    idle = wire.connect()
    idle.ask(GET % b"/now/a")
    wire.advance(58)
    crowd = [wire.connect() for _ in range(CROWD)]
    wire.drift(2.1)
    wire.worker.tick()
    assert idle.is_closing()
    assert sum(client.is_closing() for client in crowd) == AT_ONCE
    wire.settle()
    assert all(client.gone for client in crowd)


def test_deadlines_that_are_due_at_once_are_spread_as_well(wire: Wire) -> None:
    @wire.app.get("/brief/:name", deadline="50ms")
    async def brief(request: Request) -> None:
        await wire.gate(request.params["name"])

    crowd = [wire.connect() for _ in range(CROWD)]
    for number, client in enumerate(crowd):
        client.feed(GET % (b"/brief/%d" % number))
    wire.settle()
    wire.drift(0.1)
    wire.worker.tick()
    assert sum(bool(client.sent) for client in crowd) == AT_ONCE
    wire.settle()
    assert [client.answers()[0].status for client in crowd] == [504] * CROWD


def test_deadlines_that_clients_chose_are_spread_as_well(wire: Wire) -> None:
    @wire.app.get("/wait/:name/long", deadline="10s")
    async def long(request: Request) -> None:
        await wire.gate(request.params["name"])

    crowd = [wire.connect() for _ in range(CROWD)]
    for number, client in enumerate(crowd):
        client.feed(b"GET /wait/%d/long HTTP/1.1\r\nHost: a\r\nRequest-Timeout: 50ms\r\n\r\n" % number)
    wire.settle()
    wire.drift(0.1)
    wire.worker.tick()
    assert sum(bool(client.sent) for client in crowd) == AT_ONCE
    wire.settle()
    assert [client.answers()[0].status for client in crowd] == [504] * CROWD
