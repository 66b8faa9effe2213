"""Deadlines on the wire: 504 in time, the handler cancelled once and told why, and what still runs."""

import asyncio
import logging
import math
import threading

import pytest

from highperf import Request, Response
from highperf.errors import CLIENT_DEADLINE_PASSED, DEADLINE_PASSED
from tests.protocol.harness import GET, Wire, post

LATE = GET % b"/late"
BUDGET = b"GET %b HTTP/1.1\r\nHost: a\r\nRequest-Timeout: %b\r\n\r\n"


@pytest.fixture
def cancellations(wire: Wire) -> list[object]:
    """GET /late has 100 ms and waits for ever; what its cancellation said is listed."""
    cancelled: list[object] = []

    @wire.app.get("/late", deadline="100ms")
    async def late(request: Request) -> str:
        try:
            return await wire.gate("late")
        except asyncio.CancelledError as error:
            cancelled.append((error.args, request.cancel_reason))
            raise

    return cancelled


def test_a_deadline_is_never_early_and_the_client_is_told_504(wire: Wire, cancellations: list[object]) -> None:
    client = wire.connect()
    client.send(LATE)
    wire.advance(0.0999)
    assert client.taken() == b""
    wire.advance(0.0002)
    [answer] = client.answers()
    assert answer.status == 504
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Retry-After" not in answer.headers  # work may have been done: not safe to repeat blindly
    assert answer.json()["detail"] == "the handler did not answer within 100 ms"
    assert answer.json()["instance"] == "/late"
    assert cancellations == [((DEADLINE_PASSED,), DEADLINE_PASSED)]
    assert wire.worker.refused["deadline_missed"] == 1


def test_who_answers_in_time_hears_nothing_of_it(wire: Wire, cancellations: list[object]) -> None:
    client = wire.connect()
    client.send(LATE)
    wire.advance(0.09)
    wire.open("late")
    wire.advance(10)
    assert [answer.status for answer in client.answers()] == [200]
    assert cancellations == []


def test_the_connection_goes_on_while_the_handler_of_the_late_request_still_runs(wire: Wire) -> None:
    cancelled = 0

    @wire.app.get("/stubborn", deadline="100ms")
    async def stubborn(request: Request) -> str:
        nonlocal cancelled
        while True:
            try:
                return await asyncio.shield(wire.gates.get("stubborn") or wire.gate("stubborn"))
            except asyncio.CancelledError:
                cancelled += 1

    client = wire.connect()
    client.send(GET % b"/stubborn" + GET % b"/now/next")
    wire.advance(0.101)
    assert [answer.status for answer in client.answers()] == [504, 200]
    wire.advance(5)
    assert cancelled == 1
    assert wire.worker.zombies == 1
    assert wire.worker.shedder.running == 1  # its permit is taken until it has really ended
    wire.open("stubborn", "an answer that nobody waits for")
    assert wire.worker.zombies == wire.worker.shedder.running == 0
    assert client.taken() == b""


def test_a_handler_that_fails_after_its_deadline_is_logged_and_not_answered(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    @wire.app.get("/breaks", deadline="100ms")
    async def breaks(request: Request) -> str:
        try:
            return await wire.gate("breaks")
        except asyncio.CancelledError:
            raise ValueError("while cleaning up") from None

    client = wire.connect()
    client.send(GET % b"/breaks")
    with caplog.at_level(logging.ERROR):
        wire.advance(0.101)
    assert [answer.status for answer in client.answers()] == [504]
    assert "while cleaning up" in caplog.text
    assert "unhandled exception after its deadline in GET /breaks" in caplog.text


def test_a_stream_that_has_begun_is_cut_off_for_it_cannot_be_told(wire: Wire) -> None:
    @wire.app.get("/stream", deadline="100ms")
    async def stream(request: Request) -> Response:
        async def parts() -> object:
            yield b"first"
            yield (await wire.gate("part")).encode()

        return Response.stream(parts())

    client = wire.connect()
    octets = client.send(GET % b"/stream")
    assert octets.endswith(b"5\r\nfirst\r\n")
    wire.advance(0.101)
    assert client.gone
    assert not client.taken().endswith(b"0\r\n\r\n")


def test_time_in_which_the_client_sends_its_content_does_not_count(wire: Wire) -> None:
    @wire.app.post("/slow", deadline="100ms")
    async def slow(request: Request) -> str:
        await wire.gate("before")
        content = await request.body()
        wire.began.append(f"{request.remaining():.3f}")
        await wire.gate("after")
        return str(len(content))

    wire.settings["limit_body_rate"] = "0"
    client = wire.connect()
    client.send(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n")
    wire.advance(0.060)
    wire.open("before")  # 40 ms are left, and wait
    for _ in range(20):
        wire.advance(1.0)
        assert client.send(b"x") == b""
    assert wire.began == ["0.040"]
    wire.advance(0.039)
    assert client.taken() == b""
    wire.advance(0.003)
    assert [answer.status for answer in client.answers()] == [504]


def test_a_reader_that_gives_up_waiting_is_on_the_clock_again(wire: Wire) -> None:
    @wire.app.post("/slow", deadline="100ms")
    async def slow(request: Request) -> str:
        reading = asyncio.ensure_future(request.body())
        await wire.gate("patience")
        reading.cancel()
        return await wire.gate("after")

    client = wire.connect()
    client.send(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n")
    wire.advance(1)
    wire.open("patience")
    wire.advance(0.098)
    assert client.taken() == b""
    wire.advance(0.004)
    assert [answer.status for answer in client.answers()] == [504]


def test_a_reader_that_gives_up_while_the_worker_looks_at_no_clock_is_charged_nothing_for_it(wire: Wire) -> None:
    @wire.app.post("/slow", deadline="100ms")
    async def slow(request: Request) -> str:
        reading = asyncio.ensure_future(request.body())
        await wire.gate("patience")
        reading.cancel()
        return await wire.gate("after")

    client = wire.connect()
    client.send(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n")
    wire.advance(0.11)
    wire.drift(1)
    wire.open("patience")
    wire.advance(0.098)
    assert client.taken() == b""
    wire.advance(0.004)
    assert [answer.status for answer in client.answers()] == [504]


def test_the_time_of_a_pipelined_request_begins_with_its_own_head(wire: Wire) -> None:
    left: list[float] = []

    @wire.app.get("/hog")
    def hog(request: Request) -> str:
        wire.drift(0.2)
        return ""

    @wire.app.get("/next", deadline="100ms")
    def following(request: Request) -> str:
        left.append(request.remaining())
        return ""

    wire.connect().ask(GET % b"/hog" + GET % b"/next")
    assert left == [pytest.approx(0.1)]


def test_a_request_that_was_cancelled_before_its_deadline_is_not_cancelled_again(wire: Wire) -> None:
    cancelled: list[object] = []

    @wire.app.get("/stubborn", deadline="100ms")
    async def stubborn(request: Request) -> str:
        try:
            await wire.gate("first")
        except asyncio.CancelledError as error:
            cancelled.append(error.args)
        return await wire.gate("second")

    client = wire.connect()
    client.send(GET % b"/stubborn")
    wire.worker.cancel_requests("the server is shutting down")
    wire.settle()
    wire.advance(0.09)
    wire.advance(0.02)
    assert cancelled == [("the server is shutting down",)]
    assert wire.worker.refused["deadline_missed"] == 0
    wire.open("second", "after all")
    assert [answer.status for answer in client.answers()] == [200]


def test_the_time_of_a_pipelined_request_begins_behind_a_handler_that_went_on_after_asking_for_its_own(
    wire: Wire, cancellations: list[object]
) -> None:
    @wire.app.get("/busy")
    def busy(request: Request) -> str:
        assert request.remaining() == math.inf
        wire.drift(0.2)
        return "done"

    client = wire.connect()
    client.send(GET % b"/busy" + LATE)
    assert [answer.status for answer in client.answers()] == [200]
    wire.advance(0.0999)
    assert client.taken() == b""
    wire.advance(0.0002)
    assert [answer.status for answer in client.answers()] == [504]


def test_a_stream_that_nothing_could_interrupt_is_counted(wire: Wire) -> None:
    @wire.app.get("/busy", deadline="100ms")
    def busy(request: Request) -> Response:
        async def parts() -> object:
            wire.drift(0.2)
            yield b"x"

        return Response.stream(parts())

    [answer] = wire.connect().ask(GET % b"/busy")
    assert answer.content == b"x"
    assert wire.worker.refused["deadline_missed"] == 1


@pytest.mark.parametrize("spelled", [b"0.05", b"50ms", b"50000us", b"0.050s", b"50000000ns"])
def test_a_client_may_shorten_the_deadline(wire: Wire, cancellations: list[object], spelled: bytes) -> None:
    client = wire.connect()
    client.send(BUDGET % (b"/late", spelled))
    wire.advance(0.0499)
    assert client.taken() == b""
    wire.advance(0.0012)
    [answer] = client.answers()
    assert answer.status == 504
    assert answer.json()["detail"] == "the handler did not answer within the time that its client gave"
    assert cancellations == [((CLIENT_DEADLINE_PASSED,), CLIENT_DEADLINE_PASSED)]


@pytest.mark.parametrize("spelled", [b"307445735m", b"0.307445735m", b"0.20000000000m", b"1000000000s"])
def test_no_number_is_too_long_to_compute_with(wire: Wire, cancellations: list[object], spelled: bytes) -> None:
    client = wire.connect()
    client.send(BUDGET % (b"/late", spelled))
    wire.advance(0.0999)
    assert client.taken() == b""


@pytest.mark.parametrize(
    "spelled",
    [b"5", b"1m", b"", b"soon", b"-1", b"1h", b"1.", b".5", b"1e9", b"0x1", b"99999999999999999999", b"50 ms"],
)
def test_a_client_can_neither_lengthen_it_nor_confuse_it(
    wire: Wire, cancellations: list[object], spelled: bytes
) -> None:
    client = wire.connect()
    client.send(BUDGET % (b"/late", spelled))
    wire.advance(0.0999)
    assert client.taken() == b""
    wire.advance(0.0002)
    assert [answer.status for answer in client.answers()] == [504]


def test_a_client_without_time_is_told_that_nothing_was_done(wire: Wire) -> None:
    client = wire.connect()
    [answer] = client.ask(BUDGET % (b"/wait/a", b"0"))
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert wire.began == []
    assert wire.worker.refused["deadline_unstarted"] == 1


def test_a_client_may_set_a_deadline_where_the_route_has_none(wire: Wire) -> None:
    client = wire.connect()
    client.send(BUDGET % (b"/wait/a", b"50ms"))
    wire.advance(0.052)
    assert [answer.status for answer in client.answers()] == [504]
    assert wire.cancelled == [CLIENT_DEADLINE_PASSED]


def test_the_name_of_the_field_is_a_setting(wire: Wire) -> None:
    wire.settings = {"request_timeout_header": "X-Budget"}
    client = wire.connect()
    client.send(BUDGET % (b"/wait/a", b"50ms"))
    wire.advance(1)
    assert client.taken() == b""
    other = wire.connect()
    other.send((BUDGET % (b"/wait/b", b"50ms")).replace(b"Request-Timeout", b"x-budget"))
    wire.advance(0.052)
    assert [answer.status for answer in other.answers()] == [504]


def test_the_field_can_be_turned_off(wire: Wire) -> None:
    wire.settings = {"request_timeout_header": "off"}
    client = wire.connect()
    client.send(BUDGET % (b"/wait/a", b"0"))
    wire.advance(1)
    assert wire.began == ["a"]


def test_a_route_without_a_deadline_has_that_of_the_server_and_may_have_none(wire: Wire) -> None:
    wire.settings = {"request_timeout": "1s"}

    @wire.app.get("/patient", deadline=None)
    async def patient(request: Request) -> str:
        return await wire.gate("patient")

    @wire.app.get("/endless", deadline="0")
    async def endless(request: Request) -> str:
        return await wire.gate("endless")

    first, second = wire.connect(), wire.connect()
    first.send(GET % b"/wait/a")
    second.send(GET % b"/endless")
    wire.advance(1.01)
    assert [answer.status for answer in first.answers()] == [504]
    wire.advance(100)
    assert second.taken() == b""


def test_a_handler_can_ask_for_its_deadline_and_what_is_left(wire: Wire) -> None:
    seen: list[float] = []

    @wire.app.get("/asks", deadline="250ms")
    async def asks(request: Request) -> str:
        assert request.deadline is not None
        seen.append(request.remaining())
        await wire.gate("asks")
        seen.append(request.remaining())
        return ""

    @wire.app.get("/free")
    def free(request: Request) -> str:
        assert request.deadline is None
        seen.append(request.remaining())
        return ""

    client = wire.connect()
    client.send(GET % b"/asks")
    wire.advance(0.1)
    wire.open("asks")
    client.send(GET % b"/free")
    assert seen == [0.25, pytest.approx(0.15), math.inf]


def test_an_answer_that_nothing_could_interrupt_is_sent_and_counted(wire: Wire) -> None:
    @wire.app.get("/busy", deadline="100ms")
    def busy(request: Request) -> str:
        wire.drift(0.2)
        return "done"

    [answer] = wire.connect().ask(GET % b"/busy")
    assert (answer.status, answer.content) == (200, b"done")
    assert wire.worker.refused["deadline_missed"] == 1


def test_a_handler_that_first_waits_after_its_deadline_is_ended_at_once(wire: Wire) -> None:
    @wire.app.get("/busy", deadline="100ms")
    async def busy(request: Request) -> str:
        wire.drift(0.2)
        return await wire.gate("busy")

    client = wire.connect()
    client.send(GET % b"/busy")
    wire.advance(0.001)
    assert [answer.status for answer in client.answers()] == [504]


def test_deadlines_of_many_classes_come_in_their_own_time(wire: Wire) -> None:
    for ms in (30, 10, 80, 20):
        wire.app.get(f"/{ms}", deadline=f"{ms}ms")(lambda request: asyncio.sleep(1e9))
    clients = {ms: wire.connect() for ms in (30, 10, 80, 20)}
    for ms, client in clients.items():
        client.send(GET % b"/%d" % ms)
    late: list[int] = []
    for ms in range(1, 100):
        wire.advance(0.001)
        late += [which for which, client in clients.items() for answer in client.answers() if answer.status == 504]
        assert all(which <= ms for which in late)
    assert late == [10, 20, 30, 80]


def test_a_client_that_leaves_before_the_deadline_is_not_missed(wire: Wire, cancellations: list[object]) -> None:
    client = wire.connect()
    client.send(LATE)
    client.leave()
    wire.advance(1)
    assert cancellations == [(("client disconnected",), "client disconnected")]
    assert wire.worker.refused["deadline_missed"] == 0


def test_a_client_that_leaves_after_the_deadline_does_not_cancel_again(wire: Wire) -> None:
    cancelled: list[object] = []

    @wire.app.get("/cleans", deadline="100ms")
    async def cleans(request: Request) -> str:
        try:
            await wire.gate("late")
        except asyncio.CancelledError as error:
            cancelled.append(error.args)
        try:
            await wire.gate("cleaning")
        except asyncio.CancelledError as error:
            cancelled.append(error.args)
        return ""

    client = wire.connect()
    client.send(GET % b"/cleans")
    wire.advance(0.101)
    client.leave()
    assert cancelled == [(DEADLINE_PASSED,)]
    wire.open("cleaning")


def test_a_thread_that_cannot_be_stopped_keeps_its_permit(wire: Wire) -> None:
    began, end = threading.Event(), threading.Event()

    @wire.app.get("/thread", deadline="100ms", blocking=True)
    def thread(request: Request) -> str:
        began.set()
        assert end.wait(30)
        return ""

    client = wire.connect()
    client.send(GET % b"/thread")
    assert began.wait(30)
    wire.advance(0.101)
    assert [answer.status for answer in client.answers()] == [504]
    assert wire.worker.zombies == wire.worker.shedder.running == 1
    end.set()

    [task] = wire.tasks()
    wire.loop.run_until_complete(asyncio.wait([task], timeout=30))
    assert wire.worker.zombies == wire.worker.shedder.running == 0


def test_ordinary_asyncio_knows_the_deadline(wire: Wire) -> None:
    @wire.app.get("/timeout", deadline="10s")
    async def timeout(request: Request) -> str:
        assert abs(asyncio.get_running_loop().time() + request.remaining() - (request.deadline or 0)) < 1
        return ""

    [answer] = wire.connect().ask(GET % b"/timeout")
    assert answer.status == 200


def test_posts_have_their_deadline_too(wire: Wire) -> None:
    @wire.app.post("/late", deadline="80ms")
    async def late(request: Request) -> str:
        return await wire.gate("late")

    client = wire.connect()
    client.send(post(b"/late", b"content"))
    wire.advance(0.081)
    assert [answer.status for answer in client.answers()] == [504]
