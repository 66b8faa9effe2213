"""A directory of files to be served, of whose every octet and time a test knows."""

import os
import random
from dataclasses import dataclass, field
from pathlib import Path

MODIFIED_S = 1_700_000_000
CODED = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}


@dataclass(frozen=True)
class Stored:
    """One file, and what stands beside it in other codings (which need not be what they say)."""

    name: str
    content: bytes
    modified_s: int = MODIFIED_S
    siblings: dict[str, bytes] = field(default_factory=dict)

    def variant(self, coding: str) -> bytes:
        return self.siblings.get(coding, self.content)

    def tag(self, coding: str) -> bytes:
        """nginx's form."""
        return b'"%x-%x"' % (self.modified_s, len(self.variant(coding)))


def octets(size: int) -> bytes:
    return random.Random(size).randbytes(size)


STORED = (
    Stored("empty.txt", b""),
    Stored("one.txt", b"1", MODIFIED_S + 1),
    Stored("coded.txt", b"a text\n" * 200, siblings={"br": octets(300), "zstd": octets(301), "gzip": octets(302)}),
    Stored("gzipped.css", b"p {}\n" * 5000, siblings={"gzip": octets(40_000)}),
    Stored("kept.html", octets(32 * 1024)),
    Stored("middle.bin", octets(100_001)),
    Stored("large.bin", octets(1_500_000), MODIFIED_S - 1),
)


def plant(root: Path) -> Path:
    """Writes all of them below this directory, and gives it back."""
    root.mkdir(parents=True, exist_ok=True)
    for stored in STORED:
        variants = {"": stored.content} | {CODED[name]: content for name, content in stored.siblings.items()}
        for suffix, content in variants.items():
            path = root / (stored.name + suffix)
            path.write_bytes(content)
            os.utime(path, (stored.modified_s, stored.modified_s))
    return root
