"""Sockets that another process has opened for this one: --fd, systemd, or a supervisor.

Owns the judgement whether a descriptor is what a server can listen on. Must not know who passed it.
"""

import errno
import os
import socket
from typing import Final

from highperf.errors import StartupError

_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


def from_fd(fd: int, name: str = "") -> socket.socket:
    """The socket behind a descriptor, made ready to be served and to be closed on exec; it owns the
    descriptor. StartupError where it is not a stream socket that listens or could; `name` is then said too."""
    shown = f'File descriptor {fd} ("{name}")' if name else f"File descriptor {fd}"
    try:
        given = socket.socket(fileno=fd)
    except OSError as error:
        raise StartupError(_failure(error, shown)) from None
    if reason := _unfit(given):
        given.detach()
        raise StartupError(f"{shown} {reason}")
    given.setblocking(False)
    given.set_inheritable(False)
    return given


def _unfit(given: socket.socket) -> str:
    """Why nothing can be served there, as the end of a sentence."""
    if given.family not in _FAMILIES or given.type != socket.SOCK_STREAM:
        return "is a socket of another kind. Pass a TCP or Unix stream socket."
    if _is_connected(given):
        return "is one connection, not a listening socket. In a .socket unit, use Accept=no."
    if not _is_bound(given):
        return "is a socket without an address. Pass one that is bound, or try --host and --port."
    return ""


def _is_connected(given: socket.socket) -> bool:
    try:
        given.getpeername()
    except OSError:
        return False
    return True


def _is_bound(given: socket.socket) -> bool:
    address = given.getsockname()
    return bool(address if given.family == socket.AF_UNIX else address[1])


def _failure(error: OSError, shown: str) -> str:
    match error.errno:
        case errno.EBADF:
            return f"{shown} is not open. Whoever starts the server has to pass it on; or try --host and --port."
        case errno.ENOTSOCK:
            return f"{shown} is not a socket. Pass a listening one, or try --host and --port."
        case _:
            return f"{shown} cannot be used: {os.strerror(error.errno or 0)}. Try --host and --port."
