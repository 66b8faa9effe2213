"""As many connections as may be open: whose connection ends so that another may come."""

import logging

import pytest

from tests.protocol.harness import GET, Client, Wire


@pytest.fixture
def crowded(wire: Wire) -> Wire:
    wire.settings["limit_connections"] = 4
    return wire


def idle(wire: Wire) -> Client:
    client = wire.connect()
    client.ask(GET % b"/now/a")
    return client


def slow(wire: Wire) -> Client:
    client = wire.connect()
    client.send(b"GET /no")
    return client


def busy(wire: Wire, name: bytes) -> Client:
    client = wire.connect()
    client.send(GET % (b"/wait/" + name))
    return client


def lingering(wire: Wire) -> Client:
    client = wire.connect()
    client.send(b"bad\r\n")
    assert client.half_closed
    return client


def test_nobody_has_to_go_below_the_limit(crowded: Wire) -> None:
    clients = [idle(crowded) for _ in range(4)]
    assert not any(client.is_closing() for client in clients)
    assert crowded.worker.evicted == 0


def test_connection_that_was_idle_for_longest_goes_first(crowded: Wire) -> None:
    first, second, third, fourth = (idle(crowded) for _ in range(4))
    first.ask(GET % b"/now/b")
    fifth = idle(crowded)
    assert [client.gone for client in (first, second, third, fourth, fifth)] == [False, True, False, False, False]
    assert not second.reset
    assert crowded.worker.evicted == 1


def test_idle_ones_go_before_those_that_linger_and_these_before_unfinished_heads(crowded: Wire) -> None:
    clients = [slow(crowded), lingering(crowded), idle(crowded), busy(crowded, b"a")]
    for place in (2, 1, 0):
        busy(crowded, b"b%d" % place)
        assert [client.gone for client in clients] == [place <= 0, place <= 1, place <= 2, False]


def test_connection_that_has_completed_no_head_for_longest_goes(crowded: Wire) -> None:
    silent, *others = crowded.connect(), slow(crowded), slow(crowded), slow(crowded)
    good = idle(crowded)
    assert silent.gone
    assert not any(client.gone for client in others)
    assert silent.taken() == b""
    another = idle(crowded)
    assert good.gone  # it was idle
    assert not another.gone


@pytest.mark.parametrize("setting", ["read_timeout", "idle_timeout"])
def test_timeouts_that_are_off_protect_nobody(crowded: Wire, setting: str) -> None:
    crowded.settings[setting] = "0"
    first, *_ = [slow(crowded) if setting == "read_timeout" else idle(crowded) for _ in range(4)]
    crowded.advance(10_000 if setting == "idle_timeout" else 0)
    assert not first.gone
    idle(crowded)
    assert first.gone


def test_requests_are_never_ended_for_a_connection(crowded: Wire) -> None:
    full: list[str] = []
    crowded.worker.on_full = lambda: full.append("full")
    content = crowded.connect()
    content.send(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
    clients = [content, *(busy(crowded, b"%d" % number) for number in range(3))]
    assert not full
    late = crowded.connect()
    assert full == ["full"]
    assert not any(client.gone for client in clients)
    assert late.ask(GET % b"/now/a")[0].text == "a"
    assert not crowded.worker.has_room(0)
    assert crowded.worker.make_room()  # the late one is idle by now
    crowded.settle()
    assert late.gone
    assert not crowded.worker.make_room()


def test_answer_that_was_not_taken_yet_is_not_cut(crowded: Wire) -> None:
    clients = [crowded.connect() for _ in range(4)]
    for client in clients[:2]:
        client.window = 0
    for client in clients:
        client.send(GET % b"/now/a")
    clients[0].take()
    idle(crowded)
    assert clients[0].gone
    assert not clients[1].gone


def test_many_go_at_once_where_many_are_open(wire: Wire) -> None:
    wire.settings["limit_connections"] = 64
    clients = [wire.connect() for _ in range(64)]
    wire.connect()
    assert [client.gone for client in clients] == [True] * 2 + [False] * 62


def test_the_log_says_so_once(crowded: Wire, caplog: pytest.LogCaptureFixture) -> None:
    def come() -> None:
        for _ in range(8):
            crowded.connect()
            crowded.advance(0.1)

    come()
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "As many connections are open as may be" in record.getMessage()
    come()
    assert len(caplog.records) == 1
    crowded.advance(60)
    come()
    assert len(caplog.records) == 2


def test_draining_worker_takes_in_all_that_have_come(crowded: Wire) -> None:
    clients = [busy(crowded, b"%d" % number) for number in range(4)]
    crowded.worker.begin_drain()
    assert idle(crowded).taken() == b""
    assert not any(client.gone for client in clients)
    assert crowded.worker.evicted == 0
