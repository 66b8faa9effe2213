"""The benchmark's own arithmetic: ratios pair rounds, files keep what was measured."""

import os
import time

import pytest

from bench.load import goals, procfs, run, tables
from bench.load.peers import CORE, PEERS
from bench.load.results import Entry, Record, Results
from bench.load.workloads import WORKLOADS


def record(*rounds_and_cpu_us: tuple[int, float]) -> Record:
    samples = Record()
    for number, cpu_us in rounds_and_cpu_us:
        samples.add(number, {"cpu_us": cpu_us})
    return samples


def results_of(**cpu_us_by_peer: Record) -> Results:
    peers = {name: Entry("", "", {"user": samples}) for name, samples in cpu_us_by_peer.items()}
    return Results({}, {}, peers)


def test_ratio_pairs_samples_of_the_same_round():
    results = results_of(floor=record((1, 4.0), (2, 8.0)), highperf=record((2, 10.0), (1, 6.0), (3, 99.0)))
    assert results.times_floor("highperf", "user") == [1.25, 1.5]


def test_ratio_is_left_out_where_the_floor_was_not_measured():
    results = results_of(highperf=record((1, 6.0)))
    assert results.times_floor("highperf", "user") == []
    assert tables.times_floor(results, "highperf", "user") == "-"


@pytest.mark.parametrize(("cpu_us", "verdict"), [(5.2, "met"), (5.3, "MISSED")])
def test_goal_is_judged_by_the_ratio_to_the_floor(cpu_us, verdict):
    results = results_of(floor=record((1, 4.0)), highperf=record((1, cpu_us)))
    assert goals.render(results).endswith(verdict)


def test_verdict_of_a_disturbed_run_says_so():
    noisy = Record()
    noisy.add(1, {"cpu_us": 4.0, "other_cpu_pct": 30.0})
    results = results_of(floor=noisy, highperf=record((1, 4.0)))
    results.settings["max_other_pct"] = 5.0
    assert "DISTURBED by other processes (30 % of a CPU)" in goals.render(results)


def test_saved_results_read_back_as_they_were(tmp_path):
    results = results_of(floor=record((1, 4.0)))
    results.peers["nobody"] = Entry("a note", "1.0", {}, {"user": "did not become ready"})
    results.save(tmp_path / "deep" / "results.json")
    assert Results.load(tmp_path / "deep" / "results.json") == results


def test_appended_rounds_go_on_counting():
    assert results_of().last_round() == 0
    assert results_of(floor=record((1, 4.0), (5, 4.0))).last_round() == 5


def test_every_group_and_every_peer_names_things_that_exist():
    assert set(CORE) <= {peer.name for peer in PEERS}
    assert {workload for peer in PEERS for workload in peer.workloads} == set(WORKLOADS)


def test_unknown_peer_ends_the_run_with_one_line():
    with pytest.raises(SystemExit, match="nobody: no such peer or workload"):
        run.choose("core,nobody", run.known_peers([]))


def test_cpu_time_of_this_process_is_what_the_kernel_says():
    before = procfs.cpu_of([os.getpid()])
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    spent = procfs.cpu_of([os.getpid()]).since(before).total
    assert 0.02 <= spent <= 0.5


def test_tree_finds_this_process_and_ignores_one_that_has_ended():
    assert procfs.tree(os.getpid())[0] == os.getpid()
    assert procfs.rss_of([os.getpid()]) > 0
    assert procfs.rss_of([2**22 + 1]) == 0


def test_goal_of_another_peer_names_it():
    measured = {"highperf-guarded": record((1, 4.2)), "highperf-unguarded": record((1, 4.0))}
    lines = goals.render(results_of(**measured)).splitlines()
    assert "- user of highperf-guarded: 1.05 x highperf-unguarded, goal ≤ 1.05: met" in lines


def test_goal_without_a_peer_is_judged_by_the_figure_itself():
    sample = Record()
    sample.add(1, {"cpu_us": 4.0, "user_us": 1.84})
    lines = goals.render(Results({}, {}, {"highperf-guarded": Entry("", "", {"user": sample})})).splitlines()
    assert "- user of highperf-guarded: 1.84 µs of user time, goal ≤ 1.80: MISSED" in lines
