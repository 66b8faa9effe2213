"""Which text a scrape is answered with, and what the application's own metrics add to it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import prometheus_client
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

from highperf import App
from highperf.core.scrape import wants_openmetrics
from highperf.observe import registry

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("text/plain", False),
        (PROMETHEUS, True),
        ("application/openmetrics-text", True),
        ("APPLICATION/OpenMetrics-Text; Version=1.0.0; charset=utf-8", True),
        ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3", True),
        ("application/openmetrics-text;q=0.4,text/plain;q=0.5", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=much", False),
        ("application/openmetrics-text;version=2.0.0", False),
        (";;,=,;q=", False),
    ],
)
def test_openmetrics_goes_to_whom_names_it_and_likes_it_best(accept: str, openmetrics: bool) -> None:
    assert wants_openmetrics(accept) is openmetrics


@pytest.fixture
def jobs() -> Iterator[prometheus_client.Counter]:
    counter = prometheus_client.Counter("jobs", "Jobs.", ["kind"])
    counter.labels("a").inc(3)
    yield counter
    prometheus_client.REGISTRY.unregister(counter)


@pytest.mark.usefixtures("jobs")
def test_the_applications_metrics_are_told_with_the_servers() -> None:
    with App().test_client() as client:
        plain = client.get("/metrics").text
        strict = client.get("/metrics", headers={"Accept": PROMETHEUS}).text
    assert '\njobs_total{kind="a"} 3.0\n' in plain
    names = [family.name for family in parse_openmetrics(strict)]
    assert "jobs" in names
    assert "highperf_requests_rejected" in names


@pytest.mark.usefixtures("jobs")
def test_a_family_that_the_server_has_is_told_once() -> None:
    with App().test_client() as client:
        text = client.get("/metrics").text
    assert text.count("# TYPE process_start_time_seconds ") == 1


def test_a_collector_that_fails_costs_the_applications_metrics_alone(caplog: pytest.LogCaptureFixture) -> None:
    class Failing:
        def describe(self) -> list[object]:
            return []

        def collect(self) -> list[object]:
            raise OSError("no database")

    failing = Failing()
    prometheus_client.REGISTRY.register(failing)  # type: ignore[arg-type]
    try:
        with App().test_client() as client:
            answer = client.get("/metrics")
    finally:
        prometheus_client.REGISTRY.unregister(failing)  # type: ignore[arg-type]
    assert (answer.status, "highperf_build_info" in answer.text) == (200, True)
    assert "the application's own metrics are left out of a scrape" in caplog.text


def test_a_directory_is_made_and_removed() -> None:
    with registry.shared_directory() as directory:
        assert Path(directory).is_dir()
    assert not Path(directory).exists()


def test_a_directory_that_is_given_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(registry.DIRECTORY, str(tmp_path / "new"))
    with registry.shared_directory() as directory:
        assert directory == str(tmp_path / "new")
    assert Path(directory).is_dir()


def test_live_gauges_of_a_worker_that_has_ended_are_removed(tmp_path: Path) -> None:
    names = [f"gauge_live{mode}_{who}.db" for mode in ("all", "sum") for who in ("3", "3-99", "4242", "33", "4")]
    for name in [*names, "gauge_all_3.db", "counter_3.db"]:
        (tmp_path / name).touch()
    registry.forget(str(tmp_path), 3, 4242)
    left = [
        "counter_3.db",
        "gauge_all_3.db",
        *(f"gauge_live{m}_{who}.db" for m in ("all", "sum") for who in ("33", "4")),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(left)


def test_nothing_is_named_where_the_application_has_prometheus_client_already(tmp_path: Path) -> None:
    before = list(sys.meta_path)
    registry.join(str(tmp_path), 3)
    assert sys.meta_path == before
