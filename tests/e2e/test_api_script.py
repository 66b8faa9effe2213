"""./test-api.sh agrees with a real server, and says so where one is wrong."""

import shutil
import subprocess

import pytest

from tests import servers
from tests.quality.source import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("curl") or not shutil.which("bash"), reason="needs bash and curl")

WRONG = """
from highperf import App

app = App(health=False)

@app.route("/*path", "*")
def answer(request):
    return "wrong"
"""


def run_script(port: int) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "test-api.sh"), f"http://127.0.0.1:{port}"]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_every_check_passes_and_passes_again_on_the_same_database() -> None:
    with servers.running(env={"FILES_ROOT": str(ROOT / "public")}) as server:
        for _ in range(2):
            done = run_script(server.port)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "FAIL" not in done.stdout
            assert done.stderr == ""
            lines = done.stdout.splitlines()
            assert lines[-1] == f"{len(lines) - 1} checks: {len(lines) - 1} passed, 0 failed"


def test_wrong_answers_are_failures_that_show_both_sides() -> None:
    with servers.running("main:app", files={"main.py": WRONG}) as server:
        done = run_script(server.port)
    assert done.returncode == 1
    assert "FAIL  GET /healthz: body\n      expected: ok\n      got:      wrong\n" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(f"{done.stdout.count('FAIL ')} failed")


def test_server_that_is_not_there_is_said_in_one_line() -> None:
    with servers.running() as server:
        port = server.port
    done = run_script(port)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"No server answers at http://127.0.0.1:{port}: ")
