"""Starts the server from a program: `app.run()`. What highperf-serve is to the command line.

Owns the way from an application and its caller's settings to the end of the process: one line on
standard error for what a user can mend, and the exit codes of the command line.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Mapping
from typing import Final, NoReturn

from highperf.config import Layers, resolve, unknown_variables
from highperf.errors import HighperfError
from highperf.server import logs, worker

EXIT_CRASH: Final = 1


def run(app: worker.Application, given: Mapping[str, object]) -> NoReturn:
    """Serve until a signal ends it, and exit; the settings that are given go before the environment."""
    _refuse_other_places()
    try:
        code = _serve(app, given)
    except HighperfError as error:
        code = _fail(str(error), error.exit_code, error.details)
    except KeyboardInterrupt:
        code = _fail("Interrupted before the server was up.", EXIT_CRASH)
    sys.exit(code)


def _serve(app: worker.Application, given: Mapping[str, object]) -> int:
    environ = dict(os.environ)
    settings = resolve(Layers(run=given, environ=environ, app=app.defaults))
    logs.configure(settings.log_level, unknown_variables(environ))
    return worker.run(app, settings)


def _refuse_other_places() -> None:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("app.run() belongs in the main thread, where signals arrive")
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("app.run() runs a loop of its own and cannot be called inside of a coroutine")


def _fail(line: str, code: int, details: str = "") -> int:
    sys.stderr.write(f"{details}Error: {line}\n")
    return code
