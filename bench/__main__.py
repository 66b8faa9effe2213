"""All benchmarks, or one of them.

python -m bench                   all, quickly: a few minutes; results in build/bench
python -m bench --full            all, for the record: an hour and a half; results in bench/results
python -m bench PART [OPTIONS]    one, as it is set for the record; its own --help has its options

--machine NAME, before the part, names the machine in the names of files (or the variable BENCH_MACHINE).
"""

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence

from bench import parts
from bench.load import places
from bench.load.server import exit_on_sigterm
from bench.parts import PARTS, Outcome


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="every part at the settings of the record")
    parser.add_argument("--machine", metavar="NAME", help="the machine in the names of files")
    parser.add_argument("part", nargs="?", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="OPTIONS", help="of the part")
    options = parser.parse_args(arguments)
    if options.full and options.part:
        parser.error("--full is for all parts; one part alone is always set for the record, unless it has --quick")
    return options


def run_all(full: bool, env: Mapping[str, str]) -> list[Outcome]:
    outcomes = []
    for number, (name, part) in enumerate(PARTS.items(), 1):
        print(f"\n## {name} ({number} of {len(PARTS)})\n", flush=True)
        outcomes.append(parts.run(name, part.for_the_record if full else part.quick, env))
        if outcomes[-1].missing:
            print(outcomes[-1].told)
    return outcomes


def summary(outcomes: Sequence[Outcome]) -> str:
    width = max(len(outcome.name) for outcome in outcomes)
    return "\n".join(f"{one.name:{width}}  {one.seconds:6,.0f} s  {one.told}" for one in outcomes)


def main(arguments: Sequence[str] | None = None) -> int:
    exit_on_sigterm()
    options = parse(arguments)
    env = dict(os.environ)
    if options.machine:
        env["BENCH_MACHINE"] = options.machine
    if options.part:
        return parts.run(options.part, options.options, env, needs_checked=False).status
    folder = places.RESULTS if options.full else places.TRIALS
    began = time.monotonic()
    outcomes = run_all(options.full, env | {"BENCH_RESULTS": str(folder)})
    print(f"\n## all, in {(time.monotonic() - began) / 60:,.0f} minutes\n\n{summary(outcomes)}\n")
    return max(outcome.status for outcome in outcomes)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
