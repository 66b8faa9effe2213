"""SIGHUP under load: fresh workers take over from the old ones, and no client notices."""

import signal

import pytest

from bench.load.traffic import Kind
from tests.load import FILES, Load
from tests.servers import running

HUPS = 3
# Pauses stay well below the 250 ms after which an idle connection is closed in a drain: whoever asks in that very
# moment has to ask again, as with any server that closes connections.
KINDS = (
    Kind("keep-alive", 8, 0.01),
    Kind("one-shot", 6, 0.01, keeps=False),
    Kind("content", 4, 0.01, "/content", content=2000),
    Kind("waits", 4, 0.01, "/nap"),
)


@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_is_lost_in_a_rolling_reload(workers: int) -> None:
    with running("proofs_app:app", "--workers", str(workers), files=FILES) as server:
        load = Load(server, *KINDS)
        load.until(lambda: len(load.workers) == workers)
        for generation in range(2, HUPS + 2):
            server.signal(signal.SIGHUP)
            load.until(lambda wanted=generation * workers: len(load.workers) == wanted)
        assert load.end() == []
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_a_server_of_one_process_keeps_its_pid_when_it_is_reloaded() -> None:
    with running("proofs_app:app", files=FILES) as server:
        load = Load(server, *KINDS)
        load.until(lambda: bool(load.workers))
        assert list(load.workers) == [server.pid]
        server.signal(signal.SIGHUP)
        load.until(lambda: len(load.workers) == 2)
        assert load.end() == []
        assert server.process.poll() is None
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
