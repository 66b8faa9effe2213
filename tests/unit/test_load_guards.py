"""What the benchmarks of refusals and deadlines count and how they judge it."""

from bench.load import deadlines, refusals
from bench.load.deadlines import CROWD, Finding, lateness_ms, most_in_flight, stages
from bench.load.openloop import TIMED_OUT, Records
from bench.load.results import Entry, Record, Results

MS = 1_000_000


def records(*requests: tuple[int, int, int]) -> Records:
    """Of (sent, answered, status), in milliseconds; answered 0: never."""
    sent, answered, status = zip(*requests, strict=True)
    return Records(
        [0] * len(requests), [at * MS for at in sent], [at * MS for at in answered], list(status)
    )  # fmt: skip


def finding(*late_ms: float, other: int = 0, judged: bool = True) -> Finding:
    return Finding(deadlines.Stage("", (), 1, judged=judged), "", 1, list(late_ms), other)


def test_lateness_counts_from_the_sending_of_requests_of_that_deadline():
    seen = records((1, 82, 504), (1, 103, 504), (2, 81, 504), (2, 0, TIMED_OUT), (3, 5, 503), (3, 103, 504))
    assert lateness_ms(seen, (0.08, 0.1), 0) == [-1, 1]
    assert lateness_ms(seen, (0.08, 0.1), 1) == [0, 2]


def test_most_in_flight_counts_overlaps():
    assert most_in_flight(records((1, 4, 504), (2, 3, 504), (3, 5, 504), (9, 10, 200))) == 2


def test_one_early_answer_or_a_late_per_cent_or_another_status_misses_the_goal():
    assert finding(0.0, *[4.9] * 99).met() is True
    assert finding(*[1.0] * 99, 900.0).met() is True
    assert finding(*[1.0] * 98, 5.1, 5.1).met() is False
    assert finding(-0.1, *[1.0] * 99).met() is False
    assert finding(1.0, other=1).met() is False
    assert finding().met() is False
    assert finding(99.0, judged=False).met() is None


def test_held_requests_and_the_stream_are_the_crowd_together():
    calm, among, at_once = stages(rate=2000)
    assert (calm.held, among.held, at_once.held) == (0, CROWD - 180, 0)
    assert {round(phase.rate * phase.seconds) for stage in stages(2000) for phase in stage.schedule} == {CROWD}


def test_refusals_are_judged_by_their_share_of_a_served_request_in_the_same_round():
    def entry(*cpu_us: float) -> Entry:
        record = Record()
        for number, value in enumerate(cpu_us):
            record.add(
                number, {"cpu_us": value, "user_us": 1.0, "system_us": 0.0, **dict.fromkeys(refusals.SURROUNDINGS, 1.0)}
            )  # fmt: skip
        return Entry("", "", {refusals.WORKLOAD: record})

    cheap, dear = (kind.name for kind in refusals.REFUSED[:2])
    results = Results({}, {}, {refusals.SERVED.name: entry(4.0, 8.0), cheap: entry(1.4, 2.8), dear: entry(1.4, 3.0)})
    served, met, missed = refusals.render(results).splitlines()[2:]
    assert served.endswith(" - |")
    assert met.endswith(" met |")
    assert missed.endswith(" MISSED |")
