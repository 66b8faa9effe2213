"""Which parts of the benchmark run, with what, and where their figures go."""

import os
from importlib.util import find_spec

import pytest

import bench.__main__ as all_parts
from bench import figures, parts
from bench.figures import Figure, at_most
from bench.load import comparison, machine, places
from bench.parts import PARTS, Need, Outcome, Part


def test_every_part_is_a_module_with_a_question():
    for name, part in PARTS.items():
        assert find_spec(part.module), name
        assert part.answers.endswith("?")


def test_one_part_takes_the_options_after_its_name():
    options = all_parts.parse(["--machine", "vm", "load", "--quick", "--rounds", "1"])
    assert (options.machine, options.part, options.options) == ("vm", "load", ["--quick", "--rounds", "1"])


def test_a_part_that_nobody_knows_is_an_error(capsys):
    with pytest.raises(SystemExit) as ended:
        all_parts.parse(["everything"])
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_what_is_not_installed_is_named_with_the_command_and_not_run(monkeypatch):
    needs = [Need("one", lambda: False, "setup.sh core"), Need("two", lambda: False, "setup.sh core")]
    monkeypatch.setitem(PARTS, "absent", Part("no.such.module", "?", needs=needs))
    outcome = parts.run("absent", (), {})
    assert (outcome.status, outcome.told) == (0, "not installed: one, two (setup.sh core)")


def test_a_part_that_fails_does_not_keep_the_others_from_running(monkeypatch):
    monkeypatch.setattr(all_parts, "PARTS", {"bad": Part("no.such.module", "?"), "good": Part("this", "?")})
    monkeypatch.setattr(parts, "PARTS", all_parts.PARTS)
    bad, good = all_parts.run_all(False, os.environ)
    assert (bad.status, good.status) == (1, 0)
    assert "exit status 1" in all_parts.summary([bad, good])
    assert good.told == "done"


def test_quick_runs_write_elsewhere_than_those_for_the_record(monkeypatch):
    monkeypatch.setenv("BENCH_MACHINE", "vm")
    assert machine.results_file("tls").parent == places.RESULTS
    assert machine.results_file("tls", quick=True).parent == places.TRIALS
    assert machine.results_file("tls").name.endswith("-vm-tls.json")
    assert machine.results_file("").name.endswith("-vm.json")
    parser = comparison.parser("tls", "", rounds=1, seconds=1)
    parser.add_argument("--quick", action="store_true")
    assert comparison.parse(parser, ["--quick"], "tls", {"rounds": 1}).out.parent == places.TRIALS


def test_figures_read_back_as_they_were_and_judge_their_goals(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    found = [at_most("first answer", 612.0, "ms", 500), Figure("read", 1234.5678, "ns", note="of three")]
    assert figures.conclude("startup", found) == 1
    assert "goal ≤ 500: MISSED" in capsys.readouterr().out
    first, second = figures.load(machine.results_file("startup"))
    assert first == found[0]
    assert (second.value, second.met, second.note) == (1235.0, None, "of three")


@pytest.mark.parametrize(
    ("arguments", "options", "folder"),
    [
        (["load", "--rounds", "1"], ["--rounds", "1"], places.TRIALS),
        (["--full", "load", "--rounds", "1"], ["--rounds", "1"], places.RESULTS),
    ],
)
def test_only_full_runs_are_for_the_record(arguments, options, folder, monkeypatch):
    def run(name, given, env):
        assert (name, given, env["BENCH_RESULTS"]) == ("load", options, str(folder))
        return Outcome(name, 0.0, 3)

    monkeypatch.setattr(parts, "run", run)
    assert all_parts.main(arguments) == 3


def test_a_part_alone_that_cannot_run_is_a_failure(monkeypatch):
    monkeypatch.setattr(parts, "run", lambda *_: Outcome("load", 0.0, 0, "not installed: wrk"))
    assert all_parts.main(["load"]) == 1


def test_summary_is_a_line_for_each_part():
    assert all_parts.summary([Outcome("load", 12.3), Outcome("tls", 0, 0, "not installed: wrk")]).splitlines() == [
        "load      12 s  done",
        "tls        0 s  not installed: wrk",
    ]
