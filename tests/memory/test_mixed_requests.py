"""Good, bad, cancelled, late and abandoned requests over sockets: no object, block, descriptor or page of them stays.

`make soak` asks a million times; here it is enough to see what piles up with each request, or each hundredth.
"""

import json
import os
import subprocess
import sys

import pytest

from tests import compiled
from tests.memory import mixed_requests

REQUESTS = 100_000

pytestmark = pytest.mark.release_build


def test_requests_of_every_kind_leave_nothing_behind() -> None:
    command = [sys.executable, "-m", mixed_requests.__name__, str(REQUESTS), "7"]
    env = os.environ | {"PYTHONPATH": str(compiled.ROOT)}
    run = subprocess.run(command, cwd=compiled.ROOT, env=env, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    result = json.loads(run.stdout)
    assert result["served"] > REQUESTS // 2
    assert result["cancelled"] > 1000
    assert min(result["kinds"].values()) > 1000


@pytest.mark.parametrize("name", ["objects", "blocks", "descriptors", "resident"])
def test_what_grows_is_told(name: str) -> None:
    grown = dict.fromkeys(("objects", "blocks", "descriptors", "resident"), 0)
    assert not mixed_requests.leaks({"grown": grown, "left": [0, 0]})
    assert len(mixed_requests.leaks({"grown": grown | {name: 10**8}, "left": [0, 0]})) == 1
    assert len(mixed_requests.leaks({"grown": grown, "left": [0, 1]})) == 1
