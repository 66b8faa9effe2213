"""Passages of the papers are written from files of results, and only where there is one."""

from pathlib import Path

from bench import figures, quotes
from bench.figures import Figure
from bench.load.results import Entry, Record, Results
from bench.micro import table

PAPER = Path("/project/README.md")


def rewrite(text: str, **found: Path) -> str:
    return quotes.rewrite(text, PAPER, found)


def started(path: Path, first_ms: float) -> Path:
    figures.save([Figure("first answer", first_ms, "ms"), Figure("idle RSS", 37.6, "MB")], path)
    return path


def test_passage_within_a_line_stays_there(tmp_path):
    text = "It <!-- figures: startup -->was slow<!-- end -->.\n"
    said = "answers first after 0.11 s, an idle worker holds 38 MB"
    assert rewrite(text, startup=started(tmp_path / "a", 111.0)) == f"It <!-- figures: startup -->{said}<!-- end -->.\n"


def test_passage_that_begins_a_line_has_lines_of_its_own_and_is_written_once(tmp_path):
    path = started(tmp_path / "a", 111.0)
    once = rewrite("Before\n<!-- figures: startup -->x<!-- end -->\n", startup=path)
    assert once.startswith("Before\n<!-- figures: startup -->\n\nanswers first")
    assert rewrite(once, startup=path) == once


def test_passage_without_results_is_left_as_it_is():
    text = "It <!-- figures: startup -->was slow<!-- end -->.\n"
    assert rewrite(text) == text


def test_stale_passages_are_found(tmp_path, monkeypatch):
    (paper := tmp_path / "README.md").write_text("It <!-- figures: startup -->was slow<!-- end -->.\n")
    monkeypatch.setattr(quotes, "PAPERS", (paper,))
    assert quotes.stale(tmp_path) == {}
    started(tmp_path / "2026-01-01-vm-startup.json", 222.0)
    assert "0.22 s" in quotes.stale(tmp_path)[paper]


def test_ratios_are_of_known_peers_that_were_measured(tmp_path):
    def entry(**cpu_us: float) -> Entry:
        records = {name: Record() for name in cpu_us}
        for name, value in cpu_us.items():
            records[name].add(1, {"cpu_us": value, "user_us": 1.0, "bytes_per_connection": 1978.4})
        return Entry("", "", records)

    peers = {"floor": entry(user=4.0), "highperf": entry(user=5.0, idle=0), "unknown": entry(user=9.0)}
    Results({}, {}, peers).save(path := tmp_path / "results.json")
    ratios = quotes.load_ratios(quotes.Source(path, PAPER))
    assert "| `GET /users/:id`, `async def` handler, JSON | 1.25 |" in ratios
    assert "| `GET /healthz` | - |" in ratios
    assert "| memory of an idle connection | 1,978 B |" in ratios
    assert "unknown" not in ratios
    assert "| unknown | 9.00 (1.00) | 2.25 | - |" in quotes.load_peers(quotes.Source(path, PAPER))


def test_requests_in_process_are_quoted_in_microseconds(tmp_path):
    times = {"healthz": 231.4, "get user": 968.0, "post user": 1549.0}
    table.save([table.Figure(name, table.SEED, ns, ns) for name, ns in times.items()], path := tmp_path / "micro.json")
    said = quotes.micro_requests(quotes.Source(path, PAPER))
    assert said == "health takes 0.23 µs, `GET /users/:id` 0.97 µs and `POST /users` 1.55 µs"


def test_links_lead_from_the_paper_to_the_results():
    source = quotes.Source(Path("/project/bench/results/a.json"), Path("/project/docs/performance.md"))
    assert (source.link, source.beside(".svg")) == ("../bench/results/a.json", "../bench/results/a.svg")
    assert quotes.picture("How")(source) == "![How](../bench/results/a.svg)"
