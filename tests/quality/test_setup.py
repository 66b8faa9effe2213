"""A machine that lacks something is told so in one line that names it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.quality.source import ROOT

FIND = ROOT / "tools" / "find-python"
FALSE = shutil.which("false") or "/bin/false"


def find(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([FIND, *arguments], env=os.environ | env, capture_output=True, text=True)


def fake_python(folder: Path, name: str, complaint: str) -> None:
    """An interpreter that runs, and whose look at itself ends with the complaint."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n[ -z \"$2\" ] || {{ echo '{complaint}' >&2; exit 1; }}\n")
    path.chmod(0o755)


def test_the_python_that_was_asked_for_is_taken() -> None:
    found = find(sys.executable)
    assert (found.returncode, found.stdout.strip()) == (0, sys.executable)


@pytest.mark.parametrize(
    ("asked", "env", "named"),
    [
        ("python-of-no-machine", {}, "python-of-no-machine"),
        (sys.executable, {"CC": "compiler-of-no-machine"}, "compiler-of-no-machine"),
    ],
)
def test_what_is_missing_is_named_in_one_line(asked: str, env: dict[str, str], named: str) -> None:
    failed = find(asked, **env)
    assert failed.returncode == 1
    assert named in failed.stderr
    assert "PYTHON=" in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_the_newest_python_that_will_do_is_taken(tmp_path: Path) -> None:
    fake_python(tmp_path, "python3.14", "Python.h is missing")
    (tmp_path / "python3.13").symlink_to(sys.executable)
    (tmp_path / "python3.12").symlink_to(FALSE)
    found = find(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert found.returncode == 0
    assert found.stdout.strip() == str(tmp_path / "python3.13")


def test_the_first_complaint_is_the_one_that_is_told(tmp_path: Path) -> None:
    for name, complaint in [("python3.14", "Python.h is missing"), ("python3.13", "no venv"), ("python3", "too old")]:
        fake_python(tmp_path, name, complaint)
    for name in ("python3.12", "python3.11"):
        (tmp_path / name).symlink_to(FALSE)
    failed = find(PATH=f"{tmp_path}:/bin:/usr/bin")
    assert failed.returncode == 1
    assert "python3.14 will not do: Python.h is missing" in failed.stderr
