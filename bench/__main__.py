"""All benchmarks, or one of them.

python -m bench                         all, quickly: ten minutes
python -m bench --full                  all, for the record: an hour and a quarter
python -m bench [--full] PART [OPTIONS] one; its own --help has its options

Results and the page that is made from them go to build/bench, with --full to bench/results, where README takes its
figures from. --machine NAME names the machine in the names of files (so does the variable BENCH_MACHINE).
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence

from bench import page, parts
from bench.load import places
from bench.load.server import exit_on_sigterm
from bench.parts import PARTS, Outcome


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="for the record")
    parser.add_argument("--machine", metavar="NAME", help="the machine in the names of files")
    parser.add_argument("part", nargs="?", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="OPTIONS", help="of the part")
    return parser.parse_args(arguments)


def run_all(full: bool, env: Mapping[str, str]) -> list[Outcome]:
    outcomes = []
    for number, (name, part) in enumerate(PARTS.items(), 1):
        print(f"\n## {name} ({number} of {len(PARTS)})\n", flush=True)
        outcomes.append(parts.run(name, () if full else part.quick, env))
    return outcomes


def summary(outcomes: Sequence[Outcome]) -> str:
    width = max(len(outcome.name) for outcome in outcomes)
    return "\n".join(f"{one.name:{width}}  {one.seconds:6,.0f} s  {one.told}" for one in outcomes)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    folder = places.RESULTS if options.full else places.TRIALS
    env = os.environ | {"BENCH_RESULTS": str(folder)} | ({"BENCH_MACHINE": options.machine} if options.machine else {})
    if options.part:
        outcome = parts.run(options.part, options.options, env)
        return outcome.status or int(bool(outcome.missing))
    began = time.monotonic()
    outcomes = run_all(options.full, env)
    print(f"\n## all, in {(time.monotonic() - began) / 60:,.0f} minutes\n\n{summary(outcomes)}\n")
    page.write(folder)
    if options.full:
        print("python -m bench.quotes takes these figures over into README.md and docs")
    return max(outcome.status for outcome in outcomes)


if __name__ == "__main__":
    exit_on_sigterm()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
