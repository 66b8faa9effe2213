"""Invariant: a Range field means to us what it means to a slow reader of RFC 9110 section 14.

    python -m fuzz.fuzz_ranges [--seconds N] [--seed N]

Ends with exit code 1 and the field, as a Python literal, at the first difference. For memory errors
run it on the sanitizer build, see tools/flavour.py.
"""

import random
import sys
from collections import Counter

from fuzz import files
from tests.reference import files_twin

NUMBERS = ["", "0", "1", "5", "9", "10", "49", "50", "007", "9" * 18, "9" * 19, "9223372036854775807", "9" * 30]
INSERTS = b"0123456789-,= \tbytesB\x00\xb2\xff"
probe = files.load_probe()


def make_field(dice: random.Random) -> bytes:
    specs = [f"{dice.choice(NUMBERS)}-{dice.choice(NUMBERS)}" for _ in range(dice.choice((1, 1, 2, 3, 10, 11)))]
    return ("bytes=" + dice.choice((",", ", ", " ,\t")).join(specs)).encode()


def breach(dice: random.Random, counts: Counter[str]) -> str | None:
    value = files.mutate(dice, make_field(dice), INSERTS)
    length = dice.choice((0, 1, 10, 50, 51, 100))
    ours, theirs = probe.parse_ranges(value, length), files_twin.ranges(value, length)
    counts[ours if isinstance(ours, str) else "parts"] += 1
    return None if ours == theirs else f"{value!r} of {length} octets: {ours}, and to the twin {theirs}"


if __name__ == "__main__":
    sys.exit(files.run("fuzz_ranges", breach))
