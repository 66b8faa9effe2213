"""What type checkers make of a user's code; tests/typing/public_api.py says it."""

import subprocess
import sys

import pytest

from tests.quality.source import ROOT

pytest.importorskip("mypy")


def test_public_api_has_the_types_that_users_rely_on() -> None:
    command = [sys.executable, "-m", "mypy", "tests/typing/public_api.py"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
