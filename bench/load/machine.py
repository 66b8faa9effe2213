"""The machine below: what it is, whose turn it is, how quiet and how fast it is just now."""

import contextlib
import fcntl
import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench.load import procfs, wrk
from bench.load.places import LOCK, RESULTS, ROOT, TRIALS
from bench.load.server import Server

GLANCE_S = 0.3
FIXED_WORK = 40_000


def cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def nickname() -> str:
    """A file name's worth of the machine: BENCH_MACHINE, or such as 2cpu-amd-epyc-7763."""
    if name := os.environ.get("BENCH_MACHINE"):
        return name
    words = re.findall(r"[a-z0-9]+", re.sub(r"\(\w+\)", " ", cpu_model()).lower())
    kept = [word for word in words if word not in ("cpu", "processor", "core")]
    return "-".join([f"{os.cpu_count()}cpu", *kept[:3]])


def results_file(name: str, *, quick: bool = False) -> Path:
    """Where a run keeps what it found; a quick one elsewhere, so that it replaces no better one."""
    stem = "-".join(filter(None, (time.strftime("%Y-%m-%d"), nickname(), name)))
    return (TRIALS if quick else RESULTS) / f"{stem}.json"


def smt_siblings(cpu: int) -> str:
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    return path.read_text().strip() if path.exists() else "unknown"


def commit() -> str:
    """What was measured; "" outside of a repository."""
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def describe(server_cpu: int) -> dict[str, str | int]:
    congestion = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    return {
        "cpu": cpu_model(),
        "cpus": os.cpu_count() or 1,
        "threads_of_the_server_core": smt_siblings(server_cpu),
        "kernel": platform.release(),
        "tcp_congestion_control": congestion,
        "python": platform.python_version(),
        "commit": commit(),
        "wrk": wrk.version(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def wait_until_quiet(server: Server, max_other_pct: float, patience_s: float) -> None:
    """Returns once other processes leave the CPUs alone, or patience ends."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        busy, own = procfs.busy_seconds(), server.cpu().total
        time.sleep(GLANCE_S)
        other = procfs.busy_seconds() - busy - (server.cpu().total - own)
        if 100 * other / GLANCE_S < max_other_pct:
            return


def calibrate(cpu: int) -> float:
    """CPU µs of a fixed piece of work: tells a slow minute of a shared host from a slow server."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        return statistics.median(_fixed_work_us() for _ in range(5))
    finally:
        os.sched_setaffinity(0, mine)


def _fixed_work_us() -> float:
    start, x = time.thread_time_ns(), 1
    for _ in range(FIXED_WORK):
        x = (x * 5 + 1) & 0xFFFF
    return (time.thread_time_ns() - start) / 1000


@contextlib.contextmanager
def ahead(cpu: int, niceness: int = -15) -> Iterator[None]:
    """This process on one CPU, and as urgent as the servers that bench.load starts, where that is allowed."""
    mine, group = os.sched_getaffinity(0), Path("/proc/self/autogroup")
    usual = group.read_text().split()[-1] if group.exists() else ""
    os.sched_setaffinity(0, {cpu})
    with contextlib.suppress(OSError):
        group.write_text(str(niceness))
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)
        with contextlib.suppress(OSError):
            group.write_text(usual)


class Turn:
    """The benchmark lock: held over several samples, then offered to other benchmarks."""

    def __init__(self, hold_s: float) -> None:
        LOCK.parent.mkdir(parents=True, exist_ok=True)
        self.handle = LOCK.open("a")
        self.hold_s = hold_s
        self.since: float | None = None

    def take(self) -> None:
        if self.since is not None and time.monotonic() - self.since > self.hold_s:
            self.give_back()
            time.sleep(1)
        if self.since is None:
            fcntl.flock(self.handle, fcntl.LOCK_EX)
            self.since = time.monotonic()

    def give_back(self) -> None:
        fcntl.flock(self.handle, fcntl.LOCK_UN)
        self.since = None
