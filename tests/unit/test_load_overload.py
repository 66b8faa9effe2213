"""The overload benchmark's arithmetic: what belongs to which span, what is good, what is drawn."""

from xml.etree import ElementTree

import pytest

from bench.load import overload_plot, overload_report
from bench.load.chart import Axis, Line, Panel, render_line
from bench.load.guarded import OFF, ON
from bench.load.openloop import (
    LOST,
    NS,
    TIMED_OUT,
    Phase,
    Records,
    bins,
    borders,
    percentile,
    recovery,
    spell,
    summarise,
)
from bench.load.overload_report import NEVER, Report, Sample, formula

START = 5 * NS
DEADLINE_S = 0.1
SETTINGS = {"work_us": 1000, "deadline_s": DEADLINE_S, "bin_s": 0.1, "calm_s": 1.0, "seconds": 1.0, "timeout_s": 1.0}


def records(*requests: tuple[float, float, int]) -> Records:
    """Of (due, latency, status), in seconds from the start."""
    due = [START + round(at * NS) for at, _, _ in requests]
    answered = [
        when + round(wait * NS) if status > 0 else 0 for when, (_, wait, status) in zip(due, requests, strict=True)
    ]
    return Records(due, due, answered, [status for _, _, status in requests])


def sample(factor: float, good: float, guards: str = ON, number: int = 1, recovery_s: float = 0.2) -> Sample:
    return Sample(number, guards, factor, factor * 1000, good, good, 0, 0, 0, 2.0, 9.0, 0.1, recovery_s, 100, 20, 0)


def test_schedule_is_spelled_as_the_generator_reads_it():
    schedule = [Phase(1000, 5), Phase(782.4, 0.5)]
    assert spell(schedule) == "1000x5,782.4x0.5"
    assert borders(schedule) == [0, 5, 5.5]


def test_records_are_read_column_by_column():
    octets = b"".join(value.to_bytes(8, "little", signed=True) for value in (1, 2, 3, 200, 4, 5, 0, -2))
    read = Records.parse(octets)
    assert (list(read.due), list(read.sent), list(read.answered), list(read.status)) == (
        [1, 4],
        [2, 5],
        [3, 0],
        [200, TIMED_OUT],
    )


def test_request_belongs_to_the_span_in_which_it_was_due_however_late_its_answer():
    seen = records((0.0, 0.01, 200), (0.9, 5.0, 200), (1.0, 0.01, 200))
    first, second = summarise(seen, 0, 1, DEADLINE_S), summarise(seen, 1, 2, DEADLINE_S)
    assert (first.offered, first.good, first.late) == (2, 1, 1)
    assert (second.offered, second.good, second.late) == (1, 1, 0)


def test_only_a_200_within_the_deadline_is_good():
    outcomes = [(0.1, 200), (0.101, 200), (0.0, 503), (0.0, 429), (0.0, LOST), (0.0, TIMED_OUT)]
    seen = records(*((k / 10, wait, status) for k, (wait, status) in enumerate(outcomes)))
    window = summarise(seen, 0, 1, DEADLINE_S)
    assert (window.good, window.late, window.failed) == (1, 1, 2)
    assert window.refused == {429: 1, 503: 1}
    assert window.share == 1 / 6


def test_percentiles_are_those_of_the_200s():
    seen = records(*((k / 100, k / 1000, 200) for k in range(1, 100)), (0.995, 0.0, 503))
    window = summarise(seen, 0, 1, DEADLINE_S)
    assert (window.p50_ms, window.p99_ms) == (50, 99)


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 2), (75, 3), (99, 4), (100, 4)])
def test_percentile_is_one_of_the_values(percent, value):
    assert percentile([1, 2, 3, 4], percent) == value


def test_nothing_has_no_percentile_and_no_share():
    window = summarise(records(), 0, 1, DEADLINE_S)
    assert (window.offered, window.share, window.p99_ms) == (0, 0, 0)


def test_bins_cover_the_run_without_gap():
    seen = records(*((k / 20, 0.0, 200) for k in range(20)))
    assert [round(window.offered) for window in bins(seen, 1, 0.1, DEADLINE_S)] == [20] * 10


def test_recovery_is_the_begin_of_the_first_good_second():
    seen = records(*((k / 100, 0.0 if k >= 250 else 9.0, 200) for k in range(600)))
    assert recovery(seen, 1, 6, DEADLINE_S, share=1.0) == 1.5
    assert recovery(seen, 1, 3, DEADLINE_S) is None


def test_goodput_is_compared_with_the_best_of_its_own_round():
    report = Report({}, SETTINGS)
    report.samples += [sample(1, 900), sample(5, 810), sample(1, 500, number=2), sample(5, 500, number=2)]
    assert report.of_peak(ON, 5) == pytest.approx(0.95)


def test_formula_says_what_refusals_leave():
    assert [round(formula(0.02, factor), 2) for factor in (0.5, 1, 5, 10, 20, 60)] == [0.5, 1, 0.92, 0.82, 0.61, 0]


def test_verdicts_judge_the_guarded_curve_by_its_worst_recovery():
    report = Report({}, SETTINGS)
    report.samples += [sample(1, 1000), sample(5, 899, recovery_s=2.1), sample(10, 800)]
    report.samples += [sample(1, 1000, OFF), sample(10, 0, OFF, recovery_s=NEVER), sample(10, 810, recovery_s=NEVER)]
    assert [line.rpartition(" ")[2] for line in overload_report.verdicts(report)] == [
        "MISSED",
        "MISSED",
        "met",
        "MISSED",
    ]


def whole_report() -> Report:
    report = Report({"cpu": "one"}, SETTINGS, [1000.0], [1000.0], [12.5])
    report.samples += [sample(factor, 950, guards) for factor in (1.0, 10.0) for guards in (ON, OFF)]
    report.timelines = {ON: ([800.0] * 40, [800.0] * 40), OFF: ([800.0] * 40, [0.0] * 40)}
    return report


def test_saved_report_reads_back_as_it_was(tmp_path):
    report = whole_report()
    report.save(tmp_path / "deep" / "overload.json")
    read = Report.load(tmp_path / "deep" / "overload.json")
    assert overload_report.render(read) == overload_report.render(report)
    assert "c = 0.0125" in overload_report.render(report)


def test_picture_is_xml_with_a_line_for_guards_on_and_off():
    picture = overload_plot.draw(whole_report())
    words = [element.text for element in ElementTree.fromstring(picture).iter() if element.tag.endswith("text")]
    assert {"guards on", "guards off", "10\N{MULTIPLICATION SIGN}"} <= set(words)
    assert len(picture) < 100_000


def test_axes_place_values_by_their_ratio_or_their_difference():
    assert Axis(0, 10, ()).share(2.5) == 0.25
    assert Axis(1, 100, (), log=True).share(10) == 0.5
    assert Axis(0, 10, ()).share(99) == 1


def test_line_ends_where_its_last_value_lies():
    panel = Panel(100, 50, 200, 100, "", Axis(0, 1, ()), Axis(0, 1, ()))
    assert 'd="M100.0 150.0L300.0 50.0"' in render_line(panel, Line([(0, 0), (1, 1)], "red"))[0]
