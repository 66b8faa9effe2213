"""One sample: a server under load for some seconds, and what it cost."""

import time
from dataclasses import dataclass

from bench.load import machine, procfs, wrk
from bench.load.server import NotMeasured, Server
from bench.load.workloads import Workload

# The figures of one sample by name; units stand in the names.
Sample = dict[str, float]


@dataclass(frozen=True)
class Settings:
    seconds: int
    warmup: int
    connections: int
    server_cpu: int
    client_cpu: int
    idle_connections: int
    crowd: int
    max_other_pct: float  # CPU that other processes may use during a sample
    retries: int  # how often a disturbed sample is taken again
    patience_s: float  # how long to wait for a quiet machine


def measure_load(server: Server, workload: Workload, settings: Settings) -> Sample:
    """The sample least disturbed by other processes, out of at most 1 + retries."""
    drive(server, workload, settings.warmup, settings)
    samples: list[Sample] = []
    for _ in range(1 + settings.retries):
        machine.wait_until_quiet(server, settings.max_other_pct, settings.patience_s)
        samples.append(_sample(server, workload, settings))
        if samples[-1]["other_cpu_pct"] <= settings.max_other_pct:
            break
    return min(samples, key=lambda sample: sample["other_cpu_pct"])


def drive(server: Server, workload: Workload, seconds: int, settings: Settings) -> wrk.Report:
    cpu, scheme = settings.client_cpu, server.peer.scheme
    return wrk.drive(server.port, workload, seconds, settings.connections, cpu, scheme)


def _sample(server: Server, workload: Workload, settings: Settings) -> Sample:
    server.refresh()
    calibration = machine.calibrate(settings.server_cpu)
    octets, busy = procfs.loopback_octets(), procfs.busy_seconds()
    start, before = time.monotonic(), server.cpu()
    report = drive(server, workload, settings.seconds, settings)
    cpu, wall = server.cpu().since(before), time.monotonic() - start
    busy, octets = procfs.busy_seconds() - busy, procfs.loopback_octets() - octets
    if not report.requests:
        raise NotMeasured("no request was completed")
    # Of a large file many transfers end half-way: there, what was really sent counts.
    served = octets / workload.file_bytes if workload.cut_off else report.requests
    other = max(0.0, busy - cpu.total - report.client_cpu_s)
    return {
        "rps": report.requests / report.seconds,
        "mb_per_s": report.bytes / report.seconds / 1e6,
        "p50_us": report.p50_us if workload.latency else 0,
        "p99_us": report.p99_us if workload.latency else 0,
        "errors": report.errors,
        "cpu_us": cpu.total * 1e6 / served,
        "user_us": cpu.user * 1e6 / served,
        "system_us": cpu.system * 1e6 / served,
        "server_cpu_pct": 100 * cpu.total / wall,
        "client_cpu_pct": 100 * report.client_cpu_s / wall,
        "other_cpu_pct": 100 * other / wall,
        "calibration_us": (calibration + machine.calibrate(settings.server_cpu)) / 2,
        "rss_mb": server.rss() / 1e6,
    }
