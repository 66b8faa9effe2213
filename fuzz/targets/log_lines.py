"""A request makes one line, of at most 4,096 visible octets, whatever is in it and in the format.

An input begins with CHOICES choices of the format and of what is known; lines follow: target, three fields, id, route.
"""

import json
import os
from collections import Counter
from random import Random
from typing import Any

from fuzz.engine import Target
from fuzz.targets.shared import Choices, field_text, load_probe
from highperf.log_format import ATOMS, ATOMS_MOST, parse_format
from highperf.observe.access_log import AccessLog
from highperf.observe.line_sink import LineSink

CHOICES = 40
LINE_MOST, ID_MOST, ROUTE_MOST = 4096, 128, 300
FORMATS = ["default", "common", "combined", "json"]
FIELDS = [b"User-Agent", b"Referer", b"X-A"]
PIECES = [b'"', b"\\", b"\x80", b"\xff", b"\t", b"a", b"%0a", b" ", b'","x":"', b"\\u0022", b"12345678" * 9]
probe = load_probe("access_log")


def format_of(choices: Choices) -> str:
    if choices.up_to(1):
        return choices.of(FORMATS)
    names = [*ATOMS, "{x-a}i", "{user-agent}i", "{content-type}o"]
    return "|".join(f"%({choices.of(names)})s" for _ in range(1 + choices.up_to(min(ATOMS_MOST, 16) - 1)))


def told(choices: Choices, name: bytes, route: bytes) -> dict[str, Any]:
    known = {
        "client": choices.of([b"192.0.2.7", b"2001:db8::7"]),
        "port": choices.of([0, 1, 65535]),
        "id": name[:ID_MOST],
        "route": route[:ROUTE_MOST],
        "took_ns": choices.of([-5, 0, 1, 10**9, 2**62]),
        "sent": choices.of([0, 1, 2**62]),
        "received": choices.of([0, 2**62]),
        "status": choices.of([0, 200, 299, 404, 599]),
        "ending": choices.up_to(2),
    }
    left_out = choices.of([None, *known])
    if choices.up_to(2) == 0:
        known |= {"trace": (2**64 - 1, choices.up_to(255)), "span": 2**64 - 1 - choices.up_to(255)}
    return {key: value for key, value in known.items() if key != left_out}


def head_of(target: bytes, fields: list[bytes]) -> bytes:
    lines = [name + b": " + field_text(value).encode("latin-1") for name, value in zip(FIELDS, fields, strict=True)]
    return b"\r\n".join([b"GET /" + target + b" HTTP/1.1", b"Host: a", *lines, b"", b""])


class Lines:
    def __init__(self) -> None:
        self.sink = LineSink(os.open(os.devnull, os.O_WRONLY), "file", lambda reason, lost: None)
        self.counts = Counter[str]()

    def check(self, octets: bytes) -> str | None:
        choices = Choices(octets[:CHOICES])
        target, one, two, three, name, route = (octets[CHOICES:].split(b"\n") + [b""] * 6)[:6]
        text, known = format_of(choices), told(choices, name, route)
        head = None if choices.up_to(15) == 1 else head_of(target, [one, two, three])
        try:
            line = probe.line(AccessLog(self.sink, parse_format(text)), head, **known)
        except ValueError as error:
            if str(error) != "no head":
                raise
            return None
        self.counts["lines"] += 1
        wrong = wrong_with(line, text)
        return wrong and f"{wrong}: {line!r}\n{text!r}\n{head!r}\n{known!r}"


def wrong_with(line: bytes, text: str) -> str | None:
    if len(line) > LINE_MOST:
        return f"{len(line)} octets"
    if not line.endswith(b"\n") or not all(0x20 <= octet < 0x7F for octet in line[:-1]):
        return "not one visible line"
    if text == "json":
        json.loads(line)
    elif line.count(b"|") < text.count("|"):
        return "atoms are missing"
    return None


def make(dice: Random) -> bytes:
    def piece(most: int) -> bytes:
        made = b"".join(dice.choices(PIECES, k=dice.choice((0, 1, 3, 20)))) * dice.choice((1, 1, 1, 50, 900))
        return made[: dice.randrange(most + 1)]

    lines = [b"a%20b"[: dice.randrange(6)] * dice.choice((1, 400)), *(piece(most) for most in (4000, 300, 300))]
    return dice.randbytes(CHOICES) + b"\n".join([*lines, piece(ID_MOST), piece(ROUTE_MOST)])


def load() -> Target:
    lines, dice = Lines(), Random(1)
    return Target(lines.check, [make(dice) for _ in range(32)], make, PIECES, 8000, lines.counts)
