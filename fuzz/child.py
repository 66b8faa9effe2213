"""Fuzzes one target in this process, and tells what came of it in a line of JSON. __main__ starts it."""

import argparse
import json
import sys
import time
from pathlib import Path
from random import Random

from fuzz import edges, targets
from fuzz.engine import Engine, Slot


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fuzz.child", description=__doc__)
    parser.add_argument("target", choices=targets.SHARES)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--slot", type=Path, required=True)
    parser.add_argument("--corpus", type=Path)
    options = parser.parse_args()
    target, found = targets.load(options.target), edges.find()
    arguments = (target, found, Slot(options.slot), Random(options.seed), options.corpus)
    begun_s = time.monotonic()
    engine, breach = Engine.run(options.seconds, *arguments)
    report = {
        "seconds": time.monotonic() - begun_s,
        "executions": engine.executions,
        "edges": found.known,
        "corpus": len(engine.corpus),
        "counts": target.counts,
        "breach": breach and breach.told,
    }
    print(json.dumps(report))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
