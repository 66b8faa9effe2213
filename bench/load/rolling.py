"""A reload every second under load: does any client notice?

Each HUP starts every worker anew. All kinds of clients go on asking meanwhile; a request has failed unless its whole
right answer came, at the first attempt. See README.md.
"""

import argparse
import signal
from collections.abc import Sequence

from bench.load import proof_plot
from bench.load.openloop import NS
from bench.load.outcomes import Quiet, failures, resets
from bench.load.proof import Proof, conclude, figures, options_of, parser, serving, timeline
from bench.load.server import NotMeasured
from bench.load.traffic import Kind, Traffic

NAME = "rolling"
CALM_S = 1.0  # before the first HUP
AFTER_S = 4.0  # the last one
LATEST_S = 1.0  # by the answers of the last second, the workers are known that serve at the end
BIN_S = 0.1
KINDS = (
    Kind("keep-alive", 40, 0.02),
    Kind("hardly pauses", 4, 0.002),
    Kind("one-shot", 20, 0.04, keeps=False),
    Kind("content", 10, 0.05, "/content", content=4000),
    Kind("waits", 10, 0.01, "/nap"),
    Kind("rarely", 20, 0.6),
)


def run(workers: int, options: argparse.Namespace, proof: Proof) -> None:
    hups_s = [CALM_S + number * options.every for number in range(options.hups)]
    seconds = hups_s[-1] + AFTER_S
    with serving(NAME, workers) as server:
        traffic = Traffic(server.port, KINDS, seed=options.seed)
        for at_s in hups_s:
            traffic.at(at_s, lambda: server.process.send_signal(signal.SIGHUP))
        traffic.run_while(lambda: traffic.elapsed_s < seconds and server.process.poll() is None)
        if server.process.poll() is not None:
            raise NotMeasured(f"the server ended with {server.process.returncode}: {server.said()[-500:]}")
        traffic.finish()
    name = f"{workers} worker{'s' * (workers > 1)}"
    proof.samples.append({"run": name, "HUPs": options.hups} | sample(traffic))
    judge(proof, name, traffic, hups_s[-1])
    proof.timeline[name] = timeline(traffic, seconds, BIN_S, hups_s)
    print(proof.newest(), flush=True)


def sample(traffic: Traffic) -> dict[str, object]:
    return {
        "workers seen": len(traffic.workers),
        "asked": len(traffic.requests),
        **figures(traffic, traffic.requests),
        **{f"idle: {how}": sum(end.how is how for end in traffic.ended) for how in Quiet},
    }


def judge(proof: Proof, name: str, traffic: Traffic, last_hup_s: float) -> None:
    lost, torn = failures(traffic.requests), resets(traffic.requests, traffic.ended)
    proof.tell(name, lost, traffic.start_ns)
    proof.judge(f"{name}: {len(lost)} of {len(traffic.requests):,} requests failed, goal 0", not lost)
    proof.judge(f"{name}: {torn} connections reset, goal 0", not torn)
    old = not_reloaded(traffic, last_hup_s)
    proof.judge(f"{name}: {len(old)} workers at the end are older than the last HUP, goal 0", not old)


def not_reloaded(traffic: Traffic, last_hup_s: float) -> list[int]:
    """Workers that still answer at the end, though they answered before the last HUP."""
    latest_ns = max(request.ended_ns for request in traffic.requests) - round(LATEST_S * NS)
    last_ns = traffic.start_ns + round(last_hup_s * NS)
    at_the_end = {request.pid for request in traffic.requests if request.ended_ns > latest_ns and request.status}
    return [pid for pid, first_ns in traffic.workers.items() if first_ns < last_ns and pid in at_the_end]


def measure(options: argparse.Namespace, proof: Proof) -> None:
    for workers in options.workers:
        run(workers, options, proof)


def draw(proof: Proof) -> str:
    subtitle = [
        "Dashed: SIGHUP, upon which every worker is replaced by a new process.",
        "Failed is every request whose whole right answer did not come at the first attempt.",
    ]
    return proof_plot.draw("A rolling reload every second: requests answered and failed", subtitle, proof.timeline)


def main(arguments: Sequence[str] | None = None) -> None:
    made = parser(NAME, __doc__, hups=3, workers=[2])
    made.add_argument("--hups", type=int, default=20)
    made.add_argument("--every", type=float, default=1.0, help="seconds from one HUP to the next")
    made.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    conclude(NAME, options_of(made, arguments), measure, draw)


if __name__ == "__main__":
    main()
