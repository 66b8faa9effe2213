"""Response.file, app.files and Content-Disposition: what may be said where they are declared."""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from highperf import App, ConfigError, Response, RouteConflict
from highperf.errors import StartupError
from highperf.wire.disposition import attachment

# ---- names of downloads ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("report.pdf", 'attachment; filename="report.pdf"'),
        ("two words; a=b.txt", 'attachment; filename="two words; a=b.txt"'),
        ("naïve.txt", "attachment; filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt"),
        ('a"b\\c%20.txt', "attachment; filename=\"a_b_c_20.txt\"; filename*=UTF-8''a%22b%5Cc%2520.txt"),
        ("€ rates", "attachment; filename=\"_ rates\"; filename*=UTF-8''%E2%82%AC%20rates"),
        ("'*'", "attachment; filename=\"'*'\""),
    ],
)
def test_a_name_is_told_to_old_and_new_clients(name: str, value: str) -> None:
    assert attachment(name) == value


@pytest.mark.parametrize("name", ["naïve.txt", 'a"b\\c%20.txt', "€ rates", "日本 (1)'*.tar.gz"])
def test_a_reader_of_rfc_8187_finds_the_name_again(name: str) -> None:
    _, _, extended = attachment(name).partition("; filename*=UTF-8''")
    assert re.fullmatch(r"[A-Za-z0-9!#$&+.^_`|~%-]+", extended)
    assert unquote(extended) == name


@pytest.mark.parametrize("name", ["", "a/b", "a\nb", "a\0b", "\x7f"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a download's name"):
        attachment(name)


# ---- Response.file --------------------------------------------------------------------------------


def test_a_response_with_a_file_has_no_content_of_its_own() -> None:
    response = Response.file("a/b.txt", content_type="x/y", headers={"X-A": "b"}, download=True)
    assert (response.status, response.body, response.content_type) == (200, None, "x/y")
    assert response.headers.items() == [("x-a", "b"), ("content-disposition", 'attachment; filename="b.txt"')]
    assert repr(response) == f"<Response file {os.path.abspath('a/b.txt')!r}>"
    with pytest.raises(ValueError, match="follows from the file"):
        response.status = 404


@pytest.mark.parametrize("path", ["b.txt", Path("b.txt"), b"b.txt"])
def test_a_path_may_be_anything_that_names_a_file(path: Any) -> None:
    assert repr(Response.file(path, root="/")) == "<Response file 'b.txt'>"
    assert repr(Response.file(path)) == f"<Response file {os.path.abspath('b.txt')!r}>"


def test_what_cannot_be_sent_is_refused_at_once() -> None:
    for wrong in ({"cache_control": "a\nb"}, {"content_type": "a\rb"}, {"headers": {"Content-Length": "1"}}):
        with pytest.raises(ValueError, match=r"control character|set by the server"):
            Response.file("a", **wrong)  # type: ignore[arg-type]
    for kind in (None, 1):
        with pytest.raises(TypeError):
            Response.file(kind)  # type: ignore[arg-type]


# ---- app.files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"index": "a/b"}, "files /f/*path: index must be a plain file name, not 'a/b'"),
        ({"fallback": "../a"}, "files /f/*path: fallback must be the path of a file below the root, not '../a'"),
        ({"cache_control": "a\nb"}, "control character"),
        ({"index": 1}, "files /f/*path: "),
        ({"breaker": "db"}, "files /f/*path: files have no policy 'breaker'"),
        ({"blocking": True}, "files have no policy 'blocking'"),
        ({"deadline": "soon"}, "files /f/*path: deadline='soon', expected"),
        ({"index_html": "x"}, "files /f/*path: unknown policy 'index_html'"),
    ],
)
def test_a_wrong_argument_is_named_where_it_stands(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        App().files("/f/*path", ".", **options)
    assert message in str(raised.value)


@pytest.mark.parametrize("path", ["/f", "/f/:path", "/f/*path/more"])
def test_a_path_must_end_in_a_catch_all(path: str) -> None:
    with pytest.raises(ValueError, match="catch-all"):
        App().files(path, ".")


def test_two_cannot_claim_the_same_paths() -> None:
    app = App()
    app.files("/f/*path", ".")
    with pytest.raises(RouteConflict):
        app.get("/f/*rest")(lambda request: None)
    app.post("/f/*path")(lambda request: None)


@pytest.mark.parametrize(
    ("name", "reason"), [("none", "No such file or directory"), ("file", "Not a directory"), ("link", "No such file")]
)
def test_a_directory_that_is_none_ends_the_start(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("none")
    app = App()
    app.files("/f/*path", tmp_path / name)
    with pytest.raises(StartupError, match=rf"Cannot serve files /f/\*path from .*{name}: {reason}"):
        app.build()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_may_not_be_read_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    app = App()
    app.files("/f/*path", tmp_path / "closed")
    with pytest.raises(StartupError, match="Permission denied"):
        app.build()


def test_nothing_can_be_added_to_an_app_that_serves(tmp_path: Path) -> None:
    app = App()
    app.build()
    with pytest.raises(RuntimeError, match="too late"):
        app.files("/f/*path", tmp_path)


def test_files_take_no_breaker_from_their_app(tmp_path: Path) -> None:
    app = App(breaker="db")
    app.files("/f/*path", tmp_path)
    [route] = [route for _, pattern, route in app.build().routes() if pattern == "/f/*path"]
    assert route.breaker is None
    assert route.files is not None


def test_a_root_stays_where_it_was_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "a.txt").write_text("a")
    monkeypatch.chdir(tmp_path)
    app = App()
    app.files("/f/*path", "public")
    monkeypatch.chdir("/")
    with app.test_client() as client:
        assert client.get("/f/a.txt").text == "a"
