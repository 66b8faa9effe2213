"""What the comparisons share: their command line, the settings that it makes, and the way from there to a file."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.load import machine
from bench.load.connections import raise_descriptor_limit
from bench.load.places import LOG, RUN
from bench.load.results import Results
from bench.load.sampling import Settings
from bench.load.server import NotMeasured, exit_on_sigterm

HURRIED = {"patience": 1, "retries": 0}  # what --quick changes everywhere: no waiting for a quiet machine


def parser(
    name: str, about: str | None, *, rounds: int, seconds: float, warmup: float = 1, patience: float = 5
) -> argparse.ArgumentParser:
    """The options that all of them have. name: of the module; "" for bench.load itself."""
    made = argparse.ArgumentParser(
        prog=f"python -m {module(name)}",
        description=about,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = made.add_argument
    add("--rounds", type=int, default=rounds)
    add("--seconds", type=float, default=seconds, help="of load per sample")
    add("--warmup", type=float, default=warmup, help="seconds of load before that")
    add("--connections", type=int, default=64, help="keep-alive connections of the load")
    add("--server-cpu", type=int, default=0)
    add("--client-cpu", type=int, default=1)
    add("--max-other", type=float, default=5, help="CPU %% that other processes may use")
    add("--retries", type=int, default=2, help="times a disturbed sample is taken again")
    add("--patience", type=float, default=patience, help="seconds to wait for a quiet machine")
    add_out(made, name)
    add("--table", action="store_true", help="only print the tables of the file")
    return made


def add_out(made: argparse.ArgumentParser, name: str) -> None:
    file = f"bench/results/<date>-<machine>{suffix(name)}.json, with --quick in build/bench"
    made.add_argument("--out", type=Path, help=f"file of results (default: {file})")


def parse(
    made: argparse.ArgumentParser, arguments: Sequence[str] | None, name: str, quick: Mapping[str, object] | None = None
) -> argparse.Namespace:
    """quick: what --quick, where there is such an option, changes."""
    if quick and made.parse_known_args(arguments)[0].quick:
        made.set_defaults(**HURRIED | quick)
    options = made.parse_args(arguments)
    if options.out is None:
        options.out = machine.results_file(name, quick=bool(quick) and options.quick)
    return options


def settings_of(options: argparse.Namespace) -> Settings:
    return Settings(
        seconds=options.seconds,
        warmup=options.warmup,
        connections=options.connections,
        server_cpu=options.server_cpu,
        client_cpu=options.client_cpu,
        idle_connections=getattr(options, "idle_connections", 0),
        crowd=getattr(options, "crowd", 0),
        max_other_pct=options.max_other,
        retries=options.retries,
        patience_s=options.patience,
    )


def prepare() -> None:
    """Room for what servers write, and for all connections."""
    raise_descriptor_limit()
    for folder in (RUN, LOG):
        folder.mkdir(parents=True, exist_ok=True)


def run(
    name: str,
    options: argparse.Namespace,
    measure: Callable[[Results, int, Settings], None],
    render: Callable[[Results], str],
    require: Callable[[], object] = bool,
) -> None:
    """Print the tables of the file, or measure, save and print. require ends the process where a program is missing."""
    exit_on_sigterm()
    if options.table:
        print(render(Results.load(options.out)))
        return
    require()
    prepare()
    settings = settings_of(options)
    results = Results(machine.describe(settings.server_cpu), asdict(settings))
    try:
        measure(results, options.rounds, settings)
    except NotMeasured as error:
        sys.exit(f"{module(name)}: {error}")
    results.save(options.out)
    print(render(results))
    print(f"\nsaved: {options.out}")


def module(name: str) -> str:
    return f"bench.load.{name}" if name else "bench.load"


def suffix(name: str) -> str:
    return f"-{name}" if name else ""
