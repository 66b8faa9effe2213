"""Who sent a request, found out slowly: with regular expressions, the standard library's ipaddress, and lists.

The oracle of wire/forwarded and core/proxies; shares no code with them. In one line each:

- the last element of a list is the shortest well-formed text behind a comma, or that of the whole line;
- each proxy that is trusted tells who came before it, and whoever is not trusted, or not known, ends that;
- where both kinds of fields name somebody it must be the same one, or it is nobody.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

ELEMENTS_MOST = 32
ELEMENT_SIZE = 512

Networks = tuple[IPv4Network | IPv6Network, ...]
Fields = list[tuple[str, str]]  # names in any case, and values without surrounding blanks

TOKEN_OCTETS = r"!#$%&'*+.^_`|~0-9A-Za-z-"
TOKEN = rf"[{TOKEN_OCTETS}]+"
VALUE = rf'(?:[\[\]:{TOKEN_OCTETS}]+|"(?:[^"\\]|\\.)*")'
PAIR = rf"{TOKEN}={VALUE}"
ELEMENT = re.compile(rf"[ \t]*(?:{PAIR}[ \t]*)?(?:;[ \t]*(?:{PAIR}[ \t]*)?)*", re.DOTALL)
NODE = re.compile(rf"(?:\[(?P<six>[^\]]*)\]|(?P<four>[0-9.]+))(?::(?:(?P<port>[0-9]{{1,5}})|_{TOKEN}))?")
SCHEMES = {"http": "http", "ws": "http", "https": "https", "wss": "https"}


@dataclass(frozen=True)
class Origin:
    """`client` is None where it is the peer, and an address of None where it is nobody."""

    client: tuple[str | None, int] | None
    scheme: str | None


@dataclass
class Claim:
    named: bool = False
    address: str | None = None
    port: int = 0
    scheme: str | None = None
    hops: int = 0


def address(text: str) -> str | None:
    """The address as ipaddress spells it; IPv4 in IPv6's clothes is IPv4."""
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    if "%" in text:
        return None
    return str((isinstance(parsed, IPv6Address) and parsed.ipv4_mapped) or parsed)


def node(text: str) -> tuple[str | None, int]:
    if ":" in text and address(text):
        return address(text), 0
    if not (found := NODE.fullmatch(text)):
        return None, 0
    inner = found["four"] or found["six"]
    if found["six"] is not None and ":" not in inner:
        return None, 0
    port = int(found["port"] or 0)
    return (address(inner), port) if port < 65536 else (None, 0)


def lines_of(fields: Fields, name: str) -> list[str]:
    return [value for key, value in fields if key.lower() == name]


def from_the_right(lines: list[str], well_formed: Callable[[str], object]) -> Iterator[str | None]:
    """The elements, the last one first, that are not blank; None is one that cannot be told."""
    looked_at = 0
    for line in reversed(lines):
        rest: str | None = line
        while rest is not None:
            if looked_at == ELEMENTS_MOST:
                return
            looked_at += 1
            commas = [at for at, octet in enumerate(rest) if octet == ","]
            beginnings = [*(at + 1 for at in reversed(commas)), 0]
            start = next((at for at in beginnings if well_formed(rest[at:])), None)
            if start is None or len(rest) - start >= ELEMENT_SIZE:
                yield None
                return
            element = rest[start:].strip(" \t")
            rest = rest[: start - 1] if start else None
            if element:
                yield element


def is_trusted(text: str, networks: Networks) -> bool:
    parsed = ip_address(text)
    return any(parsed in network for network in networks if network.version == parsed.version)


def forwarded_for(fields: Fields, networks: Networks) -> Claim:
    claim = Claim()
    for element in from_the_right(lines_of(fields, "x-forwarded-for"), lambda text: "," not in text):
        claim.named, claim.hops = True, claim.hops + 1
        text = element or ""
        found, port = node(text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text)
        if not found:
            break
        claim.address, claim.port = found, port
        if not is_trusted(found, networks):
            break
    schemes = list(from_the_right(lines_of(fields, "x-forwarded-proto"), lambda text: "," not in text))
    if schemes:
        scheme = (schemes[max(0, claim.hops - 1) :] or schemes[-1:])[0]
        claim.scheme = SCHEMES.get((scheme or "").lower())
    return claim


def unquoted(text: str) -> str:
    return text[1:-1] if text[0] == '"' else text


def standard(fields: Fields, networks: Networks) -> Claim:
    claim = Claim()
    for element in from_the_right(lines_of(fields, "forwarded"), ELEMENT.fullmatch):
        pairs = [pair.partition("=") for pair in re.findall(PAIR, element or "")]
        names = [name.lower() for name, _, _ in pairs]
        values = {name.lower(): unquoted(value) for name, _, value in pairs}
        if element is None or names.count("for") > 1 or names.count("proto") > 1:
            claim.named, claim.scheme = True, None
            break
        claim.scheme = SCHEMES.get(values.get("proto", "").lower())
        claim.named = claim.named or "for" in values
        found, port = node(values.get("for", ""))
        if not found:
            break
        claim.address, claim.port = found, port
        if not is_trusted(found, networks):
            break
    return claim


def trace(fields: Fields, networks: Networks) -> Origin:
    """Of a request whose peer is trusted."""
    legacy, modern = forwarded_for(fields, networks), standard(fields, networks)
    schemes = {claim.scheme for claim in (legacy, modern) if claim.scheme}
    scheme = schemes.pop() if len(schemes) == 1 else None
    if legacy.named and modern.named and legacy.address != modern.address:
        return Origin((None, 0), scheme)
    claim = legacy if legacy.named else modern
    if claim.address is None:
        return Origin(None, scheme)
    return Origin((claim.address, claim.port or (modern.port if modern.named else 0)), scheme)
