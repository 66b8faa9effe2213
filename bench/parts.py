"""The parts of the benchmark: which there are, what each needs, and running one in a process of its own."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from bench.load import openloop, peers, refusals, server, wrk

QUICK = ("--quick",)


@dataclass(frozen=True)
class Need:
    """Something outside of the repository."""

    name: str
    there: Callable[[], bool]
    command: str  # that installs it


def floor_is_built() -> bool:
    return not server.why_missing(next(peer for peer in peers.PEERS if peer.name == peers.FLOOR))


SETUP = "bench/load/setup.sh"
WRK = Need("wrk", wrk.installed, f"{SETUP} core")
FLOOR = Need("the floor", floor_is_built, f"{SETUP} core")
OPENLOOP = Need("the open-loop generator", openloop.installed, f"{SETUP} core")
PIPELINE = Need("the pipelining client", lambda: os.access(refusals.PROGRAM, os.X_OK), f"{SETUP} core")
NGINX = Need("nginx", lambda: shutil.which("nginx") is not None, SETUP)
OPENSSL = Need("openssl", lambda: shutil.which("openssl") is not None, "apt-get install openssl")
PYTEST_BENCHMARK = Need(
    "pytest-benchmark", lambda: find_spec("pytest_benchmark") is not None, "pip install --group bench"
)


@dataclass(frozen=True)
class Part:
    """A module that measures and keeps what it found; without options it does so for the record."""

    module: str
    answers: str  # which question
    quick: Sequence[str] = ()
    needs: Sequence[Need] = ()

    def missing(self) -> str:
        absent = [need for need in self.needs if not need.there()]
        if not absent:
            return ""
        commands = dict.fromkeys(need.command for need in absent)
        return f"not installed: {', '.join(need.name for need in absent)} ({', '.join(commands)})"


PARTS = {
    "micro": Part("bench.micro", "What does each step of a request cost, alone?", needs=[PYTEST_BENCHMARK]),
    "store": Part("bench.micro.bench_store", "What does the user store cost, fsync included?"),
    "startup": Part("bench.startup", "How soon comes the first answer, and what does an idle worker hold?"),
    "guards": Part("bench.guards", "Does a limit hold over processes that are killed and stopped?"),
    "load": Part(
        "bench.load",
        "What does a request cost a whole server, beside other servers?",
        QUICK,
        [WRK, FLOOR],
    ),
    "scale": Part(
        "bench.load.scale", "How does that grow with connections, routes, fields, content?", QUICK, [WRK, FLOOR]
    ),
    "files": Part("bench.load.files", "What does a file cost, beside nginx?", QUICK, [WRK, FLOOR, OPENLOOP, NGINX]),
    "tls": Part("bench.load.tls", "What does TLS add?", QUICK, [WRK, OPENSSL]),
    "observed": Part("bench.load.observed", "What do metrics, traces and the access log add?", QUICK, [WRK]),
    "refusals": Part("bench.load.refusals", "What does a refusal cost?", QUICK, [PIPELINE]),
    "deadlines": Part("bench.load.deadlines", "How late is a 504, and is one early?", (), [OPENLOOP]),
    "overload": Part("bench.load.overload", "What is left at ten times the capacity?", QUICK, [OPENLOOP]),
    "rolling": Part("bench.load.rolling", "Does a reload cost a request?", QUICK),
    "kills": Part("bench.load.kills", "What does kill -9 of a worker cost?", QUICK),
    "draining": Part("bench.load.draining", "Does SIGTERM cost a request, and does the server end in time?", QUICK),
    "slow": Part("bench.load.slow", "What do thousands of slow clients cost the others?", QUICK, [OPENLOOP]),
    "workers": Part("bench.load.workers", "What does a request cost with more workers?", QUICK, [WRK]),
}


@dataclass(frozen=True)
class Outcome:
    name: str
    seconds: float
    status: int = 0
    missing: str = ""

    @property
    def told(self) -> str:
        if self.missing:
            return self.missing
        return f"failed, or missed a goal: exit status {self.status}" if self.status else "done"


def run(name: str, options: Sequence[str], env: Mapping[str, str]) -> Outcome:
    """Lets one part measure; what it lacks is said, not tried."""
    part = PARTS[name]
    if missing := part.missing():
        print(missing)
        return Outcome(name, 0.0, 0, missing)
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", part.module, *options], env=dict(env))
    try:
        status = process.wait()
    except BaseException:
        process.terminate()  # it ends the servers that it has started
        process.wait()
        raise
    return Outcome(name, time.monotonic() - began, abs(status))
