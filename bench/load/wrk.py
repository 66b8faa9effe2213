"""Drives wrk, pinned to a CPU of its own, and reads the one line that report.lua prints."""

import json
import resource
import shutil
import subprocess
from dataclasses import dataclass

from bench.load.places import HOST, LUA, RUN
from bench.load.server import NotMeasured, start
from bench.load.workloads import Workload

REPORT = "RESULT "
REQUEST_TIMEOUT_S = 20


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
    output = subprocess.run(["wrk", "-v"], check=False, capture_output=True, text=True).stdout
    return output.split("Copyright")[0].strip()


def drive(port: int, workload: Workload, seconds: float, connections: int, cpu: int, scheme: str = "http") -> Report:
    script = RUN / f"wrk-{workload.name}.lua"
    parts = (*workload.scripts, "report.lua")
    script.write_text("\n".join((LUA / part).read_text() for part in parts))
    flags = f"-t1 -c{connections} -d{seconds:.0f}s --timeout {REQUEST_TIMEOUT_S}s --latency".split()
    command = ["wrk", *flags, "-s", str(script), f"{scheme}://{HOST}:{port}{workload.path}"]
    before = _cpu_of_ended_children()
    process = start(command, cpu, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        output, _ = process.communicate()
    finally:
        process.kill()  # of no effect on one that has ended
    client_cpu_s = _cpu_of_ended_children() - before
    for line in output.splitlines():
        if line.startswith(REPORT):
            numbers = json.loads(line.removeprefix(REPORT))
            return Report(**numbers, client_cpu_s=client_cpu_s)
    raise NotMeasured(f"wrk failed: {output[-300:]}")


def _cpu_of_ended_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
