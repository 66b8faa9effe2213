"""Whom the fields of proxies name is whom the twin names.

The first octet of an input says which networks are trusted; then each line is a field, its first octet the name.
"""

from collections import Counter
from ipaddress import ip_network
from random import Random

from fuzz.engine import Target
from fuzz.targets.shared import field_text, load_probe
from tests.property import test_forwarded_against_twin as parts
from tests.reference.forwarded_twin import trace

NETWORKS = tuple(map(ip_network, parts.NETWORKS))
NAMES = [name for names in parts.NAMES.values() for name in names]
MOST_FIELDS = 900  # below the probe's limit
WORDS = [word.encode("latin-1") for word in (*parts.ADDRESSES, *parts.ODD_ADDRESSES, *parts.PORTS, *parts.SCHEMES)]
WORDS += [b"for=", b"proto=", b"by=", b'host="', b'"', b"\\", b",", b";", b"=", b"[", b"]", b" ", b"\t", b"\x80"]
WORDS += [b"\n%d" % place for place in range(len(NAMES))]
probe = load_probe("forwarded")


class Forwarded:
    def __init__(self) -> None:
        self.counts = Counter[str]()

    def check(self, octets: bytes) -> str | None:
        flags, lines = octets[0] if octets else 0, octets[1:].split(b"\n")
        networks = tuple(network for place, network in enumerate(NETWORKS) if flags >> place & 1)
        fields = [(NAMES[line[0] % len(NAMES)], field_text(line[1:])) for line in lines[:MOST_FIELDS] if line]
        ours, theirs = parts.compiled_trace(probe, fields, networks), trace(fields, networks)
        self.counts["the peer" if ours.client is None else "nobody" if ours.client[0] is None else "forwarded"] += 1
        return None if ours == theirs else f"{fields!r}, {networks!r}\n{ours}\n{theirs}"


def node(dice: Random) -> str:
    text = dice.choice(parts.ADDRESSES if dice.random() < 0.9 else parts.ODD_ADDRESSES)
    if ":" in text and dice.random() < 0.7:
        text = f"[{text}]"
    if text[:1] == "[" or ":" not in text:
        text += dice.choice(parts.PORTS) if dice.random() < 0.3 else ""
    return f'"{text}"' if dice.random() < 0.5 else text


def element(dice: Random) -> str:
    pairs = [f"for={node(dice)}"]
    if dice.random() < 0.5:
        pairs.append(f"proto={dice.choice(parts.SCHEMES)}")
    if dice.random() < 0.3:
        pairs.append(dice.choice(['host="a\\"b,c"', "host=example.org", f"by={node(dice)}", "", 'x="\\\\"']))
    dice.shuffle(pairs)
    return dice.choice([";", "; ", " ;"]).join(pairs)


def scheme(dice: Random) -> str:
    return dice.choice(parts.SCHEMES)


def make(dice: Random) -> bytes:
    lines = [bytes([dice.randrange(256)])]
    for _ in range(dice.randrange(1, 5)):
        name = dice.choice(NAMES)
        part = scheme if name in parts.NAMES["p"] else element if name in parts.NAMES["f"] else node
        value = dice.choice([",", ", "]).join(part(dice) for _ in range(dice.choice((1, 1, 2, 3, 40))))
        lines.append(bytes([NAMES.index(name)]) + value.encode("latin-1"))
    return lines[0] + b"\n".join(lines[1:])


def load() -> Target:
    forwarded, dice = Forwarded(), Random(1)
    return Target(forwarded.check, [make(dice) for _ in range(32)], make, WORDS, counts=forwarded.counts)
