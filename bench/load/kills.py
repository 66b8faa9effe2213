"""kill -9 of random workers under load and under a rate limit: what is lost, for how long, and does the limit hold?

Only requests on the killed worker's own connections may fail. What the limit admits is counted by the
workers themselves, in a file that outlives them. See README.md.
"""

import argparse
import os
import random
import signal
import tempfile
import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bench.load import procfs, proof_plot
from bench.load.openloop import NS, percentile
from bench.load.outcomes import Ended, Quiet, Request, failures, worst_excess
from bench.load.proof import Proof, conclude, figures, options_of, parser, serving, timeline
from bench.load.server import NotMeasured
from bench.load.traffic import Kind, Traffic

NAME = "kills"
CALM_S = 2.0  # before the first kill
AFTER_S = 3.0  # the last one
PATIENCE = 3  # times the time that all kills should take
REPLACED_MS = 500.0
SEEN_MS = 250.0  # after a kill, its clients have learnt of it
BIN_S = 0.25
LIMITED = 429
KINDS = (
    Kind("keep-alive", 20, 0.01, turns=50, allowed=(200, LIMITED)),
    Kind("one-shot", 10, 0.01, keeps=False, allowed=(200, LIMITED)),
    Kind("waits", 20, 0.01, "/nap", turns=20, allowed=(200, LIMITED)),
)


@dataclass
class Kill:
    pid: int
    at_ns: int
    exposed: int  # connections to it, or to nobody known yet, that were open just then
    lost: list[Request] = field(default_factory=list)
    replaced_ms: float | None = None

    @classmethod
    def of(cls, traffic: Traffic, pid: int) -> Self:
        """Kills a worker now."""
        kill = cls(pid, time.monotonic_ns(), traffic.open_to(pid))
        os.kill(pid, signal.SIGKILL)
        return kill


class Killer:
    """Kills one of the workers that have answered for a while, again and again."""

    def __init__(self, traffic: Traffic, supervisor: int, options: argparse.Namespace) -> None:
        self.traffic = traffic
        self.supervisor = supervisor
        self.options = options
        self.chance = random.Random(options.seed)
        self.kills: list[Kill] = []
        traffic.at(CALM_S, self.strike)

    def strike(self) -> None:
        if self.supervisor in self.traffic.workers:
            raise NotMeasured("the supervisor serves requests itself: there is nobody who would replace it")
        now_ns = time.monotonic_ns()
        killed = {kill.pid for kill in self.kills}
        victims = [
            pid
            for pid, first_ns in self.traffic.workers.items()
            if pid not in killed
            and now_ns - first_ns > self.options.age * NS
            and procfs.parent_of(pid) == self.supervisor
        ]
        if victims:
            self.kills.append(Kill.of(self.traffic, self.chance.choice(victims)))
        if len(self.kills) < self.options.kills:
            self.traffic.after(self.options.every, self.strike)

    def over(self) -> bool:
        if self.traffic.elapsed_s > CALM_S + PATIENCE * self.options.kills * self.options.every + AFTER_S:
            return True  # there is nobody left to kill
        return len(self.kills) == self.options.kills and time.monotonic_ns() - self.kills[-1].at_ns > AFTER_S * NS


def assign(
    kills: Sequence[Kill],
    requests: Sequence[Request],
    ended: Sequence[Ended],
    workers: Mapping[int, int],
    seen_ms: float = SEEN_MS,
) -> list[Request | Ended]:
    """Gives each kill what was lost by it, and its replacement; returns what no kill explains.

    A kill explains what failed within `seen_ms` on a connection to its worker, or on one on which nobody had answered
    yet. Its replacement is the next of the `workers`, known by the times of their first answers.
    """

    def culprit(at_ns: int, pid: int) -> Kill | None:
        suspects = (kill for kill in kills if pid in (kill.pid, 0))
        return next((kill for kill in suspects if 0 <= at_ns - kill.at_ns <= seen_ms * NS / 1000), None)

    unexplained: list[Request | Ended] = []
    for request in failures(requests):
        if kill := culprit(request.ended_ns, request.pid):
            kill.lost.append(request)
        else:
            unexplained.append(request)
    unexplained += [end for end in ended if end.how is not Quiet.CLOSED and not culprit(end.at_ns, end.pid)]
    newcomers = list(workers.items())
    for kill in kills:
        later = [newcomer for newcomer in newcomers if newcomer[1] > kill.at_ns]
        if later:
            newcomers.remove(later[0])
            kill.replaced_ms = (later[0][1] - kill.at_ns) * 1000 / NS
    return unexplained


def admitted_spans(file: Path, requests: Sequence[Request]) -> list[tuple[int, int]]:
    """When each request was admitted for which a handler was begun: after it was sent, before its handler noted it."""
    noted, begun = array("q", file.read_bytes()), {request.serial: request.begun_ns for request in requests}
    return [(begun[serial], at_ns) for serial, at_ns in zip(noted[::2], noted[1::2], strict=True)]


def run(options: argparse.Namespace, proof: Proof) -> None:
    limits = {"RATE_LIMIT_RPS": f"{options.rate:g}", "RATE_LIMIT_CAPACITY": f"{options.capacity}"}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "admitted")
        with serving(NAME, options.workers, env={**limits, "ADMITTED": str(file)}) as server:
            traffic = Traffic(server.port, KINDS, seed=options.seed)
            killer = Killer(traffic, server.process.pid, options)
            traffic.run_while(lambda: not killer.over() and server.process.poll() is None)
            if server.process.poll() is not None:
                raise NotMeasured(f"the server ended with {server.process.returncode}: {server.said()[-500:]}")
            seconds = traffic.elapsed_s
            traffic.finish()
        spans = admitted_spans(file, traffic.requests)
    judge(options, proof, traffic, killer.kills, spans)
    marks_s = [(kill.at_ns - traffic.start_ns) / NS for kill in killer.kills]
    title = f"{options.workers} workers, {options.rate:g} requests a second allowed"
    proof.timeline[title] = timeline(traffic, seconds, BIN_S, marks_s)


def judge(
    options: argparse.Namespace, proof: Proof, traffic: Traffic, kills: Sequence[Kill], spans: Sequence[tuple[int, int]]
) -> None:
    unexplained = assign(kills, traffic.requests, traffic.ended, traffic.workers)
    proof.tell("no kill explains", [lost for lost in unexplained if isinstance(lost, Request)], traffic.start_ns)
    lost, most = sum(len(kill.lost) for kill in kills), max(len(kill.lost) for kill in kills)
    late = [kill for kill in kills if kill.replaced_ms is None or kill.replaced_ms > REPLACED_MS]
    times = sorted(kill.replaced_ms for kill in kills if kill.replaced_ms is not None)
    excess, limited = worst_excess(spans, options.rate), sum(r.status == LIMITED for r in traffic.requests)
    proof.samples.append(
        {"workers": options.workers, "kills": len(kills), "asked": len(traffic.requests)}
        | figures(traffic, traffic.requests)
        | {"admitted": len(spans), "limited": limited, "lost by a kill, most": most, "in the bucket, most": excess}
        | {f"replaced ms p{percent}": percentile(times, percent) for percent in (50, 90, 100)}
    )
    proof.timeline["kills"] = {
        "replaced_ms": [kill.replaced_ms and round(kill.replaced_ms, 1) for kill in kills],
        "lost_by_each": [len(kill.lost) for kill in kills],
        "open_to_each": [kill.exposed for kill in kills],
    }
    proof.judge(f"{len(kills)} workers killed, goal {options.kills}", len(kills) == options.kills)
    proof.judge(
        f"{len(unexplained)} requests or connections lost apart from those of killed workers, goal 0", not unexplained
    )
    within = all(len(kill.lost) <= kill.exposed for kill in kills)
    proof.judge(f"{lost} requests lost by kills, each on a connection that was open to the killed worker", within)
    proof.judge(
        f"replaced within {times[-1] if times else 0:.0f} ms, {len(late)} later or never, goal ≤ {REPLACED_MS:g} ms",
        not late,
    )
    proof.judge(
        f"admitted beyond the rate in the worst window: {excess:.1f}, goal ≤ {options.capacity} (the capacity)",
        excess <= options.capacity,
    )
    proof.judge(f"the limit was reached: {limited:,} requests refused by it, goal > 0", limited > 0)


def measure(options: argparse.Namespace, proof: Proof) -> None:
    run(options, proof)


def draw(proof: Proof) -> str:
    subtitle = [
        "Dashed: a worker is killed (SIGKILL). Answered are 200s and 429s; failed is what had no right answer.",
    ]
    timelines = {name: timeline for name, timeline in proof.timeline.items() if "bin_s" in timeline}
    return proof_plot.draw("Random workers killed under load", subtitle, timelines)


def main(arguments: Sequence[str] | None = None) -> None:
    made = parser(NAME, __doc__, kills=3)
    made.add_argument("--kills", type=int, default=50)
    made.add_argument("--every", type=float, default=1.5, help="seconds from one kill to the next")
    made.add_argument("--age", type=float, default=1.0, help="seconds for which the victim has been answering")
    made.add_argument("--workers", type=int, default=2)
    made.add_argument("--rate", type=float, default=1000, help="requests a second that are allowed")
    made.add_argument("--capacity", type=int, default=100, help="of the bucket")
    conclude(NAME, options_of(made, arguments), measure, draw)


if __name__ == "__main__":
    main()
