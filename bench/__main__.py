"""python -m bench [micro|startup|load [OPTIONS]]; without a part, all of them, in a few minutes."""

import subprocess
import sys

from bench.load import peers, server, wrk

PARTS = {"micro": (), "startup": (), "load": ("--quick",)}


def run(part: str, options: tuple[str, ...]) -> int:
    return subprocess.run([sys.executable, "-m", f"bench.{part}", *options], check=False).returncode


def load_is_possible() -> bool:
    floor = next(peer for peer in peers.PEERS if peer.name == peers.FLOOR)
    return wrk.installed() and not server.why_missing(floor)


def run_all() -> int:
    status = 0
    for part, options in PARTS.items():
        print(f"\n## {part}\n", flush=True)
        if part == "load" and not load_is_possible():
            print("wrk and the peers are not installed: bench/load/setup.sh core does that")
        else:
            status = run(part, options) or status
    return status


def main() -> int:
    if len(sys.argv) == 1:
        return run_all()
    part, *options = sys.argv[1:]
    if part not in PARTS:
        print(f"usage: {__doc__}", file=sys.stderr)
        return 2
    return run(part, tuple(options))


if __name__ == "__main__":
    sys.exit(main())
