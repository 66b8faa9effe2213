"""Where access lines go: standard output, or a file that can be opened anew.

Owns the descriptor and what is said about it. Must not know what is in a line. Standard output is shared with others
and must not be made non-blocking for them, so a pipe or terminal is opened once more, and a socket is asked each time.
"""

import os
import stat
from pathlib import Path
from typing import Final

from highperf.config import Settings
from highperf.errors import StartupError
from highperf.log_format import TERMINAL, parse_format
from highperf.observe.access_log import AccessLog
from highperf.observe.line_sink import LineSink
from highperf.server.logs import logger
from highperf.values import quote

STDOUT: Final = 1
STANDARD_OUTPUT: Final = "-"
MODE: Final = 0o640
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY


def open_access_log(settings: Settings) -> AccessLog | None:
    """What writes access lines as the settings have it; None where nobody would see them. StartupError: the file
    cannot be written."""
    if not settings.access_log:
        return None
    try:
        fd, kind = _open(settings.access_log_file)
    except OSError as error:
        name = quote(settings.access_log_file)
        raise StartupError(f"Could not open the access log {name}: {error.strerror}.") from None
    if _is_null(fd):
        os.close(fd)
        return None
    terminal = settings.access_log_format == "default" and os.isatty(fd)
    return AccessLog(
        LineSink(fd, kind, _tell),
        parse_format(TERMINAL if terminal else settings.access_log_format),
        excluded=settings.access_log_exclude,
        slow_ns=settings.access_log_slow_ns,
        sample=settings.access_log_sample,
    )


def reopen_access_log(log: AccessLog, name: str) -> None:
    """Go on in a file of this name, after somebody has moved the one that was open."""
    if name == STANDARD_OUTPUT:
        return
    try:
        log.sink.replace(*_open(name))
    except OSError as error:
        logger.error("Could not open the access log %s anew: %s. The old one goes on", quote(name), error.strerror)
    else:
        logger.info("Opened the access log %s anew", quote(name))


def _open(name: str) -> tuple[int, str]:
    """A descriptor of our own, and LineSink's word for what it is."""
    if name == STANDARD_OUTPUT:
        return _standard_output()
    fd = os.open(Path(name).absolute(), _FLAGS | os.O_CREAT | os.O_NONBLOCK, MODE)
    return fd, "file" if stat.S_ISREG(os.fstat(fd).st_mode) else "nonblocking"


def _standard_output() -> tuple[int, str]:
    mode = os.fstat(STDOUT).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            return os.open(f"/dev/fd/{STDOUT}", _FLAGS | os.O_NONBLOCK), "nonblocking"
        except OSError:  # it is another user's
            return os.dup(STDOUT), "polled"
    kind = "file" if stat.S_ISREG(mode) else "socket" if stat.S_ISSOCK(mode) else "polled"
    return os.dup(STDOUT), kind


def _is_null(fd: int) -> bool:
    status, null = os.fstat(fd), os.stat(os.devnull)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == null.st_rdev


def _tell(reason: str | None, lost: int) -> None:
    if reason is None:
        logger.warning("Access lines get through again; lost: %d", lost)
    else:
        logger.warning("Access lines are lost: %s", reason)
