"""Where server events go: the logger "highperf", by default to standard error.

A terminal gets short lines; anything else gets lines that begin with the time in UTC, or JSON. An
application that gives the logger handlers of its own keeps them.

No line is worth a request: where standard error would block, because nobody reads it, or fails, because
a disk is full, lines are lost and counted.
"""

import contextlib
import errno
import faulthandler
import json
import logging
import os
import select
import sys
import time
from collections.abc import Iterable
from typing import Final

STDERR: Final = 2

logger: Final = logging.getLogger("highperf")


def configure(level: str, warnings: Iterable[str] = (), *, form: str = "text") -> None:
    """Send events of this level and above to standard error, as text or json, unless the logger has handlers
    already; the warnings, which came up before, are the first."""
    logger.setLevel(level.upper())
    if not logger.handlers:
        handler = _Handler()
        handler.setFormatter(_JsonFormatter() if form == "json" else _formatter())
        logger.addHandler(handler)
        logger.propagate = False
    for sentence in warnings:
        logger.warning(sentence)


def open_standard_files() -> None:
    """Put the null device in the place of standard files that whoever started us has closed: else a connection
    might get the number of one, and be sent what is meant for an operator."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def put(text: str) -> bool:
    """Write to standard error what fits without blocking; False where that was not all, or failed."""
    try:
        number = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # it has been replaced, and is no file
        with contextlib.suppress(AttributeError, OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()
            return True
        return False
    return _write(number, text)


def write_unlocked(message: str) -> None:
    """Write a warning to standard error without the locks of logging, for a signal handler or when the
    thread that holds them is stuck; not at all if it would block or fails."""
    record = logger.makeRecord(logger.name, logging.WARNING, "", 0, message, (), None)
    ours = [handler.formatter for handler in logger.handlers if isinstance(handler, _Handler)]
    formatter = ours[0] if ours and ours[0] else _formatter()
    _write(STDERR, f"{formatter.format(record)}\n")


def dump_stacks() -> None:
    """Write every thread's stack to standard error, on the same terms."""
    if _is_writable(STDERR):
        faulthandler.dump_traceback(STDERR, all_threads=True)


class _Handler(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + "\n"
        except Exception:
            self.handleError(record)
            return
        if self._lost:
            notice = logging.LogRecord(logger.name, logging.WARNING, "", 0, "%d lines were lost", (self._lost,), None)
            line = f"{self.format(notice)}\n{line}"
        self._lost = 0 if put(line) else self._lost + 1


def _write(file: int, text: str) -> bool:
    """Whether all of it was written, as far as it neither blocks nor fails."""
    octets = text.encode(errors="backslashreplace")
    try:
        while octets and _is_writable(file):
            octets = octets[os.write(file, octets[: select.PIPE_BUF]) :]
    except OSError:
        return False
    return not octets


def _is_writable(file: int) -> bool:
    poll = select.poll()
    poll.register(file, select.POLLOUT)
    return any(event & select.POLLOUT for _, event in poll.poll(0))


def _formatter() -> logging.Formatter:
    if sys.stderr and sys.stderr.isatty():
        return _TerminalFormatter()
    return _UtcFormatter("%(asctime)s %(levelname)s %(message)s")


class _UtcFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"


class _JsonFormatter(_UtcFormatter):
    """One object a line, whatever is in the message."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "pid": record.process,
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


class _TerminalFormatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name is logging's)
        return f"{record.levelname + ':':9} {record.message}"
