"""What an --env-file holds.

Owns its syntax. Must not know which settings there are.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from highperf.errors import ConfigError
from highperf.values import quote


class EnvFile(NamedTuple):
    """What an --env-file holds; `path` as the user wrote it."""

    path: str = ""
    values: Mapping[str, str] = MappingProxyType({})


# The env file is read here and not by python-dotenv, which skips a line that it cannot read: a
# server that starts with half of its settings is worse than one that names the line. The few lines
# below are not worth a dependency of every installation either.

_ENV_LINE: Final = re.compile(
    r"""\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*
    (?:'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<plain>(?!['"]).*?))
    (?:\s+\#.*)?\s*""",
    re.VERBOSE,
)
_ENV_BLANK: Final = re.compile(r"\s*(?:#.*)?")
_ENV_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}


def read_env_file(path: str) -> EnvFile:
    r"""Read lines of NAME=VALUE, the first "export" of a line and all after " #" ignored.

    '...' is literal, "..." knows \n, \r, \t, \" and \\; nothing is expanded. ConfigError for a file
    or a line that cannot be read.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigError(f"Cannot read --env-file {quote(path)}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"Cannot read --env-file {quote(path)}: it is not UTF-8 text.") from None
    values = {}
    for line_number, line in enumerate(lines, 1):
        if _ENV_BLANK.fullmatch(line):
            continue
        found = _ENV_LINE.fullmatch(line)
        if not found:
            raise ConfigError(
                f"Invalid line {line_number} in --env-file {quote(path)}: "
                "expected NAME=VALUE, with quotes closed on the same line."
            )
        values[found["name"]] = _env_value(found)
    return EnvFile(path, values)


def _env_value(found: re.Match[str]) -> str:
    if found["double"] is not None:
        return re.sub(r"\\(.)", lambda escape: _ENV_ESCAPES.get(escape[1], escape[1]), found["double"])
    return found["plain"] if found["single"] is None else found["single"]
