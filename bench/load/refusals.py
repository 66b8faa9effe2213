"""What a refusal costs: CPU time of each kind, next to that of a served request whose handler does nothing.

Requests are pipelined, so that the kernel's share, which no server can save, hides little.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from bench.load import comparison, guarded, machine, procfs
from bench.load.client import ask
from bench.load.places import LOG, RUN, WORK
from bench.load.results import Entry, Record, Results
from bench.load.sampling import Sample
from bench.load.server import NotMeasured, Server, exit_on_sigterm, start
from bench.load.tables import row

NAME = "refusals"
PROGRAM = WORK / "bin" / "pipeline"
WORKLOAD = "pipelined"
GOAL = 0.35
HOLD_S = 240.0
QUICK = {"rounds": 1, "seconds": 1.0}
FAILURES = 50  # more than open a breaker
TOLERATED = 2  # requests of a sample that are answered otherwise: the bucket gets a token a minute
SURROUNDINGS = {
    "rps": "answers/s",
    "server_cpu_pct": "server CPU %",
    "client_cpu_pct": "client CPU %",
    "other_cpu_pct": "other CPU %",
}


@dataclass(frozen=True)
class Kind:
    """A way to be answered."""

    name: str
    path: str
    status: int
    fields: str = ""


SERVED = Kind("served, handler of no work", guarded.NOOP, 200)
REFUSED = (
    Kind("429 rate limit", guarded.LIMITED, 429),
    Kind("503 breaker open", guarded.BROKEN, 503),
    Kind("503 concurrency", guarded.FULL, 503),
    Kind("503 deadline passed", guarded.NOOP, 503, "Request-Timeout: 0\r\n"),
)
KINDS = (SERVED, *REFUSED)


@dataclass(frozen=True)
class Settings:
    seconds: float
    warmup: float
    connections: int
    depth: int
    server_cpu: int
    client_cpu: int
    max_other_pct: float
    patience_s: float


@contextlib.contextmanager
def primed(server: Server) -> Iterator[None]:
    """While it lasts, each route refuses that is to: its bucket is empty, its breaker open, its place taken."""
    ask(server.port, "GET", guarded.LIMITED)
    for _ in range(FAILURES):
        ask(server.port, "GET", guarded.BROKEN)
    with guarded.filled(server.port):
        for kind in REFUSED:
            if not kind.fields and (status := ask(server.port, "GET", kind.path).status) != kind.status:
                raise NotMeasured(f"{kind.path} answered {status}, not {kind.status}")
        yield


def drive(server: Server, kind: Kind, seconds: float, settings: Settings) -> tuple[int, float]:
    """How many answers came, and the client's CPU time."""
    numbers = (server.port, settings.connections, settings.depth, seconds, kind.status)
    before = os.times()
    process = start(
        [str(PROGRAM), *map(str, numbers), kind.path],
        settings.client_cpu,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PIPELINE_FIELDS": kind.fields},
    )
    try:
        said, _ = process.communicate()
    finally:
        process.kill()  # of no effect on one that has ended
    after = os.times()
    if process.returncode:
        raise NotMeasured(f"{kind.name}: {said.decode(errors='replace').strip()}")
    right, others = map(int, said.split())
    if others > TOLERATED or not right:
        raise NotMeasured(f"{kind.name}: {others} of {right + others} answers were not {kind.status}")
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return right + others, cpu_s


def sample(server: Server, kind: Kind, settings: Settings) -> Sample:
    drive(server, kind, settings.warmup, settings)
    machine.wait_until_quiet(server, settings.max_other_pct, settings.patience_s)
    before, busy, begin = server.cpu(), procfs.busy_seconds(), time.monotonic()
    answers, client_cpu_s = drive(server, kind, settings.seconds, settings)
    cpu, wall = server.cpu().since(before), time.monotonic() - begin
    other_s = max(0.0, procfs.busy_seconds() - busy - cpu.total - client_cpu_s)
    return {
        "rps": answers / settings.seconds,
        "cpu_us": cpu.total * 1e6 / answers,
        "user_us": cpu.user * 1e6 / answers,
        "system_us": cpu.system * 1e6 / answers,
        "server_cpu_pct": 100 * cpu.total / wall,
        "client_cpu_pct": 100 * client_cpu_s / wall,
        "other_cpu_pct": 100 * other_s / wall,
    }


def measure(results: Results, rounds: int, settings: Settings) -> None:
    turn = machine.Turn(HOLD_S)
    for number in range(1, rounds + 1):
        turn.take()
        shift = number % len(KINDS)
        with Server(guarded.PEERS[guarded.ON], settings.server_cpu) as server, primed(server):
            for kind in KINDS[shift:] + KINDS[:shift]:
                entry = results.peers.setdefault(kind.name, Entry(f"GET {kind.path}", ""))
                record = entry.records.setdefault(WORKLOAD, Record())
                record.add(number, sample(server, kind, settings))
                print(f"  {number} {kind.name:28} {record.figures['cpu_us'][-1]:8.3f} µs CPU", flush=True)
    turn.give_back()


def render(results: Results) -> str:
    records = results.under(WORKLOAD)
    shares = ("CPU µs", "user", "system", "of served", "range", "user of served")
    titles = ["answer", *shares, *SURROUNDINGS.values(), f"goal ≤ {GOAL}"]
    lines = [row(titles), "|---" + "|---:" * (len(titles) - 1) + "|"]
    for name, record in records.items():
        ratios, user = (record.ratios(records[SERVED.name], figure) for figure in ("cpu_us", "user_us"))
        figures = [f"{record.median(figure):.2f}" for figure in ("cpu_us", "user_us", "system_us")]
        verdict = "-" if name == SERVED.name else "met" if median(ratios) <= GOAL else "MISSED"
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
        rest = [f"{record.median(figure):,.0f}" for figure in SURROUNDINGS]
        lines.append(row([name, *figures, f"{median(ratios):.2f}", spread, f"{median(user):.2f}", *rest, verdict]))
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.refusals",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help=f"a few seconds: {QUICK}")
    add("--rounds", type=int, default=5)
    add("--seconds", type=float, default=2)
    add("--warmup", type=float, default=0.5)
    add("--connections", type=int, default=16, help="enough to keep the server busy, few enough that no queue stands")
    add("--depth", type=int, default=64, help="requests in one write")
    add("--server-cpu", type=int, default=0)
    add("--client-cpu", type=int, default=1)
    add("--max-other", type=float, default=5, help="CPU %% of other processes to start a sample at")
    add("--patience", type=float, default=5, help="seconds to wait for that")
    comparison.add_out(parser, NAME)
    return comparison.parse(parser, arguments, NAME, QUICK)


def main(arguments: Sequence[str] | None = None) -> None:
    exit_on_sigterm()
    options = parse(arguments)
    if not os.access(PROGRAM, os.X_OK):
        sys.exit("bench.load: the pipelining client is not built; bench/load/setup.sh core builds it")
    settings = Settings(
        options.seconds,
        options.warmup,
        options.connections,
        options.depth,
        options.server_cpu,
        options.client_cpu,
        options.max_other,
        options.patience,
    )
    for folder in (RUN, LOG):
        folder.mkdir(parents=True, exist_ok=True)
    results = Results(machine.describe(settings.server_cpu), asdict(settings) | guarded.describe())
    try:
        measure(results, options.rounds, settings)
    except NotMeasured as error:
        sys.exit(f"bench.load.refusals: {error}")
    results.save(options.out)
    print(render(results))
    print(f"\nsaved: {options.out}")


if __name__ == "__main__":
    main()
