"""kill -9 of workers under load: only what they were at is lost, and what they admitted counts on."""

import signal
from pathlib import Path

from bench.load.kills import Kill, admitted_spans, assign
from bench.load.outcomes import worst_excess
from bench.load.traffic import Kind
from tests.load import FILES, Load
from tests.servers import PATIENCE_S, running

KILLS = 3
RATE, CAPACITY = 500, 50
ALLOWED = (200, 429)
KINDS = (
    Kind("keep-alive", 10, 0.01, allowed=ALLOWED),
    Kind("one-shot", 5, 0.01, keeps=False, allowed=ALLOWED),
)


def test_only_requests_of_the_killed_worker_are_lost_and_the_rate_limit_holds(tmp_path: Path) -> None:
    limits = {"RATE_LIMIT_RPS": str(RATE), "RATE_LIMIT_CAPACITY": str(CAPACITY), "ADMITTED": str(tmp_path / "admitted")}
    with running("proofs_app:app", "--workers", "2", files=FILES, env=limits) as server:
        load = Load(server, *KINDS)
        kills: list[Kill] = []
        for number in range(KILLS):
            load.until(lambda known=2 + number: len(load.workers) == known)
            victim = next(pid for pid in load.workers if pid not in {kill.pid for kill in kills})
            kills.append(Kill.of(load.traffic, victim))
        load.until(lambda: len(load.workers) == 2 + KILLS)
        load.end()
        assert assign(kills, load.requests, load.traffic.ended, load.workers, seen_ms=PATIENCE_S * 1000) == []
        assert all(len(kill.lost) <= kill.exposed for kill in kills)
        assert worst_excess(admitted_spans(tmp_path / "admitted", load.requests), RATE) <= CAPACITY
        assert any(request.status == 429 for request in load.requests)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.stderr.count("was killed by SIGKILL") == KILLS
