"""What proxies write, element by element and from the right, and whose word of it is believed."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from highperf.core.proxies import TrustedProxies
from tests import compiled

MAPPED = 0xFFFF << 32
EVERYONE = TrustedProxies([ip_network("0.0.0.0/0"), ip_network("::/0")])


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/forwarded_probe.pyx")


def head(*lines: str) -> bytes:
    return ("GET / HTTP/1.1\r\nHost: a\r\n" + "".join(f"{line}\r\n" for line in lines) + "\r\n").encode("latin-1")


def text_of(number: int | None) -> str | None:
    if number is None:
        return None
    return str(ip_address(number - MAPPED if number >> 32 == 0xFFFF else number.to_bytes(16, "big")))


def hops(probe: Any, standard: bool, *lines: str) -> list[tuple[str | None, int]]:
    return [(text_of(number), port) for _, number, port, _ in probe.hops(head(*lines), standard)]


def traced(probe: Any, trusted: TrustedProxies, *lines: str) -> tuple[str, str | None, int, str | None]:
    kind, number, port, scheme = probe.trace(trusted, head(*lines))
    return kind, text_of(number), port if number is not None else 0, scheme


NODES = [
    ("192.0.2.1", "192.0.2.1", 0),
    ("192.0.2.1:4711", "192.0.2.1", 4711),
    ("192.0.2.1:0", "192.0.2.1", 0),
    ("192.0.2.1:65535", "192.0.2.1", 65535),
    ("192.0.2.1:_port", "192.0.2.1", 0),
    ("2001:db8::17", "2001:db8::17", 0),
    ("2001:DB8:0:0:0:0:0:17", "2001:db8::17", 0),
    ("[2001:db8::17]", "2001:db8::17", 0),
    ("[2001:db8::17]:4711", "2001:db8::17", 4711),
    ("::", "::", 0),
    ("::1", "::1", 0),
    ("1::", "1::", 0),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0", 0),
    ("::ffff:192.0.2.1", "192.0.2.1", 0),
    ("[::ffff:c000:201]:1", "192.0.2.1", 1),
    ("64:ff9b::192.0.2.1", "64:ff9b::c000:201", 0),
]
NOBODIES = [
    "unknown",
    "_hidden",
    "_SEVKISEK",
    "localhost",
    "192.0.2",
    "192.0.2.1.5",
    "192.0.2.256",
    "192.0.2.01",
    "0xC0000201",
    "3221225985",
    "192.0.2.1:",
    "192.0.2.1:65536",
    "192.0.2.1:999999",
    "192.0.2.1:-1",
    "192.0.2.1:8o",
    "192.0.2.1:_",
    "192.0.2.1 ",
    "[192.0.2.1]",
    "[2001:db8::17",
    "2001:db8::17]",
    "[2001:db8::17]4711",
    "[2001:db8::17]:",
    "[]",
    "[",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8:",
    "1::2:3:4:5:6:7:8",
    "12345::",
    "fe80::1%eth0",
    "::192.0.2.1.5",
]


@pytest.mark.parametrize(("text", "address", "port"), NODES)
def test_a_node_is_read_alike_in_both_fields(probe: Any, text: str, address: str, port: int) -> None:
    for line in (f"X-Forwarded-For: {text}", f'X-Forwarded-For: "{text}"'):
        assert hops(probe, False, line) == [(address, port)]
    for line in (f'Forwarded: for="{text}"', f"Forwarded: for={text}", f'FORWARDED: proto=http ;\tFOR="{text}";by=_x'):
        assert hops(probe, True, line) == [(address, port)]


@pytest.mark.parametrize("text", NOBODIES)
def test_what_is_no_address_is_nobody_and_ends_the_way(probe: Any, text: str) -> None:
    assert hops(probe, False, f'X-Forwarded-For: 192.0.2.9, "{text}", 192.0.2.8') == [("192.0.2.8", 0), (None, 0)]
    line = f'Forwarded: for=192.0.2.9, for="{text}", for=192.0.2.8'
    assert [address for address, _ in hops(probe, True, line)] == ["192.0.2.8", None]


def test_several_lines_are_one_list(probe: Any) -> None:
    lines = ["X-Forwarded-For: 192.0.2.1, 192.0.2.2", "Accept: */*", "x-forwarded-for: 192.0.2.3", "X-Forwarded-For:"]
    assert [address for address, _ in hops(probe, False, *lines)] == ["192.0.2.3", "192.0.2.2", "192.0.2.1"]
    lines = ["Forwarded: for=192.0.2.1", "X-Forwarded-For: ::1", "forwarded: for=192.0.2.2 , for=192.0.2.3"]
    assert [address for address, _ in hops(probe, True, *lines)] == ["192.0.2.3", "192.0.2.2", "192.0.2.1"]


def test_empty_elements_are_passed_over(probe: Any) -> None:
    assert hops(probe, False, "X-Forwarded-For: ,, 192.0.2.1 , ,\t192.0.2.2,,") == [("192.0.2.2", 0), ("192.0.2.1", 0)]
    assert hops(probe, True, "Forwarded: , for=192.0.2.1;; ,") == [("192.0.2.1", 0)]
    assert hops(probe, False, "X-Forwarded-For: ,") == hops(probe, True, "Forwarded:") == []


@pytest.mark.parametrize(
    "left",
    [
        'for="192.0.2.66',
        'for="',
        '"',
        "\\",
        '\\"',
        'for="192.0.2.66\\',
        'host="a, for=192.0.2.66',
        "for=192.0.2.66;for=",
        "for=\x80\xff",
        "a" * 600,
        '"' * 601,
        "\\" * 601,
    ],
)
def test_what_a_client_wrote_hides_nothing_that_a_proxy_wrote_behind_it(probe: Any, left: str) -> None:
    for own in ("for=192.0.2.1", 'for="192.0.2.1:80";host="x, for=192.0.2.67"', 'host="\\"";for=192.0.2.1'):
        assert hops(probe, True, f"Forwarded: {left}, {own}")[0][0] == "192.0.2.1"
        assert hops(probe, True, f"Forwarded: {left}", f"Forwarded: {own}")[0][0] == "192.0.2.1"
    assert hops(probe, False, f"X-Forwarded-For: {left}, 192.0.2.1")[0] == ("192.0.2.1", 0)


@pytest.mark.parametrize(
    "element",
    [
        "for=192.0.2.1;for=192.0.2.1",
        "for=192.0.2.1;proto=http;proto=http",
        "for=192.0.2.1;proto=ftp;PROTO=https",
        "for = 192.0.2.1",
        "for= 192.0.2.1",
        "for=192.0.2.1 proto=http",
        "for=192.0.2.1;proto",
        "for=192.0.2.1;proto=",
        "for=192.0.2.1;=http",
        "for=192.0.2.1;h=@",
        'for="192.0.2.1"x',
        'for="192.0.2.1\\"',
        "192.0.2.1",
    ],
)
def test_a_malformed_element_is_nobody(probe: Any, element: str) -> None:
    [(named, number, port, scheme)] = probe.hops(head(f"Forwarded: for=192.0.2.9, {element}"), True)
    assert (named, number, port, scheme) == (True, None, 0, None)


def test_an_element_may_be_silent_about_the_client(probe: Any) -> None:
    assert probe.hops(head("Forwarded: proto=https;by=_proxy"), True) == [(False, None, 0, "https")]


PROXIES = TrustedProxies([ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")])


@pytest.mark.parametrize(
    ("lines", "origin"),
    [
        ([], ("peer", None, 0, None)),
        (["X-Forwarded-For: 192.0.2.1"], ("forwarded", "192.0.2.1", 0, None)),
        (["X-Forwarded-For: 192.0.2.66, 192.0.2.1"], ("forwarded", "192.0.2.1", 0, None)),
        (["X-Forwarded-For: 192.0.2.66, 192.0.2.1:9, 10.0.0.1"], ("forwarded", "192.0.2.1", 9, None)),
        (["X-Forwarded-For: 192.0.2.66, 192.0.2.1, 2001:db8::1, 10.0.0.1"], ("forwarded", "192.0.2.1", 0, None)),
        (["X-Forwarded-For: 10.0.0.3, 10.0.0.2"], ("forwarded", "10.0.0.3", 0, None)),
        (["X-Forwarded-For: 192.0.2.66, unknown, 10.0.0.2"], ("forwarded", "10.0.0.2", 0, None)),
        (["X-Forwarded-For: 192.0.2.66, unknown"], ("peer", None, 0, None)),
        (["X-Forwarded-For: ::ffff:10.0.0.1"], ("forwarded", "10.0.0.1", 0, None)),
        (["Forwarded: for=192.0.2.66, for=192.0.2.1, for=10.0.0.1"], ("forwarded", "192.0.2.1", 0, None)),
        (['Forwarded: for="192.0.2.1:7", for=unknown, for=10.0.0.1'], ("forwarded", "10.0.0.1", 0, None)),
        (["Forwarded: for=_hidden;proto=https"], ("peer", None, 0, "https")),
        (["Forwarded: proto=https"], ("peer", None, 0, "https")),
    ],
)
def test_the_way_ends_with_the_first_who_is_not_trusted(probe: Any, lines: list[str], origin: tuple) -> None:
    assert traced(probe, PROXIES, *lines) == origin


@pytest.mark.parametrize(
    ("lines", "scheme"),
    [
        (["X-Forwarded-Proto: https"], "https"),
        (["X-Forwarded-Proto: HTTP"], "http"),
        (["X-Forwarded-Proto: wss"], "https"),
        (["X-Forwarded-Proto: ws"], "http"),
        (["X-Forwarded-Proto: gopher"], None),
        (["X-Forwarded-Proto:"], None),
        (["X-Forwarded-Proto: http, https"], "https"),
        (["X-Forwarded-Proto: http", "X-Forwarded-Proto: https"], "https"),
        (["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http, https"], "https"),
        (["X-Forwarded-For: 192.0.2.1, 10.0.0.1", "X-Forwarded-Proto: https"], "https"),
        (["X-Forwarded-For: 192.0.2.1, 10.0.0.1", "X-Forwarded-Proto: http, https, http"], "https"),
        (["X-Forwarded-For: unknown, 10.0.0.1", "X-Forwarded-Proto: https, http"], "https"),
        (["Forwarded: for=192.0.2.66;proto=http, for=192.0.2.1;proto=https, for=10.0.0.1;proto=http"], "https"),
        (["Forwarded: for=192.0.2.1, for=10.0.0.1;proto=https"], None),
        (['Forwarded: for=192.0.2.1;proto="https"'], "https"),
        (["Forwarded: for=192.0.2.1;proto=ftp"], None),
    ],
)
def test_the_scheme_is_that_of_the_hop_that_the_client_made(probe: Any, lines: list[str], scheme: str | None) -> None:
    assert traced(probe, PROXIES, *lines)[3] == scheme


@pytest.mark.parametrize(
    ("legacy", "standard", "origin"),
    [
        ("192.0.2.1", "for=192.0.2.1", ("forwarded", "192.0.2.1", 0)),
        ("192.0.2.1", 'for="192.0.2.1:5"', ("forwarded", "192.0.2.1", 5)),
        ("192.0.2.1:4", 'for="192.0.2.1:5"', ("forwarded", "192.0.2.1", 4)),
        ("192.0.2.66, 192.0.2.1", "for=192.0.2.67, for=192.0.2.1", ("forwarded", "192.0.2.1", 0)),
        ("192.0.2.1", "for=192.0.2.66", ("doubtful", None, 0)),
        ("192.0.2.1", "for=unknown", ("doubtful", None, 0)),
        ("junk", "for=192.0.2.1", ("doubtful", None, 0)),
        ("192.0.2.1", '"', ("doubtful", None, 0)),
        ("192.0.2.1", "for=192.0.2.1, for=10.0.0.1", ("forwarded", "192.0.2.1", 0)),
        ("unknown", "for=_hidden", ("peer", None, 0)),
        ("192.0.2.1", "proto=https", ("forwarded", "192.0.2.1", 0)),
        ("", "for=192.0.2.1", ("forwarded", "192.0.2.1", 0)),
        ("192.0.2.1", "", ("forwarded", "192.0.2.1", 0)),
    ],
)
def test_where_the_fields_contradict_each_other_nobody_is_believed(
    probe: Any, legacy: str, standard: str, origin: tuple
) -> None:
    lines = [f"X-Forwarded-For: {legacy}", f"Forwarded: {standard}"]
    assert traced(probe, PROXIES, *lines)[:3] == traced(probe, PROXIES, *lines[::-1])[:3] == origin


@pytest.mark.parametrize(
    ("legacy", "standard", "scheme"),
    [("https", "https", "https"), ("https", "http", None), ("http", "https", None), ("junk", "https", "https")],
)
def test_schemes_that_contradict_each_other_are_none(
    probe: Any, legacy: str, standard: str, scheme: str | None
) -> None:
    lines = [f"X-Forwarded-Proto: {legacy}", f"Forwarded: for=192.0.2.1;proto={standard}"]
    assert traced(probe, PROXIES, *lines)[3] == scheme


def test_so_many_elements_are_looked_at_and_no_more(probe: Any) -> None:
    addresses = [f"10.0.0.{number}" for number in range(100)]
    found = hops(probe, False, "X-Forwarded-For: " + ", ".join(addresses))
    assert [address for address, _ in found] == addresses[:-33:-1]


def test_everyone_is_trusted_by_two_networks() -> None:
    for address in ("0.0.0.0", "255.255.255.255", "::", "::1", "ffff::", "::ffff:1.2.3.4"):
        assert address in EVERYONE


def test_a_network_of_one_kind_says_nothing_of_the_other() -> None:
    assert "192.0.2.1" not in TrustedProxies([ip_network("::/0")])
    assert "::ffff:192.0.2.1" not in TrustedProxies([ip_network("::/0")])
    assert "::1" not in TrustedProxies([ip_network("0.0.0.0/0")])


def test_nobody_is_trusted_by_no_network() -> None:
    assert "127.0.0.1" not in TrustedProxies([])
    assert "::1" not in TrustedProxies([])


def test_only_addresses_can_be_asked_for() -> None:
    with pytest.raises(ValueError, match="localhost is no IP address"):
        assert "localhost" in EVERYONE
