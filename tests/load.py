"""Clients that go on asking while something is done to the server, and what they lost by it.

    with running("proofs_app:app", "--workers", "2", files=FILES) as server:
        load = Load(server, Kind("one-shot", 10, 0.01, keeps=False))
        load.until(lambda: len(load.workers) == 2)
        server.signal(signal.SIGHUP)
        load.until(lambda: len(load.workers) == 4)
        assert load.end() == []

No request is asked twice; each has failed unless its whole right answer came (see bench/load/traffic.py).
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bench.load.outcomes import Ended, Quiet, Request, failures
from bench.load.traffic import Kind, Traffic
from tests.servers import PATIENCE_S, Server

APPS = Path(__file__).resolve().parent.parent / "bench" / "load" / "apps"
FILES = {"proofs_app.py": (APPS / "proofs_app.py").read_text()}
TORN = (Quiet.RESET, Quiet.RESET_AT_END, Quiet.LEFT_OPEN, Quiet.SPOKE)


class Load:
    """The clients of one test."""

    def __init__(self, server: Server, *kinds: Kind, until_refused: bool = False) -> None:
        self.traffic = Traffic(server.port, kinds, timeout_s=PATIENCE_S, until_refused=until_refused)

    @property
    def workers(self) -> Mapping[int, int]:
        """The process ids of those that have answered."""
        return self.traffic.workers

    @property
    def requests(self) -> list[Request]:
        return self.traffic.requests

    def until(self, condition: Callable[[], bool]) -> None:
        """Go on asking until the condition holds."""
        deadline = time.monotonic() + PATIENCE_S
        self.traffic.run_while(lambda: not condition() and time.monotonic() < deadline)
        assert condition()

    def end(self, refused_from_ns: int | None = None) -> list[Request | Ended]:
        """Wait for the last answers, and say what was lost: requests without their answer, connections torn down."""
        self.traffic.finish()
        return [
            *failures(self.traffic.requests, refused_from_ns),
            *(end for end in self.traffic.ended if end.how in TORN),
        ]
