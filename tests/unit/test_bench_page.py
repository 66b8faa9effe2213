"""The page of results: well-formed, with every figure that it got; and the Markdown that it is made from."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import figures, hypertext, page, record
from bench.figures import Figure
from bench.load.proof import Proof
from bench.load.results import Entry, Record, Results
from bench.micro import table as micro_table
from bench.micro.table import Figure as Micro


def load_results() -> Results:
    def entry(*rounds: dict[str, float]) -> Entry:
        samples = Record()
        for number, sample in enumerate(rounds):
            rest = ("rps", "p50_us", "p99_us", "errors", "server_cpu_pct", "client_cpu_pct", "other_cpu_pct", "rss_mb")
            samples.add(number, dict.fromkeys((*rest, "calibration_us"), 1.0) | sample)
        return Entry("a <note> & more", "1.2.3", {"user": samples}, {"idle": "did not become ready"})

    floor = entry({"cpu_us": 4.0, "user_us": 0.5, "system_us": 3.5})
    ours = entry({"cpu_us": 6.0, "user_us": 2.25, "system_us": 3.75})
    slow = entry({"cpu_us": 123.0, "user_us": 100.0, "system_us": 23.0})
    return Results({"cpu": "One & Only"}, {"seconds": 3}, {"floor": floor, "highperf": ours, "slow": slow})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    load_results().save(tmp_path / "2026-01-02-a-vm.json")
    load_results().save(tmp_path / "2026-01-01-a-vm.json")
    proof = Proof({"cpu": "Another"}, {}, [{"run": "1 worker", "asked": 4321}])
    proof.judge("1 of 4,321 requests failed, goal 0", False)
    proof.save(tmp_path / "2026-01-01-a-vm-rolling.json")
    figures.save([Figure("first answer", 97.5, "ms", "≤ 500", True)], tmp_path / "2026-01-01-a-vm-startup.json")
    health = Micro("healthz", micro_table.SEED, 231.4, 240.0, 200, {"httptools": 987.6}, 0)
    micro_table.save([health], tmp_path / "2026-01-01-a-vm-micro.json")
    return tmp_path


def words_of(html: str) -> str:
    return " ".join(text.strip() for text in ElementTree.fromstring(html).itertext() if text.strip())


def test_newest_file_of_each_kind_counts(folder):
    found = record.newest(folder)
    assert {kind: path.name for kind, path in found.items()} == {
        "load": "2026-01-02-a-vm.json",
        "rolling": "2026-01-01-a-vm-rolling.json",
        "startup": "2026-01-01-a-vm-startup.json",
        "micro": "2026-01-01-a-vm-micro.json",
    }
    assert {record.stem(path) for path in found.values()} == {"2026-01-02-a-vm", "2026-01-01-a-vm"}


def test_page_is_well_formed_and_has_every_figure(folder):
    words = words_of(page.render(folder))
    for figure in ("6.00", "2.25", "3.75", "1.50", "123.00", "4,321", "97.5", "231", "240", "988", "4.3 x as long"):
        assert figure in words
    assert "One & Only" in words
    assert "Another" in words
    assert "a <note> & more" in words
    assert "did not become ready" in words


def test_page_says_which_goals_were_missed(folder):
    words = words_of(page.render(folder))
    assert "Goals: 1 of 4 met" in words
    assert "rolling : 1 of 4,321 requests failed, goal 0: MISSED" in words
    assert "micro : healthz: 231 ns, goal ≤ 200 MISSED" in words


def test_page_says_which_goals_were_met_in_a_disturbed_run_only(folder):
    results = load_results()
    results.settings["max_other_pct"] = 0.5
    results.peers["highperf"].records["user"].figures["cpu_us"] = [4.0]
    results.save(folder / "2026-01-03-a-vm.json")
    words = words_of(page.render(folder))
    assert "Goals: 2 of 4 met, 1 of them in a disturbed run" in words
    assert "load : user: 1.00 x floor, goal ≤ 1.30: met , but DISTURBED" in words


def test_page_holds_pictures_and_links_timelines(folder):
    drawn = '<svg xmlns="http://www.w3.org/2000/svg"><title>drawn</title></svg>'
    (folder / "2026-01-02-a-vm.svg").write_text(drawn)
    assert "drawn" in words_of(page.render(folder))
    (folder / "2026-01-02-a-vm.svg").rename(folder / "2026-01-01-a-vm-rolling.svg")
    assert '<a href="2026-01-01-a-vm-rolling.svg">' in page.render(folder)
    assert "drawn" not in words_of(page.render(folder))


def test_a_file_that_cannot_be_read_costs_its_section_only(folder):
    (folder / "2026-01-03-a-vm-tls.json").write_text('{"machine": {}}')
    words = words_of(page.render(folder))
    assert "2026-01-03-a-vm-tls.json cannot be shown: KeyError" in words
    assert "1 of 4,321 requests failed" in words


def test_page_takes_over_what_the_paper_says_is_fair(folder):
    assert "the floor and nginx route nothing" in words_of(page.render(folder))


def test_page_is_written_beside_its_results(folder, tmp_path, capsys):
    page.write(folder)
    assert (folder / "2026-01-02-a-vm.html").exists()
    (empty := tmp_path / "empty").mkdir()
    page.write(empty)
    assert not list(empty.iterdir())
    assert "no page" in capsys.readouterr().out


def test_bars_share_one_scale_and_longer_ones_are_cut():
    assert 'style="width:25.0%"' in hypertext.bar([1.0, 3.0], 4.0)
    assert "cut" not in hypertext.bar([1.0, 3.0], 4.0)
    assert hypertext.bar([100.0], 4.0) == '<div class="bar cut"><i class="own" style="width:100.0%"></i></div>'


def test_markdown_becomes_headings_tables_lists_and_paragraphs():
    html = hypertext.blocks(
        "### Title\n\nSome `code <x>` and **bold**\n\n| a | b |\n|---|---:|\n| 1 | 2 |\n\n- one\n  more\n- two"
    )
    assert "<h3>Title</h3>" in html
    assert "<p>Some <code>code &lt;x&gt;</code> and <b>bold</b></p>" in html
    assert "<tr><th>a</th><th>b</th></tr>\n<tr><td>1</td><td>2</td></tr>" in html
    assert "<ul><li>one more</li>\n<li>two</li></ul>" in html


def test_verdicts_are_list_items_and_rows_with_what_was_compared():
    rows = "| 1k | 4 | 0.76 | ≤ 0.85: met |\n| 8m | 9 | 1.00 | - |"
    text = f"| file | CPU | x nginx | goal |\n|---|---|---|---|\n{rows}\n\n- p99 +3 ms, goal ≤ 2: MISSED"
    assert hypertext.verdicts(text) == ["1k: x nginx 0.76, goal ≤ 0.85: met", "p99 +3 ms, goal ≤ 2: MISSED"]


def test_proof_reads_back_as_it_was(folder):
    loaded = Proof.load(folder / "2026-01-01-a-vm-rolling.json")
    assert (loaded.samples, loaded.met) == ([{"run": "1 worker", "asked": 4321}], False)
