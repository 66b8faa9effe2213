"""Directory listings show what would be served, and say it safely."""

import os
from pathlib import Path

import orjson
import pytest

from highperf.files import listing
from highperf.files.mime import TYPES, UNKNOWN, content_type_of
from highperf.files.root import FileRoot
from tests import traversal

OLD_S = 1_000_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in {"b.txt": b"12345", "a & b <i>.txt": b"", "c:d?e#f%20": b"x", '"quoted"': b"x"}.items():
        (tmp_path / name).write_bytes(content)
        os.utime(tmp_path / name, (OLD_S, OLD_S))
    for name in ("zoo", "dir"):
        (tmp_path / name).mkdir()
    return tmp_path


def names(folder: Path, path: bytes = b"") -> list[str]:
    return [entry["name"] for entry in orjson.loads(listing.render(FileRoot(folder), path, "/", "application/json")[1])]


def test_json(folder: Path) -> None:
    kind, octets = listing.render(FileRoot(folder), b"", "/files/", "application/json")
    assert kind == "application/json"
    entries = {entry["name"]: entry for entry in orjson.loads(octets)}
    assert entries["b.txt"] == {"name": "b.txt", "type": "file", "size": 5, "modified": "2001-09-09T01:46:40Z"}
    assert entries["dir"]["type"] == "directory"
    assert "size" not in entries["dir"]
    assert names(folder) == ["dir", "zoo", '"quoted"', "a & b <i>.txt", "b.txt", "c:d?e#f%20"]


def test_html_is_escaped(folder: Path) -> None:
    kind, octets = listing.render(FileRoot(folder), b"", "/files/<script>&/")
    page = octets.decode()
    assert kind == "text/html; charset=utf-8"
    assert "<title>Index of /files/&lt;script&gt;&amp;/</title>" in page
    assert '<a href="./a%20%26%20b%20%3Ci%3E.txt">a &amp; b &lt;i&gt;.txt</a>' in page
    assert '<a href="./c%3Ad%3Fe%23f%2520">c:d?e#f%20</a>' in page
    assert '<a href="./%22quoted%22">&quot;quoted&quot;</a>' in page
    assert '<a href="./dir/">dir/</a>' in page
    assert "<td>5<td>2001-09-09 01:46:40 UTC" in page
    assert "../" not in page


def test_directory_below_the_root_leads_back(folder: Path) -> None:
    (folder / "dir" / "inner").touch()
    page = listing.render(FileRoot(folder), b"dir/", "/files/dir/")[1].decode()
    assert '<a href="../">../</a>' in page
    assert names(folder, b"dir/") == ["inner"]


def test_only_what_would_be_served_is_shown(tmp_path: Path) -> None:
    root = traversal.make_tree(tmp_path)
    expected = ["%2e%2e", "bare", "dir_in", "sub", "hello.txt", "index.html", "link_in.txt", "with space.txt"]
    for openat2 in (True, False):
        octets = listing.render(FileRoot(root, openat2=openat2), b"", "/", "application/json")[1]
        assert [entry["name"] for entry in orjson.loads(octets)] == expected


def test_names_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        (tmp_path / f"{number}").touch()
    monkeypatch.setattr(listing, "NAMES_MAX", 7)
    assert len(names(tmp_path)) == 7


def test_directory_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        listing.render(FileRoot(tmp_path), b"missing/", "/missing/")


def test_no_descriptor_is_left(folder: Path) -> None:
    root = FileRoot(folder)
    before = os.listdir("/proc/self/fd")
    listing.render(root, b"", "/")
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    ("accept", "json"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", True),
        ("APPLICATION/JSON", True),
        ("application/json, */*", False),
        ("application/json, */*;q=0.1", True),
        ("text/html, application/json", False),
        ("text/html;q=0.5, application/json", True),
        ("text/html, application/json;q=0.9", False),
        ("application/*", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
        ("application/json;q=0", False),
        ("application/json;q=x", False),
        ("application/json;charset=utf-8", True),
    ],
)
def test_json_where_it_is_preferred(accept: str, json: bool) -> None:
    assert listing.prefers_json(accept) is json


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        (b"a.html", b"text/html; charset=utf-8"),
        (b"dir.txt/a.CSS", b"text/css; charset=utf-8"),
        (b"a.b.js", b"text/javascript; charset=utf-8"),
        (b"a.json", b"application/json"),
        (b"a.svg", b"image/svg+xml"),
        (b"a.png", b"image/png"),
        (b"a.woff2", b"font/woff2"),
        (b"a.tar.gz", b"application/gzip"),
        (b"a", UNKNOWN),
        (b"a.", UNKNOWN),
        (b"a.unknown", UNKNOWN),
        (b"dir.html/a", UNKNOWN),
        (b".html", UNKNOWN),
        (b"html", UNKNOWN),
    ],
)
def test_content_types(name: bytes, content_type: bytes) -> None:
    assert content_type_of(name) == content_type


def test_every_text_says_that_it_is_utf_8() -> None:
    assert {
        kind for kind in TYPES.values() if kind.startswith(b"text/") and not kind.endswith(b"; charset=utf-8")
    } == set()
