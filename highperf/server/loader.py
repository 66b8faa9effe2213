"""Finds the application that the user named: "module:attribute", "module" or "module:create()".

Owns the import of the user's code and the words about what went wrong in it. Must not know what an
application does: whatever has the attributes of `highperf.server.worker.Application` will do. A
user's mistake ends in one line, and only where the user's own code raised does the traceback of
that code, without the frames that led to it, go before it.
"""

import contextlib
import importlib
import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from traceback import StackSummary, TracebackException
from types import ModuleType
from typing import Any, Final

from highperf.errors import ConfigError, HighperfError, StartupError
from highperf.values import did_you_mean, quote

DEFAULT_ATTRIBUTE: Final = "app"
APPLICATION_ATTRIBUTES: Final = ("build", "startup", "shutdown", "defaults")

_NAME: Final = re.compile(r"(?P<module>\w+(?:\.\w+)*)(?::(?P<attribute>\w+(?:\.\w+)*)(?P<call>\(\))?)?")
# Frames that are not the user's: the import system, this package, and contextlib, through which app calls hooks.
_MACHINERY: Final = ("<frozen importlib", importlib.__file__, contextlib.__file__, str(Path(__file__).parents[1]))


def load(name: str, app_dir: str = ".", *, factory: bool = False) -> Any:
    """The application called `name`, imported with `app_dir` first on the path, and made by a call where it
    is a factory. StartupError, or ConfigError from a declaration in the user's code, says why there is none."""
    found = _NAME.fullmatch(name)
    if not found or found["module"].endswith(".py"):
        raise StartupError(f"Could not import {quote(name)}: expected module:attribute{_corrected(name)}.")
    directory = str(Path(app_dir).resolve())
    if directory not in sys.path:
        sys.path.insert(0, directory)
    module = _import_module(name, found["module"], directory)
    target = _find_attribute(name, module, found["attribute"] or DEFAULT_ATTRIBUTE)
    if factory or found["call"]:
        target = _call_factory(name, target)
    if not _is_application(target):
        hint = " If it makes one, add --factory." if callable(target) else ""
        raise StartupError(f"Could not serve {quote(name)}: it is {_kind_of(target)}, not a highperf App.{hint}")
    return target


def user_code_failure(doing: str, error: BaseException) -> HighperfError:
    """What to raise because the user's code raised `error`, e.g. doing = 'Could not import "main:app"'."""
    if isinstance(error, StartupError):
        return error
    if isinstance(error, SystemExit):
        return StartupError(f"{doing}: the code called sys.exit({error.code!r}).")
    summary = TracebackException.from_exception(error)
    _keep_user_frames(summary)
    if isinstance(error, HighperfError):
        return _declaration_failure(doing, error, summary)
    reason = " ".join(list(summary.format_exception_only())[-1].split())
    return StartupError(f"{doing}: {reason}", details="".join(summary.format()))


def _declaration_failure(doing: str, error: HighperfError, summary: TracebackException) -> HighperfError:
    # The message says it all, and the place of the declaration takes a traceback's stead.
    place = f" ({summary.stack[-1].filename}, line {summary.stack[-1].lineno})" if summary.stack else ""
    kind = ConfigError if isinstance(error, ConfigError) else StartupError
    return kind(f"{doing}: {error}{place}")


def _keep_user_frames(summary: TracebackException | None) -> None:
    if summary is None:
        return
    summary.stack = StackSummary.from_list(
        [frame for frame in summary.stack if not frame.filename.startswith(_MACHINERY)]
    )
    _keep_user_frames(summary.__cause__)
    _keep_user_frames(summary.__context__)


def _import_module(name: str, module: str, directory: str) -> ModuleType:
    doing = f"Could not import {quote(name)}"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # Only where this module itself, or a package around it, is missing: not one that it imports.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise user_code_failure(doing, error) from None
        raise StartupError(
            f'{doing}: there is no module "{error.name}" in {directory} or on the Python path.'
            f"{_nearest_module(error.name, directory)}"
        ) from None
    except (Exception, SystemExit) as error:
        raise user_code_failure(doing, error) from None


def _find_attribute(name: str, module: ModuleType, dotted: str) -> Any:
    target: Any = module
    owner = f'module "{module.__name__}"'
    for attribute in dotted.split("."):
        if not hasattr(target, attribute):
            hint = _nearest_attribute(attribute, target)
            raise StartupError(f'Could not import {quote(name)}: {owner} has no attribute "{attribute}".{hint}')
        target = getattr(target, attribute)
        owner = f'"{attribute}"'
    return target


def _call_factory(name: str, target: Any) -> Any:
    if not callable(target):
        raise StartupError(f"Could not call {quote(name)}: it is {_kind_of(target)}, not a function.")
    try:
        return target()
    except (Exception, SystemExit) as error:
        raise user_code_failure(f"Could not call {quote(name)}", error) from None


def _is_application(target: Any) -> bool:
    return not isinstance(target, type) and all(hasattr(target, attribute) for attribute in APPLICATION_ATTRIBUTES)


def _kind_of(target: Any) -> str:
    return f"the class {target.__name__}" if isinstance(target, type) else f"of type {type(target).__name__}"


def _nearest_module(missing: str, directory: str) -> str:
    package, _, word = missing.rpartition(".")
    path = [directory]
    if package:
        spec = PathFinder.find_spec(package, path)
        path = list(spec.submodule_search_locations or ()) if spec else []
    prefix = f"{package}." if package else ""
    import pkgutil

    return did_you_mean(word, [info.name for info in pkgutil.iter_modules(path)], f'"{prefix}{{}}"')


def _nearest_attribute(missing: str, owner: Any) -> str:
    applications = [name for name, value in getattr(owner, "__dict__", {}).items() if _is_application(value)]
    if applications:
        return did_you_mean(missing, applications, '"{}"') or f' Did you mean "{applications[0]}"?'
    return did_you_mean(missing, [name for name in dir(owner) if not name.startswith("_")], '"{}"')


def _corrected(name: str) -> str:
    """How "main.py" or "api/main.py:app" would be written."""
    path, _, attribute = name.partition(":")
    if not path.endswith(".py"):
        return f" such as main:{DEFAULT_ATTRIBUTE}"
    module = ".".join(Path(path).with_suffix("").parts)
    return f", so {module}:{attribute or DEFAULT_ATTRIBUTE}"
