"""Whoever writes whatever into the fields: the compiled reader and its twin name the same client and scheme."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from highperf.core.proxies import TrustedProxies
from tests import compiled
from tests.reference.forwarded_twin import Fields, Networks, Origin, trace

MAPPED = 0xFFFF << 32

ADDRESSES = ["10.0.0.1", "10.0.0.2", "192.0.2.7", "2001:db8::1", "2001:DB8:0:1::2", "::1", "::ffff:10.0.0.1", "fe80::9"]
ODD_ADDRESSES = ["", "unknown", "_hidden", "10.0.0.256", "010.0.0.1", "10.0.0", "1::2::3", "::1%eth0", ":", "[", "a"]
PORTS = ["", "", "", ":1", ":65535", ":65536", ":_port", ":", ":x", ":000001"]
NETWORKS = ["10.0.0.0/8", "10.0.0.1", "2001:db8::/64", "::1", "0.0.0.0/0", "::/0", "192.0.2.0/31", "fe80::/10"]
BLANKS = ["", "", "", " ", "\t", "  "]
NAMES = {"x": ["X-Forwarded-For", "x-forwarded-for"], "p": ["X-Forwarded-Proto"], "f": ["Forwarded", "FORWARDED"]}
SCHEMES = ["http", "https", "HTTPS", "wss", "ws", "ftp", "", '"https"']
HOSTILE = '",;=\\[]:_ \t\x80a1.'

addresses = st.sampled_from(ADDRESSES) | st.sampled_from(ODD_ADDRESSES)


@st.composite
def nodes(draw: st.DrawFn, *, quoting: bool) -> str:
    text = draw(addresses)
    bare = ":" in text and not (quoting or draw(st.booleans()))
    text = text if ":" not in text or bare else f"[{text}]"
    text += "" if bare else draw(st.sampled_from(PORTS))
    return f'"{text}"' if draw(st.booleans() if quoting else st.just(value=False)) else text


@st.composite
def pairs(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(["for", "FOR", "for", "proto", "by", "host", "", "secret"]))
    if kind.lower() in ("for", "by"):
        return f"{kind}={draw(nodes(quoting=True))}"
    if kind == "proto":
        return f"proto={draw(st.sampled_from(SCHEMES))}"
    return draw(st.sampled_from(["", 'host="a\\"b,c"', "host=example.org", 'host="a, for=1.2.3.4"', "x", '="', "a="]))


def joined(elements: st.SearchStrategy[str], separator: str, most: int) -> st.SearchStrategy[str]:
    padded = st.builds("{}{}{}".format, st.sampled_from(BLANKS), elements, st.sampled_from(BLANKS))
    return st.lists(padded, max_size=most).map(separator.join)


values = {
    "x": joined(nodes(quoting=False) | st.just('"[2001:db8::1]"'), ",", 4),
    "p": joined(st.sampled_from(SCHEMES), ",", 3),
    "f": joined(joined(pairs(), ";", 3), ",", 4),
}
junk = st.text(alphabet=HOSTILE, max_size=12)


@st.composite
def lines(draw: st.DrawFn) -> tuple[str, str]:
    kind = draw(st.sampled_from("xxpff"))
    value = draw(values[kind])
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(value)))
        value = value[:at] + draw(junk) + value[at:]
    return draw(st.sampled_from(NAMES[kind])), value.strip(" \t")


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/forwarded_probe.pyx")


def compiled_trace(probe: Any, fields: Fields, networks: Networks) -> Origin:
    head = "GET / HTTP/1.1\r\nHost: a\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    kind, number, port, scheme = probe.trace(TrustedProxies(networks), head.encode("latin-1"))
    if kind == "peer":
        return Origin(None, scheme)
    if kind == "doubtful":
        return Origin((None, 0), scheme)
    ipv4 = number >> 32 == MAPPED >> 32
    return Origin((str(ip_address(number - MAPPED if ipv4 else number.to_bytes(16, "big"))), port), scheme)


networks_of_all = tuple(map(ip_network, NETWORKS[4:6]))


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(
    fields=st.lists(lines(), max_size=5),
    networks=st.lists(st.sampled_from(NETWORKS).map(ip_network), max_size=4).map(tuple),
)
@example([("Forwarded", 'for="x, for=10.0.0.1')], networks_of_all)
@example([("Forwarded", 'a="q, for=1.1.1.1;b="')], networks_of_all)
@example([("Forwarded", 'for=192.0.2.7, x="a\\", for=10.0.0.1')], networks_of_all)
@example([("X-Forwarded-For", "," * 40 + "10.0.0.1")], networks_of_all)
@example([("X-Forwarded-For", "10.0.0.2" + "," * 31 + "10.0.0.1")], networks_of_all)
@example([("X-Forwarded-For", "10.0.0.2" + "," * 30 + "10.0.0.1")], networks_of_all)
@example([("Forwarded", "for=10.0.0.1;x=" + "a" * (511 - 15))], networks_of_all)
@example([("Forwarded", "for=10.0.0.1;x=" + "a" * (512 - 15))], networks_of_all)
@example([("Forwarded", "for=10.0.0.2,for=10.0.0.1;x=" + "a" * (512 - 15))], networks_of_all)
def test_the_compiled_reader_names_whom_the_twin_names(probe: Any, fields: Fields, networks: Networks) -> None:
    assert compiled_trace(probe, fields, networks) == trace(fields, networks)


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(text=addresses | st.text(alphabet="0123456789abcdefABCDEF:.%g", max_size=40) | st.ip_addresses().map(str))
def test_an_address_is_read_as_ipaddress_reads_it(probe: Any, text: str) -> None:
    try:
        expected = ip_address(text) if "%" not in text else None
    except ValueError:
        expected = None
    number = probe.parse_address(text.encode())
    assert number == (None if expected is None else int(expected) + MAPPED * (expected.version == 4))


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    networks=st.lists(
        st.tuples(st.ip_addresses(), st.integers(0, 32) | st.integers(0, 128)).map(
            lambda pair: ip_network((pair[0], min(pair[1], pair[0].max_prefixlen)), strict=False)
        ),
        max_size=12,
    ),
    data=st.data(),
)
def test_trusted_is_who_lies_in_a_network(networks: list[Any], data: st.DataObject) -> None:
    around = [network[at] for network in networks for at in (0, -1)]
    around += [address + step for address in around for step in (-1, 1) if 0 < int(address) < 2**32 - 1]
    address = data.draw(st.ip_addresses() | st.sampled_from(around) if around else st.ip_addresses())
    mapped = getattr(address, "ipv4_mapped", None)
    expected = any((mapped or address) in network for network in networks)
    assert (str(address) in TrustedProxies(networks)) is expected
