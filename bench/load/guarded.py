"""The app whose guards are measured (apps/guarded_app.py), with them and without."""

from bench.load.peers import Peer, highperf

WORK_US = 1000
DEADLINE_S = 0.1

# Paths of the app.
WORK, FULL = "/work", "/full"

# Connections of the load may stay silent for as long as a run takes.
PATIENT = {"READ_TIMEOUT": "300s", "IDLE_TIMEOUT": "300s", "WORK_US": str(WORK_US)}
UNGUARDED = {"GUARDS": "off"}

ON, OFF = "on", "off"
PEERS: dict[str, Peer] = {
    ON: highperf("guards-on", "guarded_app:app", env=PATIENT | {"GUARDS": "on"}),
    OFF: highperf("guards-off", "guarded_app:app", env=PATIENT | UNGUARDED),
}


def describe() -> dict[str, object]:
    """What the server was told, for the file of results."""
    return {"work_us": WORK_US, "deadline_s": DEADLINE_S, **{guards: peer.env for guards, peer in PEERS.items()}}
