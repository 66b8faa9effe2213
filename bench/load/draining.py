"""SIGTERM at half load: is every request answered that a client could still send, and does the server end in time?

Clients keep asking until nobody listens any more: that is the expected end, and counted apart. Meanwhile a handler
that ignores its cancellation runs, and a stream that never ends. See README.md.
"""

import argparse
import contextlib
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.load import proof_plot
from bench.load.openloop import NS
from bench.load.outcomes import Outcome, failures, resets
from bench.load.places import HOST
from bench.load.proof import Proof, conclude, figures, options_of, parser, serving, timeline
from bench.load.server import NotMeasured, Server
from bench.load.traffic import Kind, Traffic

NAME = "draining"
LOAD_S = 1.5  # before the signal
EXIT_S = 5.5  # SHUTDOWN_TIMEOUT and half a second
PATIENCE_S = 10.0  # beyond that
GLANCE_S = 0.05  # after the signal, readiness is looked at
WORK_US = 500  # of a request: 2000 a second would be all that a CPU can do
BIN_S = 0.1
FOREVER = ("/stubborn", "/endless")
KINDS = (
    Kind("keep-alive", 30, 0.05, "/work"),
    Kind("one-shot", 15, 0.05, "/work", keeps=False),
    Kind("content", 5, 0.05, "/content", content=2000),
    Kind("waits", 5, 0.05, "/nap"),
    Kind("rarely", 10, 1.0),
)
RUSH_S = 0.5
RUSH = (Kind("one-shot", 60, 0.0005, keeps=False), Kind("keep-alive", 10, 0.002))


@dataclass(frozen=True)
class Way:
    """How the server is run, and told how long to go on accepting."""

    workers: int
    delay_s: float
    rush: bool = False  # of new connections, instead of half the load and requests that do not end

    def __str__(self) -> str:
        name = f"{self.workers} worker{'s' * (self.workers > 1)}, delay {self.delay_s:g} s"
        return f"{name}, rush" if self.rush else name

    @property
    def load_s(self) -> float:
        return RUSH_S if self.rush else LOAD_S

    @property
    def bound_s(self) -> float:
        return self.delay_s + EXIT_S


@dataclass
class Stop:
    """What is seen of a server that is told to end. Times are ns of CLOCK_MONOTONIC; 0: not yet."""

    server: Server
    cpu_s: float  # until the signal, since it was made
    told_ns: int = 0
    ended_ns: int = 0
    unready: bool = False

    def tell(self) -> None:
        self.cpu_s = self.server.cpu().total - self.cpu_s
        self.told_ns = time.monotonic_ns()
        self.server.process.send_signal(signal.SIGTERM)

    def glance(self) -> None:
        self.unready = not ready(self.server.port)

    def alive(self) -> bool:
        if not self.ended_ns and self.server.process.poll() is not None:
            self.ended_ns = time.monotonic_ns()
        return not self.ended_ns

    @property
    def took_s(self) -> float:
        return (self.ended_ns - self.told_ns) / NS


@contextlib.contextmanager
def under_way(port: int, paths: Sequence[str]) -> Iterator[None]:
    """Requests that do not end by themselves."""
    with contextlib.ExitStack() as open_ones:
        for path in paths:
            connection = open_ones.enter_context(socket.create_connection((HOST, port), PATIENCE_S))
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            if path == "/endless":
                connection.recv(1)
        yield


def ready(port: int) -> bool:
    """Whether the server says that it is; an error is no answer, and no readiness."""
    try:
        with socket.create_connection((HOST, port), 1) as connection:
            connection.sendall(f"GET /readyz HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
            return connection.makefile("rb").read().startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def run(way: Way, seed: int) -> tuple[Stop, Traffic]:
    flags = f"--shutdown-delay {way.delay_s:g}s" if way.delay_s else ""
    env = {"WORK_US": str(WORK_US), "READ_TIMEOUT": "30s"}
    with (
        serving(NAME, way.workers, env=env, flags=flags) as server,
        under_way(server.port, () if way.rush else FOREVER),
    ):
        traffic = Traffic(server.port, RUSH if way.rush else KINDS, until_refused=True, seed=seed)
        stop = Stop(server, server.cpu().total)
        traffic.at(way.load_s, stop.tell)
        if way.delay_s:
            traffic.at(way.load_s + GLANCE_S, stop.glance)
        limit_s = way.load_s + way.bound_s + PATIENCE_S
        traffic.run_while(lambda: traffic.elapsed_s < limit_s and (stop.alive() or not traffic.over()))
        traffic.finish()
        if stop.alive():
            raise NotMeasured(f"{way}: the server did not end at all")
    return stop, traffic


def sample(way: Way, stop: Stop, traffic: Traffic) -> dict[str, Any]:
    refused = [request.ended_ns for request in traffic.requests if request.outcome is Outcome.REFUSED]
    after = [request for request in traffic.requests if request.ended_ns > stop.told_ns]
    return {
        "rounds": 1,
        "asked": len(traffic.requests),
        "asked till the end": len(after),
        **figures(traffic, after),
        "failed": len(failures(traffic.requests, stop.told_ns)),
        "torn down": resets(traffic.requests, traffic.ended),
        "ready after it": int(not stop.unready and way.delay_s > 0),
        "exit code": stop.server.process.returncode,
        "CPU % before": 100 * stop.cpu_s / way.load_s,
        "accepts for s": (min(refused) - stop.told_ns) / NS if refused else 0.0,
        "exit s": stop.took_s,
    }


def together(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of several rounds: counts are added up, of figures the worst is kept."""
    found = {}
    for name, first in samples[0].items():
        values = [sample[name] for sample in samples]
        found[name] = sum(values) if isinstance(first, int) else min(values) if name == "accepts for s" else max(values)
    return found


def judge(proof: Proof, way: Way, sample: dict[str, Any]) -> None:
    failed, torn, took_s, accepted_s = (sample[name] for name in ("failed", "torn down", "exit s", "accepts for s"))
    proof.judge(f"{way}: {failed} of {sample['asked']:,} requests failed, goal 0", not failed)
    proof.judge(f"{way}: {torn} connections reset, goal 0", not torn)
    proof.judge(f"{way}: ended {took_s:.2f} s after SIGTERM, goal ≤ {way.bound_s:g} s", took_s <= way.bound_s)
    if way.delay_s:
        words = f"{way}: accepted connections for {accepted_s:.2f} s, goal ≥ {way.delay_s:g} s"
        proof.judge(words, accepted_s >= way.delay_s)
        proof.judge(f"{way}: not ready from the signal on", not sample["ready after it"])


def measure(options: argparse.Namespace, proof: Proof) -> None:
    rounds = {Way(workers, delay_s): options.rounds for workers in options.workers for delay_s in options.delays}
    rounds |= {Way(workers, 0.0, rush=True): options.rushes for workers in options.workers}
    for way in (way for way, most in rounds.items() if most):
        samples = []
        for number in range(rounds[way]):
            stop, traffic = run(way, options.seed + number)
            samples.append(sample(way, stop, traffic))
            proof.tell(f"{way}, round {number}", failures(traffic.requests, stop.told_ns), stop.told_ns)
            if not number and not way.rush:
                marks_s = [(at - traffic.start_ns) / NS for at in (stop.told_ns, stop.ended_ns)]
                proof.timeline[str(way)] = timeline(traffic, marks_s[1] + 0.5, BIN_S, marks_s)
        proof.samples.append({"run": str(way)} | together(samples))
        print(proof.newest(), flush=True)
        judge(proof, way, proof.samples[-1])


def draw(proof: Proof) -> str:
    subtitle = [
        "Dashed: the signal, and the end of the process. Until then a stubborn handler and an endless stream run."
    ]
    return proof_plot.draw("SIGTERM at half load: requests answered, refused, failed", subtitle, proof.timeline)


def main(arguments: Sequence[str] | None = None) -> None:
    made = parser(NAME, __doc__, rounds=1, rushes=3, workers=[1], delays=[0.0])
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--rushes", type=int, default=20, help="rounds with as many new connections as can be made")
    made.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    made.add_argument("--delays", type=float, nargs="+", default=[0.0, 1.0], help="seconds of --shutdown-delay")
    conclude(NAME, options_of(made, arguments), measure, draw)


if __name__ == "__main__":
    main()
