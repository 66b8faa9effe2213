"""What one worker counts, as others find it in the segment."""

import os
import signal
from typing import Any

import pytest

from highperf.observe.metrics import Metrics, MetricTable, clear_gauges, count_restart
from highperf.segment import Segment
from tests import compiled

MS = 1_000_000
CONNECTIONS, RATE_LIMIT, RESTARTS, ACTIVE_REQUESTS, RESIDENT = 1, 4, 9, 128, 134
SUPERVISOR = 1023


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/metrics_probe.pyx")


@pytest.fixture
def segment() -> Segment:
    return Segment.create(16 << 20)


@pytest.fixture
def metrics(segment: Segment) -> Metrics:
    return Metrics(segment, 3)


def route(probe: Any, metrics: Metrics, name: str) -> int:
    number: int = probe.identity(metrics.table, name)
    return number


def test_a_request_is_counted_by_what_it_was(probe: Any, segment: Segment, metrics: Metrics) -> None:
    user = route(probe, metrics, "/users/:id")
    probe.observe(metrics, user, times=3)
    probe.observe(metrics, user, method=3, status=201, minor=0)
    probe.observe(metrics, user, status=200, ending=1)
    probe.observe(metrics, user, status=0, ending=2)
    assert probe.requests(segment) == {
        ("/users/:id", "GET", 200, "sent", 1, "http"): 3,
        ("/users/:id", "POST", 201, "sent", 0, "http"): 1,
        ("/users/:id", "GET", 200, "cut", 1, "http"): 1,
        ("/users/:id", "GET", 0, "left", 1, "http"): 1,
    }


def test_requests_over_tls_are_told_from_others(probe: Any, segment: Segment) -> None:
    secure = Metrics(segment, 0, secure=True)
    probe.observe(secure, route(probe, secure, "/a"))
    assert probe.requests(segment) == {("/a", "GET", 200, "sent", 1, "https"): 1}


def test_what_has_no_route_id_is_not_counted(probe: Any, segment: Segment, metrics: Metrics) -> None:
    probe.observe(metrics, 0)
    assert probe.requests(segment) == {}


@pytest.mark.parametrize(
    ("spent_ns", "bucket"),
    [(-1, 0), (0, 0), (5 * MS, 0), (5 * MS + 1, 1), (100 * MS, 5), (1000 * MS, 9), (10_000 * MS, 13), (10**12, 14)],
)
def test_a_bucket_holds_what_took_no_longer_than_its_limit(
    probe: Any, segment: Segment, metrics: Metrics, spent_ns: int, bucket: int
) -> None:
    probe.observe(metrics, route(probe, metrics, "/a"), spent_ns=spent_ns)
    [(sum_ns, buckets)] = probe.histograms(segment).values()
    assert sum_ns == max(0, spent_ns)
    assert [place for place, count in enumerate(buckets) if count] == [bucket]


def test_workers_add_up_under_one_name(probe: Any, segment: Segment) -> None:
    for line in (0, 63, 64, 500):
        worker = Metrics(segment, line)
        probe.observe(worker, route(probe, worker, "/a"), times=line + 1)
    assert probe.lines(segment) == [0, 63, 64, 500]
    assert list(probe.requests(segment).values()) == [1 + 64 + 65 + 501]


# ---- whoever is replaced ----------------------------------------------------------------------------------


def test_the_next_process_on_a_line_goes_on_with_its_counts(probe: Any, segment: Segment) -> None:
    for _ in range(3):
        worker = Metrics(segment, 1)
        probe.observe(worker, route(probe, worker, "/a"))
        worker.add(CONNECTIONS, by=5)
        assert probe.series(worker)[0] == 1
    assert list(probe.requests(segment).values()) == [3]
    assert probe.numbers(segment, CONNECTIONS) == {(): 15}


def test_gauges_end_with_the_process_that_they_tell_of(probe: Any, segment: Segment) -> None:
    worker = Metrics(segment, 1)
    worker.weigh()
    worker.add(CONNECTIONS)
    assert probe.numbers(segment, RESIDENT)[()] > 1 << 20
    clear_gauges(segment, 1)
    clear_gauges(segment, 2)  # which nobody ever had
    assert probe.numbers(segment, RESIDENT) == {}
    assert probe.numbers(segment, CONNECTIONS) == {(): 1}
    assert probe.lines(segment) == [1]
    worker.weigh()
    Metrics(segment, 1)
    assert probe.numbers(segment, RESIDENT) == {}


def test_who_is_killed_between_publishing_a_key_and_counting_leaves_a_valid_zero(probe: Any, segment: Segment) -> None:
    killed = Metrics(segment, 1)
    probe.observe(killed, route(probe, killed, "/a"))
    probe.die_before_counting(killed, 1 << 63 | 200)
    successor = Metrics(segment, 1)
    assert probe.series(successor)[0] == 2
    probe.observe(successor, route(probe, successor, "/a"))
    assert probe.requests(segment)[("/a", "GET", 200, "sent", 1, "http")] == 2


def test_processes_that_are_killed_while_they_count_lose_nothing_that_was_counted(probe: Any, segment: Segment) -> None:
    batch, batches = 1000, 0
    for _ in range(5):
        told, telling = os.pipe()
        if (pid := os.fork()) == 0:
            worker = Metrics(segment, 1)
            while True:
                probe.observe(worker, route(probe, worker, "/a"), spent_ns=7, times=batch)
                os.write(telling, b".")
        os.read(told, 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.set_blocking(told, False)
        os.close(telling)
        batches += 1 + len(os.read(told, 1 << 20))
        os.close(told)
    [(sum_ns, buckets)] = probe.histograms(segment).values()
    assert batches * batch <= sum(buckets) <= (batches + 5) * batch
    assert sum(buckets) <= sum_ns / 7 <= sum(buckets) + 5


def test_who_is_killed_while_writing_a_name_costs_its_entry(probe: Any, segment: Segment) -> None:
    table = MetricTable(segment)
    assert probe.identity(table, "/a") == 3
    probe.claim_and_die(table, 12345)
    assert probe.identity(table, "/b") == 5
    assert [probe.identity(MetricTable(segment), name) for name in ("/a", "/b")] == [3, 5]
    assert [probe.name_of(segment, number) for number in (3, 4, 5)] == ["/a", "unwritten", "/b"]


def test_restarts_have_a_line_of_their_own(probe: Any, segment: Segment) -> None:
    for reason in ("killed", "reload", "killed"):
        count_restart(segment, reason)
    assert probe.numbers(segment, RESTARTS) == {("killed",): 2, ("reload",): 1}
    assert probe.lines(segment) == [SUPERVISOR]


# ---- what finds no room -----------------------------------------------------------------------------------


def test_series_are_bounded_and_every_request_is_counted(probe: Any, segment: Segment, metrics: Metrics) -> None:
    total = 0
    for number in range(40):
        name = route(probe, metrics, f"/{number}")
        for status in range(100, 600, 4):
            probe.observe(metrics, name, status=status)
            total += 1
    counts = probe.requests(segment)
    assert probe.series(metrics)[0] == len(counts) == probe.METRIC_BLOCKS
    assert sum(counts.values()) == total
    others = {key: count for key, count in counts.items() if key[0] == "_OTHER"}
    assert len(others) == 64
    assert sum(others.values()) == total - probe.METRIC_BLOCKS + 64
    assert sum(probe.requests(segment).values()) == total
    successor = Metrics(segment, 3)
    probe.observe(successor, route(probe, successor, "/39"), status=596)
    assert sum(probe.requests(segment).values()) == total + 1
    assert len(probe.requests(segment)) == probe.METRIC_BLOCKS


def test_names_without_room_share_one(probe: Any, segment: Segment) -> None:
    table = MetricTable(segment)
    assert probe.identity(table, "/" + 300 * "a") == 2
    assert probe.identity(table, "/" + 239 * "ä") == 2
    assert probe.identity(table, "/" + 239 * "a") == 3
    numbers = [probe.identity(table, f"/{number}") for number in range(probe.METRIC_NAMES + 10)]
    assert numbers[-11:] == [2] * 11
    assert len(set(numbers)) == probe.METRIC_NAMES
    assert probe.identity(table, "/0") == 4


def test_cells_are_bounded(probe: Any, segment: Segment, metrics: Metrics) -> None:
    for number in range(probe.METRIC_CELLS):
        metrics.add(RATE_LIMIT, f"p{number % 500}", f"o{number // 500}")
    assert probe.series(metrics)[1] == probe.METRIC_CELLS
    metrics.add(RATE_LIMIT, "p0", "o0")
    assert probe.numbers(segment, RATE_LIMIT)["p0", "o0"] == 2


@pytest.mark.parametrize("line", [-1, 1024])
def test_a_line_is_one_of_the_board(segment: Segment, line: int) -> None:
    with pytest.raises(ValueError, match="from 0 to 1023"):
        Metrics(segment, line)
