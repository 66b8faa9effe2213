"""python -m bench [micro|store|guards|startup|load [OPTIONS]]; without a part, all of them, in a few minutes."""

import subprocess
import sys

from bench.load import peers, server, wrk

# Part -> its module, and the options that it gets when all parts run.
PARTS = {
    "micro": ("bench.micro",),
    "store": ("bench.micro.bench_store",),
    "guards": ("bench.guards",),
    "startup": ("bench.startup",),
    "load": ("bench.load", "--quick"),
}


def run(module: str, *options: str) -> int:
    return subprocess.run([sys.executable, "-m", module, *options], check=False).returncode


def load_is_possible() -> bool:
    floor = next(peer for peer in peers.PEERS if peer.name == peers.FLOOR)
    return wrk.installed() and not server.why_missing(floor)


def run_all() -> int:
    status = 0
    for part, command in PARTS.items():
        print(f"\n## {part}\n", flush=True)
        if part == "load" and not load_is_possible():
            print("wrk and the peers are not installed: bench/load/setup.sh core does that")
        else:
            status = run(*command) or status
    return status


def main() -> int:
    if len(sys.argv) == 1:
        return run_all()
    part, *options = sys.argv[1:]
    if part not in PARTS:
        print(f"usage: {__doc__}", file=sys.stderr)
        return 2
    return run(PARTS[part][0], *options)


if __name__ == "__main__":
    sys.exit(main())
