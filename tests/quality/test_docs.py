"""The papers keep their promises: code that is marked `python run` runs, commands and linked files exist.

A block that opens with ```python run must end by itself; it runs as a script in an empty folder.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.quality.source import ROOT, place

PAPERS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").rglob("*.md")])
PATIENCE_S = 60.0
BLOCK = re.compile(r"^```python run\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
MAKE = re.compile(r"(?:^|`|\$ )make ((?:[a-z]+ ?)+)", re.MULTILINE)
SCRIPT = re.compile(r"(?<![\w/.])\./([\w-]+\.sh)\b")


def runnable_blocks() -> list[tuple[str, str]]:
    found = []
    for paper in PAPERS:
        text = paper.read_text()
        found += [(place(paper, text.count("\n", 0, match.start()) + 1), match[1]) for match in BLOCK.finditer(text)]
    return found


def anchors(paper: Path) -> set[str]:
    """The names that a heading can be linked by, as common hosts make them."""
    headings = re.findall(r"^#+ (.+)$", paper.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("block", [pytest.param(code, id=where) for where, code in runnable_blocks()])
def test_code_in_the_papers_runs(block: str, tmp_path: Path) -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", block]
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=PATIENCE_S)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(paper: Path) -> None:
    for name, anchor in LINK.findall(paper.read_text()):
        target = (paper.parent / name).resolve() if name else paper
        assert target.exists(), f"{paper.name} links to {name}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{paper.name} links to {name}#{anchor}"


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.relative_to(ROOT).as_posix())
def test_commands_exist(paper: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = paper.read_text()
    for called in MAKE.findall(text):
        assert called.split()[0] in targets, f"{paper.name} names make {called}"
    for script in SCRIPT.findall(text):
        assert os.access(ROOT / script, os.X_OK), f"{paper.name} names ./{script}"
