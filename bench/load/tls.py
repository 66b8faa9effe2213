"""What TLS costs: CPU time of a keep-alive request beside one without, of handshakes, and memory per connection.

Needs the openssl command, which makes the certificates and the handshakes.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median

from bench.load import comparison, machine, procfs
from bench.load.client import ask
from bench.load.connections import measure_idle
from bench.load.peers import Peer, highperf
from bench.load.places import HOST, RUN
from bench.load.results import Entry, Record, Results
from bench.load.sampling import Sample, Settings, measure_load
from bench.load.server import NotMeasured, Server, start
from bench.load.tables import row
from bench.load.workloads import WORKLOADS

GOAL = 2.0
PLAIN, TLS = "plain", "tls"
APP = "highperf_app:app"
REQUESTS = ("healthz", "user")
IDLE = "idle"
KEYS = {"ECDSA P-256": "ec -pkeyopt ec_paramgen_curve:P-256", "RSA 2048": "rsa:2048"}
# For openssl s_time, which does not take the tickets of TLS 1.3.
HANDSHAKES = {
    "TLS 1.3": ("-tls1_3", "-new"),
    "TLS 1.2": ("-tls1_2", "-new"),
    "TLS 1.2 resumed": ("-tls1_2", "-reuse"),
}
MADE = re.compile(r"(\d+) connections in \d+ real seconds")
HOLD_S = 240.0
QUICK = {"rounds": 1, "seconds": 1, "idle_connections": 200}


def certified(key: str) -> Peer:
    """A server with a certificate of this kind."""
    name = key.split()[0].lower()
    certificate, private = RUN / f"{name}.crt", RUN / f"{name}.key"
    command = ["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost", "-newkey"]
    command += [*KEYS[key].split(), "-keyout", str(private), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    flags = f"--no-access-log --ssl-certfile {certificate} --ssl-keyfile {private}"
    return highperf(f"{TLS}-{name}", APP, flags=flags, scheme="https")


# ---- requests on connections that stay, and what these hold ----------------------------------------


def measure_requests(results: Results, number: int, peers: dict[str, Peer], settings: Settings) -> None:
    names = [PLAIN, TLS] if number % 2 else [TLS, PLAIN]
    for workload in REQUESTS:
        for name in names:
            with Server(peers[name], settings.server_cpu) as server:
                if ask(server.port, "GET", WORKLOADS[workload].path, scheme=server.peer.scheme).status != 200:
                    raise NotMeasured(f"{name} does not answer {workload}")
                sample = measure_load(server, WORKLOADS[workload], settings)
            note(results, name, workload, number, sample)
    for name in names:
        with Server(peers[name], settings.server_cpu) as server:
            note(results, name, IDLE, number, measure_idle(server, WORKLOADS[IDLE], settings))


def note(results: Results, name: str, workload: str, number: int, sample: Sample) -> None:
    record = results.peers.setdefault(name, Entry("", "")).records.setdefault(workload, Record())
    record.add(number, sample)
    figure = "bytes_per_connection" if workload == IDLE else "cpu_us"
    print(f"  {number} {name:12} {workload:28} {record.figures[figure][-1]:10.2f} {figure}", flush=True)


# ---- handshakes ------------------------------------------------------------------------------------


def measure_handshakes(results: Results, number: int, settings: Settings) -> None:
    for key in KEYS:
        with Server(certified(key), settings.server_cpu) as server:
            for name, flags in HANDSHAKES.items():
                shake_hands(server, flags, settings.warmup, settings)
                note(results, f"{TLS} {key}", name, number, handshake_sample(server, flags, settings))


def handshake_sample(server: Server, flags: tuple[str, str], settings: Settings) -> Sample:
    machine.wait_until_quiet(server, settings.max_other_pct, settings.patience_s)
    before, busy, begin = server.cpu(), procfs.busy_seconds(), time.monotonic()
    made = shake_hands(server, flags, settings.seconds, settings)
    cpu, wall = server.cpu().since(before), time.monotonic() - begin
    return {
        "handshakes": made,
        "cpu_us": cpu.total * 1e6 / made,
        "user_us": cpu.user * 1e6 / made,
        "system_us": cpu.system * 1e6 / made,
        "server_cpu_pct": 100 * cpu.total / wall,
        "busy_pct": 100 * (procfs.busy_seconds() - busy) / wall,
    }


def shake_hands(server: Server, flags: tuple[str, str], seconds: float, settings: Settings) -> int:
    """How many handshakes one client has made, one after another."""
    command = ["openssl", "s_time", "-connect", f"{HOST}:{server.port}", *flags, "-time", f"{seconds:.0f}"]
    process = start(command, settings.client_cpu, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said, _ = process.communicate()
    finally:
        process.kill()  # of no effect on one that has ended
    found = MADE.search(said)
    if found is None or found[1] == "0":
        raise NotMeasured(f"openssl made no handshake: {said[-200:]}")
    return int(found[1])


# ---- the run ---------------------------------------------------------------------------------------


def measure(results: Results, rounds: int, settings: Settings) -> None:
    turn = machine.Turn(HOLD_S)
    peers = {PLAIN: highperf(PLAIN, APP), TLS: certified(next(iter(KEYS)))}
    for number in range(1, rounds + 1):
        turn.take()
        measure_requests(results, number, peers, settings)
        measure_handshakes(results, number, settings)
    turn.give_back()


def render(results: Results) -> str:
    titles = ["request", "CPU µs", "user", "system", "with TLS", "user", "system", "x plain", "range", f"goal ≤ {GOAL}"]
    lines = [row(titles), "|---" + "|---:" * (len(titles) - 1) + "|"]
    shares = ("cpu_us", "user_us", "system_us")
    for workload in REQUESTS:
        plain, secure = results.peers[PLAIN].records[workload], results.peers[TLS].records[workload]
        ratios = secure.ratios(plain, "cpu_us")
        figures = [f"{record.median(share):.2f}" for record in (plain, secure) for share in shares]
        verdict = "met" if median(ratios) <= GOAL else "MISSED"
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
        lines.append(row([f"GET {WORKLOADS[workload].path}", *figures, f"{median(ratios):.2f}", spread, verdict]))
    lines += ["", *render_handshakes(results), "", *render_memory(results)]
    return "\n".join(lines)


def render_handshakes(results: Results) -> list[str]:
    titles = ["handshake", "CPU µs", "user", "system", "per second of CPU"]
    lines = [row(titles), "|---" + "|---:" * (len(titles) - 1) + "|"]
    for key in KEYS:
        for workload, record in results.peers[f"{TLS} {key}"].records.items():
            cpu_us = record.median("cpu_us")
            figures = [f"{record.median(share):.0f}" for share in ("cpu_us", "user_us", "system_us")]
            lines.append(row([f"{key}, {workload}", *figures, f"{1e6 / cpu_us:,.0f}"]))
    return lines


def render_memory(results: Results) -> list[str]:
    lines = [row(["idle connection", "octets"]), "|---|---:|"]
    for name in (PLAIN, TLS):
        lines.append(row([name, f"{results.peers[name].records[IDLE].median('bytes_per_connection'):,.0f}"]))
    return lines


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = comparison.parser(TLS, __doc__, rounds=5, seconds=2)
    parser.add_argument("--quick", action="store_true", help=f"half a minute: {QUICK}")
    parser.add_argument("--idle-connections", type=int, default=1000)
    return comparison.parse(parser, arguments, TLS, QUICK)


def require() -> None:
    if not shutil.which("openssl") or not shutil.which("wrk"):
        sys.exit("bench.load.tls: wrk and openssl are needed")


def main(arguments: Sequence[str] | None = None) -> None:
    comparison.run(TLS, parse(arguments), measure, render, require)


if __name__ == "__main__":
    main()
