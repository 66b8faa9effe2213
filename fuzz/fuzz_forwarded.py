"""Invariants: whom the fields of proxies name is whom the twin names; nothing crashes, nothing takes long.

    python -m fuzz.fuzz_forwarded [--seconds N] [--seed N]

Puts fields together from the parts of the property test, mutates them, and asks
tests/reference/forwarded_twin.py. Ends with exit code 1 and the fields, as Python literals, at the first
breach. For memory errors run it on the sanitizer build, see tools/flavour.py.
"""

import argparse
import random
import sys
import time
from collections import Counter
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests import compiled
from tests.property import test_forwarded_against_twin as parts
from tests.reference.forwarded_twin import Fields, trace

PROBE = "tests/unit/forwarded_probe.pyx"
NETWORKS = tuple(map(ip_network, parts.NETWORKS))


def load_probe(source: str = PROBE) -> Any:
    def mkdir(name: str) -> Path:
        folder = compiled.ROOT / "build" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    return compiled.load(SimpleNamespace(cache=SimpleNamespace(mkdir=mkdir)), source)


def node(dice: random.Random) -> str:
    text = dice.choice(parts.ADDRESSES if dice.random() < 0.9 else parts.ODD_ADDRESSES)
    if ":" in text and dice.random() < 0.7:
        text = f"[{text}]"
    if text[:1] == "[" or ":" not in text:
        text += dice.choice(parts.PORTS) if dice.random() < 0.3 else ""
    return f'"{text}"' if dice.random() < 0.5 else text


def element(dice: random.Random) -> str:
    pairs = [f"for={node(dice)}"]
    if dice.random() < 0.5:
        pairs.append(f"proto={dice.choice(parts.SCHEMES)}")
    if dice.random() < 0.3:
        pairs.append(dice.choice(['host="a\\"b,c"', "host=example.org", f"by={node(dice)}", "", 'x="\\\\"']))
    dice.shuffle(pairs)
    return dice.choice([";", "; ", " ;"]).join(pairs)


def make_fields(dice: random.Random) -> Fields:
    fields = []
    for _ in range(dice.randrange(1, 5)):
        kind = dice.choice("xxpff")
        make = {"x": node, "p": lambda dice: dice.choice(parts.SCHEMES), "f": element}[kind]
        value = dice.choice([",", ", "]).join(make(dice) for _ in range(dice.choice((1, 1, 2, 3, 40))))
        fields.append((dice.choice(parts.NAMES[kind]), mutate(dice, value).strip(" \t")))
    return fields


def mutate(dice: random.Random, value: str) -> str:
    for _ in range(dice.choice((0, 0, 0, 1, 1, 2))):
        place = dice.randrange(len(value) + 1)
        kind = dice.randrange(4)
        if kind == 0:
            value = value[:place] + dice.choice(parts.HOSTILE) * dice.choice((1, 1, 2, 31, 600)) + value[place:]
        elif kind == 1:
            value = value[:place] + value[place + dice.randrange(1, 5) :]
        elif kind == 2:
            value = value[:place] + dice.choice(parts.HOSTILE) + value[place + 1 :]
        else:
            source = dice.randrange(len(value) + 1)
            value = value[:place] + value[source : source + dice.randrange(1, 40)] + value[place:]
    return value


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz.fuzz_forwarded")
    parser.add_argument("--seconds", type=float, default=60, help="how long to run (60)")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers (1)")
    options = parser.parse_args()
    dice, probe, counts = random.Random(options.seed), load_probe(), Counter[str]()
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        fields = make_fields(dice)
        networks = tuple(dice.sample(NETWORKS, dice.randrange(4)))
        ours, twins = parts.compiled_trace(probe, fields, networks), trace(fields, networks)
        counts["requests"] += 1
        counts["the peer" if ours.client is None else "nobody" if ours.client[0] is None else "forwarded"] += 1
        if ours != twins:
            print(f"seed {options.seed}, request {counts['requests']}: {fields!r}, {networks!r}\n{ours}\n{twins}")
            return 1
    print(", ".join(f"{name} {count}" for name, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
