"""Plants mistakes into a copy of the compiled core, one after the other, and looks whether each is found.

    python tools/planted.py [WORDS]    those whose name has these words; without, all of tools/planted.toml

So the tools themselves are tested: a mistake that is not found fails the run. The fuzzer has a minute for each of its
own; it fuzzes the release build in build/planted, blind: what is found so is found with coverage all the sooner. The
others are for a flavour that checks: a few tests run on it, and its report must say what is wrong, and where.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import flavour

PLANTED = flavour.ROOT / "tools" / "planted.toml"
PATIENCE_S = 60
RUN = "import sys, flavour; sys.exit(flavour.run(sys.argv[1], sys.argv[2:]))"


def plant(tree: Path, mistake: dict[str, str]) -> None:
    text = (flavour.ROOT / mistake["file"]).read_text()
    if text.count(mistake["text"]) != 1:
        raise SystemExit(f"{mistake['name']}: {mistake['file']} no longer has its text, once; mend {PLANTED.name}")
    (tree / mistake["file"]).write_text(text.replace(mistake["text"], mistake["becomes"]))


def fuzz(mistake: dict[str, str]) -> str | None:
    """What the fuzzer found, after how long; None: nothing."""
    tree, target = flavour.ROOT / "build" / "planted", mistake["target"]
    tree.mkdir(parents=True, exist_ok=True)
    flavour.build(tree, "release", force=flavour.copy_tree(tree))
    plant(tree, mistake)
    flavour.build(tree, "release", force=False)
    record, kept = tree / "build" / "fuzz.json", tree / "build" / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    folders = [f"--{name}={kept / name}" for name in ("crashes", "corpus")]
    command = [sys.executable, "-m", "fuzz", target, f"--seconds={PATIENCE_S}", f"--record={record}", *folders]
    subprocess.run(command, cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}, capture_output=True)
    report = json.loads(record.read_text())["targets"][target]
    return report["breach"] and f"{report['breach'][0]} after {report['seconds']:.1f} s"


def check(mistake: dict[str, str]) -> str | None:
    """What the flavour's report says, and where; None: not that."""
    by = mistake["by"]
    tree = flavour.prepare(by)
    plant(tree, mistake)
    flavour.build(tree, by, force=False)
    command = [sys.executable, "-c", RUN, by, "-x", "-q", *mistake["tests"].split()]
    run = subprocess.run(command, cwd=flavour.ROOT / "tools", capture_output=True, text=True, errors="replace")
    report = run.stdout + run.stderr
    place = re.search(re.escape(mistake.get("place", mistake["file"])) + r":\d+", report)
    if run.returncode and place and mistake["finds"] in report:
        return f"{mistake['finds']} ({place[0]})"
    (flavour.ROOT / "build" / f"missed-by-{by}.txt").write_text(report)
    return None


def main() -> int:
    words = " ".join(sys.argv[1:])
    missed = 0
    for mistake in tomllib.loads(PLANTED.read_text())["mistake"]:
        if words not in mistake["name"]:
            continue
        found = check(mistake) if "by" in mistake else fuzz(mistake)
        missed += found is None
        finder = mistake.get("by") or mistake["target"]
        print(f"{finder:<11} {mistake['name']:<72} {found or 'not found'}", flush=True)
    print(f"{missed} missed")
    return missed > 0


if __name__ == "__main__":
    sys.exit(main())
