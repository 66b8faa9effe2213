"""What being observed costs a request: metrics, request ids and traces, and the access log written to a file."""

from collections.abc import Sequence
from statistics import median

from bench.load import comparison, machine
from bench.load.peers import highperf
from bench.load.places import RUN
from bench.load.results import Results
from bench.load.run import Run
from bench.load.sampling import Settings
from bench.load.tables import row
from bench.load.workloads import WORKLOADS

NAME = "observed"
APP, REQUEST = "highperf_app:app", "user"
OFF, ON, LOGGED = "unobserved", "observed", "observed and logged"
GOALS = {ON: 1.06, LOGGED: 1.15}  # times what it costs unobserved
UNTOLD = "--no-access-log"
TRACED = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "always_off"}  # as nearly all requests are
HOLD_S = 240.0
QUICK = {"rounds": 1, "seconds": 2}

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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = comparison.parser(NAME, __doc__, rounds=5, seconds=4)
    parser.add_argument("--quick", action="store_true", help=f"a few seconds: {QUICK}")
    options = comparison.parse(parser, arguments, NAME, QUICK)
    comparison.run(NAME, options, measure, render)


if __name__ == "__main__":
    main()
