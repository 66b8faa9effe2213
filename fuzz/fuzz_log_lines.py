"""Invariants: a request makes one line, of at most 4,096 visible octets, whatever is in it and in the format.

    python -m fuzz.fuzz_log_lines [--seconds N] [--seed N]

Puts formats together from all atoms, and requests from octets that hurt. Ends with exit code 1 and both, as Python
literals, at the first breach. For memory errors run it on the sanitizer build, see tools/flavour.py.
"""

import argparse
import json
import os
import random
import sys
import time
from typing import Any

from fuzz.fuzz_forwarded import load_probe
from highperf.log_format import ATOMS, ATOMS_MOST, Part, parse_format
from highperf.observe.access_log import AccessLog
from highperf.observe.line_sink import LineSink

PROBE = "tests/unit/access_log_probe.pyx"
LINE_MOST = 4096
PARTS = [b'"', b"\\", b"\x80", b"\xff", b"\t", b"a", b"%0a", b" ", b'","x":"', b"\\u0022", b"12345678" * 9]
FORMATS = ["default", "common", "combined", "json"]


def octets(dice: random.Random, most: int, without: bytes = b"") -> bytes:
    parts = [part for part in PARTS if not set(part) & set(without)]
    made = b"".join(dice.choices(parts, k=dice.choice((0, 1, 3, 20)))) * dice.choice((1, 1, 1, 50, 900))
    return made[: dice.randrange(most + 1)]


def format_of(dice: random.Random) -> str:
    if dice.random() < 0.5:
        return dice.choice(FORMATS)
    atoms = dice.choices([*ATOMS, "{x-a}i", "{user-agent}i", "{content-type}o"], k=dice.randrange(1, ATOMS_MOST + 1))
    return "|".join(f"%({atom})s" for atom in atoms)


def told(dice: random.Random) -> dict[str, Any]:
    known = {
        "client": dice.choice([b"192.0.2.7", b"2001:db8::7"]),
        "port": dice.choice([0, 1, 65535]),
        "id": octets(dice, 128),
        "route": octets(dice, 300),
        "took_ns": dice.choice([-5, 0, 1, 10**9, 2**62]),
        "sent": dice.choice([0, 1, 2**62]),
        "received": dice.choice([0, 2**62]),
        "status": dice.choice([0, 200, 299, 404, 599]),
        "ending": dice.randrange(3),
    }
    if dice.random() < 0.3:
        known |= {"trace": (2**64 - 1, dice.getrandbits(64)), "span": dice.getrandbits(64)}
    return {name: value for name, value in known.items() if dice.random() < 0.9 or name == "span"}


def head(dice: random.Random) -> bytes | None:
    if dice.random() < 0.05:
        return None
    target = b"/" + octets(dice, 8000, b"\x80\xff\t %")
    fields = b"".join(b"\r\n%b: %b" % (name, octets(dice, 8000)) for name in (b"User-Agent", b"Referer", b"X-A"))
    return b"GET " + target + b" HTTP/1.1\r\nHost: a" + fields + b"\r\n\r\n"


def check(line: bytes, text: str) -> None:
    assert len(line) <= LINE_MOST, len(line)
    assert line.endswith(b"\n")
    assert all(0x20 <= octet < 0x7F for octet in line[:-1])
    if text == "json":
        json.loads(line)
    elif "|" in text:
        assert line.count(b"|") >= text.count("|")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    dice, probe = random.Random(options.seed), load_probe(PROBE)
    sink = LineSink(os.open(os.devnull, os.O_WRONLY), "file", lambda reason, lost: None)
    end, count = time.monotonic() + options.seconds, 0
    while time.monotonic() < end:
        text, request, about = format_of(dice), head(dice), told(dice)
        parts: tuple[Part, ...] = parse_format(text)
        try:
            check(probe.line(AccessLog(sink, parts), request, **about), text)
        except AssertionError as error:
            print(f"seed {options.seed}: {error!r}\n{text!r}\n{request!r}\n{about!r}")
            return 1
        count += 1
    print(f"seed {options.seed}: {count} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main())
