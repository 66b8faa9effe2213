"""Thousands of clients that are as slow as they may be: what do they cost, and for how long are they borne?

One worker. Good clients ask at fixed times throughout; a crowd comes, dawdles, and has to be sent away when
its timeout has passed. See README.md.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.load import chart, openloop
from bench.load.chart import Axis, Line, Panel
from bench.load.crowd import Crowd, Manner
from bench.load.openloop import NS, Generator, Phase, Records, Window, summarise
from bench.load.places import HOST
from bench.load.proof import Proof, conclude, options_of, parser, rounded, serving
from bench.load.proof_plot import ALARM, COLORS, ticks
from bench.load.server import Server

NAME = "slow"
BEFORE_S, AFTER_S = 4.0, 2.0  # good clients alone
EDGE_S = 0.5  # left out on both sides of what is judged
LATE_S = 1.0  # by which a timeout may be late
GOOD_RATE, GOOD_CONNECTIONS, GOOD_TIMEOUT_S = 1000.0, 32, 5.0
TIMES_GOAL, GROWTH_GOAL_MB = 2.0, 40.0
DEADLINE_S = 1.0
BIN_S = 0.5

GET = f"HTTP/1.1\r\nHost: {HOST}\r\n".encode()
HEAD = Manner("slow heads", b"G", b"ET /at/1 " + GET + b"X-Slow: " + b"s" * 4096)
CONTENT = Manner("slow content", b"POST /content/1 " + GET + b"Content-Length: 100000\r\n\r\n", b"c")
READER = Manner("slow readers", b"GET /flood " + GET + b"\r\n", reads=False)


@dataclass(frozen=True)
class Stage:
    manner: Manner
    count: int
    borne_s: float  # for how long the server is to bear each of them
    env: dict[str, str]


def stages(options: argparse.Namespace) -> list[Stage]:
    timeout_s = options.timeout
    env = {"READ_TIMEOUT": f"{timeout_s:g}s", "WRITE_TIMEOUT": f"{timeout_s:g}s", "LIMIT_CONCURRENCY": "0"}
    return [
        Stage(HEAD, options.heads, timeout_s, env),
        Stage(CONTENT, options.contents, timeout_s, env),
        Stage(READER, options.readers, timeout_s, env),
    ]


class Run:
    """One crowd on a server of its own."""

    def __init__(self, stage: Stage, server: Server, client_cpu: int) -> None:
        self.stage = stage
        self.server = server
        self.crowd = Crowd(server.port, stage.manner, stage.count)
        self.seconds = BEFORE_S + stage.borne_s + LATE_S + AFTER_S + 10
        options = {"connections": GOOD_CONNECTIONS, "timeout_s": GOOD_TIMEOUT_S, "cpu": client_cpu}
        self.good = Generator(server.port, [Phase(GOOD_RATE, self.seconds)], ["/at/1"], **options)
        self.rss = self.grown = 0
        self.come_s = self.full_s = self.gone_s = 0.0  # since the good clients' first request

    @property
    def now_s(self) -> float:
        return (time.monotonic_ns() - self.good.start_ns) / NS

    def go(self) -> Records:
        with self.good:
            time.sleep(max(0.0, BEFORE_S - self.now_s))
            self.rss = self.server.rss()
            self.come_s = self.now_s
            self.crowd.come()
            self.full_s = self.now_s
            self.crowd.run(time.monotonic() + self.come_s + self.stage.borne_s - EDGE_S - self.now_s)
            self.grown = self.server.rss() - self.rss
            self.crowd.run_while_there(time.monotonic() + self.full_s + self.stage.borne_s + 4 * LATE_S - self.now_s)
            self.gone_s = self.now_s
            time.sleep(AFTER_S)
            return self.good.stop()


def window(records: Records, begin_s: float, end_s: float) -> Window:
    return summarise(records, begin_s, end_s, DEADLINE_S)


def judge(proof: Proof, run: Run, records: Records) -> None:
    stage, crowd = run.stage, run.crowd
    name, stayed, grown_mb = stage.manner.name, crowd.stay_s(100), run.grown / 1e6
    before = window(records, EDGE_S, run.come_s - EDGE_S)
    during = window(records, run.full_s + EDGE_S, run.come_s + stage.borne_s - EDGE_S)
    leaving = window(records, run.come_s + stage.borne_s - EDGE_S, run.gone_s)
    failed = sum((part.failed + part.refusals) * part.seconds for part in (before, during, leaving))
    proof.samples.append(
        {"crowd": name, "clients": stage.count, "came in s": run.full_s - run.come_s}
        | {"good p99 ms before": before.p99_ms, "during": during.p99_ms, "while they leave": leaving.p99_ms}
        | {"RSS MB before": run.rss / 1e6, "grown": grown_mb, "KB each": run.grown / 1e3 / stage.count}
        | {"stayed s, p50": crowd.stay_s(50), "longest": stayed, "left": crowd.there, "crowd late s": crowd.late_s}
        | {"ends": ", ".join(f"{count:,} {how}" for how, count in crowd.ends().most_common())}
    )
    if stage.manner is HEAD:
        times = during.p99_ms / before.p99_ms if before.p99_ms else 0.0
        proof.judge(f"{name}: good p99 {times:.2f} times what it was, goal ≤ {TIMES_GOAL:g}", 0 < times <= TIMES_GOAL)
    proof.judge(f"{name}: memory grew by {grown_mb:.1f} MB, goal < {GROWTH_GOAL_MB:g}", grown_mb < GROWTH_GOAL_MB)
    bound_s = stage.borne_s + LATE_S
    proof.judge(
        f"{name}: {crowd.there} of {stage.count:,} left, the last went after {stayed:.1f} s, goal ≤ {bound_s:g} s",
        not crowd.there and stayed <= bound_s,
    )
    proof.judge(f"{name}: {failed:.0f} good requests failed, goal 0", round(failed) == 0)
    bins = openloop.bins(records, run.gone_s + AFTER_S - EDGE_S, BIN_S, DEADLINE_S)
    start_s = run.good.start_ns / NS
    proof.timeline[name] = {
        "bin_s": BIN_S,
        "p99_ms": rounded(part.p99_ms for part in bins),
        "there": [[round(at_s - start_s, 2), there] for at_s, there in crowd.history],
    }


def measure(options: argparse.Namespace, proof: Proof) -> None:
    openloop.exit_unless_installed()
    for stage in stages(options):
        if stage.count:
            with serving(NAME, env=stage.env, cpu=options.server_cpu) as server:
                run = Run(stage, server, options.client_cpu)
                records = run.go()
                judge(proof, run, records)
                run.crowd.leave()
            print(proof.newest(), flush=True)


def draw(proof: Proof) -> str:
    panels = [
        panel(name, 150 + 290 * number, timeline) for number, (name, timeline) in enumerate(proof.timeline.items())
    ]
    subtitle = [f"Good clients ask {GOOD_RATE:,.0f} times a second throughout; each slow one moves one octet a second."]
    return chart.render(1000, 150 + 290 * len(panels) - 40, "Slow clients, and what good ones notice", subtitle, panels)


def panel(name: str, top: float, timeline: dict[str, Any]) -> Panel:
    points = [((place + 0.5) * timeline["bin_s"], p99) for place, p99 in enumerate(timeline["p99_ms"])]
    seconds, high = points[-1][0], 1.2 * max(p99 for _, p99 in points) or 1.0
    most = max((there for _, there in timeline["there"]), default=1) or 1
    crowd = [(at, there / most * high / 1.1) for at, there in timeline["there"]]
    lines = [
        Line(crowd, ALARM, f"{most:,} {name}", (seconds * 1.01, high * 0.8), filled=True, width=1.5),
        Line(points, COLORS[0], "good clients' p99", (seconds * 1.01, high * 0.9)),
    ]
    x, y = Axis(0, seconds, ticks(seconds), "seconds"), Axis(0, high, ticks(high, 4), spell=lambda ms: f"{ms:g} ms")
    return Panel(90, top, 720, 190, name, x, y, lines)


def main(arguments: Sequence[str] | None = None) -> None:
    made = parser(NAME, __doc__, heads=1000, contents=100, readers=20, timeout=12.0)
    made.add_argument("--heads", type=int, default=10_000, help="clients that send their head slowly")
    made.add_argument("--contents", type=int, default=1000, help="clients that send their content slowly")
    made.add_argument("--readers", type=int, default=200, help="clients that read their answer slowly")
    made.add_argument("--timeout", type=float, default=15.0, help="seconds of READ_TIMEOUT and WRITE_TIMEOUT")
    made.add_argument("--server-cpu", type=int, default=0)
    conclude(NAME, options_of(made, arguments), measure, draw, niceness=-10)  # the generator goes first


if __name__ == "__main__":
    main()
