"""What the fuzz targets of static files share: the probe, mutation of octets, and the loop."""

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable
from types import ModuleType

from tests import compiled

Breach = Callable[[random.Random, Counter[str]], str | None]


def load_probe() -> ModuleType:
    return compiled.load_into(compiled.ROOT / "build" / "fuzz", "tests/unit/files_probe.pyx")


def mutate(dice: random.Random, octets: bytes, inserts: bytes) -> bytes:
    """A few octets put in, changed, taken out or said twice."""
    text = bytearray(octets)
    for _ in range(dice.choice((0, 1, 1, 2, 3))):
        place = dice.randrange(len(text) + 1)
        kind = dice.randrange(5)
        if kind == 0:
            text[place:place] = bytes([dice.choice(inserts)])
        elif kind == 1:
            text[place : place + 1] = bytes([dice.choice(inserts)])
        elif kind == 2:
            text[place : place + 1] = bytes([dice.randrange(256)])
        elif kind == 3:
            del text[place : place + dice.randrange(1, 5)]
        else:
            source = dice.randrange(len(text) + 1)
            text[place:place] = text[source : source + dice.randrange(1, 12)]
    return bytes(text)


def run(name: str, breach: Breach) -> int:
    """Until the time is over or something is wrong, which is printed; the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m fuzz.{name}")
    parser.add_argument("--seconds", type=float, default=60, help="how long to run (60)")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers (1)")
    options = parser.parse_args()
    dice, counts = random.Random(options.seed), Counter[str]()
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        counts["inputs"] += 1
        if (wrong := breach(dice, counts)) is not None:
            print(f"seed {options.seed}, input {counts['inputs']}: {wrong}")
            return 1
    print(", ".join(f"{name} {count}" for name, count in counts.items()))
    return 0
