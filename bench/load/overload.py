"""Overload, in an open loop: what is left of the goodput when more is asked than can be done?

Each sample is a server of its own under a calm load, then under `factor` times its capacity, then
calm again. Rounds interleave guards on and off; see README.md.
"""

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

from bench.load import comparison, guarded, machine, openloop, overload_plot, overload_report, procfs
from bench.load.connections import raise_descriptor_limit
from bench.load.guarded import DEADLINE_S, OFF, ON
from bench.load.openloop import OK, Generator, Phase, Records, borders, summarise
from bench.load.overload_report import NEVER, TIMELINE_FACTOR, Report, Sample
from bench.load.places import LOG, RUN
from bench.load.server import NotMeasured, Server, exit_on_sigterm

NAME = "overload"
QUICK = {"factors": "1,10", "rounds": 1, "seconds": 3.0}
CALM, CALM_S = 0.8, 1.0  # before and after the plateau
SETTLE_S = 1.0  # the plateau's beginning, which is not counted
TIMEOUT_S = 1.0
BIN_S = 0.1
CONSTANTS = {"calm": CALM, "calm_s": CALM_S, "settle_s": SETTLE_S, "timeout_s": TIMEOUT_S, "bin_s": BIN_S}
HOLD_S = 240.0


@dataclass(frozen=True)
class Probe:
    """More than can be answered, on so few connections that they only keep the server busy."""

    guards: str
    path: str
    answer: int
    rate: float
    connections: int
    seconds: float = 2.0


CAPACITY = Probe(OFF, guarded.WORK, OK, 3e6 / guarded.WORK_US, 4)
REFUSALS = Probe(ON, guarded.FULL, 503, 200_000, 128)
PROBE_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Settings:
    factors: tuple[float, ...]
    seconds: float
    recovery: float  # seconds watched after the plateau
    connections: int
    server_cpu: int
    client_cpu: int
    max_other_pct: float
    patience_s: float


class Observed(NamedTuple):
    """What a load did to a server. CPU seconds are those of a span of the schedule."""

    records: Records
    cpu_s: float
    client_cpu_s: float
    other_cpu_s: float


class Run:
    def __init__(self, report: Report, settings: Settings) -> None:
        self.report = report
        self.settings = settings
        self.turn = machine.Turn(HOLD_S)

    def round(self, number: int) -> None:
        self.turn.take()
        capacity, served_us = self.probe(CAPACITY)
        _, refused_us = self.probe(REFUSALS)
        self.report.capacity.append(capacity)
        self.report.served_us.append(served_us)
        self.report.refused_us.append(refused_us)
        print(f"round {number}: capacity {capacity:,.0f}/s, c = {self.report.cost:.4f}", flush=True)
        for place, factor in enumerate(self.settings.factors):
            order = (ON, OFF) if (place + number) % 2 else (OFF, ON)
            for guards in order:
                self.turn.take()
                self.report.samples.append(self.sample(number, guards, factor, capacity))
                print(overload_report.progress(self.report.samples[-1]), flush=True)
        self.turn.give_back()

    def probe(self, probe: Probe) -> tuple[float, float]:
        """Answers a second that a busy server gives, and the CPU µs of each."""
        begin_s, end_s = probe.seconds / 4, probe.seconds
        schedule = (Phase(probe.rate, probe.seconds),)
        prime = guarded.filled if probe is REFUSALS else contextlib.nullcontext
        with Server(guarded.PEERS[probe.guards], self.settings.server_cpu) as server, prime(server.port):
            generator = self.generator(server, schedule, probe.connections, PROBE_TIMEOUT_S, probe.path)
            with generator:
                wait_until(generator, begin_s)
                before = server.cpu()
                wait_until(generator, end_s)
                cpu_s = server.cpu().since(before).total
                records = generator.stop()
        begin, end = (generator.start_ns + round(edge * openloop.NS) for edge in (begin_s, end_s))
        answers = Counter(
            status for status, at in zip(records.status, records.answered, strict=True) if begin <= at < end
        )
        right = answers.pop(probe.answer, 0)
        if answers or not right:
            raise NotMeasured(f"{probe.path} was not always answered {probe.answer}: {dict(answers)}")
        return right / (end_s - begin_s), cpu_s * 1e6 / right

    def sample(self, number: int, guards: str, factor: float, capacity: float) -> Sample:
        calm = CALM * capacity
        schedule = (
            Phase(calm, CALM_S), Phase(factor * capacity, self.settings.seconds), Phase(calm, self.settings.recovery)
        )  # fmt: skip
        _, begin, fall, end = borders(schedule)
        span = (begin + SETTLE_S, fall)
        with Server(guarded.PEERS[guards], self.settings.server_cpu) as server:
            machine.wait_until_quiet(server, self.settings.max_other_pct, self.settings.patience_s)
            seen = observe(server, self.generator(server, schedule, self.settings.connections, TIMEOUT_S), span)
            server.process.kill()  # its backlog may be long
        if factor == TIMELINE_FACTOR:
            points = openloop.bins(seen.records, end, BIN_S, DEADLINE_S)
            self.report.timelines[guards] = [point.offered for point in points], [point.good for point in points]
        plateau, onset = (summarise(seen.records, *part, DEADLINE_S) for part in (span, (begin, begin + SETTLE_S)))
        back = openloop.recovery(seen.records, fall, end, DEADLINE_S)
        seconds = plateau.seconds
        return Sample(
            round=number,
            guards=guards,
            factor=factor,
            offered=plateau.offered,
            good=plateau.good,
            onset=onset.good,
            late=plateau.late,
            refused=plateau.refusals,
            failed=plateau.failed,
            p50_ms=plateau.p50_ms,
            p99_ms=plateau.p99_ms,
            sent_late_ms=plateau.sent_late_ms,
            recovery_s=NEVER if back is None else back,
            server_cpu_pct=100 * seen.cpu_s / seconds,
            client_cpu_pct=100 * seen.client_cpu_s / seconds,
            other_cpu_pct=100 * seen.other_cpu_s / seconds,
        )

    def generator(
        self, server: Server, schedule: Sequence[Phase], connections: int, timeout_s: float, path: str = guarded.WORK
    ) -> Generator:
        return Generator(
            server.port, schedule, [path], connections=connections, timeout_s=timeout_s, cpu=self.settings.client_cpu
        )


def wait_until(generator: Generator, seconds: float) -> None:
    time.sleep(max(0.0, (generator.start_ns - time.monotonic_ns()) / openloop.NS + seconds))


def observe(server: Server, generator: Generator, span: tuple[float, float]) -> Observed:
    """Lets the generator run to its end; looks at the CPU time at both ends of the span."""
    with generator:
        server.refresh()
        wait_until(generator, span[0])
        server_s, client_s, busy_s = server.cpu(), generator.cpu(), procfs.busy_seconds()
        wait_until(generator, span[1])
        spent_s, client_s = server.cpu().since(server_s).total, generator.cpu().since(client_s).total
        other_s = procfs.busy_seconds() - busy_s - spent_s - client_s
        return Observed(generator.finish(), spent_s, client_s, max(0.0, other_s))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.load.overload",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help=f"a minute: {QUICK}")
    add("--factors", default="0.5,0.8,1,2,5,10,20", help="times the measured capacity")
    add("--rounds", type=int, default=3)
    add("--seconds", type=float, default=5, help="of each plateau, the first of which is not counted")
    add("--recovery", type=float, default=4, help="seconds watched after it")
    add("--connections", type=int, default=512)
    add("--server-cpu", type=int, default=0)
    add("--client-cpu", type=int, default=1)
    add("--max-other", type=float, default=5, help="CPU %% of other processes to start a sample at")
    add("--patience", type=float, default=5, help="seconds to wait for that")
    comparison.add_out(parser, NAME)
    add("--table", action="store_true", help="only print and plot what is in the file of results")
    return comparison.parse(parser, arguments, NAME, QUICK)


def measure(options: argparse.Namespace) -> Report:
    openloop.exit_unless_installed()
    settings = Settings(
        tuple(float(factor) for factor in options.factors.split(",")),
        options.seconds,
        options.recovery,
        options.connections,
        options.server_cpu,
        options.client_cpu,
        options.max_other,
        options.patience,
    )
    for folder in (RUN, LOG):
        folder.mkdir(parents=True, exist_ok=True)
    raise_descriptor_limit()
    report = Report(machine.describe(settings.server_cpu), asdict(settings) | CONSTANTS | guarded.describe())
    run = Run(report, settings)
    for number in range(1, options.rounds + 1):
        run.round(number)
        report.save(options.out)
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    exit_on_sigterm()
    options = parse(arguments)
    try:
        report = Report.load(options.out) if options.table else measure(options)
    except NotMeasured as error:
        sys.exit(f"bench.load.overload: {error}")
    print(overload_report.render(report))
    picture = options.out.with_suffix(".svg")
    picture.write_text(overload_plot.draw(report))
    print(f"drawn: {picture}")


if __name__ == "__main__":
    main()
