"""From highperf-serve to the first answer, the memory of an idle worker, the size of the wheel.

python -m bench.startup [APP [FLAGS]]     as for highperf-serve; without APP the reference API, whose figures are kept

The server finds the byte code of its modules, as where pip has installed it: a first start, which is not
counted, makes it, whatever PYTHONDONTWRITEBYTECODE says here.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench import figures
from bench.figures import Figure, at_most
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

FIRST_ANSWER, IDLE_RSS, WHEEL = "first answer", "idle RSS", "wheel"


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


def environment(folder: str) -> dict[str, str]:
    """What the server is started in; its users and its byte code are kept in the folder."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    own = {"DATABASE_URL": f"sqlite:///{folder}/users.db", "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}
    return {**inherited, **own}


def start_once(app: list[str], folder: str) -> Start:
    port = free_port()
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "highperf", *app, "--port", str(port), "--log-level", "warning"],
        env=environment(folder),
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


def found(starts: list[Start]) -> Iterator[Figure]:
    fastest, slowest = min(starts).first_answer_ms, max(starts).first_answer_ms
    first_ms, rss_mb = (median(values) for values in list(zip(*starts, strict=True))[:2])
    spread = f"median of {len(starts)}; {fastest:.0f} to {slowest:.0f}"
    yield at_most(FIRST_ANSWER, first_ms, "ms", GOAL_FIRST_ANSWER_MS, spread)
    processes = starts[0].processes
    yield at_most(IDLE_RSS, rss_mb, "MB", GOAL_RSS_MB, f"{processes} process{'es' * (processes > 1)} in all")
    for wheel in sorted(DIST.glob("*.whl")):
        yield at_most(WHEEL, wheel.stat().st_size / 1e6, "MB", GOAL_WHEEL_MB, wheel.name)


def main() -> int:
    exit_on_sigterm()
    app = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        start_once(app, folder)
        starts = [start_once(app, folder) for _ in range(TRIES)]
    if not any(DIST.glob("*.whl")):
        print("no wheel in dist/ (make wheel): its size is left out")
    measured = list(found(starts))
    if app:
        print(figures.render(measured))
        return 0
    return figures.conclude("startup", measured)


if __name__ == "__main__":
    sys.exit(main())
