"""Runs in a process of its own: reads paths and fields that lie against memory that must not be touched.

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
        for at in range(len(value) + 1):
            for octets in (value[:at], value[at:]):
                for put in (memory.put_last, memory.put_first):
                    probe.read_everything_at(put(octets), len(octets))
    print("untouched")


if __name__ == "__main__":
    main()
