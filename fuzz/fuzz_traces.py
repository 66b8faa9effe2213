"""Invariants: traceparent and tracestate are what the twin takes them for; nothing crashes.

    python -m fuzz.fuzz_traces [--seconds N] [--seed N]

Mutates valid values and asks tests/reference/traces_twin.py. Ends with exit code 1 and the values, as Python
literals, at the first breach. For memory errors run it on the sanitizer build, see tools/flavour.py.
"""

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path

from tests import compiled
from tests.reference.traces_twin import parse_traceparent, pass_on

PROBE = "tests/unit/traces_probe.pyx"
HOSTILE = "-,=@*/_ \tAFGafg09~\x80\xff"
KEYS = ["a", "1", "tenant@system", "a" * 255, "a" * 256, "a*b/c-d_e"]
VALUES = ["1", "a b", "a" * 255, "a" * 256, "~!", " x"]


def make_traceparent(dice: random.Random) -> str:
    version = dice.choice(["00", "00", "01", "fe", "ff"])
    flags = dice.choice(["00", "01", "02", "03", "ff"])
    rest = dice.choice(["", "", "-", "-more"])
    return mutate(dice, f"{version}-{dice.getrandbits(128):032x}-{dice.getrandbits(64):016x}-{flags}{rest}")


def make_tracestate(dice: random.Random) -> str:
    count = dice.choice((0, 1, 2, 3, 31, 32, 33))
    members = (f"{dice.choice(KEYS)}={dice.choice(VALUES)}" for _ in range(count))
    return mutate(dice, dice.choice([",", ", ", "\t,,"]).join(members))


def mutate(dice: random.Random, value: str) -> str:
    for _ in range(dice.choice((0, 0, 1, 1, 2))):
        place = dice.randrange(len(value) + 1)
        kept = value[place + dice.randrange(2) :]
        value = value[:place] + dice.choice(HOSTILE) * dice.choice((0, 1, 1, 2, 256)) + kept
    return value


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz.fuzz_traces")
    parser.add_argument("--seconds", type=float, default=60, help="how long to run (60)")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers (1)")
    options = parser.parse_args()
    kept = compiled.ROOT / "build" / "compiled"
    kept.mkdir(parents=True, exist_ok=True)
    dice, probe, counts = random.Random(options.seed), compiled.load_into(Path(kept), PROBE), Counter[str]()
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        parent, states = make_traceparent(dice), [make_tracestate(dice) for _ in range(dice.randrange(4))]
        states = [state.strip(" \t") for state in states]
        head = "GET / HTTP/1.1\r\nHost: a\r\n" + "".join(f"tracestate: {state}\r\n" for state in states) + "\r\n"
        ours = probe.parse_traceparent(parent.encode("latin-1")), probe.tracestate(head.encode("latin-1"))
        twins = parse_traceparent(parent), pass_on(states)
        counts.update({"pairs": 1, "valid parents": ours[0] is not None, "valid states": ours[1] != ""})
        if ours != twins:
            print(f"seed {options.seed}, pair {counts['pairs']}: {parent!r}, {states!r}\n{ours}\n{twins}")
            return 1
    print(", ".join(f"{name} {count}" for name, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
