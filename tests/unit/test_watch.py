"""--reload: which files count, and that a change of one is told."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from highperf.config import Layers, Settings, resolve
from highperf.errors import StartupError
from highperf.server.watch import Filter, Watch, named

PATIENCE_S = 30.0

Changes = Callable[[], Awaitable[list[str]]]


def settings(**flags: str) -> Settings:
    return resolve(Layers(flags=flags))


def watched(watch: Watch, scenario: Callable[[Changes], Awaitable[None]]) -> None:
    """Runs the scenario, which waits for the next changes as often as it likes, beside the watch."""

    async def run() -> None:
        told: asyncio.Queue[Sequence[str]] = asyncio.Queue()

        async def changes() -> list[str]:
            return list(await asyncio.wait_for(told.get(), PATIENCE_S))

        watching = asyncio.create_task(watch.run(told.put_nowait))
        for _ in range(5):
            await asyncio.sleep(0)  # for the watch to begin
        try:
            await scenario(changes)
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    asyncio.run(run())


def test_changed_files_are_told_and_others_are_not(tmp_path: Path) -> None:
    async def scenario(changes: Changes) -> None:
        (tmp_path / "notes.txt").write_text("no")
        (tmp_path / ".hidden.py").write_text("no")
        (tmp_path / "pages").mkdir()
        (tmp_path / "shop.py").write_text("yes")
        assert await changes() == [str(tmp_path / "shop.py")]
        (tmp_path / "shop.py").unlink()
        (tmp_path / "pages" / "deep.py").write_text("yes")
        assert await changes() == [str(tmp_path / "pages" / "deep.py"), str(tmp_path / "shop.py")]

    watched(Watch(settings(reload_dir=str(tmp_path))), scenario)


def test_the_directory_of_the_application_is_watched_where_none_is_named(tmp_path: Path) -> None:
    async def scenario(changes: Changes) -> None:
        (tmp_path / "shop.py").write_text("yes")
        assert await changes() == [str(tmp_path / "shop.py")]

    watched(Watch(settings(app_dir=str(tmp_path))), scenario)


def test_the_env_file_is_watched_wherever_it_is_and_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "etc").mkdir()
    env_file = tmp_path / "etc" / "prod.env"
    env_file.write_text("A=1")

    async def scenario(changes: Changes) -> None:
        (tmp_path / "etc" / "shop.py").write_text("no")
        (tmp_path / "etc" / "new").write_text("A=2")
        (tmp_path / "etc" / "new").replace(env_file)
        assert await changes() == [str(env_file)]

    watched(Watch(settings(reload_dir=str(tmp_path / "code"), env_file=str(env_file))), scenario)


def test_a_watch_that_the_system_refuses_is_said_and_ends_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refused(*paths: str, **options: object) -> AsyncIterator[set[tuple[int, str]]]:
        raise OSError("OS file watch limit reached")
        yield set()

    monkeypatch.setattr("watchfiles.awatch", refused)
    asyncio.run(Watch(settings(reload_dir=str(tmp_path))).run(print))
    assert [record.getMessage() for record in caplog.records if record.name == "highperf"] == [
        f"Changes in {tmp_path} are not seen any more: OS file watch limit reached"
    ]


def test_without_watchfiles_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(StartupError) as caught:
        Watch(settings())
    assert str(caught.value) == "--reload needs watchfiles, which is not installed: pip install 'highperf[reload]'"


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("shop.py", True),
        ("deep/er/shop.py", True),
        ("shop.pyc", False),
        ("shop.html", False),
        (".#shop.py", False),
        (".git/hooks/check.py", False),
        (".venv/lib/shop.py", False),
        ("venv/lib/python3.12/site-packages/shop.py", False),
        ("__pycache__/shop.py", False),
        ("node_modules/gyp/shop.py", False),
    ],
)
def test_python_files_count_unless_they_are_hidden_or_not_the_users(tmp_path: Path, path: str, counts: bool) -> None:
    assert Filter([str(tmp_path)], ["*.py"], [])(None, str(tmp_path / path)) is counts


@pytest.mark.parametrize("directory", [".hidden", "site-packages"])
def test_a_directory_that_was_named_is_watched_whatever_its_name(tmp_path: Path, directory: str) -> None:
    chosen = Filter([str(tmp_path / directory), str(tmp_path)], ["*.py"], [])
    assert chosen(None, str(tmp_path / directory / "shop.py"))
    assert not chosen(None, str(tmp_path / directory / ".cache" / "shop.py"))


@pytest.mark.parametrize(
    ("includes", "excludes", "counting"),
    [
        ([], [], {"shop.py", "pages/admin.py"}),
        (["*.html"], [], {"shop.py", "pages/admin.py", "pages/a.html"}),
        ([".env"], [], {"shop.py", "pages/admin.py", ".env"}),
        (["*"], [], {"shop.py", "pages/admin.py", "pages/a.html"}),
        ([], ["*.py"], set()),
        (["*.html"], ["*.py"], {"pages/a.html"}),
        ([], ["admin.py"], {"shop.py"}),
        ([], ["pages/*"], {"shop.py"}),
        ([], ["pages"], {"shop.py"}),
        (["*.html"], ["pages/admin.py"], {"shop.py", "pages/a.html"}),
        (["other"], [], {"shop.py", "pages/admin.py", "other/more.py"}),
    ],
)
def test_patterns_and_directories_say_what_counts_and_what_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, includes: list[str], excludes: list[str], counting: set[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for directory in "code/pages", "pages", "other":
        (tmp_path / directory).mkdir(parents=True)
    chosen = Watch(
        resolve(
            Layers(
                flags={"reload_dir": "."}
                | ({"reload_include": ",".join(includes)} if includes else {})
                | ({"reload_exclude": ",".join(excludes)} if excludes else {})
            )
        )
    ).filter
    files = ["shop.py", "pages/admin.py", "pages/a.html", ".env"] + ["other/more.py"] * (includes == ["other"])
    assert {path for path in files if chosen(None, str(tmp_path / path))} == counting


def test_an_included_directory_is_watched_too(tmp_path: Path) -> None:
    for directory in "code", "config":
        (tmp_path / directory).mkdir()
    watch = Watch(settings(reload_dir=str(tmp_path / "code"), reload_include=f"{tmp_path / 'config'},*.toml"))
    assert watch.filter.directories == [str(tmp_path / "code"), str(tmp_path / "config")]
    assert watch.filter(None, str(tmp_path / "config" / "shop.toml"))


@pytest.mark.parametrize(
    ("paths", "shown"),
    [
        (["a.py"], "a.py"),
        (["a.py", "pages/b.py"], "a.py and pages/b.py"),
        (["a.py", "b.py", "c.py"], "a.py, b.py and c.py"),
        (["a.py", "b.py", "c.py", "d.py", "e.py"], "a.py, b.py, c.py and 2 more"),
        (["/etc/shop.env"], "/etc/shop.env"),
    ],
)
def test_the_first_files_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, paths: list[str], shown: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert named([os.path.join(tmp_path, path) for path in paths]) == shown
