"""Deadlines on the wire: how late is a 504, and is one ever early?

The client counts from the moment at which it sends to the moment at which it has read the 504. The server
counts from the later moment at which it has read the head, so what is early for the client is early,
and its lateness has both ways through the kernel in it, and the loop's turn before the head is read. The
handler's own clock tells how late the cancellation reached it: that is the server's part.
"""

import argparse
import contextlib
import json
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import figures
from bench.figures import Figure
from bench.load import guarded, openloop
from bench.load.client import ask
from bench.load.connections import RESET_ON_CLOSE, raise_descriptor_limit
from bench.load.openloop import NS, Generator, Phase, Records, percentile
from bench.load.places import HOST, LOG, RUN
from bench.load.server import NotMeasured, Server, exit_on_sigterm

GOAL_MS = 5.0
MISSED = 504
CROWD = 10_000
TIMEOUT_S = 5.0
SETTLE_S = 1.0
SPREAD_S = 0.001  # all at once takes so long


@dataclass(frozen=True)
class Stage:
    name: str
    schedule: tuple[Phase, ...]
    connections: int
    held: int = 0  # requests in flight beside it whose own deadlines are far
    judged: bool = True


def stages(rate: float) -> tuple[Stage, ...]:
    """The rate leaves the loop idle for most of its time; its requests in flight are rate times deadline."""
    stream, moving = (Phase(rate, CROWD / rate),), round(rate * sum(guarded.WAITS.values()) / len(guarded.WAITS))
    return (
        Stage("calm", stream, 1000),
        Stage(f"among {CROWD:,}", stream, 1000, held=CROWD - moving),
        Stage("all at once", (Phase(CROWD / SPREAD_S, SPREAD_S),), CROWD, judged=False),
    )


@dataclass(frozen=True)
class Finding:
    """Of one deadline in one stage, or in the handler."""

    stage: Stage
    what: str
    in_flight: int  # at most, at once
    late_ms: list[float]  # in order; negative: early
    other: int  # requests that were answered anything but 504

    @property
    def early(self) -> int:
        return sum(late < 0 for late in self.late_ms)

    def met(self) -> bool | None:
        if not self.stage.judged:
            return None
        good = not self.early and not self.other and percentile(self.late_ms, 99) <= GOAL_MS
        return good and bool(self.late_ms)

    def figure(self) -> Figure:
        p50, p999, most = (percentile(self.late_ms, percent) for percent in (50, 99.9, 100))
        counts = f"{len(self.late_ms):,} answered 504, {self.other:,} otherwise, {self.early:,} early"
        note = f"{self.in_flight:,} in flight; {counts}; p50 {p50:.2f}, p99.9 {p999:.2f}, max {most:.2f} ms"
        name, goal = f"{self.stage.name}, {self.what}: late p99", f"≤ {GOAL_MS:g}, none early" * self.stage.judged
        return Figure(name, percentile(self.late_ms, 99), "ms", goal, self.met(), note)


def lateness_ms(records: Records, deadlines_s: Sequence[float], which: int) -> list[float]:
    """By how much each 504 of one deadline came after it; requests take turns among the deadlines."""
    turn = range(which, len(records), len(deadlines_s))
    deadline_ns = round(deadlines_s[which] * NS)
    missed = (at for at in turn if records.status[at] == MISSED)
    return sorted((records.answered[at] - records.sent[at] - deadline_ns) * 1000 / NS for at in missed)


def most_in_flight(records: Records) -> int:
    moments = [(at, 1) for at in records.sent if at] + [(at, -1) for at in records.answered if at]
    running = most = 0
    for _, change in sorted(moments):
        running += change
        most = max(most, running)
    return most


@contextlib.contextmanager
def held(port: int, count: int) -> Iterator[None]:
    """So many requests in flight, on connections of their own, while it lasts."""
    request = f"GET {guarded.HOLD} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    with contextlib.ExitStack() as open_ones:
        for _ in range(count):
            connection = open_ones.enter_context(socket.create_connection((HOST, port), TIMEOUT_S))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            connection.sendall(request)
        time.sleep(SETTLE_S)
        yield


def run(stage: Stage, server_cpu: int, client_cpu: int) -> list[Finding]:
    paths, deadlines_s = list(guarded.WAITS), list(guarded.WAITS.values())
    with Server(guarded.PEERS[guarded.MANY], server_cpu) as server, held(server.port, stage.held):
        options = {"connections": stage.connections, "timeout_s": TIMEOUT_S, "cpu": client_cpu}
        with Generator(server.port, stage.schedule, paths, **options) as generator:
            records = generator.finish()
        noted_us = json.loads(ask(server.port, "GET", guarded.LATENESS).body)
    in_flight = stage.held + most_in_flight(records)
    findings = []
    for which, path in enumerate(paths):
        late_ms = lateness_ms(records, deadlines_s, which)
        asked = len(range(which, len(records), len(paths)))
        findings.append(Finding(stage, f"GET {path}", in_flight, late_ms, asked - len(late_ms)))
    noted_ms = sorted(noted / 1000 for noted in noted_us)
    return [*findings, Finding(stage, "in the handler", in_flight, noted_ms, 0)]


def main(arguments: Sequence[str] | None = None) -> int:
    exit_on_sigterm()
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.deadlines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rate", type=float, default=2000, help="requests per second (default: 2000)")
    parser.add_argument("--server-cpu", type=int, default=0)
    parser.add_argument("--client-cpu", type=int, default=1)
    options = parser.parse_args(arguments)
    openloop.exit_unless_installed()
    raise_descriptor_limit()
    for folder in (RUN, LOG):
        folder.mkdir(parents=True, exist_ok=True)
    findings = []
    try:
        for stage in stages(options.rate):
            findings += run(stage, options.server_cpu, options.client_cpu)
    except NotMeasured as error:
        sys.exit(f"bench.load.deadlines: {error}")
    return figures.conclude("deadlines", [found.figure() for found in findings])


if __name__ == "__main__":
    sys.exit(main())
