"""Fuzzes the targets one after the other, each in a process of its own, until the time is over or something is wrong.

Guided by coverage on the flavour "fuzz" (make fuzz), blind and faster on a release build. The first breach ends the
run with exit code 1; its input is kept in the folder of crashes, which the tests replay. What was done is written to
a file of JSON: by target executions, seconds, edges, what was compared, and what was wrong.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fuzz import targets
from fuzz.engine import Breach, Slot, judge

ROOT = Path(__file__).resolve().parent.parent
ORACLES = ("llhttp", "h11")
KINDS = ("mismatch", "exception", "crash", "hang")
HANG_S = 30.0
START_S = 300.0  # until the first execution: a sanitized build on a busy machine takes its time
POLL_S = 0.2


@dataclass(frozen=True)
class Outcome:
    report: dict[str, Any]
    breach: Breach | None


def fuzz(name: str, seconds: float, options: argparse.Namespace) -> Outcome:
    corpus = options.corpus / name
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="highperf-fuzz-") as folder:
        file = Path(folder, "slot")
        command = [sys.executable, "-m", "fuzz.child", name, f"--seconds={seconds}", f"--seed={options.seed}"]
        return watch([*command, f"--slot={file}", f"--corpus={corpus}"], Slot(file))


def watch(command: list[str], slot: Slot) -> Outcome:
    """Runs a child to its end, whatever end that is."""
    begun_s = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        hangs = wait(child, slot)
        said = child.stdout.read() if child.stdout else ""
    if said.endswith("}\n"):
        report = json.loads(said.rstrip("\n").rpartition("\n")[2])
        return Outcome(report, report["breach"] and Breach.read(*report["breach"]))
    patience_s = HANG_S if slot.executions else START_S
    words = f"no execution ended for {patience_s:g} s" if hangs else f"the process ended with {child.returncode}"
    seconds = time.monotonic() - begun_s
    breach = Breach("hang" if hangs else "crash", slot.octets, words)
    report = {"executions": slot.executions, "seconds": seconds, "edges": 0, "corpus": 0, "counts": {}}
    return Outcome(report | {"breach": breach.told}, breach)


def wait(child: "subprocess.Popen[str]", slot: Slot) -> bool:
    """Until it has ended; says whether it had to be killed because it got no further."""
    executions, since_s = 0, time.monotonic()
    while True:
        try:
            child.wait(POLL_S)
        except subprocess.TimeoutExpired:
            if slot.executions != executions:
                executions, since_s = slot.executions, time.monotonic()
            elif time.monotonic() - since_s > (HANG_S if executions else START_S):
                child.kill()
                return True
        else:
            return False


def row(name: str, report: dict[str, Any]) -> str:
    counts = ", ".join(f"{key} {count:,}" for key, count in sorted(report["counts"].items()))
    executions, seconds = report["executions"], report["seconds"]
    figures = f"{executions:>12,} {executions / seconds:>9,.0f} {report['edges'] or '-':>7} {report['corpus']:>7}"
    return f"{name:<11} {figures}  {counts}"


def tell(name: str, breach: Breach, folder: Path) -> None:
    file = folder / name / breach.name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(breach.octets)
    print(f"\n{name}: {breach.kind} on {breach.octets!r}\n{breach.words}\nkept as {file}")


def record(options: argparse.Namespace, reports: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the whole run did."""
    kinds = Counter(report["breach"][0] for report in reports.values() if report["breach"])
    asked = {name: sum(report["counts"].get(f"{name} asked", 0) for report in reports.values()) for name in ORACLES}
    total = {key: sum(report[key] for report in reports.values()) for key in ("executions", "seconds", "edges")}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": options.seed,
        "python": platform.python_version(),
        "guided": total["edges"] > 0,
        "total": total | {"comparisons": asked} | {kind: kinds[kind] for kind in KINDS},
        "targets": reports,
    }


def replay(file: Path) -> int:
    breach = judge(targets.load(file.parent.name), file.read_bytes())
    print("all is well" if breach is None else f"{breach.kind}\n{breach.words}")
    return breach is not None


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m fuzz", description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(targets.SHARES)}; none: all")
    parser.add_argument("--seconds", type=float, default=300, help="for all of them together")
    parser.add_argument("--seed", type=int, default=time.time_ns() // 10**9, help="of the random numbers")
    parser.add_argument("--crashes", type=Path, default=ROOT / "tests" / "data" / "crashes")
    parser.add_argument("--corpus", type=Path, default=ROOT / "build" / "corpus")
    parser.add_argument("--record", type=Path, default=ROOT / "build" / "fuzz.json", help="what was done")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="try one kept input, TARGET/NAME, and nothing else")
    options = parser.parse_args()
    if options.replay:
        return replay(options.replay)
    if unknown := set(options.targets) - set(targets.SHARES):
        parser.error(f"no target: {', '.join(sorted(unknown))}")
    names = options.targets or list(targets.SHARES)
    whole = sum(targets.SHARES[name] for name in names)
    print(
        f"seed {options.seed}\n{'target':<11} {'executions':>12} {'a second':>9} {'edges':>7} {'corpus':>7}", flush=True
    )
    reports: dict[str, dict[str, Any]] = {}
    for name in names:
        outcome = fuzz(name, options.seconds * targets.SHARES[name] / whole, options)
        reports[name] = outcome.report
        print(row(name, outcome.report), flush=True)
        if outcome.breach is not None:
            tell(name, outcome.breach, options.crashes)
            break
    done = record(options, reports)
    options.record.parent.mkdir(parents=True, exist_ok=True)
    options.record.write_text(json.dumps(done, indent=1) + "\n")
    print(f"{'all':<11} {done['total']['executions']:>12,}\nwritten to {options.record}")
    return any(done["total"][kind] for kind in KINDS)


if __name__ == "__main__":
    sys.exit(main())
