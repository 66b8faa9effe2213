"""Plants mistakes into a copy of the compiled core, one after the other, and looks whether the fuzzer finds each.

    python tools/planted.py [WORDS]    those whose name has these words; without, all of tools/planted.toml

So the fuzzer itself is tested: a mistake that it does not find within a minute fails the run. The copy lies in
build/planted; the release build is fuzzed there, blind, so that what is found so is found with coverage all the sooner.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import flavour

PLANTED = flavour.ROOT / "tools" / "planted.toml"
PATIENCE_S = 60


def plant(tree: Path, mistake: dict[str, str]) -> None:
    text = (flavour.ROOT / mistake["file"]).read_text()
    if text.count(mistake["text"]) != 1:
        raise SystemExit(f"{mistake['name']}: {mistake['file']} no longer has its text, once; mend {PLANTED.name}")
    (tree / mistake["file"]).write_text(text.replace(mistake["text"], mistake["becomes"]))


def fuzz(tree: Path, target: str) -> dict[str, float | str] | None:
    """What was found, after how long; None: nothing."""
    record, kept = tree / "build" / "fuzz.json", tree / "build" / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    folders = [f"--{name}={kept / name}" for name in ("crashes", "corpus")]
    command = [sys.executable, "-m", "fuzz", target, f"--seconds={PATIENCE_S}", f"--record={record}", *folders]
    subprocess.run(command, cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}, capture_output=True)
    report = json.loads(record.read_text())["targets"][target]
    return report["breach"] and {"kind": report["breach"][0], "seconds": report["seconds"]}


def main() -> int:
    words = " ".join(sys.argv[1:])
    tree = flavour.ROOT / "build" / "planted"
    tree.mkdir(parents=True, exist_ok=True)
    missed = 0
    for mistake in tomllib.loads(PLANTED.read_text())["mistake"]:
        if words not in mistake["name"]:
            continue
        flavour.build(tree, "release", force=flavour.copy_tree(tree))
        plant(tree, mistake)
        flavour.build(tree, "release", force=False)
        found = fuzz(tree, mistake["target"])
        missed += found is None
        told = f"{found['kind']} after {found['seconds']:.1f} s" if found else f"not found in {PATIENCE_S} s"
        print(f"{mistake['target']:<11} {mistake['name']:<72} {told}", flush=True)
    print(f"{missed} missed")
    return missed > 0


if __name__ == "__main__":
    sys.exit(main())
