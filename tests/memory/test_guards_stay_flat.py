"""Requests are cancelled, too late, left alone and refused in every way: nothing of them stays."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import compiled

REQUESTS = 400_000
MIB = 1024 * 1024
NOISE = 1000  # blocks that the caches of the interpreter may take; one for each hundred requests would be 3,000

pytestmark = pytest.mark.release_build


def test_requests_that_end_in_all_kinds_of_ways_leave_nothing_behind() -> None:
    command = [sys.executable, str(Path(__file__).parent / "ends_at_random.py"), str(REQUESTS), "7"]
    env = os.environ | {"PYTHONPATH": str(compiled.ROOT)}
    result = json.loads(subprocess.check_output(command, env=env, text=True, timeout=120))
    assert result["left"] == [0, 0, 0, 0, 0]
    assert result["blocks"] < NOISE
    assert result["resident"] < MIB
    assert min(result["refused"].values()) > 1000, result["refused"]
    assert result["cancelled"] > 5000
    assert result["disconnected"] > 5000
