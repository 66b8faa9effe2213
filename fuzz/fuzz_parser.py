"""Invariants: what highperf accepts, llhttp reads alike; where a stream is cut makes no difference; nothing crashes.

    python -m fuzz.fuzz_parser [--seconds N] [--seed N]

Mutates the request vectors of tests/data/http1 and requests put together from the parts of the
property test. Differences that tests/reference/llhttp.py allows are counted. Ends with exit code 1
and the stream, as a Python literal, at the first breach. For memory errors run it on the
sanitizer build, see tools/flavour.py.
"""

import argparse
import base64
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

from tests import cuts
from tests.property import test_parser_against_llhttp as parts
from tests.reference import llhttp
from tests.streams import outcome

VECTORS = Path(__file__).resolve().parent.parent / "tests" / "data" / "http1"
LONGEST = 2000


def read_vectors() -> list[bytes]:
    lines = [line for path in sorted(VECTORS.glob("*.jsonl")) for line in path.read_text().rstrip("\n").split("\n")]
    streams = {base64.b64decode(json.loads(line)[key]) for line in lines for key in ("raw", "raw_host")}
    return sorted(stream for stream in streams if len(stream) <= LONGEST)


def make_request(dice: random.Random) -> bytes:
    def pick(right: list, odd: list) -> object:
        return dice.choice(odd if dice.random() < 0.08 else right)

    return parts.spell(
        pick(parts.METHODS, parts.ODD_METHODS),
        pick(parts.TARGETS, parts.ODD_TARGETS),
        pick(parts.VERSIONS, parts.ODD_VERSIONS),
        pick(parts.HOSTS, parts.ODD_HOSTS),
        [pick(parts.FIELDS, parts.ODD_FIELDS) for _ in range(dice.randrange(4))],
        pick(parts.BODIES, parts.ODD_BODIES),
    )


def mutate(dice: random.Random, stream: bytes) -> bytes:
    octets = bytearray(stream)
    for _ in range(dice.choice((0, 1, 1, 2, 3))):
        place = dice.randrange(len(octets) + 1)
        kind = dice.randrange(6)
        if kind == 0:
            octets[place:place] = dice.choice(parts.INSERTS)
        elif kind == 1:
            octets[place : place + 1] = dice.choice(parts.INSERTS)
        elif kind == 2:
            octets[place : place + 1] = bytes([dice.randrange(256)])
        elif kind == 3:
            del octets[place : place + dice.randrange(1, 5)]
        elif kind == 4:
            source = dice.randrange(len(octets) + 1)
            octets[place:place] = octets[source : source + dice.randrange(1, 40)]
        elif place < len(octets):
            octets[place] ^= 0x20
    return bytes(octets)


def breach(dice: random.Random, stream: bytes, counts: Counter[str]) -> str | None:
    """What is wrong with the treatment of this stream; None if nothing is."""
    ours = outcome([stream], eof=False)
    pieces = cuts.at(stream, [dice.randrange(len(stream) + 1) for _ in range(dice.randrange(1, 8))])
    cut = outcome(pieces, eof=False)
    counts["accepted"] += ours.complete
    if cut != ours:
        return f"whole: {ours}\ncut into {pieces}: {cut}"
    theirs = llhttp.read([stream])
    found = llhttp.difference(ours, theirs)
    if found is None:
        return None
    name = llhttp.excuse(ours, theirs, stream)
    counts[f"allowed: {name}"] += 1
    return found if name is None else None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz.fuzz_parser")
    parser.add_argument("--seconds", type=float, default=60, help="how long to run (60)")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers (1)")
    options = parser.parse_args()
    dice, vectors, counts = random.Random(options.seed), read_vectors(), Counter[str]()
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        if dice.random() < 0.3:
            stream = dice.choice(vectors)
        else:
            stream = b"".join(make_request(dice) for _ in range(dice.randrange(1, 4)))
        stream = mutate(dice, stream)
        counts["streams"] += 1
        if (wrong := breach(dice, stream, counts)) is not None:
            print(f"seed {options.seed}, stream {counts['streams']}: {stream!r}\n{wrong}")
            return 1
    print(", ".join(f"{name} {count}" for name, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
