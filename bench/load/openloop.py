"""Drives the open-loop generator (apps/openloop.c) and does the arithmetic on what it recorded.

A request belongs to the time at which it was due, not to that of its answer, and its latency
counts from then: what waited for a free connection waited.
"""

import math
import os
import subprocess
import sys
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from bench.load import procfs
from bench.load.places import WORK
from bench.load.server import NotMeasured, start

PROGRAM = WORK / "bin" / "openloop"
FIELDS_PER_RECORD = 4
NS = 1_000_000_000

OK = 200
LOST, TIMED_OUT, ODD = -1, -2, -3  # as in apps/openloop.c


@dataclass(frozen=True)
class Phase:
    """So many requests a second, for so long."""

    rate: float
    seconds: float


def spell(schedule: Iterable[Phase]) -> str:
    return ",".join(f"{phase.rate:g}x{phase.seconds:g}" for phase in schedule)


def borders(schedule: Iterable[Phase]) -> list[float]:
    """Seconds at which the phases begin, and the last one ends."""
    found = [0.0]
    for phase in schedule:
        found.append(found[-1] + phase.seconds)
    return found


class Records:
    """What became of each request, in the order in which they were due.

    Times are ns of CLOCK_MONOTONIC, 0 for what never happened; a status below 200 is one of
    LOST (the server closed the connection), TIMED_OUT and ODD (no answer that is understood).
    """

    def __init__(self, due: Sequence[int], sent: Sequence[int], answered: Sequence[int], status: Sequence[int]) -> None:
        self.due = due
        self.sent = sent
        self.answered = answered
        self.status = status

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        values = array("q", octets)
        return cls(*(values[column::FIELDS_PER_RECORD] for column in range(FIELDS_PER_RECORD)))

    def __len__(self) -> int:
        return len(self.due)

    def within(self, begin_s: float, end_s: float) -> range:
        """Numbers of the requests that were due in this span, counted from the first one."""
        if not len(self):
            return range(0)
        begin, end = (self.due[0] + round(edge * NS) for edge in (begin_s, end_s))
        return range(bisect_left(self.due, begin), bisect_left(self.due, end))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that is at least as large as so many per cent of all; 0 of nothing."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@dataclass(frozen=True)
class Window:
    """What became of the requests of a span. Rates are per second; latencies are those of all 200s."""

    begin_s: float
    seconds: float
    offered: float
    good: float  # 200 within the deadline
    late: float  # 200 after it
    refused: dict[int, float]  # any other status
    failed: float  # lost, timed out, not understood
    p50_ms: float
    p99_ms: float
    sent_late_ms: float  # 99 of 100 were sent at most so late: for want of a connection, or of a quick generator

    @property
    def refusals(self) -> float:
        return sum(self.refused.values())

    @property
    def share(self) -> float:
        """Of what was offered, that was good."""
        return self.good / self.offered if self.offered else 0.0


def summarise(records: Records, begin_s: float, end_s: float, deadline_s: float) -> Window:
    chosen, seconds = records.within(begin_s, end_s), end_s - begin_s
    counts = Counter(records.status[index] for index in chosen)
    waits = sorted(records.answered[i] - records.due[i] for i in chosen if records.status[i] == OK)
    good = sum(wait <= deadline_s * NS for wait in waits)
    delays = sorted(records.sent[i] - records.due[i] for i in chosen if records.sent[i])
    return Window(
        begin_s,
        seconds,
        len(chosen) / seconds,
        good / seconds,
        (len(waits) - good) / seconds,
        {status: count / seconds for status, count in sorted(counts.items()) if status > OK},
        sum(count for status, count in counts.items() if status < OK) / seconds,
        percentile(waits, 50) * 1000 / NS,
        percentile(waits, 99) * 1000 / NS,
        percentile(delays, 99) * 1000 / NS,
    )


def bins(records: Records, end_s: float, width_s: float, deadline_s: float) -> list[Window]:
    count = round(end_s / width_s)
    return [summarise(records, k * width_s, (k + 1) * width_s, deadline_s) for k in range(count)]


def recovery(
    records: Records, begin_s: float, end_s: float, deadline_s: float, share: float = 0.99, span_s: float = 1.0
) -> float | None:
    """Seconds from `begin_s` to the first span of which so large a share was good; None: there was none."""
    steps = round((end_s - begin_s - span_s) * 10)
    for step in range(steps + 1):
        at = begin_s + step / 10
        if summarise(records, at, at + span_s, deadline_s).share >= share:
            return step / 10
    return None


def installed() -> bool:
    return os.access(PROGRAM, os.X_OK)


def exit_unless_installed() -> None:
    if not installed():
        sys.exit("bench.load: the open-loop generator is not built; bench/load/setup.sh core builds it")


class Generator:
    """One run of the generator; its connections stand and its first request is due at `start_ns`."""

    def __init__(
        self,
        port: int,
        schedule: Sequence[Phase],
        paths: Sequence[str],
        *,
        connections: int,
        timeout_s: float,
        cpu: int,
        fields: str = "",
    ) -> None:
        numbers = (str(port), str(connections), str(round(timeout_s * 1000)), spell(schedule))
        env = {**os.environ, "OPENLOOP_FIELDS": fields}
        self.patience_s = borders(schedule)[-1] + timeout_s + 10
        self.process: subprocess.Popen[Any] = start(
            [str(PROGRAM), *numbers, *paths], cpu, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
        )
        assert self.process.stdout is not None
        word, _, start_ns = self.process.stdout.readline().partition(b" ")
        if word != b"start":
            _, said = self.process.communicate()
            raise NotMeasured(f"the generator failed: {said.decode(errors='replace')[-300:]}")
        self.start_ns = int(start_ns)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()  # of no effect on one that has ended
        self.process.communicate()

    def cpu(self) -> procfs.Cpu:
        return procfs.cpu_of([self.process.pid])

    def stop(self) -> Records:
        """Without the answers that are still to come."""
        self.process.terminate()
        return self.finish()

    def finish(self) -> Records:
        """Waits for the last answer."""
        octets, _ = self.process.communicate(timeout=self.patience_s)
        if self.process.returncode:
            raise NotMeasured(f"the generator ended with {self.process.returncode}")
        return Records.parse(octets)
