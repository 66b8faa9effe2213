"""Everything at once for a long time: does anything fail, slow down, or pile up?

Mixed clients, slow ones and such that send garbage, throughout. First comes a storm, in which workers are killed and
all are reloaded again and again; then the same workers serve on, watched for growth; at the end everybody
leaves, and what is still held is counted. See README.md.
"""

import argparse
import contextlib
import functools
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.load import chart, procfs
from bench.load.chart import Axis, Line, Panel
from bench.load.crowd import Crowd
from bench.load.kills import Killer, assign
from bench.load.openloop import NS
from bench.load.outcomes import Outcome, Request, failures, latencies_ms
from bench.load.places import HOST
from bench.load.proof import Proof, conclude, figures, options_of, parser, rounded, serving
from bench.load.proof_plot import ALARM, COLORS, MARK, ticks
from bench.load.server import NotMeasured, Server
from bench.load.slow import CONTENT, HEAD, READER
from bench.load.traffic import Kind, Traffic
from bench.load.vandals import Vandals

NAME = "soak"
WORKERS = 2
STORM = 1 / 3  # of the time
SETTLE_S = 2.0  # after the storm, and after everybody has left
KILL_EACH_S, HUP_EACH_S = 5.0, 12.0
VISITORS = 32  # so many that each worker gets one
AFTER_LAST_S = 4.0  # no kill and no reload so shortly before the storm's end
SAMPLE_S = 1.0
BIN_S = 5.0
BY_THEMSELVES = ("waits", "content")  # take their time by what they are
TIMEOUT_S = 4.0  # READ_TIMEOUT and WRITE_TIMEOUT, which send slow clients away
SLOW_LATE_S = 2.0
PARTS = 4  # of the watched time: the first and the last are compared
RSS_GOAL_MB, SLOWER_GOAL, SLOWER_MS = 4.0, 2.0, 5.0
RATED_S = 12.0  # LIMIT_BODY_RATE is looked at when a timeout would have passed, and not before 10 s
SLOW = ((HEAD, 100, TIMEOUT_S), (CONTENT, 50, RATED_S), (READER, 5, RATED_S))
KINDS = (
    Kind("keep-alive", 30, 0.08),
    Kind("one-shot", 10, 0.1, keeps=False),
    Kind("content", 10, 0.1, "/content", content=4000),
    Kind("waits", 15, 0.1, "/nap", turns=20),
    Kind("works", 2, 0.2, "/work"),
)


@dataclass(frozen=True)
class Sample:
    at_s: float
    rss_mb: float
    descriptors: int
    pids: tuple[int, ...]


class Watch:
    """Looks at the server's processes once a second, on the agenda of the traffic."""

    def __init__(self, traffic: Traffic, server: Server) -> None:
        self.traffic = traffic
        self.server = server
        self.samples: list[Sample] = []
        self.look()

    def look(self) -> None:
        self.server.refresh()
        pids = self.server.pids
        rss_mb, descriptors = procfs.rss_of(pids) / 1e6, procfs.descriptors_of(pids)
        self.samples.append(Sample(self.traffic.elapsed_s, rss_mb, descriptors, tuple(sorted(pids))))
        if not self.traffic.stopping:
            self.traffic.after(SAMPLE_S, self.look)


class Slow:
    """Crowds of slow clients, one after the other, in a thread of their own.

    How long they are borne counts once nobody is killed any more: what a dead process has not sent, the kernel goes on
    offering to those who do not take it.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.calm = False
        self.over = False
        self.ends = Counter[str]()
        self.overdue = Counter[str]()  # were there long after their timeout
        self.thread = threading.Thread(target=self.come_and_go)
        self.thread.start()

    def come_and_go(self) -> None:
        while not self.over:
            for manner, count, borne_s in SLOW:
                crowd, calm = Crowd(self.port, manner, count), self.calm
                with contextlib.suppress(NotMeasured):  # whoever comes while a worker is killed may be reset at once
                    crowd.come()
                crowd.run_while_there(time.monotonic() + borne_s + SLOW_LATE_S)
                self.overdue[manner.name] += crowd.there if calm else 0
                self.ends.update({f"{manner.name}: {how}": number for how, number in crowd.ends().items()})
                crowd.leave()

    def stop(self) -> None:
        self.over = True
        self.thread.join()


@dataclass
class Run:
    traffic: Traffic
    watch: Watch
    killer: Killer
    hups_s: list[float]
    vandals: Vandals
    slow: Slow
    storm_s: float
    before: Sample  # only a few had come yet
    after: Sample  # everybody has left


def storm(options: argparse.Namespace, traffic: Traffic, server: Server) -> tuple[Killer, list[float], float]:
    """Kills and reloads, told to the traffic's agenda."""
    storm_s = options.seconds * STORM
    kills = max(1, int((storm_s - AFTER_LAST_S) / KILL_EACH_S))
    chosen = argparse.Namespace(seed=options.seed, kills=kills, every=KILL_EACH_S, age=1.0)
    killer = Killer(traffic, server.process.pid, chosen)
    hups_s = [HUP_EACH_S * number - 3.0 for number in range(1, int((storm_s - AFTER_LAST_S) / HUP_EACH_S) + 1)]
    for at_s in hups_s:
        traffic.at(at_s, server.reload)
    return killer, hups_s, storm_s


def meet(port: int) -> None:
    """Each worker makes its epoll instance when a connection asks for the second time: before anything is counted."""
    for _ in range(VISITORS):
        with socket.create_connection((HOST, port), 10) as visitor:
            for _ in range(2):
                visitor.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                answer = b""
                while not answer.endswith(b"\r\n\r\nok"):
                    answer += visitor.recv(1000)


def run(options: argparse.Namespace, server: Server) -> Run:
    meet(server.port)
    traffic = Traffic(server.port, KINDS, seed=options.seed)
    watch = Watch(traffic, server)
    killer, hups_s, storm_s = storm(options, traffic, server)
    vandals, slow = Vandals(traffic, options.seed), Slow(server.port)
    traffic.at(storm_s, functools.partial(setattr, slow, "calm", True))
    try:
        traffic.run_while(lambda: traffic.elapsed_s < options.seconds and server.process.poll() is None)
        slow.over = True  # the others go on until the last of them has left
        traffic.run_while(lambda: slow.thread.is_alive() and server.process.poll() is None)
    finally:
        slow.stop()
    if server.process.poll() is not None:
        raise NotMeasured(f"the server ended with {server.process.returncode}: {server.said()[-500:]}")
    vandals.end()
    traffic.finish()
    time.sleep(SETTLE_S)
    before = watch.samples[0]
    watch.look()
    return Run(traffic, watch, killer, hups_s, vandals, slow, storm_s, before, watch.samples.pop())


def watched(run: Run, seconds: float) -> list[tuple[float, float]]:
    """The spans of the watched time that are compared."""
    begin_s = run.storm_s + SETTLE_S
    width_s = (seconds - begin_s) / PARTS
    return [(begin_s + width_s * part, begin_s + width_s * (part + 1)) for part in range(PARTS)]


def rss_in(run: Run, span: tuple[float, float]) -> float:
    return statistics.median(sample.rss_mb for sample in run.watch.samples if span[0] <= sample.at_s < span[1])


def p99_in(run: Run, span: tuple[float, float]) -> float:
    return latencies_ms(list(requests_in(run, *span)))[1]


def requests_in(run: Run, begin_s: float, end_s: float) -> Iterator[Request]:
    start_ns = run.traffic.start_ns
    return (
        one
        for one in run.traffic.requests
        if begin_s <= (one.ended_ns - start_ns) / NS < end_s and one.kind not in BY_THEMSELVES
    )


def judge(options: argparse.Namespace, proof: Proof, run: Run, ending: str, log: str) -> None:
    traffic, spans = run.traffic, watched(run, options.seconds)
    unexplained = assign(run.killer.kills, traffic.requests, traffic.ended, traffic.workers)
    lost = [one for one in unexplained if isinstance(one, Request)]
    rss, p99 = (
        [rss_in(run, span) for span in (spans[0], spans[-1])],
        [p99_in(run, span) for span in (spans[0], spans[-1])],
    )
    proof.tell("no kill explains", lost, traffic.start_ns)
    proof.samples.append(
        {"minutes": options.seconds / 60, "asked": len(traffic.requests), **figures(traffic, traffic.requests)}
        | {"kills": len(run.killer.kills), "HUPs": len(run.hups_s), "workers seen": len(traffic.workers)}
        | {"vandals": run.vandals.came, "slow": run.slow.ends.total()}
        | {"RSS MB first": rss[0], "RSS MB last": rss[1], "p99 ms first": p99[0], "p99 ms last": p99[1]}
        | {"descriptors before": run.before.descriptors, "after": run.after.descriptors}
    )
    proof.timeline["garbage"] = {
        "answers": dict(run.vandals.statuses),
        "slow clients": dict(run.slow.ends),
        "borne too long": dict(run.slow.overdue),
    }
    failed, overdue = len(failures(traffic.requests)), run.slow.overdue.total()
    proof.judge(
        f"{failed} of {len(traffic.requests):,} requests failed, {len(unexplained)} not by a kill, goal 0",
        not unexplained,
    )
    wrong = sum(one.outcome is Outcome.WRONG for one in traffic.requests)
    proof.judge(f"{wrong} answers were wrong, goal 0", not wrong)
    proof.judge(f"memory grew by {rss[1] - rss[0]:.1f} MB, goal ≤ {RSS_GOAL_MB:g} MB", rss[1] - rss[0] <= RSS_GOAL_MB)
    bound_ms = max(p99[0] * SLOWER_GOAL, p99[0] + SLOWER_MS)
    proof.judge(f"p99 {p99[1]:.1f} ms at the end, goal ≤ {bound_ms:.1f} ms by what it was first", p99[1] <= bound_ms)
    more = run.after.descriptors - run.before.descriptors
    proof.judge(f"{more} descriptors more than before anybody came, goal ≤ 0", more <= 0)
    proof.judge(
        f"{overdue} of {run.slow.ends.total():,} slow clients were borne too long, goal 0",
        not overdue,
    )
    proof.judge(
        f"garbage was answered with 500 {run.vandals.statuses['500']} times, goal 0", not run.vandals.statuses["500"]
    )
    stable = {pid for sample in run.watch.samples if sample.at_s > spans[0][0] for pid in sample.pids}
    proof.judge(
        f"{len(stable)} processes after the storm, goal {WORKERS + 1}: none was replaced", len(stable) == WORKERS + 1
    )
    proof.judge(f"tracebacks in the log: {log.count('Traceback')}, goal 0", "Traceback" not in log)
    proof.judge(f"the end: {ending}, goal 0", ending == "exit code 0")


def timelines(run: Run, seconds: float) -> dict[str, Any]:
    bins = [(BIN_S * place, BIN_S * (place + 1)) for place in range(int(seconds / BIN_S))]
    samples, start_ns = run.watch.samples, run.traffic.start_ns
    found = [list(requests_in(run, *span)) for span in bins]
    return {
        "bin_s": BIN_S,
        "storm_s": run.storm_s,
        "at_s": rounded(sample.at_s for sample in samples),
        "rss_mb": rounded(sample.rss_mb for sample in samples),
        "descriptors": [sample.descriptors for sample in samples],
        "p99_ms": rounded(latencies_ms(requests)[1] for requests in found),
        "answered": rounded(sum(one.outcome is Outcome.OK for one in requests) / BIN_S for requests in found),
        "kills_s": rounded((kill.at_ns - start_ns) / NS for kill in run.killer.kills),
        "hups_s": rounded(run.hups_s),
    }


def measure(options: argparse.Namespace, proof: Proof) -> None:
    env = {"READ_TIMEOUT": f"{TIMEOUT_S:g}s", "WRITE_TIMEOUT": f"{TIMEOUT_S:g}s"}
    with serving(NAME, WORKERS, env=env) as server:
        made = run(options, server)
        ending = server.end()
        judge(options, proof, made, ending, server.said())
    proof.timeline[NAME] = timelines(made, options.seconds)


def draw(proof: Proof) -> str:
    timeline = proof.timeline[NAME]
    seen = list(timeline["at_s"])
    middles = [(place + 0.5) * timeline["bin_s"] for place in range(len(timeline["p99_ms"]))]
    shown = [
        ("memory of all processes", seen, timeline["rss_mb"], "MB"),
        ("open descriptors", seen, timeline["descriptors"], ""),
        ("p99 of answers that do not wait", middles, timeline["p99_ms"], "ms"),
        ("answers", middles, timeline["answered"], "/s"),
    ]
    panels = [panel(timeline, place, *one) for place, one in enumerate(shown)]
    subtitle = ["Slow clients and garbage throughout. Dashed: a worker is killed (red), all are reloaded (grey)."]
    return chart.render(1000, 150 + 230 * len(panels) - 30, "Everything at once, for a long time", subtitle, panels)


def panel(
    timeline: dict[str, Any], place: int, title: str, at_s: Sequence[float], values: Sequence[float], unit: str
) -> Panel:
    seconds, high = max(timeline["at_s"]), 1.2 * max(values, default=0.0) or 1.0
    marks = [(at, ALARM) for at in timeline["kills_s"]] + [(at, MARK) for at in timeline["hups_s"]]
    lines = [Line([(at, 0.0), (at, high)], color, width=0.8, dashes="3 3") for at, color in marks]
    lines.append(Line(list(zip(at_s, values, strict=True)), COLORS[place], width=1.6))
    x, y = (
        Axis(0, seconds, ticks(seconds), "seconds"),
        Axis(0, high, ticks(high, 4), spell=lambda value: f"{value:g} {unit}"),
    )
    return Panel(90, 130 + 230 * place, 850, 140, title, x, y, lines)


def main(arguments: Sequence[str] | None = None) -> None:
    made = parser(NAME, __doc__, seconds=45.0)
    made.add_argument("--seconds", type=float, default=600.0)
    conclude(NAME, options_of(made, arguments), measure, draw)


if __name__ == "__main__":
    main()
