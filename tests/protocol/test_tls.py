"""TLS on a wire of memory: handshakes that fail, records that are cut or broken, what waits, how it ends."""

import gc
import logging
import re
import ssl
from collections.abc import Callable, Iterator

import pytest
import trustme

from highperf import Request
from tests.protocol.harness import GET, Client, SecureClient, Wire, post

KIB = 1024
SLICE = 64 * KIB  # what is sealed at a time
SEALED = SLICE + 4 * 64  # in records, each with a few octets of its own
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@pytest.fixture(params=["1.2", "1.3"])
def wire(request: pytest.FixtureRequest, tls_contexts: Contexts) -> Iterator[Wire]:
    server, trusting = tls_contexts
    version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[request.param]
    before, trusting.maximum_version = trusting.maximum_version, version
    wire = Wire(server, trusting)
    yield wire
    wire.close()
    trusting.maximum_version = before


def connect(wire: Wire) -> SecureClient:
    client = wire.connect()
    assert isinstance(client, SecureClient)
    return client


class Raw(Client):
    """A peer that sends what it likes."""


def connect_raw(wire: Wire, *pieces: bytes) -> Raw:
    client = Raw(wire, "192.0.2.7")
    wire.clients.append(client)
    wire.settle()
    client.send(*pieces)
    return client


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The reason of each failed handshake, a warning each; nothing else was logged."""
    found = [(record.levelno, *record.getMessage().split(" failed: ")) for record in caplog.records]
    assert {(level, who) for level, who, _ in found} <= {
        (logging.WARNING, f"TLS handshake with {peer}") for peer in (("192.0.2.1", 50_000), ("192.0.2.7", 50_000))
    }
    return [why for _, _, why in found]


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="highperf.error")


# ---- the handshake --------------------------------------------------------------------------------


def test_silent_client_is_gone_after_the_handshake_timeout(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    client = connect_raw(wire)
    wire.advance(9.9)
    assert not client.gone
    assert wire.worker.connections == 1
    wire.advance(0.2)
    assert client.gone
    assert failures(caplog) == ["it took too long"]


def test_handshake_timeout_is_a_setting_and_runs_from_the_beginning(wire: Wire) -> None:
    wire.settings["ssl_handshake_timeout"] = "3s"
    hello = hello_of(wire)
    client = connect_raw(wire)
    for octet in hello[:3]:
        wire.advance(0.9)
        client.send(bytes([octet]))
    assert not client.gone
    wire.advance(0.4)
    assert client.gone


def hello_of(wire: Wire) -> bytes:
    """How a handshake begins."""
    assert wire.trusting is not None
    leaving = ssl.MemoryBIO()
    session = wire.trusting.wrap_bio(ssl.MemoryBIO(), leaving, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return leaving.read()


def test_read_timeout_begins_with_the_end_of_the_handshake(wire: Wire) -> None:
    wire.settings["ssl_handshake_timeout"] = "1m"
    client = connect(wire)
    wire.advance(1.9)
    assert not client.notified
    wire.advance(0.2)
    assert client.notified


@pytest.mark.parametrize("reads", [1, 7, 100])
def test_octets_may_come_one_by_one(wire: Wire, reads: int) -> None:
    client = connect(wire)
    client.session.write(GET % b"/now/a" + GET % b"/now/b")
    octets = client.leaving.read()
    for start in range(0, len(octets), reads):
        client.feed_sealed(octets[start : start + reads])
        wire.settle()
    assert [answer.text for answer in client.answers()] == ["a", "b"]


def test_records_that_come_together_are_answered_by_one_write(wire: Wire) -> None:
    client = connect(wire)
    for number in range(16):
        client.session.write(GET % b"/now/%d" % number)
    client.feed_sealed(client.leaving.read())
    wire.settle()
    assert [answer.text for answer in client.answers()] == [str(number) for number in range(16)]
    assert len(client.writes) == 1


def test_request_that_comes_with_the_end_of_the_handshake_is_answered(wire: Wire) -> None:
    client = SecureClient(wire, "192.0.2.1", early=GET % b"/now/a")
    wire.clients.append(client)
    wire.settle()
    assert [answer.text for answer in client.answers()] == ["a"]


def test_unfinished_handshakes_end_for_new_connections(wire: Wire) -> None:
    wire.settings["limit_connections"] = 2
    silent, refused = connect_raw(wire), connect_raw(wire, b"garbage")
    clients = [connect(wire)]
    assert (silent.gone, refused.gone) == (False, True)
    clients.append(connect(wire))
    assert silent.gone
    for client in clients:
        assert [answer.text for answer in client.ask(GET % b"/now/a")] == ["a"]


def test_garbage_ends_the_connection(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    client = connect_raw(wire, b"\x16\x03\x01\x00\x05hello world")
    assert client.half_closed
    client.send(b"more of it" * 10_000)
    assert not client.gone
    client.finish_sending()
    assert client.gone
    assert len(failures(caplog)) == 1


def test_peer_that_was_refused_and_stays_is_gone_after_a_while(wire: Wire) -> None:
    client = connect_raw(wire, b"\0" * 100)
    wire.advance(1.9)
    assert not client.gone
    wire.advance(0.2)
    assert client.gone


@pytest.mark.parametrize("octets", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /x HTTP/1.1\r\n"])
def test_http_without_tls_is_told_so(wire: Wire, caplog: pytest.LogCaptureFixture, octets: bytes) -> None:
    client = connect_raw(wire, octets)
    [answer] = client.answers()
    assert answer.status == 400
    assert answer.closes
    assert answer.json() == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "this port speaks HTTPS",
    }
    assert client.half_closed
    assert failures(caplog) == ["it was HTTP"]


def test_who_leaves_during_the_handshake_is_forgotten(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    for cut in (0, 1, 50):
        client = connect_raw(wire, hello_of(wire)[:cut])
        client.finish_sending()
        assert client.gone
    connect_raw(wire, hello_of(wire)).leave()
    assert wire.worker.connections == 0
    assert not caplog.records  # load balancers connect and leave to see whether the port is open


def test_client_that_does_not_trust_us_says_so(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    wire.trusting = ssl.create_default_context()
    client = connect(wire)
    assert client.alert == "CERTIFICATE_VERIFY_FAILED"
    [reason] = failures(caplog)
    assert "alert unknown ca" in reason


# ---- client certificates ---------------------------------------------------------------------------


@pytest.fixture
def authority(wire: Wire, tls_contexts: Contexts) -> trustme.CA:
    """Whose certificates the server asks for."""
    authority = trustme.CA()
    wire.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(wire.tls)
    wire.tls.verify_mode = ssl.CERT_OPTIONAL
    authority.configure_trust(wire.tls)
    assert wire.trusting is not None
    version = wire.trusting.maximum_version
    wire.trusting = ssl.create_default_context()
    wire.trusting.maximum_version = version
    authority.configure_trust(wire.trusting)

    @wire.app.get("/who")
    def who(request: Request) -> str:
        certificate = request.client_certificate
        return "nobody" if certificate is None else str(certificate["subjectAltName"])

    return authority


def test_handlers_see_the_clients_certificate(wire: Wire, authority: trustme.CA) -> None:
    [answer] = connect(wire).ask(GET % b"/who")
    assert answer.text == "nobody"
    assert wire.trusting is not None
    authority.issue_cert("ada@example.com").configure_cert(wire.trusting)
    [answer] = connect(wire).ask(GET % b"/who")
    assert answer.text == "(('email', 'ada@example.com'),)"


def test_requests_are_told_that_they_came_by_https(wire: Wire) -> None:
    @wire.app.get("/scheme")
    def scheme(request: Request) -> str:
        return str(request.scheme)

    [answer] = connect(wire).ask(GET % b"/scheme")
    assert answer.text == "https"


def test_certificate_of_a_stranger_is_refused_and_the_alert_arrives(
    wire: Wire, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    assert wire.trusting is not None
    trustme.CA().issue_cert("eve@example.com").configure_cert(wire.trusting)
    client = connect(wire)
    client.feed_sealed(b"and more")  # as what a client of TLS 1.3 sends, which sees its handshake done
    wire.settle()
    assert client.alert == "TLSV1_ALERT_UNKNOWN_CA"
    assert wire.worker.connections == 1
    client.leave()
    assert failures(caplog) == ["unable to get local issuer certificate"]


# ---- records ---------------------------------------------------------------------------------------


def test_broken_record_ends_the_connection_and_what_runs_on_it(wire: Wire) -> None:
    client = connect(wire)
    client.send(GET % b"/wait/a")
    client.session.write(GET % b"/now/b")
    octets = bytearray(client.leaving.read())
    octets[-1] ^= 1
    client.feed_sealed(bytes(octets))
    wire.settle()
    assert client.gone
    assert client.alert == "SSLV3_ALERT_BAD_RECORD_MAC"
    assert wire.cancelled == ["client disconnected"]


def test_large_upload_arrives_whole_in_records_of_any_size(wire: Wire) -> None:
    body = bytes(range(256)) * 2000
    client = connect(wire)
    octets = post(b"/body", body)
    for start in range(0, len(octets), 3001):
        client.session.write(octets[start : start + 3001])
    client.feed_sealed(client.leaving.read())
    wire.settle()
    [answer] = client.answers()
    assert answer.content == body


def test_body_that_nobody_reads_stays_sealed_and_stops_the_reading(wire: Wire) -> None:
    @wire.app.post("/later")
    async def later(request: Request) -> str:
        await wire.gate("later")
        return str(len(await request.body()))

    client = connect(wire)
    client.send(post(b"/later", bytes(1000 * KIB)))
    assert client.waits
    assert not client.reading
    wire.open("later")
    [answer] = client.answers()
    assert answer.text == str(1000 * KIB)
    assert client.reading


# ---- a peer that takes little ----------------------------------------------------------------------


@pytest.fixture
def slow(wire: Wire) -> SecureClient:
    """It has asked for a mebibyte, and takes nothing yet."""

    @wire.app.get("/large")
    def large(request: Request) -> bytes:
        return bytes(1024 * KIB)

    client = connect(wire)
    client.window = 0
    client.send(GET % b"/large")
    return client


def test_no_more_is_sealed_than_a_slice_at_a_time(wire: Wire, slow: SecureClient) -> None:
    assert slow.held >= 1024 * KIB
    for _ in range(10):
        assert slow.unsent <= SEALED
        slow.take(50 * KIB)
    assert not slow.gone
    slow.take()
    [answer] = slow.answers()
    assert len(answer.content) == 1024 * KIB


def test_peer_that_takes_nothing_is_cut_off_by_the_write_timeout(wire: Wire, slow: SecureClient) -> None:
    wire.advance(1.9)
    assert not slow.gone
    wire.advance(0.2)
    assert slow.gone
    assert slow.reset


def test_peer_that_takes_little_but_enough_is_served(wire: Wire, slow: SecureClient) -> None:
    for _ in range(20):
        wire.advance(1.9)
        slow.take(600)  # more than LIMIT_BODY_RATE asks for
    assert not slow.gone
    slow.take()
    assert len(slow.answers()[0].content) == 1024 * KIB


def test_answer_that_waits_is_sent_before_close_notify(wire: Wire, slow: SecureClient) -> None:
    slow.send(b"GET /now/last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    slow.take()
    assert [answer.status for answer in slow.answers()] == [200, 200]
    assert slow.notified
    slow.say_goodbye()
    assert slow.gone


def test_large_answers_leave_the_loop_to_others(wire: Wire) -> None:
    turns = []

    @wire.app.get("/huge")
    def huge(request: Request) -> bytes:
        wire.loop.call_soon(lambda: turns.append(len(client.writes)))
        return bytes(16 * 1024 * KIB)

    client = connect(wire)
    client.send(GET % b"/huge")
    assert len(client.answers()[0].content) == 16 * 1024 * KIB
    assert turns[0] <= 17 < len(client.writes)


# ---- the end ---------------------------------------------------------------------------------------


def test_close_notify_is_sent_when_an_idle_connection_ends(wire: Wire) -> None:
    client = connect(wire)
    client.ask(GET % b"/now/a")
    wire.advance(60.1)
    assert client.notified
    assert client.gone


def test_close_notify_of_the_client_ends_an_idle_connection(wire: Wire) -> None:
    client = connect(wire)
    client.ask(GET % b"/now/a")
    client.say_goodbye()
    assert client.notified
    assert client.gone


def test_connection_that_is_cut_without_close_notify_ends(wire: Wire) -> None:
    client = connect(wire)
    client.ask(GET % b"/now/a")
    client.cut()
    assert client.gone


@pytest.mark.parametrize("leave", [SecureClient.say_goodbye, SecureClient.cut])
def test_request_that_was_complete_is_answered_to_who_closed_its_side(
    wire: Wire, leave: Callable[[SecureClient], None]
) -> None:
    client = connect(wire)
    client.send(GET % b"/wait/a")
    leave(client)
    assert not client.gone
    wire.open("a")
    [answer] = client.answers()
    assert answer.text == "a"
    assert client.gone


@pytest.mark.parametrize("leave", [SecureClient.say_goodbye, SecureClient.cut])
def test_body_that_is_cut_is_never_taken_for_whole(wire: Wire, leave: Callable[[SecureClient], None]) -> None:
    client = connect(wire)
    client.send(post(b"/body", b"x" * 100)[:-1])
    leave(client)
    assert [answer.status for answer in client.answers()] == [400]
    assert client.gone


def test_refused_body_may_go_on_coming_and_the_refusal_arrives(wire: Wire) -> None:
    client = connect(wire)
    client.send(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n" + bytes(1000))
    [answer] = client.answers()
    assert answer.status == 413
    assert client.notified
    assert client.half_closed
    for _ in range(50):
        client.send(bytes(64 * KIB))
    assert not client.gone
    client.say_goodbye()
    assert client.gone


def test_abort_drops_what_waits(wire: Wire, slow: SecureClient) -> None:
    wire.worker.abort()
    wire.settle()
    assert slow.gone
    assert slow.reset
    assert not slow.notified


def test_nothing_is_left_of_a_connection_however_it_ends(wire: Wire, slow: SecureClient) -> None:
    gc.collect()
    gc.disable()
    before = transports()
    ends: list[Callable[[SecureClient], object]] = [
        SecureClient.say_goodbye,
        SecureClient.cut,
        SecureClient.leave,
        lambda client: client.send(b"bad\r\n"),
        lambda client: client.feed_sealed(b"\x17\x03\x03\x00\x05wrong"),
    ]
    for end in ends:
        client = connect(wire)
        client.ask(GET % b"/now/a")
        end(client)
    connect_raw(wire, b"garbage")
    slow.feed_sealed(b"\x17\x03\x03\x00\x05wrong")
    slow.take()
    wire.advance(10)
    assert all(client.gone for client in wire.clients)
    wire.clients.clear()
    del client, slow._protocol
    gc.enable()
    assert transports() == before - 1  # that of `slow`


def transports() -> int:
    return sum(type(something).__name__ == "TlsTransport" for something in gc.get_objects())


# ---- drain -----------------------------------------------------------------------------------------


def test_drain_gives_a_handshake_a_moment_between_its_flights(wire: Wire) -> None:
    hello = hello_of(wire)
    client = connect_raw(wire, hello[:10])
    wire.worker.begin_drain()
    for octet in hello[10:14]:
        wire.advance(0.2)
        client.send(bytes([octet]))
    assert not client.gone
    wire.advance(0.3)
    assert client.gone


def test_connection_whose_handshake_ends_during_a_drain_is_served_once(wire: Wire) -> None:
    assert wire.worker
    client = SecureClient(wire, "192.0.2.1", hesitating=True)
    wire.clients.append(client)
    wire.settle()
    wire.worker.announce()
    wire.worker.begin_drain()
    client.go_on()
    [answer] = client.ask(GET % b"/now/a")
    assert answer.closes
    client.say_goodbye()
    assert client.gone


def test_drain_ends_idle_connections_with_close_notify(wire: Wire) -> None:
    client = connect(wire)
    client.ask(GET % b"/now/a")
    wire.worker.begin_drain()
    wire.settle()
    wire.advance(0.3)
    assert client.notified
    client.say_goodbye()
    assert wire.worker.connections == 0


# ---- as many connections as may be ----------------------------------------------------------------


def test_unfinished_handshakes_and_heads_end_for_new_connections_in_the_order_of_their_age(wire: Wire) -> None:
    wire.settings["limit_connections"] = 4
    first = connect(wire)
    first.send(b"GET /no")
    wire.advance(0.1)
    second = connect_raw(wire)
    wire.advance(0.1)
    third = connect(wire)
    third.send(b"GET /no")
    wire.advance(0.1)
    fourth = connect_raw(wire)
    clients: list[Client] = [first, second, third, fourth]
    for place in range(4):
        wire.advance(0.1)
        connect(wire).send(GET % (b"/wait/%d" % place))
        assert [client.gone for client in clients] == [True] * (place + 1) + [False] * (3 - place)
    full: list[str] = []
    wire.worker.on_full = lambda: full.append("full")
    connect(wire)
    assert full == ["full"]


def test_refused_handshakes_and_idle_connections_go_first(wire: Wire) -> None:
    wire.settings["limit_connections"] = 4
    clients: list[Client] = [connect_raw(wire), connect_raw(wire, b"garbage " * 10), connect(wire)]
    clients[2].ask(GET % b"/now/a")
    connect(wire).send(GET % b"/wait/a")
    for place in (2, 1, 0):
        connect(wire).send(GET % (b"/wait/b%d" % place))
        assert [client.gone for client in clients] == [place <= 0, place <= 1, place <= 2]


def test_no_words_of_tls_in_the_log_of_a_connection_that_was_well(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    client = connect(wire)
    client.ask(GET % b"/now/a")
    client.say_goodbye()
    assert not [record for record in caplog.records if re.search("TLS", record.getMessage())]
