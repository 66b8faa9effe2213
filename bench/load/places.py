"""Where things lie. Everything that is installed or written lies outside the repository,
except the results: those of record in bench/results, those of quick runs in build/bench."""

import os
import tempfile
from pathlib import Path

HOST = "127.0.0.1"

LOAD = Path(__file__).resolve().parent
ROOT = LOAD.parent.parent
APPS = LOAD / "apps"
LUA = LOAD / "lua"
TRIALS = ROOT / "build" / "bench"
RESULTS = Path(os.environ.get("BENCH_RESULTS", LOAD.parent / "results"))

TEMP = Path(tempfile.gettempdir())
WORK = Path(os.environ.get("BENCH_PEERS", TEMP / "highperf-peers"))
STATIC = WORK / "static"
RUN = WORK / "run"
LOG = WORK / "log"

# flock(1) takes the same lock, so that shell benchmarks can wait for their turn as well.
LOCK = Path(os.environ.get("BENCH_LOCK", TEMP / "bench.lock"))
