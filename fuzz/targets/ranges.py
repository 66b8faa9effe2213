"""A Range field means to us what it means to a slow reader of RFC 9110 section 14. The first octet gives the length."""

from collections import Counter
from random import Random

from fuzz.engine import Target
from fuzz.targets.shared import difference, load_probe
from tests.reference import files_twin

LENGTHS = (0, 1, 10, 50, 51, 100, 255, 1000)
NUMBERS = ["", "0", "1", "5", "9", "10", "49", "50", "007", "9" * 18, "9" * 19, "9223372036854775807", "9" * 30]
WORDS = [number.encode() for number in NUMBERS] + [b"-", b",", b"=", b" ", b"\t", b"bytes", b"BYTES", b"\x00", b"\xb2"]
SEEDS = [b"\x03bytes=0-1,3-4,40-", b"\x05bytes=-5", b"\x02items=0-1", b"\x04bytes=10-5"]
probe = load_probe("files")


class Ranges:
    def __init__(self) -> None:
        self.counts = Counter[str]()

    def check(self, octets: bytes) -> str | None:
        length, value = LENGTHS[octets[0] % len(LENGTHS)] if octets else 1, octets[1:]
        ours = probe.parse_ranges(value, length)
        self.counts[ours if isinstance(ours, str) else "parts"] += 1
        return difference(f"{length} octets:", value, ours, files_twin.ranges(value, length))


def make(dice: Random) -> bytes:
    specs = [f"{dice.choice(NUMBERS)}-{dice.choice(NUMBERS)}" for _ in range(dice.choice((1, 1, 2, 3, 10, 11)))]
    field = "bytes=" + dice.choice((",", ", ", " ,\t")).join(specs)
    return bytes([dice.randrange(len(LENGTHS))]) + field.encode()


def load() -> Target:
    ranges = Ranges()
    return Target(ranges.check, SEEDS, make, WORDS, counts=ranges.counts)
