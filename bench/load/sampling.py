"""One sample: a server under load for some seconds, and what it cost."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from bench.load import machine, procfs, wrk
from bench.load.server import NotMeasured, Server
from bench.load.workloads import Workload

# The figures of one sample by name; units stand in the names.
Sample = dict[str, float]

MOST_ERRORS = 0.01  # of the requests; a server with more of them does not do its work
AROUND_S = 1.3  # beside the load: to start the server, to wait until the machine is quiet, to end


@dataclass(frozen=True)
class Settings:
    seconds: float
    warmup: float
    connections: int
    server_cpu: int
    client_cpu: int
    idle_connections: int
    crowd: int
    max_other_pct: float  # CPU that other processes may use during a sample
    retries: int  # how often a disturbed sample is taken again
    patience_s: float  # how long to wait for a quiet machine

    def expected_s(self, samples: int) -> float:
        """How long that many samples take when nothing disturbs them."""
        return samples * (self.warmup + self.seconds + AROUND_S)


class Watch:
    """What a server and its machine spend from now until it is stopped."""

    def __init__(self, server: Server, cpu: int) -> None:
        server.refresh()
        self.server = server
        self.cpu = cpu
        self.calibration = machine.calibrate(cpu)
        self.octets, self.busy = procfs.loopback_octets(), procfs.busy_seconds()
        self.begun, self.before = time.monotonic(), server.cpu()

    def stop(self) -> None:
        self.spent, self.seconds = self.server.cpu().since(self.before), time.monotonic() - self.begun
        self.busy, self.octets = procfs.busy_seconds() - self.busy, procfs.loopback_octets() - self.octets
        if why := self.server.ended():
            raise NotMeasured(f"ended under load: {why}")

    def figures(self, served: float, client_cpu_s: float) -> Sample:
        other = max(0.0, self.busy - self.spent.total - client_cpu_s)
        return {
            "cpu_us": self.spent.total * 1e6 / served,
            "user_us": self.spent.user * 1e6 / served,
            "system_us": self.spent.system * 1e6 / served,
            "server_cpu_pct": 100 * self.spent.total / self.seconds,
            "client_cpu_pct": 100 * client_cpu_s / self.seconds,
            "other_cpu_pct": 100 * other / self.seconds,
            "calibration_us": (self.calibration + machine.calibrate(self.cpu)) / 2,
            "rss_mb": self.server.rss() / 1e6,
            "peak_mb": self.server.peak_rss() / 1e6,
        }


def measure_load(server: Server, workload: Workload, settings: Settings) -> Sample:
    drive(server, workload, settings.warmup, settings)
    return least_disturbed(server, settings, lambda: _sample(server, workload, settings))


def least_disturbed(server: Server, settings: Settings, take: Callable[[], Sample]) -> Sample:
    """The sample least disturbed by other processes, out of at most 1 + retries."""
    samples: list[Sample] = []
    for _ in range(1 + settings.retries):
        machine.wait_until_quiet(server, settings.max_other_pct, settings.patience_s)
        samples.append(take())
        if samples[-1]["other_cpu_pct"] <= settings.max_other_pct:
            break
    return min(samples, key=lambda sample: sample["other_cpu_pct"])


def drive(server: Server, workload: Workload, seconds: float, settings: Settings) -> wrk.Report:
    cpu, scheme = settings.client_cpu, server.peer.scheme
    return wrk.drive(server.port, workload, seconds, workload.connections or settings.connections, cpu, scheme)


def _sample(server: Server, workload: Workload, settings: Settings) -> Sample:
    watch = Watch(server, settings.server_cpu)
    report = drive(server, workload, settings.seconds, settings)
    watch.stop()
    # Of a large content many transfers end half-way: there, what was really sent counts.
    served = watch.octets / workload.content_bytes if workload.cut_off else report.requests
    if not served:
        raise NotMeasured("no request was completed")
    if report.errors > MOST_ERRORS * served:
        raise NotMeasured(f"{report.errors} errors among {report.requests} answers")
    cpu = watch.figures(served, report.client_cpu_s)
    if workload.content_bytes:
        cpu["cpu_us_per_mb"] = cpu["cpu_us"] * 1e6 / workload.content_bytes
    return {
        "rps": served / report.seconds,
        "mb_per_s": (watch.octets if workload.cut_off else report.bytes) / report.seconds / 1e6,
        "p50_us": report.p50_us if workload.latency else 0,
        "p99_us": report.p99_us if workload.latency else 0,
        "errors": report.errors,
    } | cpu
