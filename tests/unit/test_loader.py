"""Finding the user's application, and what is said where it cannot be had."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from highperf import App
from highperf.errors import ConfigError, HighperfError, StartupError
from highperf.server.loader import load

Write = Callable[..., None]
GOOD = "from highperf import App\napp = App()\n"


@pytest.fixture
def write(tmp_path: Path, forgotten_imports: None) -> Write:
    """Writes modules, name -> source, into tmp_path; "a__b" is b in the folder a."""

    def write_files(**sources: str) -> None:
        for name, source in sources.items():
            path = tmp_path.joinpath(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(source)

    return write_files


def said_of(name: str, directory: Path, *, factory: bool = False) -> tuple[HighperfError, str]:
    with pytest.raises(HighperfError) as caught:
        load(name, str(directory), factory=factory)
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    return caught.value, said


@pytest.mark.parametrize("name", ["shop", "shop:app", "shop:Api.app", "shop:create()"])
def test_an_application_is_found_by_its_name(write: Write, tmp_path: Path, name: str) -> None:
    write(shop=GOOD + "class Api:\n    app = app\ndef create():\n    return app\n")
    app = load(name, str(tmp_path))
    assert isinstance(app, App)
    assert app is sys.modules["shop"].app


def test_a_module_may_lie_in_a_package(write: Write, tmp_path: Path) -> None:
    write(shop__main=GOOD)
    assert isinstance(load("shop.main:app", str(tmp_path)), App)


def test_a_factory_is_called_when_asked(write: Write, tmp_path: Path) -> None:
    write(shop="from highperf import App\ndef create():\n    return App()\n")
    assert isinstance(load("shop:create", str(tmp_path), factory=True), App)


def test_the_directory_is_first_on_the_path_and_once(write: Write, tmp_path: Path) -> None:
    write(shop=GOOD)
    load("shop", str(tmp_path))
    load("shop", str(tmp_path))
    assert sys.path[0] == str(tmp_path.resolve())
    assert sys.path.count(str(tmp_path.resolve())) == 1


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("shop:ap", 'Could not import "shop:ap": module "shop" has no attribute "ap". Did you mean "app"?'),
        ("shop:zzz", 'Could not import "shop:zzz": module "shop" has no attribute "zzz". Did you mean "app"?'),
        ("shop:Api.xyz", 'Could not import "shop:Api.xyz": "Api" has no attribute "xyz".'),
        ("shop:Api.titel", 'Could not import "shop:Api.titel": "Api" has no attribute "titel". Did you mean "title"?'),
        ("shop:number.x", 'Could not import "shop:number.x": "number" has no attribute "x".'),
        ("shop:number", 'Could not serve "shop:number": it is of type int, not a highperf App.'),
        (
            "shop:create",
            'Could not serve "shop:create": it is of type function, not a highperf App. '
            "If it makes one, add --factory.",
        ),
        (
            "shop:App",
            'Could not serve "shop:App": it is the class App, not a highperf App. If it makes one, add --factory.',
        ),
        ("shop:number()", 'Could not call "shop:number()": it is of type int, not a function.'),
        ("shop:nothing()", 'Could not serve "shop:nothing()": it is of type NoneType, not a highperf App.'),
        ("shop.py", 'Could not import "shop.py": expected module:attribute, so shop:app.'),
        ("api/shop.py:web", 'Could not import "api/shop.py:web": expected module:attribute, so api.shop:web.'),
        ("shop:", 'Could not import "shop:": expected module:attribute such as main:app.'),
        ("shop:app\n", 'Could not import "shop:app\\n": expected module:attribute such as main:app.'),
        ("../shop", 'Could not import "../shop": expected module:attribute such as main:app.'),
        ("shop:app(1)", 'Could not import "shop:app(1)": expected module:attribute such as main:app.'),
    ],
)
def test_a_name_that_leads_nowhere_is_said_in_one_line(write: Write, tmp_path: Path, name: str, sentence: str) -> None:
    write(
        shop=GOOD + "class Api:\n    title = 1\nnumber = 7\ndef create():\n    return app\ndef nothing():\n    pass\n"
    )
    error, said = said_of(name, tmp_path)
    assert said == sentence
    assert isinstance(error, StartupError)
    assert error.details == ""


@pytest.mark.parametrize(
    ("name", "missing", "hint"),
    [
        ("shpo:app", "shpo", ' Did you mean "shop"?'),
        ("qqq:app", "qqq", ""),
        ("pack.man:app", "pack.man", ' Did you mean "pack.main"?'),
        ("shop.inner:app", "shop.inner", ""),
    ],
)
def test_a_missing_module_is_named(write: Write, tmp_path: Path, name: str, missing: str, hint: str) -> None:
    write(shop=GOOD, pack__main=GOOD)
    _, said = said_of(name, tmp_path)
    assert said == (
        f'Could not import "{name}": there is no module "{missing}" in {tmp_path.resolve()} '
        f"or on the Python path.{hint}"
    )


def test_code_that_raises_shows_its_own_traceback_and_no_other(write: Write, tmp_path: Path) -> None:
    write(shop="import deeper\n", deeper="def fail():\n    raise ValueError('no\\nway')\nfail()\n")
    error, said = said_of("shop:app", tmp_path)
    assert isinstance(error, StartupError)
    assert said.startswith('Could not import "shop:app": ')
    assert said.endswith("way")
    files = re.findall(r'File "([^"]+)", line (\d+)', error.details)
    names = [(Path(file).name, line) for file, line in files]
    assert names == [("shop.py", "1"), ("deeper.py", "3"), ("deeper.py", "2")]


def test_a_module_that_the_users_code_misses_is_the_codes_own_failure(write: Write, tmp_path: Path) -> None:
    write(shop="import no_such_thing\n")
    error, said = said_of("shop:app", tmp_path)
    assert said == "Could not import \"shop:app\": ModuleNotFoundError: No module named 'no_such_thing'"
    assert isinstance(error, StartupError)
    assert 'shop.py", line 1' in error.details


def test_a_syntax_error_shows_its_line(write: Write, tmp_path: Path) -> None:
    write(shop="def broken(:\n")
    error, said = said_of("shop:app", tmp_path)
    assert said.startswith('Could not import "shop:app": SyntaxError: ')
    assert isinstance(error, StartupError)
    assert 'shop.py", line 1' in error.details
    assert "importlib" not in error.details


def test_a_cause_is_shown_without_foreign_frames_too(write: Write, tmp_path: Path) -> None:
    write(
        shop="try:\n    import no_such_thing\nexcept ImportError as error:\n    raise RuntimeError('no') from error\n"
    )
    error, _ = said_of("shop:app", tmp_path)
    assert isinstance(error, StartupError)
    assert "direct cause" in error.details
    assert "importlib" not in error.details


def test_code_that_exits_is_named(write: Write, tmp_path: Path) -> None:
    write(shop="raise SystemExit(5)\n")
    assert said_of("shop:app", tmp_path)[1] == 'Could not import "shop:app": the code called sys.exit(5).'


def test_a_factory_that_raises_shows_its_own_traceback(write: Write, tmp_path: Path) -> None:
    write(shop="def create():\n    raise KeyError('TOKEN')\n")
    error, said = said_of("shop:create()", tmp_path)
    assert said == "Could not call \"shop:create()\": KeyError: 'TOKEN'"
    assert isinstance(error, StartupError)
    assert [line for line in error.details.splitlines() if "File" in line] == [
        f'  File "{tmp_path / "shop.py"}", line 2, in create'
    ]


def test_a_wrong_setting_in_the_code_is_a_configuration_error_with_its_place(write: Write, tmp_path: Path) -> None:
    write(shop="from highperf import App\n\napp = App(read_timeout='soon')\n")
    error, said = said_of("shop:app", tmp_path)
    assert isinstance(error, ConfigError)
    assert said.startswith('Could not import "shop:app": Invalid value "soon" for App(read_timeout=...): expected a')
    assert said.endswith(f"({tmp_path / 'shop.py'}, line 3)")
