"""What being observed costs a request: metrics, request ids and traces, and the access log written to a file."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from bench.load import machine
from bench.load.peers import highperf
from bench.load.places import LOG, RESULTS, RUN
from bench.load.results import Results
from bench.load.run import Run
from bench.load.sampling import Settings
from bench.load.server import NotMeasured, exit_on_sigterm
from bench.load.tables import row
from bench.load.workloads import WORKLOADS

APP, REQUEST = "highperf_app:app", "user"
OFF, ON, LOGGED = "unobserved", "observed", "observed and logged"
GOALS = {ON: 1.06, LOGGED: 1.15}  # times what it costs unobserved
UNTOLD = "--no-access-log"
TRACED = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "always_off"}  # as nearly all requests are
HOLD_S = 240.0

SERVERS = (
    highperf(OFF, APP, flags=f"{UNTOLD} --no-metrics --request-id-header off", workloads=(REQUEST,)),
    highperf(ON, APP, env=TRACED, flags=UNTOLD, workloads=(REQUEST,)),
    highperf(LOGGED, APP, env=TRACED, flags="--access-log-file {run}/access.log", workloads=(REQUEST,)),
)


def measure(results: Results, rounds: int, settings: Settings) -> None:
    turn = machine.Turn(HOLD_S)
    run = Run(results, settings, turn)
    for number in range(1, rounds + 1):
        print(f"round {number} of {rounds}", flush=True)
        run.round(number, list(SERVERS), [WORKLOADS[REQUEST]])
        (RUN / "access.log").unlink(missing_ok=True)
    turn.give_back()


def render(results: Results) -> str:
    records = results.under(REQUEST)
    lines = [row(["server", "CPU µs", "user", "system", "x unobserved", "range", "goal"]), "|---" + "|---:" * 6 + "|"]
    for name, record in records.items():
        ratios = record.ratios(records[OFF], "cpu_us")
        figures = [f"{record.median(share):.2f}" for share in ("cpu_us", "user_us", "system_us")]
        times = [f"{median(ratios):.3f}", f"{min(ratios):.2f}-{max(ratios):.2f}"]
        goal = GOALS.get(name)
        judged = "-" if goal is None else f"≤ {goal:.2f}: {'met' if median(ratios) <= goal else 'MISSED'}"
        lines.append(row([name, *figures, *times, judged]))
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.observed",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--rounds", type=int, default=5)
    add("--seconds", type=int, default=4, help="of load per sample")
    add("--warmup", type=int, default=1)
    add("--connections", type=int, default=64)
    add("--server-cpu", type=int, default=0)
    add("--client-cpu", type=int, default=1)
    add("--max-other", type=float, default=5, help="CPU %% that other processes may use")
    add("--retries", type=int, default=2, help="times a disturbed sample is taken again")
    add("--patience", type=float, default=5, help="seconds to wait for a quiet machine")
    add("--out", type=Path, help="file of results (default: bench/results/<date>-<machine>-observed.json)")
    add("--table", action="store_true", help="only print the table of the file")
    options = parser.parse_args(arguments)
    if options.out is None:
        options.out = RESULTS / f"{time.strftime('%Y-%m-%d')}-{machine.nickname()}-observed.json"
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    exit_on_sigterm()
    options = parse(arguments)
    if options.table:
        print(render(Results.load(options.out)))
        return
    settings = Settings(
        options.seconds,
        options.warmup,
        options.connections,
        options.server_cpu,
        options.client_cpu,
        idle_connections=0,
        crowd=0,
        max_other_pct=options.max_other,
        retries=options.retries,
        patience_s=options.patience,
    )
    for folder in (RUN, LOG):
        folder.mkdir(parents=True, exist_ok=True)
    results = Results(machine.describe(settings.server_cpu), asdict(settings))
    try:
        measure(results, options.rounds, settings)
    except NotMeasured as error:
        sys.exit(f"bench.load.observed: {error}")
    results.save(options.out)
    print(render(results))
    print(f"\nsaved: {options.out}")


if __name__ == "__main__":
    main()
