"""From highperf-serve to the first answer, the memory of an idle worker, the size of the wheel.

python -m bench.startup [APP [FLAGS]]     as for highperf-serve; without APP the reference API
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.load import client, procfs
from bench.load.server import exit_on_sigterm, free_port

TRIES = 7
PATIENCE_S = 10.0
POLL_S = 0.001
IDLE_S = 1.0
DIST = Path(__file__).resolve().parent.parent / "dist"

GOAL_FIRST_ANSWER_MS = 500.0
GOAL_RSS_MB = 35.0
GOAL_WHEEL_MB = 3.0


class Start(NamedTuple):
    first_answer_ms: float
    rss_mb: float
    processes: int


def wait_for_answer(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            if client.ask(port, "GET", "/healthz", timeout_s=PATIENCE_S).status == 200:
                return
        time.sleep(POLL_S)
    raise SystemExit("bench.startup: the server gave no answer")


def start_once(app: list[str], folder: str) -> Start:
    port = free_port()
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "highperf", *app, "--port", str(port), "--log-level", "warning"],
        env={**os.environ, "DATABASE_URL": f"sqlite:///{folder}/users.db"},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for_answer(port, process)
        first_answer_ms = 1000 * (time.monotonic() - began)
        time.sleep(IDLE_S)
        pids = procfs.tree(process.pid)
        return Start(first_answer_ms, procfs.rss_of(pids) / 1e6, len(pids))
    finally:
        process.terminate()
        process.wait()


def verdict(value: float, goal: float) -> str:
    return f"goal ≤ {goal:g}: {'met' if value <= goal else 'MISSED'}"


def report_wheels() -> None:
    wheels = sorted(DIST.glob("*.whl"))
    for wheel in wheels:
        size_mb = wheel.stat().st_size / 1e6
        print(f"wheel          {size_mb:7.2f} MB  {verdict(size_mb, GOAL_WHEEL_MB)}  {wheel.name}")
    if not wheels:
        print("wheel          none in dist/ (make wheel)")


def main() -> None:
    exit_on_sigterm()
    app = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        starts = [start_once(app, folder) for _ in range(TRIES)]
    first_ms = median(start.first_answer_ms for start in starts)
    fastest, slowest = min(starts), max(starts)
    rss_mb = median(start.rss_mb for start in starts)
    print(
        f"first answer   {first_ms:7.0f} ms  {verdict(first_ms, GOAL_FIRST_ANSWER_MS)}  "
        f"(median of {TRIES}; {fastest.first_answer_ms:.0f} to {slowest.first_answer_ms:.0f})"
    )
    print(
        f"idle RSS       {rss_mb:7.1f} MB  {verdict(rss_mb, GOAL_RSS_MB)}  "
        f"({starts[0].processes} process{'es' if starts[0].processes > 1 else ''} in all)"
    )
    report_wheels()


if __name__ == "__main__":
    main()
