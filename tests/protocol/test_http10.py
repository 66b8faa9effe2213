"""HTTP/1.0 clients: answered with HTTP/1.1, closed unless they ask to be kept (RFC 9112 section 9.3)."""

import pytest

from tests.protocol.harness import Wire


@pytest.mark.parametrize("fields", [b"", b"Host: a\r\n", b"Connection: x\r\n", b"Connection: close, keep-alive\r\n"])
def test_connection_closes(wire: Wire, fields: bytes) -> None:
    client = wire.connect()
    [answer] = client.ask(b"GET /now/a HTTP/1.0\r\n%b\r\n" % fields)
    assert answer.head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (answer.text, answer.closes) == ("a", True)
    assert client.gone


@pytest.mark.parametrize("fields", [b"Connection: keep-alive\r\n", b"Connection: x, Keep-Alive\r\nHost: a\r\n"])
def test_connection_is_kept_where_asked(wire: Wire, fields: bytes) -> None:
    client = wire.connect()
    octets = b"GET /now/a HTTP/1.0\r\n%b\r\n" % fields
    answers = client.ask(octets + octets)
    assert [answer.headers["Connection"] for answer in answers] == ["keep-alive", "keep-alive"]
    assert not client.is_closing()


def test_content_has_a_length(wire: Wire) -> None:
    client = wire.connect()
    [answer] = client.ask(b"POST /body HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello")
    assert answer.text == "hello"


def test_content_without_a_length_is_none(wire: Wire) -> None:
    client = wire.connect()
    [answer] = client.ask(b"POST /body HTTP/1.0\r\n\r\nhello")
    assert answer.text == ""
    assert client.half_closed


def test_head_and_no_content(wire: Wire) -> None:
    client = wire.connect()
    keep = b"Connection: keep-alive\r\n\r\n"
    octets = b"HEAD /now/a HTTP/1.0\r\n" + keep + b"OPTIONS /now/a HTTP/1.0\r\n" + keep
    answers = client.ask(octets, ["HEAD", "OPTIONS"])
    assert [(answer.status, answer.headers["Connection"]) for answer in answers] == [
        (200, "keep-alive"),
        (204, "keep-alive"),
    ]


def test_versions_may_be_mixed(wire: Wire) -> None:
    client = wire.connect()
    answers = client.ask(
        b"GET /now/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        b"GET /now/b HTTP/1.1\r\nHost: a\r\n\r\n"
        b"GET /now/c HTTP/1.0\r\n\r\n"
    )
    assert [answer.headers.get("Connection") for answer in answers] == ["keep-alive", None, "close"]
    assert client.gone
