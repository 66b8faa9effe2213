"""Curves: what is asked at each point is what the point says; growth is told, names do not overlap."""

import socket
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise

import pytest

from bench.load import procfs, scale, scale_plot, tables
from bench.load.chart import Axis, apart
from bench.load.results import Entry, Record, Results
from bench.load.scale_curves import CURVES, FIELDS, KNOWN, WHOLE, counts, fields_of, paths_of


def record(**figures: float) -> Record:
    samples = Record()
    samples.add(1, figures)
    return samples


def results_of(curve: str, *peers: str) -> Results:
    """Each point costs its value, each peer ten times the one before."""
    points = CURVES[curve].points
    entries = {}
    for place, peer in enumerate(peers):
        cost = {value: 10.0**place * (value or 1) for value in points}
        records = {
            CURVES[curve].workload(value).name: record(cpu_us=cost[value], cpu_us_per_mb=cost[value], peak_mb=1.0)
            for value in points
        }
        entries[peer] = Entry("", "", records)
    return Results({}, {}, entries)


@pytest.mark.parametrize("count", [10, 1000])
def test_every_route_is_asked_for_once_and_half_of_them_have_a_parameter(count):
    paths = paths_of(count)
    assert len(set(paths)) == count
    assert sum(path.rpartition("/")[2].isdigit() for path in paths) == count // 2
    assert paths != sorted(paths)
    assert paths == paths_of(count)


def test_lua_of_routes_holds_all_paths():
    constants = CURVES["routes"].workload(100).constants
    assert constants.startswith("PATHS = [[\n")
    assert constants.count("\n/v1/area") == 100


def test_there_are_as_many_different_header_fields_as_the_largest_point_asks_for():
    assert len({name.lower() for name in FIELDS}) >= CURVES["headers"].points[-1]
    assert CURVES["headers"].workload(0).constants == ""
    assert CURVES["headers"].workload(5).constants.count("wrk.headers[") == len(fields_of(5)) == 5


def test_each_point_of_each_curve_is_a_workload_of_its_own_with_known_peers():
    names = [curve.workload(value).name for curve in CURVES.values() for value in curve.points]
    assert len(names) == len(set(names))
    assert {name for curve in CURVES.values() for name in curve.peers} <= set(KNOWN)


def test_whole_bodies_are_asked_for_up_to_the_default_limit():
    at_once = {value: [peer.name for peer in CURVES["bodies"].at(value)[1]] for value in CURVES["bodies"].points}
    assert WHOLE in at_once[10 << 20]
    assert WHOLE not in at_once[100 << 20]


@pytest.mark.parametrize(("cpus", "workers"), [(1, (1, 2)), (2, (1, 2, 4)), (6, (1, 2, 4, 6, 12))])
def test_workers_double_up_to_the_cpus_and_once_more(cpus, workers):
    assert counts(cpus) == workers


def test_each_peer_is_told_how_many_workers_to_run():
    _, peers = CURVES["workers"].at(4)
    told = {peer.name: (peer.command, peer.env, peer.config) for peer in peers}
    assert told["highperf"][0].endswith(" --workers 4")
    assert " --workers 4 " in told["granian-rsgi"][0]
    assert told["go-nethttp"][1]["GOMAXPROCS"] == "4"
    assert told["nginx"][2][1]["WORKERS"] == "4"


def test_quick_asks_at_both_ends_and_in_the_middle():
    few = CURVES["connections"].few().points
    assert (few[0], few[-1], len(few)) == (1, 10_000, 3)


def test_unknown_curve_ends_the_run_with_one_line():
    with pytest.raises(SystemExit, match="nothing: no such curve"):
        scale.main(["--curves", "nothing"])


def test_table_tells_growth_from_the_cheapest_point():
    results = Results({}, {}, {"one": Entry("", "", {"a": record(cpu_us=4.0), "b": record(cpu_us=2.0)})})
    lines = tables.growth(results, "title", {"a": "1", "b": "2", "c": "3"}, "cpu_us", 1)
    assert lines[-1] == "| one | 4.0 | 2.0 | - | 1.00 |"
    assert tables.growth(results, "title", {"c": "3"}, "cpu_us", 1) == []


def test_names_keep_their_distance_and_order_inside_of_the_panel():
    places = apart({"a": 0.0, "b": 0.01, "c": 0.98, "d": 0.99, "e": 1.0}, 0.1)
    assert list(places) == ["a", "b", "c", "d", "e"]
    assert all(after - before >= 0.1 - 1e-9 for before, after in pairwise(places.values()))
    assert 0.0 <= min(places.values()) <= max(places.values()) <= 1.0


@pytest.mark.parametrize("log", [False, True])
def test_a_value_lies_where_its_share_says(log):
    axis = Axis(1, 1000, (), log=log)
    assert axis.at(axis.share(50)) == pytest.approx(50)


@pytest.mark.parametrize("curve", CURVES)
def test_picture_of_a_curve_is_well_formed_and_names_its_peers(curve):
    picture = scale_plot.panels(results_of(curve, "floor", "highperf", "go-nethttp"))
    words = {element.text for element in ET.fromstring(picture).iter() if element.tag.endswith("text")}
    assert {"floor", "highperf", "go-nethttp", CURVES[curve].unit} <= words


def test_picture_leaves_out_what_was_not_measured():
    both = results_of("routes", "highperf")
    both.peers["highperf"].records |= results_of("headers", "highperf").peers["highperf"].records
    alone = scale_plot.panels(results_of("routes", "highperf"))
    assert "header fields" not in alone.replace("but that of header fields", "")
    assert "by header fields" in scale_plot.panels(both)
    assert scale_plot.panels(replace(both, peers={})).startswith("<svg")


def test_connections_count_when_the_server_has_accepted_them():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert procfs.accepted(port) == 0
            accepted, _ = server.accept()
            with accepted:
                assert procfs.accepted(port) == 1
