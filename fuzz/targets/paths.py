"""No path leaks, what is allowed is what the slow judge allows, and the walk finds what the kernel finds.

The corpus of tests/traversal.py, against its tree.
"""

import atexit
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from fuzz.engine import Target
from fuzz.targets.shared import difference, load_probe
from highperf.files.cache import FileCache
from highperf.files.entry import FileEntry
from highperf.files.root import FileRoot
from tests import traversal
from tests.reference import files_twin

WORDS = [b"/", b".", b"..", b"../", b"%2e", b"%2F", b"%5c", b"\\", b"%00", b"\x00", b";", b":", b" ", b"~", b"\xc0\xae"]
WORDS += [name.removeprefix("root/").encode() for name in (*traversal.FILES, *traversal.LINKS_IN, *traversal.LINKS_OUT)]
OUTSIDE_OF_RULES = (traversal.PUBLIC, traversal.SECRET + b": root/")
LONGEST = 500
probe = load_probe("files")


class Paths:
    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="highperf-fuzz-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        tree = traversal.make_tree(Path(folder))
        self.roots = [FileRoot(tree), FileRoot(tree, openat2=False)]
        self.caches = [FileCache(root, listing=True, limit_entries=64) for root in self.roots]
        self.now_ns = 0
        self.counts = Counter[str]()

    def check(self, octets: bytes) -> str | None:
        path = probe.decode(octets.partition(b"?")[0])
        self.now_ns += 10**8
        wrong = difference("allowed", path, probe.allowed(path), files_twin.path_allowed(path))
        if wrong is not None:
            return wrong
        entries = [cache.find(path, self.now_ns) for cache in self.caches]
        self.counts["served"] += entries[0].kind == probe.FILE
        if any(self.leak(entry) for entry in entries):
            return f"{octets!r} leaks"
        if entries[0].kind != entries[1].kind:
            return f"{octets!r}: the kernel finds {entries[0].kind}, the walk {entries[1].kind}"
        return self.check_root(path.partition(b"\0")[0])

    def leak(self, entry: FileEntry) -> bool:
        if entry.kind != probe.FILE:
            return entry.kind == probe.BROKEN
        return entry.content is None or not entry.content.startswith(traversal.PUBLIC)

    def check_root(self, path: bytes) -> str | None:
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


def load() -> Target:
    paths = Paths()
    seeds = [payload.encode() for payload in traversal.payloads() if len(payload) < LONGEST]
    return Target(paths.check, seeds, None, WORDS, LONGEST, paths.counts)
