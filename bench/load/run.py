"""Whole servers under the same load, one process on one CPU, wrk on another: see README.md."""

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict

from bench.load import comparison, goals, machine, peers, tables, wrk
from bench.load.connections import measure_crowd, measure_held, measure_idle
from bench.load.peers import Peer
from bench.load.results import Entry, Record, Results
from bench.load.sampling import Sample, Settings, measure_load
from bench.load.server import NotMeasured, NotReady, Server, exit_on_sigterm, fill, fill_all
from bench.load.workloads import WORKLOADS, Workload, check

MEASURE: dict[str, Callable[[Server, Workload, Settings], Sample]] = {
    "load": measure_load,
    "held": measure_held,
    "idle": measure_idle,
    "crowd": measure_crowd,
}
GROUPS = {
    "all": tuple(peer.name for peer in peers.PEERS),
    "usual": peers.USUAL,
    "core": peers.CORE,
    "api": peers.API,
    "files": peers.FILES,
    "connections": peers.CONNECTIONS,
}
QUICK = {
    "peers": "floor,go-fasthttp,highperf",
    "workloads": "healthz,healthz-pipe16,user",
}
ORDER_STEP = 7


class Run:
    """Interleaved rounds: under each workload all peers follow each other, every round in
    another order, each time as a new process. What failed is not tried again."""

    def __init__(self, results: Results, settings: Settings, turn: machine.Turn) -> None:
        self.results = results
        self.settings = settings
        self.turn = turn
        self.failed: set[tuple[str, str]] = set()  # peer and workload; "": it cannot be started

    def round(self, number: int, chosen: list[Peer], workloads: list[Workload]) -> None:
        for workload in workloads:
            self.turns(number, [peer for peer in chosen if workload.name in peer.workloads], workload)

    def turns(self, number: int, chosen: list[Peer], workload: Workload) -> None:
        shift = number * ORDER_STEP % len(chosen) if chosen else 0
        for peer in chosen[shift:] + chosen[:shift]:
            if self.failed.isdisjoint({(peer.name, ""), (peer.name, workload.name)}):
                self.turn.take()
                self.sample(number, peer, workload)

    def sample(self, number: int, peer: Peer, workload: Workload) -> None:
        entry = self.results.peers.setdefault(peer.name, Entry(peer.note, version(peer)))
        try:
            with Server(peer, peer.cpus or self.settings.server_cpu) as server:
                if wrong := check(workload, peer, server.port):
                    raise NotMeasured(wrong)
                sample = MEASURE[workload.kind](server, workload, self.settings)
        except (NotMeasured, OSError, ValueError, ArithmeticError) as error:
            self.failed.add((peer.name, "" if isinstance(error, NotReady) else workload.name))
            entry.not_measured[workload.name] = str(error)
            print(f"  {peer.name:18} {workload.name:14} NOT MEASURED: {error}", flush=True)
            return
        record = entry.records.setdefault(workload.name, Record())
        record.add(number, sample)
        print(tables.progress(peer.name, workload, record), flush=True)


VERSIONS = """
import sys, importlib.metadata
have = {found.metadata["Name"].lower(): found.version for found in importlib.metadata.distributions()}
print(*(f"{name}=={have[name]}" for name in sys.argv[1:] if name in have))
"""


def version(peer: Peer) -> str:
    if peer.version_command:
        command = fill_all(peer, peer.version_command)
    elif peer.distributions:
        interpreter = sys.executable if not peer.venv else fill(peer, "{venv}/bin/python")
        command = [interpreter, "-c", VERSIONS, *peer.distributions.split()]
    else:
        return ""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError:
        return "not installed"
    return (done.stdout + done.stderr).strip().partition("\n")[0]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = comparison.parser("", __doc__, rounds=3, seconds=2, warmup=0.5)
    add = parser.add_argument
    add("--quick", action="store_true", help=f"about two minutes: {QUICK}")
    add("--peers", default="usual", help="names and groups (usual, core, all), separated by commas")
    add("--workloads", default="all", help="names and groups (all, api, files, connections)")
    add("--idle-connections", type=int, default=2000)
    add("--crowd", type=int, default=10_000, help="connections served at once")
    add("--hold", type=float, default=240, help="seconds to keep the lock before offering it")
    add("--add", action="append", default=[], metavar="NAME=COMMAND", help="one more peer")
    add("--append", action="store_true", help="add rounds to those in the file")
    add("--list", action="store_true", help="list the peers and stop")
    return comparison.parse(parser, arguments, "", QUICK)


def known_peers(added: list[str]) -> dict[str, Peer]:
    known = {peer.name: peer for peer in peers.PEERS}
    for spec in added:
        name, _, command = spec.partition("=")
        known[name] = Peer(name, command)
    return known


def choose(names: str, known: dict[str, Peer] | dict[str, Workload]) -> list[str]:
    """Names and groups, in the order given; a name that nobody knows ends the run."""
    chosen: dict[str, None] = {}
    for name in names.split(","):
        group = GROUPS.get(name, (name,))
        chosen.update(dict.fromkeys(tuple(known) if name == "all" else group))
    for name in chosen:
        if name not in known:
            sys.exit(f"bench.load: {name}: no such peer or workload; there are {', '.join(known)}")
    return list(chosen)


def measure(options: argparse.Namespace, known: dict[str, Peer]) -> None:
    chosen = [known[name] for name in choose(options.peers, known)]
    workloads = [WORKLOADS[name] for name in choose(options.workloads, WORKLOADS)]
    settings = comparison.settings_of(options)
    results = Results(machine.describe(settings.server_cpu), asdict(settings))
    if options.append and options.out.exists():
        results = Results.load(options.out)
    first = results.last_round() + 1
    comparison.prepare()
    turn = machine.Turn(options.hold)
    run = Run(results, settings, turn)
    rounds = [
        [workload for workload in workloads if number < (workload.rounds or options.rounds)]
        for number in range(options.rounds)
    ]
    announce(sum(workload.name in peer.workloads for few in rounds for workload in few for peer in chosen), settings)
    for number, few in enumerate(rounds, first):
        print(f"round {number} of {first + options.rounds - 1}", flush=True)
        run.round(number, chosen, few)
        results.save(options.out)
    turn.give_back()
    show(results)
    print(f"\nsaved: {options.out}")


def announce(samples: int, settings: Settings) -> None:
    print(f"{samples} samples, about {settings.expected_s(samples) / 60:.1f} min on a quiet machine", flush=True)


def show(results: Results) -> None:
    print(tables.render(results))
    print(goals.render(results))


def main(arguments: Sequence[str] | None = None) -> None:
    exit_on_sigterm()
    options = parse(arguments)
    known = known_peers(options.add)
    if options.list:
        for peer in known.values():
            print(f"{peer.name:18} {','.join(peer.workloads):78} {peer.note}")
    elif options.table:
        show(Results.load(options.out))
    elif not wrk.installed():
        sys.exit("bench.load: wrk is not installed; bench/load/setup.sh core installs it")
    else:
        measure(options, known)
