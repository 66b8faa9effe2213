"""Where server events go: the logger "highperf", by default to standard error.

A terminal gets short lines; anything else gets lines that begin with the time in UTC. An
application that gives the logger handlers of its own keeps them.
"""

import faulthandler
import logging
import os
import select
import sys
import time
from collections.abc import Iterable
from typing import Final

STDERR: Final = 2

logger: Final = logging.getLogger("highperf")


def configure(level: str, warnings: Iterable[str] = ()) -> None:
    """Send events of this level and above to standard error, unless the logger has handlers already; the
    warnings, which came up before, are the first."""
    logger.setLevel(level.upper())
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(_formatter())
        logger.addHandler(handler)
        logger.propagate = False
    for sentence in warnings:
        logger.warning(sentence)


def write_unlocked(message: str) -> None:
    """Write a warning to standard error without the locks of logging, for a signal handler or when the
    thread that holds them is stuck; not at all if nobody reads standard error and it is full."""
    record = logger.makeRecord(logger.name, logging.WARNING, "", 0, message, (), None)
    if _stderr_is_writable():
        os.write(STDERR, f"{_formatter().format(record)}\n".encode())


def dump_stacks() -> None:
    """Write every thread's stack to standard error, on the same terms."""
    if _stderr_is_writable():
        faulthandler.dump_traceback(STDERR, all_threads=True)


def _stderr_is_writable() -> bool:
    return bool(select.select([], [STDERR], [], 0)[1])


def _formatter() -> logging.Formatter:
    return _TerminalFormatter() if sys.stderr.isatty() else _UtcFormatter("%(asctime)s %(levelname)s %(message)s")


class _UtcFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


class _TerminalFormatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name is logging's)
        return f"{record.levelname + ':':9} {record.message}"
