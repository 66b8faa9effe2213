"""Runs in a process of its own: reads traceparent and tracestate that lie against memory that must not be touched.

Arguments: the probe's module file, the file of values (one base64 line each).
"""

import base64
import sys
from pathlib import Path

from tests.memory.guarded import Fenced, load


def main() -> None:
    probe, memory = load(sys.argv[1]), Fenced()
    for line in Path(sys.argv[2]).read_text().split():
        value = base64.b64decode(line)
        for end in range(len(value) + 1):
            for part in (value[:end], value[end:]):
                probe.read_at(memory.put_last(part), len(part))
                probe.read_at(memory.put_first(part), len(part))
    print("untouched")


if __name__ == "__main__":
    main()
