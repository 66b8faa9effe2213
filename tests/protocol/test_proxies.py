"""Behind a proxy: who the client of a request is, to its handler and to rate limits, and who cannot pretend."""

from typing import Any

import pytest

from highperf import RateLimit, Request
from tests.protocol.harness import GET, Client, Wire

PROXY, STRANGER = "10.0.0.1", "192.0.2.1"


def get(path: bytes, *fields: str) -> bytes:
    lines = "".join(f"{field}\r\n" for field in fields).encode("latin-1")
    return b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (path, lines)


@pytest.fixture
def behind(wire: Wire) -> Wire:
    """Trusts 10.0.0.0/8 and 2001:db8::/32. GET /who tells client and scheme; GET /once is limited by client."""
    wire.settings = {"forwarded_allow_ips": "10.0.0.0/8,2001:db8::/32"}

    @wire.app.get("/who")
    def who(request: Request) -> dict[str, Any]:
        return {"client": request.client, "scheme": request.scheme}

    @wire.app.get("/once", rate_limit=RateLimit("1/h", by="client"))
    def once(request: Request) -> str:
        return ""

    return wire


def told(client: Client, *fields: str) -> tuple[Any, Any]:
    [answer] = client.ask(get(b"/who", *fields))
    found = answer.json()
    return found["client"] and tuple(found["client"]), found["scheme"]


def statuses(client: Client, *clients: str) -> list[int]:
    """Of one read with a request of each of them."""
    octets = b"".join(get(b"/once", f"X-Forwarded-For: {address}") for address in clients)
    return [answer.status for answer in client.ask(octets)]


def test_a_trusted_peer_tells_client_and_scheme(behind: Wire) -> None:
    client = behind.connect(PROXY)
    assert told(client, "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https") == (("203.0.113.7", 0), "https")
    assert told(client, 'Forwarded: for="[2001:DB8:1::7]:4711";proto=https') == (("2001:db8:1::7", 4711), "https")
    assert told(client, "X-Forwarded-For: 203.0.113.7:4711") == (("203.0.113.7", 4711), behind.scheme)
    assert told(client, "X-Forwarded-Proto: https") == ((PROXY, 50_000), "https")
    assert told(client) == ((PROXY, 50_000), behind.scheme)


@pytest.mark.parametrize(
    "fields",
    [
        ["X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https"],
        ["X-Forwarded-For: 10.0.0.1"],
        ["Forwarded: for=127.0.0.1;proto=https"],
        ["Forwarded: for=203.0.113.7", "X-Forwarded-For: 203.0.113.8"],
    ],
)
def test_a_stranger_tells_nothing(behind: Wire, fields: list[str]) -> None:
    assert told(behind.connect(STRANGER), *fields) == ((STRANGER, 50_000), behind.scheme)


def test_what_a_client_writes_before_its_proxy_does_not_matter(behind: Wire) -> None:
    client = behind.connect(PROXY)
    for forged in ("127.0.0.1", "10.0.0.9", "unknown", '"', "198.51.100.1, 10.0.0.7"):
        assert told(client, f"X-Forwarded-For: {forged}, 203.0.113.7")[0] == ("203.0.113.7", 0)
        assert told(client, f"X-Forwarded-For: {forged}", "X-Forwarded-For: 203.0.113.7")[0] == ("203.0.113.7", 0)
        assert told(client, f"Forwarded: for={forged}, for=203.0.113.7")[0] == ("203.0.113.7", 0)


def test_a_chain_of_proxies_is_followed_to_the_first_that_is_not_trusted(behind: Wire) -> None:
    client = behind.connect(PROXY)
    assert told(client, "X-Forwarded-For: 1.1.1.1, 203.0.113.7, 2001:db8::5, 10.2.3.4")[0] == ("203.0.113.7", 0)
    assert told(client, "X-Forwarded-For: 10.1.1.1, 10.2.3.4")[0] == ("10.1.1.1", 0)


def test_a_forged_field_of_the_other_kind_makes_a_client_nobody(behind: Wire) -> None:
    client = behind.connect(PROXY)
    fields = ["X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: http", "Forwarded: for=127.0.0.1;proto=https"]
    assert told(client, *fields) == (None, behind.scheme)
    assert told(client, "X-Forwarded-For: 203.0.113.7", "Forwarded: for=203.0.113.7")[0] == ("203.0.113.7", 0)


def test_an_ipv4_address_is_the_same_however_it_is_spelled(behind: Wire) -> None:
    assert told(behind.connect("::ffff:10.0.0.1"), "X-Forwarded-For: ::ffff:203.0.113.7")[0] == ("203.0.113.7", 0)
    assert told(behind.connect("::ffff:192.0.2.1"), "X-Forwarded-For: 203.0.113.7")[0] == ("192.0.2.1", 50_000)
    assert statuses(behind.connect(PROXY), "203.0.113.7", "::ffff:203.0.113.7", "[::ffff:cb00:7107]:5") == [
        200,
        429,
        429,
    ]


def test_requests_of_one_connection_are_limited_by_their_own_clients(behind: Wire) -> None:
    client = behind.connect(PROXY)
    assert statuses(client, "203.0.113.1", "203.0.113.2", "203.0.113.1", "203.0.113.3") == [200, 200, 429, 200]
    assert statuses(behind.connect("10.9.9.9"), "203.0.113.2", "203.0.113.4") == [429, 200]
    assert [answer.status for answer in behind.connect("203.0.113.4").ask(GET % b"/once")] == [429]


def test_a_limited_client_gets_no_more_by_writing_addresses(behind: Wire) -> None:
    client = behind.connect(PROXY)
    forged = [f"198.51.100.{number}, 203.0.113.7" for number in range(20)]
    assert statuses(client, *forged) == [200] + [429] * 19
    stranger = behind.connect(STRANGER)
    assert statuses(stranger, *(f"198.51.100.{number}" for number in range(20))) == [200] + [429] * 19


def test_a_network_of_64_bits_is_one_client_behind_a_proxy_too(behind: Wire) -> None:
    addresses = ["2a00:1:2:3::1", "[2a00:1:2:3:ffff::2]:443", "2a00:1:2:4::1"]
    assert statuses(behind.connect(PROXY), *addresses) == [200, 429, 200]


def test_clients_that_are_nobody_share_a_limit(behind: Wire) -> None:
    octets = b"".join(
        get(b"/once", f"X-Forwarded-For: 203.0.113.{number}", f"Forwarded: for=198.51.100.{number}")
        for number in range(3)
    )
    assert [answer.status for answer in behind.connect(PROXY).ask(octets)] == [200, 429, 429]
    assert statuses(behind.connect(PROXY), "203.0.113.1") == [200]


def test_a_request_that_names_no_client_is_limited_as_the_proxys_own(behind: Wire) -> None:
    assert statuses(behind.connect(PROXY), "unknown", "junk", "203.0.113.1") == [200, 429, 200]
    assert [answer.status for answer in behind.connect(PROXY).ask(GET % b"/once")] == [429]


def test_a_limit_by_header_falls_back_to_the_forwarded_client(behind: Wire) -> None:
    behind.app.get("/keyed", rate_limit=RateLimit("1/h", by="header:X-Key"))(lambda request: "")
    client = behind.connect(PROXY)
    octets = b"".join(get(b"/keyed", f"X-Forwarded-For: 203.0.113.{number}") for number in (1, 2, 1))
    assert [answer.status for answer in client.ask(octets)] == [200, 200, 429]


def test_a_key_that_the_application_makes_sees_the_forwarded_client(behind: Wire) -> None:
    behind.app.get("/made", rate_limit=RateLimit("1/h", by=lambda request: request.client[0]))(lambda request: "")
    octets = b"".join(get(b"/made", f"X-Forwarded-For: 203.0.113.{number}") for number in (1, 2, 1))
    assert [answer.status for answer in behind.connect(PROXY).ask(octets)] == [200, 200, 429]


def test_who_comes_through_a_unix_socket_is_trusted(behind: Wire) -> None:
    client = behind.connect()
    client._extra["peername"] = ""
    assert told(client, "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https") == (("203.0.113.7", 0), "https")
    assert told(client) == (None, behind.scheme)
    assert statuses(client, "203.0.113.1", "203.0.113.2", "203.0.113.1") == [200, 200, 429]


def test_a_peer_whose_name_is_gone_is_not_taken_for_one(behind: Wire) -> None:
    client = behind.connect()
    del client._extra["peername"]
    assert told(client, "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https") == (None, behind.scheme)
    assert statuses(client, "203.0.113.1", "203.0.113.2") == [200, 429]


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", ""])
def test_nobody_is_trusted_where_that_is_off(behind: Wire, peer: str) -> None:
    behind.settings = {"forwarded_allow_ips": "off"}
    client = behind.connect(peer)
    if not peer:
        client._extra["peername"] = ""
    assert told(client, "X-Forwarded-For: 203.0.113.7") == ((peer, 50_000) if peer else None, behind.scheme)


def test_everyone_is_trusted_where_the_setting_says_so(behind: Wire) -> None:
    behind.settings = {"forwarded_allow_ips": "*"}
    assert told(behind.connect(STRANGER), "X-Forwarded-For: 203.0.113.7, ::1, 10.0.0.1")[0] == ("203.0.113.7", 0)


def test_the_machine_itself_is_trusted_by_default(behind: Wire) -> None:
    behind.settings = {}
    for peer in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert told(behind.connect(peer), "X-Forwarded-For: 203.0.113.7")[0] == ("203.0.113.7", 0)
    for peer in ("127.0.0.2", "10.0.0.1", "::2"):
        assert told(behind.connect(peer), "X-Forwarded-For: 203.0.113.7")[0] == (peer, 50_000)


def test_the_host_is_the_clients_word_whatever_a_proxy_says(behind: Wire) -> None:
    behind.app.get("/host")(lambda request: request.headers["host"])
    fields = ["X-Forwarded-Host: evil.example", "Forwarded: for=203.0.113.7;host=evil.example"]
    [answer] = behind.connect(PROXY).ask(get(b"/host", *fields))
    assert answer.content == b"a"


def test_under_tls_the_scheme_is_https_unless_a_proxy_knows_better(behind: Wire) -> None:
    for peer, scheme in ((PROXY, "http"), (STRANGER, "https")):
        client = behind.connect(peer)
        client._extra["sslcontext"] = object()
        assert told(client)[1] == "https"
        assert told(client, "X-Forwarded-Proto: http")[1] == scheme
        assert told(client, "X-Forwarded-Proto: http", "Forwarded: proto=https")[1] == "https"


def test_what_a_handler_asked_for_stays_when_its_client_has_left(behind: Wire) -> None:
    kept: list[Request] = []

    @behind.app.get("/kept")
    async def keep(request: Request) -> None:
        kept.append(request)
        if len(kept) == 1:
            assert (request.client, request.scheme) == (("203.0.113.7", 0), "https")
        await behind.gate(str(len(kept)))

    for _ in range(2):
        client = behind.connect(PROXY)
        client.send(get(b"/kept", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https"))
        client.leave()
    assert (kept[0].client, kept[0].scheme) == (("203.0.113.7", 0), "https")
    assert (kept[1].client, kept[1].scheme) == (None, None)


def test_a_kept_request_finds_its_client_in_its_own_octets(behind: Wire) -> None:
    @behind.app.get("/late")
    async def late(request: Request) -> str:
        await behind.gate("late")
        return str(request.client)

    client = behind.connect(PROXY)
    client.send(get(b"/late", "X-Forwarded-For: 203.0.113.7"))
    behind.connect(PROXY).send(get(b"/who", "X-Forwarded-For: 198.51.100.99, 198.51.100.98"))
    behind.open("late")
    assert client.answers()[0].content == b"('203.0.113.7', 0)"
