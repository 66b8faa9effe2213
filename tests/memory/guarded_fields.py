"""Runs in a process of its own: reads fields of proxies whose values lie against memory that must not be touched.

Arguments: the probe's module file, the file of values (one base64 line each), and perhaps --end: of each
value only what may be read lies in memory that can be.
"""

import base64
import sys
from pathlib import Path
from types import ModuleType

from tests.memory.guarded import PAGE, PROT_NONE, Fenced, load, protect

NAMES = [b"Forwarded", b"X-Forwarded-For", b"X-Forwarded-Proto"]
READ_MOST = 32 * 512  # elements, and octets of each


def span(start: int, octets: bytes) -> dict[str, int]:
    return {"start": start, "size": len(octets)}


def walk(probe: ModuleType, name: bytes, value: bytes, memory: Fenced) -> None:
    """With the value last, and with it first; each time the field is found."""
    address = memory.put_last(name + value)
    assert probe.walk_at(address, name=span(0, name), value=span(len(name), value)) == 0
    address = memory.put_first(value + name)
    assert probe.walk_at(address, name=span(len(value), name), value=span(0, value)) == 0


def walk_the_end(probe: ModuleType, name: bytes, value: bytes) -> None:
    """The name lies right behind the value, of which all but the last pages are out of reach."""
    memory = Fenced(-(-len(value + name) // PAGE) * PAGE)
    address = memory.put_last(value + name)
    protect(memory.start, memory.end - memory.start - READ_MOST - 2 * PAGE, PROT_NONE)
    assert probe.walk_at(address, name=span(len(value), name), value=span(0, value)) == 0


def main() -> None:
    probe, memory = load(sys.argv[1]), Fenced()
    for line in Path(sys.argv[2]).read_text().split():
        value = base64.b64decode(line)
        for name in NAMES:
            if "--end" in sys.argv:
                walk_the_end(probe, name, value)
                continue
            for end in range(len(value) + 1):
                walk(probe, name, value[:end], memory)
                walk(probe, name, value[end:], memory)
    print("untouched")


if __name__ == "__main__":
    main()
