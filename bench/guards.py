"""Do the guards keep what they promise, on the real clock and with processes that are killed and stopped?

Four processes ask one token bucket for twenty times its rate, open loop, for ten seconds. Then
again, while one of them is stopped for a second and another is killed half-way. Admitted must be
within -1 % and +0 of capacity + rate * time, and no window of it may hold more than its own bound.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from mmap import mmap

from bench import figures
from bench.figures import Figure
from highperf.guards.limiter import TokenBucket
from highperf.segment import Segment
from tests.reference.bucket_twin import interval_of, worst_excess

RATE, CAPACITY = 1000, 1000
OVERLOAD, SPAN_S, PROCESSES = 20, 10, 4
STOPPED_S = 1.0
SECOND = 1_000_000_000


class Log:
    """Instants in memory that outlives the process which wrote them: how many asked, how many passed, and when."""

    def __init__(self, room: int) -> None:
        self.words = memoryview(mmap(-1, 8 * (room + 2))).cast("Q")

    @property
    def asked(self) -> int:
        return self.words[0]

    def ask(self) -> None:
        self.words[0] += 1

    def add(self, instant_ns: int) -> None:
        self.words[2 + self.words[1]] = instant_ns
        self.words[1] += 1

    def instants(self) -> list[int]:
        return list(self.words[2 : 2 + self.words[1]])


def ask_on_schedule(bucket: TokenBucket, log: Log, start_ns: int, step_ns: int) -> None:
    """Asks each step_ns, and after a delay as often as was missed: an open loop."""
    end_ns, due_ns = start_ns + SPAN_S * SECOND, start_ns
    while (now_ns := time.monotonic_ns()) < end_ns:
        if now_ns < due_ns:
            time.sleep((due_ns - now_ns) / SECOND)
            continue
        due_ns += step_ns
        log.ask()
        if bucket.take(now_ns=now_ns) == 0:
            log.add(now_ns)


def fork(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def disturb(pids: list[int], start_ns: int) -> None:
    """Stops the first for a second, and kills the second half-way."""
    half_s = start_ns / SECOND + SPAN_S / 2
    time.sleep(half_s - STOPPED_S - time.monotonic())
    os.kill(pids[0], signal.SIGSTOP)
    time.sleep(half_s - time.monotonic())
    os.kill(pids[0], signal.SIGCONT)
    os.kill(pids[1], signal.SIGKILL)


def overload(disturbed: bool) -> list[Figure]:
    bucket = TokenBucket(RATE, CAPACITY, segment=Segment.create(2**20))
    step_ns = PROCESSES * SECOND // (OVERLOAD * RATE)
    logs = [Log(2 * (CAPACITY + RATE * SPAN_S)) for _ in range(PROCESSES)]
    start_ns = time.monotonic_ns() + SECOND // 10
    pids = [fork(lambda log=log: ask_on_schedule(bucket, log, start_ns, step_ns)) for log in logs]
    try:
        if disturbed:
            disturb(pids, start_ns)
    finally:
        for pid in pids:
            os.waitpid(pid, 0)
    return judge("one killed, one stopped" if disturbed else "undisturbed", logs)


def judge(name: str, logs: list[Log]) -> list[Figure]:
    instants = [instant for log in logs for instant in log.instants()]
    bound = CAPACITY + RATE * SPAN_S
    excess = float(worst_excess([(instant, 1) for instant in instants], CAPACITY, interval_of(RATE)))
    asked = sum(log.asked for log in logs)
    admitted, goal = len(instants), f"{0.99 * bound:,.0f} to {bound:,}"
    note = f"of {asked:,} that were asked for"
    return [
        Figure(f"{name}: admitted", admitted, "", goal, 0.99 * bound <= admitted <= bound, note),
        Figure(f"{name}: beyond the worst window's bound", excess, "tokens", "≤ 0", excess <= 0),
    ]


def main() -> int:
    print(f"{RATE} per second, capacity {CAPACITY}, {PROCESSES} processes, {OVERLOAD} x the rate for {SPAN_S} s")
    return figures.conclude("guards", [figure for disturbed in (False, True) for figure in overload(disturbed)])


if __name__ == "__main__":
    sys.exit(main())
