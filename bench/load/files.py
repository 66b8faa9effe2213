"""Static files beside nginx's: CPU per file, 304s beside healthz, and what a large download costs other requests.

Needs nginx and wrk, and for the last stage the open-loop generator that setup.sh core builds.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from statistics import median

from bench.load import comparison, machine, openloop
from bench.load.openloop import Generator, Phase, summarise
from bench.load.peers import FILES, FLOOR, NOT_MODIFIED, PEERS
from bench.load.places import STATIC
from bench.load.results import Entry, Record, Results
from bench.load.run import Run
from bench.load.sampling import Sample, Settings
from bench.load.server import NotMeasured, Server
from bench.load.tables import row
from bench.load.workloads import WORKLOADS

NAME = "files"
OURS, NGINX = "highperf", "nginx-filecache"
CPU_GOALS = {"static-1k": 0.85, "static-64k": 1.00, "static-8m": 1.05}  # times nginx's
RATE_GOAL = 0.90  # of the rate of healthz
DELAY_GOAL_MS = 2.0  # that the p99 of other requests may grow by
HEALTHZ = "healthz"
ALONE, BESIDE = "alone", "beside a download"
SIZES = {"1k.bin": 1 << 10, "64k.bin": 1 << 16, "8m.bin": 8 << 20}
HUGE = "1g.bin"
HUGE_BYTES = 1 << 30
SMALL = {OURS: "/users/42", NGINX: "/healthz"}  # what is asked for beside a download
RATE = 2000.0  # requests a second, far below what the server can
ASKING = 16  # connections
TIMEOUT_S = 5.0
HOLD_S = 240.0
QUICK = {"rounds": 1, "seconds": 2}


# ---- a download beside other requests -------------------------------------------------------------

# Fetches a file over and over, and tells at the end how many octets came. It shares its CPU with the load
# generator and must not delay that: it runs when that does not (SCHED_IDLE), leaves the octets in the
# kernel (MSG_TRUNC), and asks for few at a time, for nothing interrupts the kernel.
FETCH = """
import os, signal, socket, sys
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
port, path = int(sys.argv[1]), sys.argv[2]
signal.signal(signal.SIGTERM, lambda *_: (print(count, flush=True), sys.exit(0)))
count = 0
room = bytearray(1 << 15)
while True:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
        client.connect(("127.0.0.1", port))
        client.sendall(b"GET %b HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n" % path.encode())
        while got := client.recv_into(room, len(room), socket.MSG_TRUNC):
            count += got
"""


@contextlib.contextmanager
def downloading(server: Server, cpu: int) -> Iterator[list[int]]:
    """While it lasts the file is fetched; afterwards the list holds how many octets came."""
    command = [sys.executable, "-c", FETCH, str(server.port), f"/files/{HUGE}"]
    process = subprocess.Popen(["taskset", "-c", str(cpu), *command], stdout=subprocess.PIPE, text=True)
    got: list[int] = []
    try:
        time.sleep(0.3)
        yield got
    finally:
        process.terminate()
        said, _ = process.communicate()
        got.append(int(said or 0))


def ask(server: Server, path: str, seconds: float, settings: Settings) -> Sample:
    schedule = (Phase(RATE, seconds),)
    with Generator(
        server.port, schedule, [path], connections=ASKING, timeout_s=TIMEOUT_S, cpu=settings.client_cpu
    ) as generator:
        with contextlib.suppress(OSError):  # else the download, on the same CPU, delays it by a tick of the clock
            os.sched_setscheduler(generator.process.pid, os.SCHED_FIFO, os.sched_param(1))
        records = generator.finish()
    window = summarise(records, 0.0, seconds, TIMEOUT_S)
    if window.failed or window.refusals:
        raise NotMeasured(f"{window.failed + window.refusals:.0f} of {window.offered:.0f} requests/s were not answered")
    return {"p50_us": window.p50_ms * 1000, "p99_us": window.p99_ms * 1000}


def measure_delay(results: Results, number: int, name: str, settings: Settings) -> None:
    """p99 of small requests alone, and while a client takes 1 GiB after 1 GiB as fast as it can."""
    peer = next(peer for peer in PEERS if peer.name == name)
    path = SMALL[name]
    with Server(peer, settings.server_cpu) as server:
        machine.wait_until_quiet(server, settings.max_other_pct, settings.patience_s)
        ask(server, path, settings.warmup, settings)
        alone = ask(server, path, settings.seconds, settings)
        begun = time.monotonic()
        with downloading(server, settings.client_cpu) as got:
            beside = ask(server, path, settings.seconds, settings)
        beside["mb_per_s"] = got[0] / (time.monotonic() - begun) / 1e6
    if got[0] < HUGE_BYTES / 8:
        raise NotMeasured(f"the download came to {got[0]:,} octets only")
    entry = results.peers.setdefault(name, Entry(peer.note, ""))
    for workload, sample in ((ALONE, alone), (BESIDE, beside)):
        entry.records.setdefault(workload, Record()).add(number, sample)
        figures = f"p50 {sample['p50_us']:7.0f} µs  p99 {sample['p99_us']:7.0f} µs"
        print(f"  {name:18} GET {path:9} {workload:18} {figures}", flush=True)


# ---- the run ---------------------------------------------------------------------------------------


def plant() -> None:
    """The files, where they are not there yet; of the huge one the disk holds nothing."""
    STATIC.mkdir(parents=True, exist_ok=True)
    for name, size in SIZES.items():
        if not (STATIC / name).exists():
            (STATIC / name).write_bytes(bytes(at % 251 for at in range(1024)) * (size // 1024))
    with (STATIC / HUGE).open("ab") as file:
        file.truncate(HUGE_BYTES)


def measure(results: Results, rounds: int, settings: Settings) -> None:
    peers = [peer for peer in PEERS if peer.name in (FLOOR, NGINX, OURS)]
    ours = [peer for peer in peers if peer.name == OURS]
    plant()
    turn = machine.Turn(HOLD_S)
    run = Run(results, settings, turn)
    for number in range(1, rounds + 1):
        print(f"round {number} of {rounds}", flush=True)
        run.round(number, peers, [WORKLOADS[name] for name in FILES])
        pair = [WORKLOADS[HEALTHZ], WORKLOADS[NOT_MODIFIED]]
        run.round(number, ours, pair if number % 2 else pair[::-1])
        turn.take()
        for name in sorted(SMALL, reverse=bool(number % 2)):
            measure_delay(results, number, name, settings)
    turn.give_back()


def verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def render(results: Results) -> str:
    titles = ["file", "CPU µs", "user", "system", "nginx", "x nginx", "range", "x floor", "other CPU %", "goal"]
    lines = [row(titles), "|---" + "|---:" * (len(titles) - 1) + "|"]
    for workload, goal in CPU_GOALS.items():
        records = results.under(workload)
        if OURS not in records or NGINX not in records:
            continue
        ours, theirs = records[OURS], records[NGINX]
        ratios = ours.ratios(theirs, "cpu_us")
        figures = [f"{ours.median(share):.2f}" for share in ("cpu_us", "user_us", "system_us")]
        floor = f"{median(results.times_floor(OURS, workload)):.2f}" if results.times_floor(OURS, workload) else "-"
        times = [f"{theirs.median('cpu_us'):.2f}", f"{median(ratios):.2f}", f"{min(ratios):.2f}-{max(ratios):.2f}"]
        judged = f"≤ {goal:.2f}: {verdict(median(ratios) <= goal)}"
        lines.append(row([workload, *figures, *times, floor, f"{ours.median('other_cpu_pct'):.0f}", judged]))
    return "\n".join([*lines, "", *render_rate(results), *render_delay(results)])


def render_rate(results: Results) -> list[str]:
    ours = results.peers[OURS].records
    if NOT_MODIFIED not in ours or HEALTHZ not in ours:
        return []
    rates = ours[NOT_MODIFIED].ratios(ours[HEALTHZ], "rps")
    cpu = ours[NOT_MODIFIED].ratios(ours[HEALTHZ], "cpu_us")
    return [
        f"- 304: {ours[NOT_MODIFIED].median('rps'):,.0f} a second, {median(rates):.2f} of healthz "
        f"({min(rates):.2f}-{max(rates):.2f}), {median(cpu):.2f} of its CPU, goal ≥ {RATE_GOAL:.2f}: "
        f"{verdict(median(rates) >= RATE_GOAL)}"
    ]


def render_delay(results: Results) -> list[str]:
    lines = []
    for name, path in SMALL.items():
        records = results.peers[name].records if name in results.peers else {}
        if BESIDE not in records:
            continue
        alone, beside = records[ALONE], records[BESIDE]
        both = zip(beside.figures["p99_us"], alone.figures["p99_us"], strict=True)
        grown = median((with_it - without) / 1000 for with_it, without in both)
        judged = f", goal ≤ {DELAY_GOAL_MS:.1f}: {verdict(grown <= DELAY_GOAL_MS)}" if name == OURS else ""
        p99s = [record.median("p99_us") / 1000 for record in (beside, alone)]
        lines.append(
            f"- {name}: GET {path} beside a download of {beside.median('mb_per_s'):,.0f} MB/s: p99 "
            f"{p99s[0]:.2f} ms, alone {p99s[1]:.2f} ms, {grown:+.2f} ms{judged}"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = comparison.parser(NAME, __doc__, rounds=5, seconds=4)
    parser.add_argument("--quick", action="store_true", help=f"about a minute: {QUICK}")
    options = comparison.parse(parser, arguments, NAME, QUICK)
    comparison.run(NAME, options, measure, render, openloop.exit_unless_installed)


if __name__ == "__main__":
    main()
