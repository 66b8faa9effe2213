"""How the CPU time of a request grows with connections, routes, header fields, content and workers: see README.md."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.load import comparison, machine, scale_plot, tables, wrk
from bench.load.results import Results
from bench.load.run import Run, announce
from bench.load.sampling import Settings
from bench.load.scale_curves import CURVES, KNOWN, Curve

NAME = "scale"
HOLD_S = 240.0
QUICK = {"rounds": 1, "peers": "floor,highperf,go-nethttp"}


def chosen(options: argparse.Namespace) -> list[Curve]:
    for name in (names := options.curves.split(",")):
        if name not in CURVES:
            sys.exit(f"bench.load.scale: {name}: no such curve; there are {', '.join(CURVES)}")
    peers = set(KNOWN) if options.peers == "all" else set(options.peers.split(","))
    if unknown := sorted(peers - set(KNOWN)):
        sys.exit(f"bench.load.scale: {', '.join(unknown)}: no such peer; there are {', '.join(KNOWN)}")
    curves = [CURVES[name].ask_for(peers) for name in names]
    return [curve.few() if options.quick else curve for curve in curves]


def everywhere(client_cpu: int) -> str:
    """All CPUs but that of the load, where there are more than two."""
    cpus = range(os.cpu_count() or 1)
    return ",".join(str(cpu) for cpu in cpus if cpu != client_cpu or len(cpus) <= 2)


def measure(curves: list[Curve], out: Path, results: Results, rounds: int, settings: Settings) -> None:
    announce(rounds * sum(len(curve.at(value)[1]) for curve in curves for value in curve.points), settings)
    turn = machine.Turn(HOLD_S)
    run = Run(results, settings, turn)
    for number in range(1, rounds + 1):
        print(f"round {number} of {rounds}", flush=True)
        for curve in curves:
            for value in curve.points:
                workload, peers = curve.at(value)
                if curve.everywhere:
                    peers = [replace(peer, cpus=everywhere(settings.client_cpu)) for peer in peers]
                run.turns(number, peers, workload)
        results.save(out)
    turn.give_back()


def render(results: Results) -> str:
    lines = []
    for curve in CURVES.values():
        points = {curve.workload(value).name: curve.spell(value) for value in curve.points}
        for title, figure, digits in curve.figures:
            lines += tables.growth(results, f"{title} by {curve.unit}", points, figure, digits)
    return "\n".join([*lines, *tables.not_measured(results)])


def exit_unless_installed() -> None:
    if not wrk.installed():
        sys.exit("bench.load.scale: wrk is not installed; bench/load/setup.sh core installs it")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = comparison.parser(NAME, __doc__, rounds=2, seconds=0.8, warmup=0.2, patience=3)
    parser.add_argument("--curves", default=",".join(CURVES), help="names, separated by commas")
    parser.add_argument("--peers", default="all", help="names, separated by commas; of each curve's own")
    parser.add_argument("--quick", action="store_true", help=f"about two minutes: both ends and the middle, {QUICK}")
    options = comparison.parse(parser, arguments, NAME, QUICK)
    comparison.run(NAME, options, partial(measure, chosen(options), options.out), render, exit_unless_installed)
    picture = options.out.with_suffix(".svg")
    picture.write_text(scale_plot.panels(Results.load(options.out)))
    print(f"picture: {picture}")


if __name__ == "__main__":
    main()
