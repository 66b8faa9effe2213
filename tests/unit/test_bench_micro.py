"""What becomes of the figures of micro-benchmarks: a table for a terminal, a file for the page."""

import json

from bench.micro import table
from bench.micro.table import GROUPS, SEED, Figure

BUCKET = Figure("bucket", "guards", 43.21, 45.0, 60, {"limits": 1990.4}, 1, {"limits": 17.1})
HEALTHZ = Figure("healthz", SEED, 612.3456, 640.0, 500, {"seed": 800}, 0, {"seed": 4})


def test_table_has_groups_in_the_order_of_a_request_with_others_below_each_figure():
    lines = table.render([BUCKET, HEALTHZ]).splitlines()
    assert [line for line in lines if line in GROUPS] == [SEED, "guards"]
    (seed,) = (line for line in lines if line.startswith("    seed"))
    (limits,) = (line for line in lines if line.startswith("    limits"))
    assert seed.split()[1:] == ["800", "4", "1.3", "x", "as", "long"]
    assert limits.split()[1:] == ["1,990", "17.1", "46.1", "x", "as", "long"]


def test_goals_are_judged_by_the_best_round():
    assert (BUCKET.verdict, HEALTHZ.verdict) == ("≤ 60 met", "≤ 500 MISSED")


def test_table_fits_into_120_columns():
    wide = Figure("n" * table.NAME_WIDTH, "files", 1e6, 1e6, 1e6, {"o" * 40: 9e8}, 99999.5, {"o" * 40: 99999.5})
    assert max(map(len, table.render([wide]).splitlines())) <= 120


def test_file_has_four_digits_of_each_time_and_what_was_not_counted_as_null(tmp_path):
    table.save([BUCKET, HEALTHZ, Figure("clock", "guards", 16, 17)], tmp_path / "made" / "micro.json")
    healthz, bucket, clock = json.loads((tmp_path / "made" / "micro.json").read_text())["figures"]
    assert (healthz["name"], healthz["group"], healthz["best_ns"], healthz["goal_ns"]) == ("healthz", SEED, 612.3, 500)
    assert (bucket["against"], bucket["allocations"]) == ({"limits": 1990.0}, 1)
    assert (clock["goal_ns"], clock["against"], clock["allocations"]) == (None, {}, None)
