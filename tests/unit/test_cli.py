"""The command line: its help, its two dry runs, and one line for each mistake."""

import logging
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from highperf._version import __version__
from highperf.cli import command
from highperf.config import OPTIONS
from highperf.server.logs import logger
from tests.servers import run

SHOP = """
import os
from highperf import App
app = App(idle_timeout="9s", port=9)
greeting = os.environ.get("GREETING")
"""
CONFLICT = """
from highperf import App
app = App()
@app.get("/users/:id")
def by_id(request): ...
@app.get("/users/:name")
def by_name(request): ...
"""


@pytest.fixture(autouse=True)
def clean_logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command gives the logger a handler on standard error, which is another one in each test."""
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", True)
    yield
    logger.setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def empty_environment(tmp_path: Path, forgotten_imports: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for option in OPTIONS:
        monkeypatch.delenv(option.variable, raising=False)
    monkeypatch.chdir(tmp_path)


def invoke(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(command, arguments, env=env)


def test_help_shows_each_flag_with_its_variable_and_default() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    said = " ".join(result.stdout.split())
    for option in OPTIONS:
        if option.is_argument:
            assert option.variable in said
        else:
            assert option.flag in said
            assert f"[env: {option.variable}; default: {option.default or 'none'}]" in said


def test_help_lists_the_flags_by_group() -> None:
    headings = re.findall(r"^(\w.*):$", invoke("--help").stdout, re.MULTILINE)
    assert headings == [
        "Application",
        "Address",
        "Processes",
        "TLS",
        "Timeouts",
        "Limits",
        "Guards",
        "Output",
        "Metrics",
        "Reference API (served when no APP is given)",
        "Instead of serving",
    ]


def test_a_flag_that_takes_several_may_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    result = invoke("shop:app", "--reload-include", "*.html", "--reload-include", "*.css,*.js", "--print-config")
    assert re.search(r"^reload_include +\*\.html,\*\.css,\*\.js +flag --reload-include$", result.stdout, re.MULTILINE)
    assert re.search(r"^reload_exclude +default$", result.stdout, re.MULTILINE)


def test_version_is_the_line_for_a_bug_report() -> None:
    result = invoke("--version")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    assert (result.exit_code, result.stdout) == (
        0,
        f"Running highperf {__version__} with {python} on {platform.system()}\n",
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--prot", "1"], "Error: No such option --prot. Did you mean --port?"),
        (["--zzzzzz"], "Error: No such option --zzzzzz. Try highperf-serve --help."),
        (["--port"], "Error: Option '--port' requires an argument."),
        (["a:app", "b:app"], "Error: Got unexpected extra argument (b:app)"),
        (
            ["--port", "http"],
            'Error: Invalid value "http" for flag --port: expected a port number from 0 to 65535.',
        ),
        (["--port", ""], 'Error: Invalid value "" for flag --port: expected a port number from 0 to 65535.'),
        (
            ["--read-timeout", "nan"],
            'Error: Invalid value "nan" for flag --read-timeout: expected a duration from 1ms to 24h such as 80ms, '
            "2s or 1m30s, or 0 to turn it off.",
        ),
        (["--env-file", "none"], 'Error: Cannot read --env-file "none": No such file or directory.'),
        (["a:app", "--database-url", "sqlite:///x"], "Error: --database-url belongs to the reference API: "
                                                      "leave out either it or APP."),
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line_is_one_line_and_exit_2(arguments: list[str], line: str) -> None:
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", line + "\n")


def test_a_wrong_variable_is_one_line_and_exit_2() -> None:
    result = invoke(env={"WRITE_TIMEOUT": "-1s"})
    assert result.exit_code == 2
    assert result.stderr.startswith('Error: Invalid value "-1s" for environment variable WRITE_TIMEOUT: expected')
    assert len(result.stderr.splitlines()) == 1


def test_print_config_tells_each_value_and_where_it_came_from() -> None:
    Path("shop.py").write_text(SHOP)
    Path("prod.env").write_text("READ_TIMEOUT=3s\nHOST=::1\n")
    result = invoke(
        *("shop:app", "--print-config", "--env-file", "prod.env", "--limit-request-field_size", "1k"),
        *("--no-server-header", "--port", "1"),
        env={"HOST": "0.0.0.0"},
    )
    assert result.exit_code == 0, result.stderr
    rows = [re.split(r" {2,}", line) for line in result.stdout.splitlines()]
    assert ["app", "shop:app", "argument APP"] in rows
    assert ["port", "1", "flag --port"] in rows
    assert ["host", "0.0.0.0", "environment variable HOST"] in rows
    assert ["read_timeout", "3s", "READ_TIMEOUT in prod.env"] in rows
    assert ["idle_timeout", "9s", "App(idle_timeout=...)"] in rows
    assert ["limit_request_field_size", "1k", "flag --limit-request-field-size"] in rows
    assert ["server_header", "false", "flag --no-server-header"] in rows
    assert ["backlog", "2048", "default"] in rows
    assert not [row for row in rows if row[0] == "database_url"]


def test_print_config_without_an_app_tells_of_the_reference_api() -> None:
    result = invoke("--print-config", "--database-url", "sqlite:///x.db")
    assert result.exit_code == 0, result.stderr
    assert re.search(r"^database_url +sqlite:///x\.db +flag --database-url$", result.stdout, re.MULTILINE)


def test_check_config_imports_the_app_and_says_ok() -> None:
    Path("shop.py").write_text(SHOP)
    result = invoke("shop:app", "--check-config")
    assert (result.exit_code, result.stdout) == (0, "OK\n")


def test_check_config_finds_routes_that_conflict() -> None:
    Path("shop.py").write_text(CONFLICT)
    result = invoke("shop:app", "--check-config")
    assert result.exit_code == 3
    assert result.stdout == ""
    assert "/users/:id" in result.stderr
    assert "/users/:name" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("declaration", "reason"),
    [
        ('app.get("/x", limit_concurrency=-1)', "route GET /x: limit_concurrency=-1, expected a whole number from 0 to "
                                                "1000000"),
        ('app.get("/x", rate_limt="1/s")', "route GET /x: unknown policy 'rate_limt'. Did you mean rate_limit?"),
        ('RateLimit("1/s", by="client", cost=2)', "RateLimit: cost=2, expected a whole number from 1 to 1, the "
                                                  "capacity"),
        ('app.breaker("db", ratio=2)', "breaker 'db': ratio=2, expected a share from 0.000001 to 1"),
        ('App(breaker=2)', "App: breaker=2, expected a name, a CircuitBreaker that has one, True or False"),
    ],
)  # fmt: skip
def test_check_config_finds_a_wrong_declaration_and_its_place(declaration: str, reason: str) -> None:
    Path("shop.py").write_text(f"from highperf import App, RateLimit\napp = App()\n{declaration}\n")
    result = invoke("shop:app", "--check-config")
    assert result.exit_code == 2
    said = rf'Error: Could not import "shop:app": {re.escape(reason)} \(.*shop\.py, line 3\)\n'
    assert re.fullmatch(said, result.stderr), result.stderr


def test_print_config_shows_the_guards_of_the_reference_api() -> None:
    result = invoke("--print-config", "--limit-concurrency", "0", env={"RATE_LIMIT_CAPACITY": "50"})
    assert result.exit_code == 0, result.stderr
    rows = [tuple(re.split(r" {2,}", line)) for line in result.stdout.splitlines()]
    guards = [row for row in rows if re.match("rate_|cb_|request_timeout|limit_conc", row[0])]
    assert guards == [
        ("rate_limit_rps", "1000", "App(rate_limit_rps=...)"),
        ("rate_limit_capacity", "50", "environment variable RATE_LIMIT_CAPACITY"),
        ("cb_failure_threshold", "20", "App(cb_failure_threshold=...)"),
        ("cb_open_duration", "2s", "App(cb_open_duration=...)"),
        ("request_timeout", "100ms", "App(request_timeout=...)"),
        ("request_timeout_header", "Request-Timeout", "default"),
        ("limit_concurrency", "0", "flag --limit-concurrency"),
        ("rate_limit_burst", "50", "derived"),
    ]


def test_check_config_finds_a_wrong_setting_of_the_app() -> None:
    Path("shop.py").write_text("from highperf import App\napp = App(idle_timeout='9')\n")
    result = invoke("shop:app", "--check-config")
    assert result.exit_code == 2
    assert re.fullmatch(
        r'Error: Could not import "shop:app": Invalid value "9" for App\(idle_timeout=\.\.\.\): '
        r"expected .* \(.*shop\.py, line 2\)\n",
        result.stderr,
    )


def test_the_env_file_reaches_the_application_and_gives_way_to_the_environment() -> None:
    code = SHOP + "print(greeting, os.environ['WHO'])\n"
    files = {"shop.py": code, "e": "GREETING='good day'\nWHO=file\nHIGHPERF_APP=shop\n"}
    done = run("--env-file", "e", "--check-config", files=files, env={"WHO": "environment"})
    assert (done.code, done.stdout) == (0, "good day environment\nOK\n")


def test_a_variable_that_is_no_setting_is_a_warning() -> None:
    done = run("--check-config", env={"HIGHPERF_PROT": "1"})
    assert (done.code, done.stdout) == (0, "OK\n")
    assert done.stderr.endswith(" WARNING HIGHPERF_PROT is not a setting. Did you mean PORT?\n")
    assert len(done.stderr.splitlines()) == 1


def test_the_level_of_the_log_is_a_setting() -> None:
    done = run("--check-config", "--log-level", "error", env={"HIGHPERF_PROT": "1"})
    assert (done.code, done.stderr) == (0, "")


def test_an_import_that_is_interrupted_ends_with_one_line() -> None:
    done = run("shop:app", "--check-config", files={"shop.py": "raise KeyboardInterrupt\n"})
    assert done.code == 1
    assert done.stderr.strip() == "Error: Interrupted before the server was up."
