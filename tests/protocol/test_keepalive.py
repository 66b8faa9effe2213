"""When a connection serves another request, and when it ends (RFC 9112 section 9)."""

import pytest

from tests.protocol.harness import GET, Wire, post


def test_connection_serves_one_request_after_another(wire: Wire) -> None:
    client = wire.connect()
    for name in (b"a", b"b", b"c"):
        [answer] = client.ask(GET % (b"/now/" + name))
        assert answer.content == name
        assert "Connection" not in answer.headers
    assert not client.is_closing()


def test_connection_close_is_obeyed_and_said(wire: Wire) -> None:
    client = wire.connect()
    [answer] = client.ask(b"GET /now/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert answer.closes
    assert client.gone


def test_nothing_is_served_behind_connection_close(wire: Wire) -> None:
    client = wire.connect()
    answers = client.ask(b"GET /now/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET % b"/wait/b")
    assert [answer.content for answer in answers] == [b"a"]
    assert wire.began == []
    assert client.half_closed


def test_connection_close_is_obeyed_by_a_request_that_waits(wire: Wire) -> None:
    client = wire.connect()
    assert client.send(b"GET /wait/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET % b"/wait/b") == b""
    wire.open("a")
    [answer] = client.answers()
    assert answer.closes
    assert wire.began == ["a"]


@pytest.mark.parametrize(
    ("fields", "closes"),
    [
        (b"Connection: close", True),
        (b"Connection: CLOSE", True),
        (b"Connection: keep-alive, close", True),
        (b"Connection: keep-alive\r\nConnection: close", True),
        (b"Connection: close\r\nConnection: keep-alive", True),
        (b"Connection: ,, close ,", True),
        (b"Connection: closed", False),
        (b"Connection: keep-alive", False),
        (b"Connection: x-close", False),
        (b"X: close", False),
    ],
)
def test_close_counts_wherever_it_is_listed(wire: Wire, fields: bytes, closes: bool) -> None:
    client = wire.connect()
    [answer] = client.ask(b"GET /now/a HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % fields)
    assert answer.closes is closes
    assert client.gone is closes


def test_connection_without_pending_octets_is_closed_at_once(wire: Wire) -> None:
    # Lingering protects an answer from the reset that unread octets cause: here there are none.
    client = wire.connect()
    client.send(GET % b"/wait/a" + GET % b"/now/b")
    wire.open("a")
    client.send(b"GET /now/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert not client.half_closed
    assert client.gone


def test_connection_ends_even_if_the_peer_never_closes(wire: Wire) -> None:
    client = wire.connect()
    client.send(b"GET /now/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nunread")
    assert client.half_closed
    wire.advance(1.9)
    assert not client.gone
    wire.advance(0.2)
    assert client.gone


def test_lingering_connection_reads_on_but_serves_nothing(wire: Wire) -> None:
    client = wire.connect()
    client.send(b"GET /now/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nunread")
    assert len(client.answers()) == 1
    assert client.send(GET % b"/wait/b" * 100) == b""
    assert not client.waits
    assert wire.began == []
    client.finish_sending()
    assert client.gone


def test_lingering_waits_for_an_answer_that_the_peer_is_still_taking(wire: Wire) -> None:
    @wire.app.post("/large")
    def large(request: object) -> bytes:
        return bytes(300_000)

    client = wire.connect()
    client.window = 1000
    client.send(b"POST /large HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(5):
        wire.advance(1.5)
        client.take(50_000)
    assert not client.gone
    client.take()
    assert client.half_closed
    [answer] = client.answers()
    assert len(answer.content) == 300_000
    wire.advance(2.1)
    assert client.gone


def test_empty_lines_between_requests_are_forgiven(wire: Wire) -> None:
    client = wire.connect()
    answers = client.ask(GET % b"/now/a" + b"\r\n" + GET % b"/now/b" + b"\r\n\r\n" + post(b"/body", b"c"))
    assert [answer.content for answer in answers] == [b"a", b"b", b"c"]


def test_connections_do_not_share_what_was_cut(wire: Wire) -> None:
    first, second, third = wire.connect(), wire.connect(), wire.connect()
    first.send(b"GET /now/first HT")
    second.send(post(b"/body", b"second")[:-3])
    third.send(GET % b"/wait/third")
    assert first.ask(b"TP/1.1\r\nHost: a\r\n\r\n")[0].content == b"first"
    assert second.ask(b"ond")[0].content == b"second"
    wire.open("third")
    assert third.answers()[0].content == b"third"
