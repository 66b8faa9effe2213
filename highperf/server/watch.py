"""--reload: which files are watched, and word of those that changed.

Owns the choice of files. Must not know what a change leads to. watchfiles, which is an extra, is
imported when a watch is made. The directories are watched with all that lies below them; the files
that settings name, such as the env file, by their directories alone, because most tools that write
a file put a new one in its place.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from highperf.config import OPTIONS, Settings
from highperf.errors import StartupError
from highperf.server.logs import logger

DEFAULT_INCLUDE: Final = "*.py"
IGNORED_DIRECTORIES: Final = frozenset({"__pycache__", "site-packages", "node_modules"})  # and those with a dot
SETTLED_MS: Final = 50  # a change is told when nothing more has changed for this time
_NAMED_MOST: Final = 3


class Watch:
    """Watches what the settings of a server name; StartupError where watchfiles is missing."""

    def __init__(self, settings: Settings) -> None:
        self._awatch = _import_awatch()
        includes = settings.reload_include
        self.filter = Filter(
            [*(settings.reload_dir or [settings.app_dir]), *filter(os.path.isdir, includes)],
            [DEFAULT_INCLUDE, *(pattern for pattern in includes if not os.path.isdir(pattern))],
            settings.reload_exclude,
        )
        self._files = set(map(os.path.abspath, _files_of(settings)))

    async def run(self, on_change: Callable[[Sequence[str]], object]) -> None:
        """Call on_change with the paths that changed, sorted, each time some did; until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(self.filter.directories, self.filter, on_change, recursive=True))
            if self._files:
                places = sorted({os.path.dirname(path) for path in self._files})
                group.create_task(self._follow(places, self._is_file, on_change, recursive=False))

    async def _follow(
        self,
        directories: Sequence[str],
        wanted: Callable[[Any, str], bool],
        on_change: Callable[[Sequence[str]], object],
        *,
        recursive: bool,
    ) -> None:
        try:
            async for changes in self._awatch(
                *directories,
                watch_filter=wanted,
                step=SETTLED_MS,
                recursive=recursive,
                ignore_permission_denied=True,
            ):
                on_change(sorted({path for _, path in changes}))
        except (OSError, RuntimeError) as error:
            logger.error("Changes in %s are not seen any more: %s", " and ".join(directories), error)

    def _is_file(self, change: Any, path: str) -> bool:
        return os.path.abspath(path) in self._files


class Filter:
    """Which files below the directories count, as watchfiles asks: patterns are matched from the right as
    pathlib does; a file or directory whose name begins with a dot counts only for a pattern that begins with
    one, and what is excluded never counts. An exclusion that is a directory stands for all below it."""

    def __init__(self, directories: Iterable[str], includes: Sequence[str], excludes: Sequence[str]) -> None:
        self.directories = list(dict.fromkeys(map(os.path.abspath, directories)))
        self._includes = [pattern for pattern in includes if pattern not in excludes]
        self._excludes = [pattern for pattern in excludes if not os.path.isdir(pattern)]
        self._left_out = [Path(os.path.abspath(path)) for path in excludes if os.path.isdir(path)]

    def __call__(self, change: Any, path: str) -> bool:
        found = Path(path)
        return (
            not any(map(_is_ignored, self._below(found).parts[:-1]))
            and not any(map(found.is_relative_to, self._left_out))
            and not any(map(found.match, self._excludes))
            and any(found.match(pattern) for pattern in self._includes if _may_match(pattern, found.name))
        )

    def _below(self, path: Path) -> Path:
        """The part of the path below the watched directory, which is nobody's to ignore itself."""
        shortest = path
        for directory in self.directories:
            if path.is_relative_to(directory):
                shortest = min(shortest, path.relative_to(directory), key=lambda found: len(found.parts))
        return shortest


def named(paths: Sequence[str]) -> str:
    """The first few of the files, as seen from here, for the log."""
    here = os.getcwd()
    shown = [os.path.relpath(path, here) if Path(path).is_relative_to(here) else path for path in paths[:_NAMED_MOST]]
    if len(paths) > _NAMED_MOST:
        shown.append(f"{len(paths) - _NAMED_MOST} more")
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _is_ignored(directory: str) -> bool:
    return directory.startswith(".") or directory in IGNORED_DIRECTORIES


def _may_match(pattern: str, name: str) -> bool:
    return not name.startswith(".") or os.path.basename(pattern).startswith(".")


def _files_of(settings: Settings) -> list[str]:
    return [path for option in OPTIONS if option.is_file and (path := getattr(settings, option.attribute))]


def _import_awatch() -> Any:
    try:
        from watchfiles import awatch
    except ImportError:
        raise StartupError(
            "--reload needs watchfiles, which is not installed: pip install 'highperf[reload]'"
        ) from None
    return awatch
