"""highperf-serve: from the command line to a running server, and its exit code.

Owns the words on the terminal and the exit codes: 0 clean stop, 1 crash or forced stop, 2 usage or
configuration, 3 start-up failure. Must not know any single setting: the options are made from the
table in config. Imports only what --help needs; the server and the application come when they run.
"""

import os
import sys
from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from highperf._version import __version__
from highperf.config import (
    OPTIONS,
    Layers,
    Settings,
    describe,
    resolve,
    unknown_variables,
)
from highperf.env_file import EnvFile, read_env_file
from highperf.errors import HighperfError
from highperf.options import Option

if TYPE_CHECKING:
    from highperf.server.launch import Launch
    from highperf.server.worker import Application

PROGRAM: Final = "highperf-serve"
EXIT_CRASH: Final = 1
EXIT_USAGE: Final = 2

ABOUT: Final = """Serve APP over HTTP.

APP is module:attribute; the attribute is "app" if left out, and is called if it ends in "()". It may
also be named by HIGHPERF_APP. Without APP, the reference API is served. A flag goes before the
environment, that before --env-file, that before App(...), and that before the default."""


class ServeCommand(click.Command):
    """A command whose mistakes are one line each and whose options are listed in the table's groups."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        extra["standalone_mode"] = False
        try:
            code = super().main(*args, **extra)
        except click.ClickException as error:
            code = _fail(_one_line(error), EXIT_USAGE)
        except HighperfError as error:
            click.echo(error.details, err=True, nl=False)
            code = _fail(str(error), error.exit_code)
        except click.Abort:
            code = _fail("Interrupted before the server was up.", EXIT_CRASH)
        sys.exit(code)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records = {
            parameter.name: record
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx))
        }
        for group, options in groupby(OPTIONS, key=lambda option: option.group):
            with formatter.section(group):
                formatter.write_dl([records.pop(option.name) for option in options if option.name in records])
        with formatter.section("Instead of serving"):
            formatter.write_dl(list(records.values()))


def _one_line(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption):
        hint = f" Did you mean {error.possibilities[0]}?" if error.possibilities else f" Try {PROGRAM} --help."
        return f"No such option {error.option_name}.{hint}"
    return " ".join(error.format_message().split())


def _fail(line: str, code: int) -> int:
    click.echo(f"Error: {line}", err=True)
    return code


def _parameter(option: Option) -> click.Parameter:
    if option.is_argument:
        return click.Argument([option.name], required=False)
    about = f"{option.about}  [env: {option.variable}; default: {option.default or 'none'}]"
    if option.is_switch:
        return click.Option([f"{option.flag}/--no-{option.flag[2:]}"], default=None, help=about)
    if option.is_list:
        return click.Option([option.flag], metavar=option.kind.metavar, multiple=True, callback=_joined, help=about)
    return click.Option([option.flag], metavar=option.kind.metavar, help=about)


def _joined(ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> str | None:
    """The values of a flag that may be repeated."""
    return ",".join(values) or None


def _run(print_config: bool, check_config: bool, **values: str | bool | None) -> int:
    from highperf.server.launch import Launch

    launch = Launch()  # before --env-file and the application change the environment
    return launch.report(lambda: _serve(launch, values, print_config=print_config, check_config=check_config))


def _serve(launch: "Launch", values: Mapping[str, str | bool | None], *, print_config: bool, check_config: bool) -> int:
    flags = {name: _text(value) for name, value in values.items() if value is not None}
    environ = dict(os.environ)
    env_file = _env_file(Layers(flags, environ))
    layers = Layers(flags, environ, env_file)
    settings = resolve(layers)  # so that a wrong setting is said before the application is imported
    _start_logging(settings, [] if launch.is_worker else unknown_variables({**env_file.values, **environ}))

    def load() -> "tuple[Application, Settings]":
        app = _application(settings)
        return app, resolve(layers._replace(app=app.defaults))

    if print_config or check_config:
        return _show(*load(), print_config=print_config, check_config=check_config)
    return launch.serve(settings, load)


def _show(app: "Application", settings: Settings, *, print_config: bool, check_config: bool) -> int:
    if print_config:
        _print_config(settings)
    if check_config:
        from highperf.server import tls

        tls.server_context(settings)
        app.build(settings)
        click.echo("OK")
    return 0


def _text(value: str | bool) -> str:
    return value if isinstance(value, str) else str(value).lower()


def _env_file(layers: Layers) -> EnvFile:
    """What --env-file holds, which the application too finds in its environment."""
    path = resolve(layers).env_file
    if not path:
        return EnvFile()
    env_file = read_env_file(path)
    for name, value in env_file.values.items():
        os.environ.setdefault(name, value)
    return env_file


def _start_logging(settings: Settings, warnings: list[str]) -> None:
    from highperf.server import logs

    logs.configure(settings.log_level, warnings, form=settings.log_format)


def _application(settings: Settings) -> "Application":
    if not settings.app:
        from highperf.service import create_app

        given = "files_root" in settings.sources
        return create_app(settings.database_url, settings.files_root, files_required=given)

    from highperf.server.loader import load

    app: Application = load(settings.app, settings.app_dir, factory=settings.factory)
    return app


def _print_config(settings: Settings) -> None:
    rows = describe(settings)
    names, values = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, value, source in rows:
        click.echo(f"{name:{names}}  {value:{values}}  {source}")


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        import platform

        python = f"{platform.python_implementation()} {platform.python_version()}"
        click.echo(f"Running highperf {__version__} with {python} on {platform.system()}")
        ctx.exit()


command: Final = ServeCommand(
    PROGRAM,
    callback=_run,
    help=ABOUT,
    # an underscore in a flag is as good as a dash: gunicorn writes --limit-request-field_size
    context_settings={"max_content_width": 100, "token_normalize_func": lambda flag: flag.replace("_", "-")},
    params=[
        *map(_parameter, OPTIONS),
        click.Option(["--print-config"], is_flag=True, help="Print each setting, its value and its source."),
        click.Option(["--check-config"], is_flag=True, help="Import APP, check its routes and all settings, say OK."),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the versions of highperf and Python.",
        ),
    ],
)


def main() -> NoReturn:
    command.main(prog_name=PROGRAM)
