"""The proofs' arithmetic: what counts as lost, what a kill explains, how far a limit was stretched, what is drawn."""

import json
import random
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from bench.load import draining, kills, proof_plot, rolling, slow, soak, workers
from bench.load.kills import Kill, admitted_spans, assign
from bench.load.openloop import NS
from bench.load.outcomes import (
    Ended,
    Outcome,
    Quiet,
    Request,
    failures,
    latencies_ms,
    rates,
    resets,
    worst_excess,
)
from bench.load.proof import Proof, options_of, parser, timeline

MS = 1_000_000
HERE = 77  # a worker's process id


def request(
    begun_ms: int, ended_ms: int, outcome: Outcome = Outcome.OK, pid: int = HERE, kind: str = "k", serial: int = 0
) -> Request:
    status = 200 if outcome is Outcome.OK else 0
    return Request(serial, kind, begun_ms * MS, ended_ms * MS, outcome, status, pid, fresh=False)


# ---- outcomes -------------------------------------------------------------------------------------


def test_everything_but_a_right_answer_has_failed():
    requests = [request(0, 1, outcome) for outcome in Outcome]
    assert [lost.outcome for lost in failures(requests)] == [kind for kind in Outcome if kind is not Outcome.OK]


def test_a_refused_connection_is_no_failure_from_the_moment_on_in_which_that_is_expected():
    requests = [request(0, 4, Outcome.REFUSED), request(5, 5, Outcome.REFUSED), request(5, 6, Outcome.RESET)]
    assert failures(requests, refused_from_ns=5 * MS) == [requests[0], requests[2]]


def test_resets_count_with_and_without_a_request_under_way():
    requests = [request(0, 1, outcome) for outcome in Outcome]
    assert resets(requests, [Ended(0, how, HERE) for how in Quiet]) == 3


def test_latencies_are_those_of_right_answers():
    requests = [request(0, wait) for wait in range(1, 101)] + [request(0, 9999, Outcome.TIMEOUT)]
    assert latencies_ms(requests) == [50, 99, 100]
    assert latencies_ms([]) == [0, 0, 0]


def test_rates_are_counted_by_bin_and_leave_out_what_lies_outside():
    times_ns = [NS - 1, NS, NS + 1, NS + NS // 2, 2 * NS - 1, 2 * NS]
    assert rates(times_ns, NS, 1.0, 0.5) == [4, 4]


def excess_by_hand(spans: list[tuple[int, int]], rate: float) -> float:
    windows = [(begin, end) for begin, _ in spans for _, end in spans if begin <= end]
    counts = [sum(begin <= b and e <= end for b, e in spans) - rate * (end - begin) / NS for begin, end in windows]
    return max([0.0, *counts])


def test_excess_is_the_worst_of_all_windows():
    chance = random.Random(4)
    for _ in range(200):
        begins = [chance.randrange(NS) for _ in range(chance.randrange(1, 20))]
        spans = [(begin, begin + chance.choice((0, 5 * MS, chance.randrange(NS)))) for begin in begins]
        rate = chance.choice((0.0, 5.0, 50.0))
        assert worst_excess(spans, rate) == pytest.approx(excess_by_hand(spans, rate))


def test_excess_of_a_full_bucket_is_its_capacity_and_of_nothing_is_nothing():
    spans = [(0, 0)] * 10 + [(k * NS, k * NS) for k in range(1, 50)]
    assert worst_excess(spans, 1.0) == pytest.approx(10)
    assert worst_excess([*spans, (NS, NS)], 1.0) == pytest.approx(11)
    assert worst_excess([], 1.0) == 0


# ---- kills ----------------------------------------------------------------------------------------


def test_a_kill_explains_what_its_worker_or_a_new_connection_lost_at_once():
    kill = Kill(HERE, 1000 * MS, 9)
    mine = [request(990, 1001, Outcome.RESET), request(999, 1005, Outcome.CLOSED, pid=0)]
    others = [
        request(990, 999, Outcome.RESET),  # before it
        request(990, 1001, Outcome.RESET, pid=HERE + 1),  # another worker's
        request(1200, 1251, Outcome.CLOSED),  # too late
    ]
    assert assign([kill], [*mine, *others, request(990, 1001)], [], {}) == others
    assert kill.lost == mine


def test_connections_torn_down_are_explained_as_requests_are_and_closed_ones_need_no_kill():
    kill = Kill(HERE, 1000 * MS, 9)
    ends = [Ended(1001 * MS, Quiet.RESET, HERE), Ended(500 * MS, Quiet.CLOSED, HERE), Ended(5 * MS, Quiet.RESET, HERE)]
    assert assign([kill], [], ends, {}) == [ends[2]]


def test_each_replacement_is_the_next_newcomer_and_counts_once():
    deaths = [Kill(1, 1000 * MS, 0), Kill(2, 1100 * MS, 0), Kill(3, 5000 * MS, 0)]
    assign(deaths, [], [], {1: 0, 2: 0, 3: 0, 4: 1250 * MS, 5: 1400 * MS})
    assert [kill.replaced_ms for kill in deaths] == [250, 300, None]


def test_what_was_admitted_lies_between_its_sending_and_its_handler(tmp_path):
    file = tmp_path / "admitted"
    file.write_bytes(b"".join(number.to_bytes(8, "little") for number in (2, 20 * MS, 0, 12 * MS)))
    requests = [request(10, 30, serial=0), request(11, 31, serial=1), request(12, 32, serial=2)]
    assert admitted_spans(file, requests) == [(12 * MS, 20 * MS), (10 * MS, 12 * MS)]


def judged_kills(deaths: list[Kill], requests: list[Request], spans: list[tuple[int, int]]) -> list[bool]:
    proof = Proof({}, {})
    options = SimpleNamespace(workers=2, kills=1, rate=10.0, capacity=2)
    traffic = SimpleNamespace(requests=requests, ended=[], workers={9: 1200 * MS}, start_ns=0, late_ns=0)
    kills.judge(options, proof, traffic, deaths, spans)
    return [verdict.met for verdict in proof.verdicts]


def test_kills_are_judged_by_what_was_lost_how_long_it_took_and_by_the_limit():
    limited = request(0, 1)._replace(status=429)
    lost, foreign = request(999, 1001, Outcome.RESET), request(999, 1001, Outcome.RESET, pid=HERE + 1)
    assert judged_kills([Kill(HERE, 1000 * MS, 1)], [limited, lost], [(0, 0)] * 2) == [True] * 6
    # number of kills, nothing unexplained, within the connections, replaced, limit held, limit reached
    assert judged_kills([Kill(HERE, 1000 * MS, 1)] * 2, [limited, lost], [])[0] is False
    assert judged_kills([Kill(HERE, 1000 * MS, 1)], [limited, foreign], [])[1] is False
    assert judged_kills([Kill(HERE, 1000 * MS, 0)], [limited, lost], [])[2] is False
    assert judged_kills([Kill(HERE, 600 * MS, 1)], [limited], [])[3] is False
    assert judged_kills([Kill(HERE, 1000 * MS, 1)], [limited], [(0, 0)] * 3)[4] is False
    assert judged_kills([Kill(HERE, 1000 * MS, 1)], [lost], [])[5] is False


# ---- reload and drain -----------------------------------------------------------------------------


def test_a_worker_that_answered_before_the_last_hup_and_does_at_the_end_was_not_reloaded():
    requests = [request(0, 9_500, pid=2), request(0, 10_000, pid=1)]
    traffic = SimpleNamespace(requests=requests, workers={1: 100 * MS, 2: 8_000 * MS, 3: 200 * MS}, start_ns=0)
    assert rolling.not_reloaded(traffic, last_hup_s=5.0) == [1]


def test_rounds_are_put_together_by_their_sums_and_their_worst():
    rounds = [
        {"rounds": 1, "failed": 2, "exit s": 5.1, "accepts for s": 1.2},
        {"rounds": 1, "failed": 0, "exit s": 5.4, "accepts for s": 1.1},
    ]
    assert draining.together(rounds) == {"rounds": 2, "failed": 2, "exit s": 5.4, "accepts for s": 1.1}


@pytest.mark.parametrize(
    ("delay_s", "figures", "met"),
    [
        (0, {}, [True] * 3),
        (0, {"failed": 1}, [False, True, True]),
        (0, {"torn down": 1}, [True, False, True]),
        (0, {"exit s": 5.6}, [True, True, False]),
        (1, {"exit s": 6.5}, [True] * 5),
        (1, {"accepts for s": 0.9}, [True, True, True, False, True]),
        (1, {"ready after it": 1}, [True, True, True, True, False]),
    ],
)
def test_a_drain_is_judged_by_what_failed_and_by_its_end(delay_s, figures, met):
    proof = Proof({}, {})
    good = {"asked": 9, "failed": 0, "torn down": 0, "exit s": 5.4, "accepts for s": 1.1, "ready after it": 0}
    draining.judge(proof, draining.Way(1, delay_s), good | figures)
    assert [verdict.met for verdict in proof.verdicts] == met
    assert proof.met is all(met)


# ---- workers --------------------------------------------------------------------------------------


def test_workers_are_compared_with_one_in_the_same_round():
    figures = dict.fromkeys(workers.FIGURES, 1.0)
    samples = {
        (256, 1): [figures | {"cpu_us": cost} for cost in (4.0, 8.0, 4.0)],
        (256, 2): [figures | {"cpu_us": cost} for cost in (4.1, 8.4, 4.4)],
    }
    assert workers.times(samples, 256, 2, "cpu_us") == pytest.approx([1.025, 1.05, 1.1])
    samples |= {(64, count): taken[::-1] for (_, count), taken in samples.items()}  # fewer connections are not judged
    proof = Proof({}, {})
    workers.summarise(samples, proof)
    assert [str(verdict) for verdict in proof.verdicts] == [
        "- a request costs 2 workers 1.050 times what it costs 1, with 256 connections, goal ≤ 1.05: met"
    ]
    assert [sample["CPU µs/req"] for sample in proof.samples] == [4.0, 4.4] * 2


# ---- soak -----------------------------------------------------------------------------------------


def soaked(*, last_rss_mb: float = 50.0, lost: int = 0) -> SimpleNamespace:
    """A run of a hundred seconds, of which forty are a storm."""
    pids = (1, 2, 3)
    samples = [soak.Sample(at, last_rss_mb if at > 80 else 50.0, 40, pids) for at in range(100)]
    requests = [request(1000 * at, 1000 * at + 2, serial=at) for at in range(100)]
    requests += [request(50_000, 50_001, Outcome.RESET)] * lost
    traffic = SimpleNamespace(requests=requests, ended=[], workers={HERE: 0}, start_ns=0, late_ns=0)
    slow_ones = SimpleNamespace(ends=soak.Counter(), overdue=soak.Counter())
    return SimpleNamespace(
        traffic=traffic,
        watch=SimpleNamespace(samples=samples),
        killer=SimpleNamespace(kills=[Kill(7, 20_000 * MS, 1)]),
        hups_s=[9.0],
        vandals=SimpleNamespace(came=5, statuses=soak.Counter({"400": 5})),
        slow=slow_ones,
        storm_s=40.0,
        before=samples[0],
        after=samples[-1],
    )


def missed(run: SimpleNamespace, ending: str = "exit code 0", log: str = "") -> list[str]:
    proof = Proof({}, {})
    soak.judge(SimpleNamespace(seconds=100.0), proof, run, ending, log)
    proof.timeline[soak.NAME] = soak.timelines(run, 100.0)
    assert "open descriptors" in words_of(soak.draw(proof))
    return [verdict.words for verdict in proof.verdicts if not verdict.met]


def test_a_soak_is_clean_where_nothing_grows_fails_or_complains():
    assert missed(soaked()) == []


def test_a_soak_tells_what_is_wrong():
    assert "memory grew by 30.0 MB" in missed(soaked(last_rss_mb=80.0))[0]
    assert "2 of 102 requests failed, 2 not by a kill" in missed(soaked(lost=2))[0]
    assert missed(soaked(), ending="none within 15 s") == ["the end: none within 15 s, goal 0"]
    assert "tracebacks" in missed(soaked(), log="Traceback (most recent call last)")[0]
    run = soaked()
    run.after = soak.Sample(99, 50.0, 43, (1, 2, 3))
    run.vandals.statuses["500"] = 1
    run.slow.overdue["slow heads"] = 1
    assert len(missed(run)) == 3


# ---- what all of them share -----------------------------------------------------------------------


def test_quick_values_give_way_to_what_is_asked_for():
    made = parser("rolling", "", hups=3, workers=[2])
    made.add_argument("--hups", type=int, default=20)
    made.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    quick = options_of(made, ["--quick", "--hups", "5"])
    assert (quick.hups, quick.workers) == (5, [2])
    assert "quick_values" not in vars(quick)


def test_results_are_saved_as_json_with_their_verdicts(tmp_path):
    proof = Proof({"cpu": "one"}, {"hups": 3}, [{"run": "a", "ok": 7, "p99 ms": 1.23456789}])
    proof.judge("nothing failed", met=True)
    proof.judge("in time", met=False)
    proof.save(tmp_path / "deep" / "proof.json")
    data = json.loads((tmp_path / "deep" / "proof.json").read_text())
    assert data["samples"] == [{"run": "a", "ok": 7, "p99 ms": 1.235}]
    assert data["verdicts"] == ["nothing failed: met", "in time: MISSED"]
    assert data["met"] is False
    assert "| a | 7 | 1.23 |" in proof.render()


def test_the_first_of_what_was_lost_is_told_in_words():
    proof = Proof({}, {})
    proof.tell("run", [request(990, 1001, Outcome.RESET, pid=0)] * 99, 0)
    assert len(proof.lost) == 20
    assert proof.lost[0] == "run, at 1.001 s: k reset after 11.0 ms, later on its connection to an unknown worker"


def words_of(picture: str) -> set[str | None]:
    return {element.text for element in ElementTree.fromstring(picture).iter() if element.tag.endswith("text")}


def test_picture_of_a_timeline_names_the_kinds_of_clients_and_marks_the_moments():
    requests = [request(0, 250, kind="one-shot"), request(0, 900, Outcome.RESET), request(0, 950, Outcome.REFUSED)]
    seen = timeline(SimpleNamespace(requests=requests, start_ns=0), 1.0, 0.1, [0.5])
    assert seen["failed"] == [0] * 9 + [10]
    proof = Proof({}, {}, timeline={"2 workers": seen})
    for module in (rolling, draining, kills):
        assert {"2 workers", "one-shot (1)", "failed (1)", "refused (1)"} <= words_of(module.draw(proof))


def test_pictures_of_slow_clients_and_of_workers_name_their_lines():
    proof = Proof({}, {}, timeline={"slow heads": {"bin_s": 0.5, "p99_ms": [0.1, 0.2], "there": [[0.5, 10]]}})
    assert "good clients' p99" in words_of(slow.draw(proof))
    figures = {"connections": 256, "CPU µs/req": 4.0, "req/s": 9.0}
    proof = Proof({}, {}, [figures | {"workers": 1}, figures | {"workers": 2}])
    assert {"256 connections", "Requests a second"} <= words_of(workers.draw(proof))


@pytest.mark.parametrize(
    ("high", "expected"), [(10, [0, 2, 4, 6, 8, 10]), (0.9, [0, 0.2, 0.4, 0.6, 0.8]), (7, [0, 1, 2, 3, 4, 5, 6, 7])]
)
def test_ticks_are_round(high, expected):
    assert proof_plot.ticks(high, 7) == pytest.approx(expected)
