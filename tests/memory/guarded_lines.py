"""Runs in a process of its own: escapes text that lies against memory that must not be touched, into room that does.

Arguments: the probe's module file, the file of texts (one base64 line each).
"""

import base64
import sys
from pathlib import Path
from types import ModuleType

from tests.memory.guarded import Fenced, load
from tests.reference.log_twin import escaped


def escape(probe: ModuleType, text: bytes, source: Fenced, target: Fenced) -> None:
    """Every beginning and every end of the text, into every room that it may have."""
    for cut in range(len(text) + 1):
        for part, put in ((text[:cut], source.put_last), (text[cut:], source.put_first)):
            for json in (False, True):
                for room in range(0, 6 * len(part) + 12, 1 + len(part) // 8):
                    place = target.end - room
                    size = probe.escape_at(place, room, put(part), len(part), json)
                    assert target.read(place, size) == escaped(part, room, json=json)


def main() -> None:
    probe, source, target = load(sys.argv[1]), Fenced(), Fenced()
    for line in Path(sys.argv[2]).read_text().split():
        escape(probe, base64.b64decode(line), source, target)
    print("untouched")


if __name__ == "__main__":
    main()
