"""Drives wrk, pinned to a CPU of its own, and reads the one line that report.lua prints."""

import contextlib
import json
import resource
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from bench.load.places import HOST, LUA, RUN
from bench.load.server import NotMeasured, start
from bench.load.workloads import Workload

REPORT = "RESULT "
REQUEST_TIMEOUT_S = 20
MOST_S = 600  # should nobody end it
END_S, AGAIN_S = 10, 0.5


@dataclass(frozen=True)
class Report:
    requests: int
    duration_us: int
    bytes: int
    p50_us: int
    p99_us: int
    err_connect: int
    err_read: int
    err_write: int
    err_status: int  # answers above 399
    err_timeout: int
    client_cpu_s: float

    @property
    def seconds(self) -> float:
        return self.duration_us / 1e6

    @property
    def errors(self) -> int:
        return self.err_connect + self.err_read + self.err_write + self.err_status + self.err_timeout


def installed() -> bool:
    return shutil.which("wrk") is not None


def version() -> str:
    """Empty where it is not installed."""
    if not installed():
        return ""
    output = subprocess.run(["wrk", "-v"], check=False, capture_output=True, text=True).stdout
    return output.split("Copyright")[0].strip()


class Load:
    """One wrk under way. It goes on until it is ended."""

    def __init__(self, port: int, workload: Workload, connections: int, cpu: int, scheme: str = "http") -> None:
        script = RUN / f"wrk-{workload.name}.lua"
        parts = [(LUA / part).read_text() for part in (*workload.scripts, "report.lua")]
        script.write_text("\n".join([workload.constants, *parts]))
        flags = f"-t1 -c{connections} -d{MOST_S}s --timeout {REQUEST_TIMEOUT_S}s --latency".split()
        command = ["wrk", *flags, "-s", str(script), f"{scheme}://{HOST}:{port}{workload.path}"]
        self._before = _cpu_of_ended_children()
        self.process = start(command, cpu, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()  # of no effect on one that has ended
        self.process.wait()

    def last(self, seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def end(self) -> Report:
        output = self._output()
        client_cpu_s = _cpu_of_ended_children() - self._before
        for line in output.splitlines():
            if line.startswith(REPORT):
                numbers = json.loads(line.removeprefix(REPORT))
                return Report(**numbers, client_cpu_s=client_cpu_s)
        raise NotMeasured(f"wrk failed: {output[-300:].strip()}")

    def _output(self) -> str:
        """What it says when told, as by ctrl-c, that its time is over. While it begins it does not listen."""
        deadline = time.monotonic() + END_S
        while time.monotonic() < deadline:
            self.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                return str(self.process.communicate(timeout=AGAIN_S)[0])
        raise NotMeasured(f"wrk did not end within {END_S} s")


def drive(port: int, workload: Workload, seconds: float, connections: int, cpu: int, scheme: str = "http") -> Report:
    with Load(port, workload, connections, cpu, scheme) as load:
        load.last(seconds)
        return load.end()


def _cpu_of_ended_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
