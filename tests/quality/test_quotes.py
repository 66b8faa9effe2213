"""What the papers say of speed is what the results say: python -m bench.quotes takes it over."""

from pathlib import Path

import pytest

from bench import quotes
from tests.quality.source import ROOT


def test_papers_quote_the_newest_results() -> None:
    assert not [paper.name for paper in quotes.stale()], "run python -m bench.quotes"


@pytest.mark.parametrize("paper", quotes.PAPERS, ids=lambda paper: paper.relative_to(ROOT).as_posix())
def test_every_passage_is_known_and_ends(paper: Path) -> None:
    text = paper.read_text()
    names = [match[2] for match in quotes.PASSAGE.finditer(text)]
    assert len(names) == text.count("<!-- figures:") == text.count("<!-- end -->")
    assert set(names) <= set(quotes.QUOTES)


def test_readme_types_no_figure_of_its_own() -> None:
    names = [match[2] for match in quotes.PASSAGE.finditer((ROOT / "README.md").read_text())]
    assert names == ["goodput", "observed-shares", "load-method", "load-ratios", "micro-requests", "startup"]
