"""One to four workers under the same load: what does a request cost in CPU time, and what do more of them serve?

On two CPUs, of which the load takes one, more workers cannot serve more; what can be compared is whether a
request costs more CPU time when workers share the work. They share a CPU as well then, and each change
from one to the other costs time that workers on CPUs of their own would not spend. The more connections
there are, the more a worker finds to do at its turn and the less that weighs: the largest number is
judged. See README.md.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from statistics import median

from bench.load import chart, machine, wrk
from bench.load.chart import Axis, Line, Panel
from bench.load.peers import Peer, highperf
from bench.load.proof import Proof, conclude, options_of, parser, rounded
from bench.load.proof_plot import COLORS, ticks
from bench.load.sampling import Sample, Settings, measure_load
from bench.load.server import NotMeasured, Server
from bench.load.workloads import WORKLOADS, check

NAME = "workers"
GOAL_TIMES = 1.05  # of the CPU time per request of one worker, for two
HOLD_S = 240.0
WORKLOAD = WORKLOADS["user"]
FIGURES = {
    "cpu_us": "CPU µs/req",
    "user_us": "user",
    "system_us": "system",
    "rps": "req/s",
    "p99_us": "p99 µs",
    "errors": "errors",
    "server_cpu_pct": "server CPU %",
    "client_cpu_pct": "wrk CPU %",
    "other_cpu_pct": "other CPU %",
}
Samples = dict[tuple[int, int], list[Sample]]  # by connections and workers; one a round


def peer(workers: int) -> Peer:
    one = highperf(f"{NAME}-{workers}", "highperf_app:app")
    return replace(one, command=f"{one.command} --workers {workers}") if workers > 1 else one


def settings_of(options: argparse.Namespace, connections: int) -> Settings:
    return Settings(
        seconds=options.seconds,
        warmup=1,
        connections=connections,
        server_cpu=options.server_cpu,
        client_cpu=options.client_cpu,
        idle_connections=0,
        crowd=0,
        max_other_pct=options.max_other,
        retries=2,
        patience_s=options.patience,
    )


def round_of(number: int, options: argparse.Namespace, samples: Samples) -> None:
    """Each number of workers in turn, every round in another order, each as a new server."""
    shift = number % len(options.workers)
    for connections in options.connections:
        for workers in options.workers[shift:] + options.workers[:shift]:
            sample = one(workers, connections, options)
            samples.setdefault((connections, workers), []).append(sample)
            figures = "  ".join(f"{title} {sample[name]:,.2f}" for name, title in FIGURES.items())
            print(f"  {number} {connections:4} connections  {workers} workers  {figures}", flush=True)


def one(workers: int, connections: int, options: argparse.Namespace) -> Sample:
    with Server(peer(workers), options.cpus or options.server_cpu) as server:
        if wrong := check(WORKLOAD, server.peer, server.port):
            raise NotMeasured(wrong)
        return measure_load(server, WORKLOAD, settings_of(options, connections))


def times(samples: Samples, connections: int, workers: int, figure: str) -> list[float]:
    """A figure as a multiple of one worker's in the same round."""
    ones, mine = samples.get((connections, 1), []), samples[connections, workers]
    return [sample[figure] / single[figure] for sample, single in zip(mine, ones, strict=False) if single[figure]]


def summarise(samples: Samples, proof: Proof) -> None:
    for (connections, workers), taken in sorted(samples.items()):
        figures = {title: median(sample[name] for sample in taken) for name, title in FIGURES.items()}
        proof.samples.append({"connections": connections, "workers": workers} | figures)
        if cost := times(samples, connections, workers, "cpu_us"):
            speed = median(times(samples, connections, workers, "rps"))
            proof.samples[-1] |= {"x one": median(cost), "least": min(cost), "most": max(cost), "req/s x one": speed}
    most = max(connections for connections, _ in samples)
    if (most, 2) in samples and (cost := times(samples, most, 2, "cpu_us")):
        words = f"a request costs 2 workers {median(cost):.3f} times what it costs 1, with {most} connections"
        proof.judge(f"{words}, goal ≤ {GOAL_TIMES:g}", median(cost) <= GOAL_TIMES)


def measure(options: argparse.Namespace, proof: Proof) -> None:
    if not wrk.installed():
        raise NotMeasured("wrk is not installed; bench/load/setup.sh core installs it")
    proof.settings |= asdict(settings_of(options, 0)) | {"connections": options.connections}
    samples: Samples = {}
    turn = machine.Turn(HOLD_S)
    for number in range(1, options.rounds + 1):
        turn.take()
        round_of(number, options, samples)
    turn.give_back()
    summarise(samples, proof)
    for (connections, workers), taken in samples.items():
        rounds = {name: rounded(sample[name] for sample in taken) for name in FIGURES}
        proof.timeline[f"{connections} connections, {workers} workers"] = rounds


def draw(proof: Proof) -> str:
    panels = [
        panel(proof, 90, "CPU time of a request, µs", "CPU µs/req"),
        panel(proof, 590, "Requests a second", "req/s"),
    ]
    subtitle = ["The same load throughout; all workers share one CPU, the load has another."]
    return chart.render(1000, 440, "One to four workers under the same load", subtitle, panels)


def panel(proof: Proof, left: float, title: str, figure: str) -> Panel:
    lines, high = [], 1.3 * max(sample[figure] for sample in proof.samples)
    for place, connections in enumerate(dict.fromkeys(sample["connections"] for sample in proof.samples)):
        mine = [sample for sample in proof.samples if sample["connections"] == connections]
        points, spot = [(sample["workers"], sample[figure]) for sample in mine], (1.05, high * (0.97 - 0.09 * place))
        lines.append(Line(points, COLORS[place], f"{connections} connections", spot, dots=True))
    numbers = sorted({sample["workers"] for sample in proof.samples})
    x = Axis(min(numbers), max(numbers) + 0.01, numbers, "workers")
    return Panel(left, 140, 340, 220, title, x, Axis(0, high, ticks(high, 4), spell=lambda y: f"{y:,g}"), lines)


def main(arguments: Sequence[str] | None = None) -> None:
    made = parser(NAME, __doc__, rounds=1, seconds=2, patience=1.0, workers=[1, 2])
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--seconds", type=int, default=4, help="of load per sample")
    made.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3, 4])
    made.add_argument("--connections", type=int, nargs="+", default=[64, 256])
    made.add_argument("--server-cpu", type=int, default=0)
    made.add_argument("--cpus", help="of the server instead, such as 0-3, where there are more than two")
    made.add_argument("--max-other", type=float, default=5, help="CPU %% that other processes may use")
    made.add_argument("--patience", type=float, default=10, help="seconds to wait for that")
    conclude(NAME, options_of(made, arguments), measure, draw, niceness=0)


if __name__ == "__main__":
    main()
