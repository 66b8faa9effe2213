"""Proves an installed highperf by serving real requests; needs nothing but the standard library.

Starts the highperf-serve of this very Python in an empty folder, reads /healthz, creates a user
and reads it back, stops the server with SIGTERM and wants exit code 0.
"""

import json
import os
import re
import select
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from pathlib import Path

PATIENCE_S = 30.0


def installed_server() -> str:
    return str(Path(sysconfig.get_path("scripts")) / "highperf-serve")


def address(process: subprocess.Popen[bytes]) -> str:
    """The URL that the server prints once it listens."""
    assert process.stderr is not None
    said = b""
    end = time.monotonic() + PATIENCE_S
    while select.select([process.stderr], [], [], max(0.0, end - time.monotonic()))[0]:
        piece = os.read(process.stderr.fileno(), 4096)
        said += piece
        if match := re.search(rb"(http://[\w.:\[\]]+:\d+)\D", said):
            return match[1].decode()
        if not piece:
            break
    raise SystemExit(f"highperf-serve did not start:\n{said.decode(errors='replace')}")


def call(url: str, body: object = None) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} if data else {})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return answer.status, answer.read()


def round_trip(url: str) -> None:
    assert call(f"{url}/healthz") == (200, b"ok")
    ada = {"name": "Ada", "email": "ada@example.com"}
    status, created = call(f"{url}/users", ada)
    assert status == 201, created
    user = json.loads(created)
    assert {"name": user["name"], "email": user["email"]} == ada
    status, found = call(f"{url}/users/{user['id']}")
    assert (status, json.loads(found)) == (200, user)


def main() -> None:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [installed_server(), "--port", "0"], cwd=folder, env=env, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            round_trip(address(process))
            process.send_signal(signal.SIGTERM)
            code = process.wait(PATIENCE_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code:
        raise SystemExit(f"highperf-serve ended with exit code {code}")
    print(f"served a request: Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
