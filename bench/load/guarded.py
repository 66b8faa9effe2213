"""The app whose guards are measured (apps/guarded_app.py), with them and without."""

import contextlib
import socket
import time
from collections.abc import Iterator

from bench.load.peers import Peer, highperf
from bench.load.places import HOST

SETTLE_S = 0.1

WORK_US = 1000
DEADLINE_S = 0.1

# Paths of the app.
WORK, NOOP, LIMITED, BROKEN, FULL, HOLD, LATENESS = (
    "/work",
    "/noop",
    "/limited",
    "/broken",
    "/full",
    "/hold",
    "/lateness",
)
WAITS = {"/wait/80": 0.08, "/wait/100": 0.1}  # and their deadlines, in seconds

# Connections of the load may stay silent for as long as a run takes.
PATIENT = {"READ_TIMEOUT": "300s", "IDLE_TIMEOUT": "300s", "WORK_US": str(WORK_US)}
GUARDED = {"GUARDS": "on", "CB_OPEN_DURATION": "30s"}
UNGUARDED = {"GUARDS": "off", "LIMIT_CONCURRENCY": "0"}

ON, OFF, MANY = "on", "off", "many"
PEERS: dict[str, Peer] = {
    ON: highperf("guards-on", "guarded_app:app", env=PATIENT | GUARDED),
    OFF: highperf("guards-off", "guarded_app:app", env=PATIENT | UNGUARDED),
    MANY: highperf("guards-many", "guarded_app:app", env=PATIENT | GUARDED | {"LIMIT_CONCURRENCY": "30000"}),
}


@contextlib.contextmanager
def filled(port: int) -> Iterator[None]:
    """While it lasts, the one request that GET /full has room for is running."""
    with socket.create_connection((HOST, port)) as holder:
        holder.sendall(f"GET {FULL} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        time.sleep(SETTLE_S)
        yield


def describe() -> dict[str, object]:
    """What the server was told, for the file of results."""
    return {"work_us": WORK_US, "deadline_s": DEADLINE_S, **{guards: peer.env for guards, peer in PEERS.items()}}
