"""What cannot be understood or may not pass: its status, its log line, and the end of the connection."""

import re
from collections import Counter

import pytest

from tests import cuts
from tests.protocol.harness import GET, Client, Wire

HOST = b"Host: a\r\n"
AFTER = GET % b"/wait/after"

# Octets, status, words of the log line.
REFUSED = {
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "does not begin with a method"),
    "no version": (b"GET /\r\n\r\n", 400, "one space between"),
    "http/0.9": (b"GET\r\n", 400, "one space between"),
    "two spaces": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400, "one space between"),
    "line feed only": (b"GET / HTTP/1.1\nHost: a\n\n", 400, "line feed without carriage return"),
    "relative target": (b"GET now HTTP/1.1\r\n" + HOST + b"\r\n", 400, "neither a path"),
    "nul in path": (b"GET /%00 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "nul"),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400, "host field is missing"),
    "two hosts": (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400, "host field is repeated"),
    "bad host": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "host field is not"),
    "folded field": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n", 400, "folded"),
    "space before colon": (b"GET / HTTP/1.1\r\n" + HOST + b"X : a\r\n\r\n", 400, "field name"),
    "control in value": (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x01b\r\n\r\n", 400, "control character"),
    "bad length": (
        b"POST /body HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\nhello",
        400,
        "content-length is not",
    ),
    "two lengths": (
        b"POST /body HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        400,
        "content-length is repeated",
    ),
    "length and coding": (
        b"POST /body HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "both content-length and transfer-encoding",
    ),
    "coding in 1.0": (b"POST /body HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "http/1.0 request"),
    "chunked not last": (
        b"POST /body HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
        400,
        "chunked",
    ),
    "connect with content": (
        b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n\r\nx",
        400,
        "connect request with content",
    ),
    "long line": (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "request line is longer"),
    "expectation": (b"GET / HTTP/1.1\r\n" + HOST + b"Expect: 200-ok\r\n\r\n", 417, "expectation"),
    "many fields": (b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 101 + b"\r\n", 431, "more field lines"),
    "long field": (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 17_000 + b"\r\n\r\n", 431, "field line is longer"),
    "long head": (
        b"GET / HTTP/1.1\r\n" + HOST + (b"X: " + b"y" * 10_000 + b"\r\n") * 7 + b"\r\n",
        431,
        "head is longer",
    ),
    "unknown coding": (b"POST /body HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501, "coding"),
    "long method": (b"X" * 33 + b" / HTTP/1.1\r\n" + HOST + b"\r\n", 501, "longer than 32"),
    "http/2": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505, "neither 1.1 nor 1.0"),
    "http/1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 505, "neither 1.1 nor 1.0"),
    "preface of http/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "options only"),
}


def assert_is_the_end(wire: Wire, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    assert client.half_closed
    assert not client.gone
    assert client.send(AFTER) == b""
    assert wire.began == []
    client.finish_sending()
    assert client.gone
    assert len(caplog.records) == 1


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_is_a_problem_a_log_line_and_the_end(wire: Wire, name: str, caplog: pytest.LogCaptureFixture) -> None:
    octets, status, words = REFUSED[name]
    client = wire.connect()
    [answer] = client.ask(octets + AFTER)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.closes
    problem = answer.json()
    assert words in problem["detail"]
    assert set(problem) == {"type", "title", "status", "detail", "request_id"}
    [record] = caplog.records
    assert (record.name, record.levelname) == ("highperf.error", "WARNING")
    assert words in record.getMessage()
    assert f"answered {status}" in record.getMessage()
    assert f"began with {octets[:32].hex()[:8]}" in record.getMessage()
    assert f"[request {answer.headers['X-Request-ID']}]" in record.getMessage()
    assert_is_the_end(wire, client, caplog)


@pytest.mark.parametrize("cut", cuts.CUTS)
@pytest.mark.parametrize("name", [name for name, (octets, _, _) in REFUSED.items() if len(octets) < 1000])
def test_refusal_is_the_same_however_it_comes(
    wire: Wire, name: str, cut: str, caplog: pytest.LogCaptureFixture
) -> None:
    octets, status, words = REFUSED[name]
    client = wire.connect()
    for piece in cuts.CUTS[cut](octets):
        client.feed(piece)
        wire.settle()
    [answer] = client.answers()
    assert answer.status == status
    [record] = caplog.records
    assert words in record.getMessage()
    began = re.search(r"began with ([0-9a-f]+)", record.getMessage())
    assert began
    assert octets.startswith(bytes.fromhex(began[1]))
    assert len(bytes.fromhex(began[1])) <= 32
    assert_is_the_end(wire, client, caplog)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("waits", [False, True])
def test_requests_before_a_refused_one_are_answered_first(wire: Wire, name: str, waits: bool) -> None:
    octets, status, _ = REFUSED[name]
    client = wire.connect()
    client.send(GET % b"/now/a" + GET % (b"/wait/b" if waits else b"/now/b") + octets + AFTER)
    if waits:
        assert [answer.text for answer in client.answers()] == ["a"]
        wire.open("b")
        assert [answer.status for answer in client.answers()] == [200, status]
    else:
        assert [answer.status for answer in client.answers()] == [200, 200, status]
    assert "after" not in wire.began
    assert client.half_closed


@pytest.mark.parametrize("cut", [False, True])
def test_refused_head_request_gets_no_content(wire: Wire, cut: bool) -> None:
    octets = b"HEAD / HTTP/1.1\r\n\r\n"
    client = wire.connect()
    client.send(*([octets[:10], octets[10:]] if cut else [octets]))
    [answer] = client.answers(["HEAD"])
    assert answer.status == 400


def test_method_of_the_request_before_does_not_count(wire: Wire) -> None:
    client = wire.connect()
    octets = b"HEAD /now/a HTTP/1.1\r\nHost: a\r\n\r\n" + b"bad\r\n"
    _, refusal = client.ask(octets, ["HEAD", "GET"])
    assert refusal.json()["status"] == 400


def test_version_of_the_request_before_does_not_count(wire: Wire) -> None:
    client = wire.connect()
    answers = client.ask(b"GET /now/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + b"bad\r\n")
    assert [answer.headers["Connection"] for answer in answers] == ["keep-alive", "close"]


def test_octets_of_the_peer_are_not_echoed(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    client = wire.connect()
    client.send(b"GET /\x1b[31mhello<script> HTTP/1.1\r\n\r\n")
    assert b"script" not in client.sent
    assert b"\x1b" not in client.sent
    assert "\x1b" not in caplog.text
    assert "script" not in caplog.text


def test_log_of_a_flood_is_short_and_says_how_large_it_was(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(30):
        wire.connect().feed(b"bad\r\n")
    wire.settle()
    assert len(caplog.records) == 3
    wire.advance(1.0)
    assert [record.getMessage() for record in caplog.records[3:]] == [
        "bad or slow requests: 27 more, of which nothing is said here"
    ]
    wire.connect().send(b"bad\r\n")
    assert "bad request from" in caplog.records[4].getMessage()
    wire.advance(5)
    assert len(caplog.records) == 5


def test_a_flood_from_one_peer_hides_no_other(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    for peer in range(12):
        for _ in range(5):
            wire.connect(f"192.0.2.{peer}").feed(b"bad\r\n")
    wire.settle()
    shown = Counter(found[0] for text in caplog.messages if (found := re.search(r"192\.0\.2\.\d+", text)))
    assert list(shown.values()) == [3, 3, 3, 1]


def test_refusal_is_counted_as_an_answer(wire: Wire) -> None:
    client = wire.connect()
    client.send(b"bad\r\n")
    assert wire.worker.served == 1


@pytest.mark.parametrize(
    ("setting", "value", "octets", "status"),
    [
        ("limit_request_line", 40, b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 26), 404),
        ("limit_request_line", 40, b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 27), 414),
        ("limit_request_field_size", 40, b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"x" * 37), 404),
        ("limit_request_field_size", 40, b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"x" * 38), 431),
        ("limit_request_fields", 2, b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n", 404),
        ("limit_request_fields", 2, b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nX: y\r\n\r\n", 431),
    ],
)
@pytest.mark.parametrize("cut", cuts.CUTS)
def test_limits_are_settings(wire: Wire, setting: str, value: int, octets: bytes, status: int, cut: str) -> None:
    wire.settings[setting] = value
    client = wire.connect()
    client.send(*cuts.CUTS[cut](octets))
    assert client.answers()[0].status == status


def test_peer_of_another_connection_is_not_concerned(wire: Wire) -> None:
    good, bad = wire.connect(), wire.connect()
    good.send(b"GET /now/a HTTP/1.1\r\nHo")
    bad.send(b"bad\r\n")
    assert good.ask(b"st: a\r\n\r\n")[0].text == "a"
