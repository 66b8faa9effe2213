"""What highperf accepts, llhttp and h11 read alike, and where a stream is cut makes no difference.

Differences that tests/reference allows are counted. h11 is slow, so it is asked about each eighth stream.
"""

import base64
import json
from collections import Counter
from pathlib import Path
from random import Random
from zlib import crc32

from fuzz.engine import Target
from tests import cuts
from tests.property import test_parser_against_llhttp as parts
from tests.reference import h11, llhttp
from tests.streams import Outcome, outcome

VECTORS = Path(__file__).resolve().parents[2] / "tests" / "data" / "http1"
LONGEST = 2000
TIGHT = {"limit_line": 60, "limit_field_size": 40, "limit_fields": 4, "limit_head": 200}
H11_EACH, BYTEWISE_EACH, TIGHT_EACH = 8, 32, 16


class Streams:
    """Looks at a stream of requests in every way."""

    def __init__(self, before: bytes = b"") -> None:
        self.before = before
        self.counts = Counter[str]()

    def check(self, octets: bytes) -> str | None:
        stream = self.before + octets
        chance = crc32(stream)
        ours = outcome([stream], eof=False)
        self.counts["accepted"] += ours.complete
        return (
            self.differs_when_cut(stream, ours, chance)
            or self.differs_from_llhttp(stream, ours)
            or (self.differs_from_h11(stream, ours) if chance % H11_EACH == 0 else None)
        )

    def differs_when_cut(self, stream: bytes, ours: Outcome, chance: int) -> str | None:
        size = len(stream) + 1
        pieces = cuts.at(stream, (chance % size, (chance >> 8) % size, (chance >> 16) % size))
        if chance % BYTEWISE_EACH == 1:
            pieces = cuts.bytewise(stream)
        limits = {}
        if chance % TIGHT_EACH == 2:
            limits, ours = TIGHT, outcome([stream], eof=False, **TIGHT)
        cut = outcome(pieces, eof=False, **limits)
        return None if cut == ours else f"whole: {ours}\ncut into {pieces}: {cut}"

    def differs_from_llhttp(self, stream: bytes, ours: Outcome) -> str | None:
        theirs = llhttp.read([stream])
        self.counts["llhttp asked"] += 1
        found = llhttp.difference(ours, theirs)
        if found is None or (name := llhttp.excuse(ours, theirs, stream)) is None:
            return found
        self.counts[f"allowed: {name}"] += 1
        if name == "method" and not theirs.requests:
            # llhttp has read nothing at all: it may, with a method that it knows.
            known = stream.replace(ours.requests[0].method.encode() + b" ", b"GET ", 1)
            return self.differs_from_llhttp(known, outcome([known], eof=False))
        return None

    def differs_from_h11(self, stream: bytes, ours: Outcome) -> str | None:
        theirs = h11.read(stream)
        self.counts["h11 asked"] += 1
        found = h11.difference(ours, theirs)
        if found is None or (name := h11.excuse(ours, theirs, stream)) is None:
            return found
        self.counts[f"h11 allowed: {name}"] += 1
        return None


def vectors() -> list[bytes]:
    lines = [line for path in sorted(VECTORS.glob("*.jsonl")) for line in path.read_text().rstrip("\n").split("\n")]
    streams = {base64.b64decode(json.loads(line)[key]) for line in lines for key in ("raw", "raw_host")}
    return sorted(stream for stream in streams if len(stream) <= LONGEST)


def make(dice: Random) -> bytes:
    return b"".join(make_request(dice) for _ in range(dice.choice((1, 1, 2, 3))))


def make_request(dice: Random) -> bytes:
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


def load() -> Target:
    streams = Streams()
    words = [*parts.INSERTS, *parts.METHODS, *parts.TARGETS, *parts.ODD_TARGETS, *parts.VERSIONS, *parts.HOSTS]
    words += [line + b"\r\n" for line in (*parts.FIELDS, *parts.ODD_FIELDS)]
    return Target(streams.check, vectors(), make, words, LONGEST, streams.counts)
