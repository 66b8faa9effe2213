"""Invariants: no path leaks, what is allowed is what the slow judge allows, and the walk finds what the kernel finds.

    python -m fuzz.fuzz_paths [--seconds N] [--seed N]

Mutates the corpus of tests/traversal.py against its tree. Ends with exit code 1 and the path, as a
Python literal, at the first breach. For memory errors run it on the sanitizer build, see
tools/flavour.py.
"""

import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from fuzz import files
from highperf.files.cache import FileCache
from highperf.files.entry import FileEntry
from highperf.files.root import FileRoot
from tests import traversal
from tests.reference import files_twin

INSERTS = b"/.%\\2eEfF5c0\x00;: ~\xc0\xae\xff"
OUTSIDE_OF_RULES = (traversal.PUBLIC, traversal.SECRET + b": root/")
probe = files.load_probe()


class Target:
    def __init__(self, tree: Path) -> None:
        self.corpus = [payload.encode() for payload in traversal.payloads() if len(payload) < 500]
        self.roots = [FileRoot(tree), FileRoot(tree, openat2=False)]
        self.caches = [FileCache(root, listing=True, limit_entries=64) for root in self.roots]
        self.now_ns = 0

    def leak(self, entry: FileEntry) -> bool:
        if entry.kind != probe.FILE:
            return entry.kind == probe.BROKEN
        return entry.content is None or not entry.content.startswith(traversal.PUBLIC)

    def breach(self, dice: random.Random, counts: Counter[str]) -> str | None:
        raw = files.mutate(dice, dice.choice(self.corpus), INSERTS)
        path = probe.decode(raw.partition(b"?")[0])
        self.now_ns += 10**8
        if probe.allowed(path) != files_twin.path_allowed(path):
            return f"{path!r}: allowed {probe.allowed(path)}, and by the twin {files_twin.path_allowed(path)}"
        entries = [cache.find(path, self.now_ns) for cache in self.caches]
        counts["served"] += entries[0].kind == probe.FILE
        if any(self.leak(entry) for entry in entries):
            return f"{raw!r} leaks"
        if entries[0].kind != entries[1].kind:
            return f"{raw!r}: the kernel finds {entries[0].kind}, the walk {entries[1].kind}"
        return self.breach_of_root(path.partition(b"\0")[0])

    def breach_of_root(self, path: bytes) -> str | None:
        """Without the rules for paths: what the root lets out by itself."""
        found = [root.look(path) for root in self.roots]
        if found[0] != found[1]:
            return f"{path!r}: the kernel finds {found[0]}, the walk {found[1]}"
        for root in self.roots:
            if (descriptor := root.open(path)) is not None:
                content = os.read(descriptor, 100)
                os.close(descriptor)
                if not content.startswith(OUTSIDE_OF_RULES):
                    return f"{path!r} leads out of the root"
        return None


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        return files.run("fuzz_paths", Target(traversal.make_tree(Path(folder))).breach)


if __name__ == "__main__":
    sys.exit(main())
