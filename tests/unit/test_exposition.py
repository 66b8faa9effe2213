"""What workers have counted, written into the shared memory by hand, as text for Prometheus."""

import shutil
import subprocess
import tracemalloc
from collections.abc import Iterable, Mapping

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from highperf.observe.exposition import Exposition
from highperf.segment import Segment

PROMTOOL = shutil.which("promtool")
# layout.pxd, in octets
WORD = 8
BUCKETS = 15
BLOCK_BYTES, BLOCKS = (2 + BUCKETS) * WORD, 4096
CELL_BYTES, CELLS = 2 * WORD, 2048
LINE_BYTES = BLOCKS * BLOCK_BYTES + CELLS * CELL_BYTES
NAME_BYTES, NAMES = 256, 1024
NAMES_AT = 16 * WORD
VALID = 1 << 63
WRITTEN = 3
CONNECTIONS, REJECTED, RATE_LIMIT = 1, 3, 4
ACTIVE, BREAKER_STATE, LAG_NS, RESIDENT = 128, 130, 131, 134
SENT, CUT, LEFT = 0, 1, 2
UNMATCHED, OTHER, FIRST = 1, 2, 3
GET, POST = 1, 3


class Memory:
    """The metrics' part of a segment."""

    def __init__(self) -> None:
        self.segment = Segment.create()
        self._names = self.segment.area("metric names", NAMES_AT + NAMES * NAME_BYTES)
        self._count = 0

    def name(self, text: str, *, written: bool = True) -> int:
        """The identity of one more name."""
        at = self._names + NAMES_AT + self._count * NAME_BYTES
        octets = text.encode()
        self.segment.write_word(at + WORD, len(octets))
        for place in range(0, len(octets), WORD):
            word = octets[place : place + WORD].ljust(WORD, b"\0")
            self.segment.write_word(at + 2 * WORD + place, int.from_bytes(word, "little"))
        self.segment.write_word(at, WRITTEN if written else 1)
        self._count += 1
        return FIRST + self._count - 1

    def line(self, number: int) -> "Line":
        word = self._names + number // 64 * WORD
        self.segment.write_word(word, self.segment.read_word(word) | 1 << number % 64)
        return Line(self.segment, self.segment.area(f"metrics {number}", LINE_BYTES))

    def text(self, own_line: int = 0, *, openmetrics: bool = False) -> str:
        exposition = Exposition(self.segment, own_line, openmetrics=openmetrics, facts=FACTS)
        while exposition.step():
            pass
        return b"".join(exposition.parts()).decode() + ("# EOF\n" if openmetrics else "")

    def samples(self, own_line: int = 0) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for family in parse_text(self.text(own_line)):
            for sample in family.samples:
                labels = tuple(sorted(sample.labels.items()))
                assert labels not in found.setdefault(sample.name, {}), f"{sample.name} {labels} is there twice"
                found[sample.name][labels] = sample.value
        return found


class Line:
    def __init__(self, segment: Segment, at: int) -> None:
        self._segment = segment
        self._block = at
        self._cell = at + BLOCKS * BLOCK_BYTES

    def requests(self, route: int, counts: Mapping[int, int], *, sum_ns: int = 0, **key: int) -> None:
        """One more block: requests by bucket."""
        words = [block_key(route, **key), sum_ns, *(counts.get(bucket, 0) for bucket in range(BUCKETS))]
        for place, word in enumerate(words):
            self._segment.write_word(self._block + place * WORD, word)
        self._block += BLOCK_BYTES

    def count(self, family: int, value: int, first: int = 0, second: int = 0) -> None:
        self._segment.write_word(self._cell, VALID | second << 32 | first << 16 | family)
        self._segment.write_word(self._cell + WORD, value)
        self._cell += CELL_BYTES


def block_key(
    route: int, *, status: int = 200, method: int = GET, ending: int = SENT, minor: int = 1, secure: int = 0
) -> int:
    return VALID | route << 32 | secure << 18 | minor << 16 | method << 12 | ending << 10 | status


FACTS = [
    ("highperf_build_info", "gauge", "", "Versions.", [({"version": '1"\\\n'}, 1)]),
    ("process_start_time_seconds", "gauge", "seconds", "Start.", [({}, "12.50")]),
]
LABELS = 'http_request_method="GET",http_route="/users/:id",http_response_status_code="200",url_scheme="http",'
REQUESTS = "http_server_request_duration_seconds"


def busy_memory() -> Memory:
    memory = Memory()
    users, policy, admitted, reason = map(memory.name, ("/users/:id", 'by "key"\\\n', "admitted", "rate_limit"))
    for number in (0, 1, 70):
        line = memory.line(number)
        line.requests(users, {0: 2, 3: 1, 14: 1}, sum_ns=12_000_000_005)
        line.requests(users, {0: 1}, status=503)
        line.requests(users, {1: 1}, method=POST, secure=1, minor=0, ending=CUT)
        line.requests(UNMATCHED, {0: 5}, status=404, method=0)
        line.requests(users, {2: 1}, status=0, ending=LEFT)
        line.count(RATE_LIMIT, 7, policy, admitted)
        line.count(REJECTED, 3, reason)
        line.count(CONNECTIONS, 10)
        line.count(ACTIVE, 1)
        line.count(LAG_NS, 1_500_000)
        line.count(RESIDENT, 30_000_000)
    return memory


def test_lines_of_all_workers_are_added_up() -> None:
    text = busy_memory().text()
    version = 'network_protocol_version="1.1"'
    assert f'{REQUESTS}_bucket{{{LABELS}{version},le="0.005"}} 6\n' in text
    assert f'{REQUESTS}_bucket{{{LABELS}{version},le="0.025"}} 6\n' in text
    assert f'{REQUESTS}_bucket{{{LABELS}{version},le="0.05"}} 9\n' in text
    assert f'{REQUESTS}_bucket{{{LABELS}{version},le="10.0"}} 9\n' in text
    assert f'{REQUESTS}_bucket{{{LABELS}{version},le="+Inf"}} 12\n' in text
    assert f"{REQUESTS}_count{{{LABELS}{version}}} 12\n" in text
    assert f"{REQUESTS}_sum{{{LABELS}{version}}} 36.000000015\n" in text
    assert "highperf_connections_total 30\n" in text
    assert "http_server_active_requests 3\n" in text


def test_errors_have_a_type_and_unmatched_requests_one_series() -> None:
    counts = {
        tuple(labels[name] for name in ("http_route", "http_response_status_code", "error_type")): value
        for key, value in busy_memory().samples()[f"{REQUESTS}_count"].items()
        if (labels := {"error_type": "", **dict(key)})
    }
    assert counts == {
        ("", "404", ""): 15,
        ("/users/:id", "", "client_disconnected"): 3,
        ("/users/:id", "200", ""): 12,
        ("/users/:id", "200", "aborted"): 3,
        ("/users/:id", "503", "503"): 3,
    }


def test_a_methods_scheme_and_version_are_told() -> None:
    key = dict(next(key for key in busy_memory().samples()[f"{REQUESTS}_count"] if ("url_scheme", "https") in key))
    assert (key["http_request_method"], key["network_protocol_version"]) == ("POST", "1.0")


def test_labels_are_escaped() -> None:
    samples = busy_memory().samples()
    assert samples["highperf_rate_limit_total"] == {(("outcome", "admitted"), ("policy", 'by "key"\\\n')): 21}
    assert samples["highperf_build_info"] == {(("version", '1"\\\n'),): 1}


def test_numbers_of_single_workers_have_their_line() -> None:
    samples = busy_memory().samples()
    workers = {(("worker", number),) for number in ("0", "1", "70")}
    assert samples["highperf_event_loop_lag_seconds"] == dict.fromkeys(workers, 0.0015)
    assert set(samples["highperf_worker_resident_memory_bytes"]) == workers


def test_a_worker_that_is_no_more_has_none() -> None:
    memory = Memory()
    memory.line(3).count(RESIDENT, 0)
    assert "highperf_worker_resident_memory_bytes" not in memory.text()


def test_the_state_of_a_breaker_is_what_the_reader_knows() -> None:
    memory = Memory()
    name, former = map(memory.name, ("db", "gone"))
    for number, state in enumerate((2, 1)):
        line = memory.line(number)
        line.count(BREAKER_STATE, state, name)
        line.count(BREAKER_STATE, 0, former)
    assert memory.samples(0)["highperf_circuit_breaker_state"] == {
        (("name", "db"), ("state", state)): int(state == "open") for state in ("closed", "open", "half-open", "ramp")
    }


def test_a_name_of_several_identities_is_one() -> None:
    memory = Memory()
    memory.name("half", written=False)
    routes = [memory.name("/"), memory.name("/")]
    for number, route in enumerate(routes):
        memory.line(number).requests(route, {0: 1})
        memory.line(number).count(REJECTED, 1, route)
    samples = memory.samples()
    assert list(samples[f"{REQUESTS}_count"].values()) == [2]
    assert samples["highperf_requests_rejected_total"] == {(("reason", "/"),): 2}


def test_what_has_no_name_is_other() -> None:
    memory = Memory()
    line = memory.line(0)
    line.requests(OTHER, {0: 1}, method=0)
    line.requests(900, {0: 1}, method=0)
    assert [dict(key)["http_route"] for key in memory.samples()[f"{REQUESTS}_count"]] == ["_OTHER"]


def test_series_stand_in_the_order_of_their_names() -> None:
    memory = Memory()
    for route in map(memory.name, ("/b", "/c", "/a")):
        memory.line(route).requests(route, {0: 1})
    routes = [dict(key)["http_route"] for key in memory.samples()[f"{REQUESTS}_count"]]
    assert routes == ["/a", "/b", "/c"]
    families = [line.split()[2] for line in memory.text().splitlines() if line.startswith("# TYPE")]
    assert families == sorted(families)


def test_nothing_counted_is_told_as_nothing() -> None:
    text = Memory().text()
    assert "highperf_connections_total 0\n" in text
    assert REQUESTS not in text


def test_openmetrics_is_what_its_parser_takes() -> None:
    families = list(parse_openmetrics(busy_memory().text(openmetrics=True)))
    kinds = {family.name: (family.type, family.unit) for family in families}
    assert kinds[REQUESTS] == ("histogram", "seconds")
    assert kinds["highperf_requests_rejected"] == ("counter", "")
    assert kinds["highperf_worker_resident_memory_bytes"] == ("gauge", "bytes")


def test_both_formats_tell_the_same() -> None:
    memory = busy_memory()

    def samples(families: Iterable[object]) -> set[tuple[str, frozenset[tuple[str, str]], float]]:
        return {
            (sample.name, frozenset(sample.labels.items()), sample.value)
            for family in families
            for sample in family.samples  # type: ignore[attr-defined]
        }

    assert samples(parse_text(memory.text())) == samples(parse_openmetrics(memory.text(openmetrics=True)))


def test_families_have_their_names_taken() -> None:
    families = Exposition(Segment.create(), 0, facts=FACTS).families
    assert {REQUESTS, "highperf_rate_limit_total", "highperf_rate_limit", "highperf_build_info"} <= families


def crowded_memory() -> Memory:
    """Four workers with 200 routes, each of which has answered with two statuses."""
    memory = Memory()
    routes = [memory.name(f"/shops/:shop/orders/{number}") for number in range(200)]
    for number in range(4):
        line = memory.line(number)
        for route in routes:
            line.requests(route, {0: 1000, 5: 3}, sum_ns=10**9)
            line.requests(route, {0: 1}, status=404)
    return memory


def test_the_text_comes_in_parts() -> None:
    exposition = Exposition(crowded_memory().segment, 0)
    while exposition.step():
        pass
    sizes = [len(part) for part in exposition.parts()]
    assert max(sizes) < 64 * 1024
    assert sum(sizes) > 1024 * 1024


@pytest.mark.release_build
def test_the_text_leaves_nothing_behind() -> None:
    memory = crowded_memory()
    tracemalloc.start()
    memory.text()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(5):
        memory.text()
    assert tracemalloc.get_traced_memory()[0] - before < 1024
    tracemalloc.stop()


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of Debian's package prometheus")
def test_promtool_has_nothing_to_say() -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=busy_memory().text(), capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
