"""Unix sockets at a path: made, put in the place of one that a dead server left, removed at the end.

A file at the path is replaced only if it is a socket that nobody holds or answers on. Of two
servers that replace the same file only one succeeds: it is moved aside in one step and looked at
again, and bind(2) makes nothing where something is. The path is removed by the process that made
it, and only while it still leads to what that process made.

"@name" is a name in Linux' abstract space, which has no file: no permissions, nothing to remove.
"""

import errno
import os
import socket
import stat
import sys
from typing import Final, NamedTuple, Self

from highperf.errors import StartupError
from highperf.server.holders import path_holder, path_is_held
from highperf.values import quote

PATH_MOST: Final = 107 if sys.platform == "linux" else 103  # octets of sun_path, less the final zero


class SocketFile(NamedTuple):
    """What a path led to when this process made it."""

    path: str  # absolute: the application may change the directory
    identity: tuple[int, ...]

    @classmethod
    def at(cls, path: str) -> Self:
        found = os.lstat(path)
        # A socket's inode is its own while the socket lives; the time tells it from a successor's.
        return cls(os.path.abspath(path), (found.st_dev, found.st_ino, found.st_mtime_ns))

    def remove(self) -> None:
        """Unlink the path if it still leads here; whatever else it leads to is another's."""
        try:
            if SocketFile.at(self.path) == self:
                os.unlink(self.path)
        except OSError:
            pass  # it is gone, or the directory is: nothing is left to remove


def bind_path(path: str, permissions: int) -> tuple[socket.socket, SocketFile | None]:
    """A bound, not yet listening socket at the path, and its file, if it has one. StartupError says in one
    line why not, and the way out."""
    size = len(os.fsencode(path))
    if size > PATH_MOST:
        raise StartupError(
            f"The path of --uds has {size} bytes, and may have {PATH_MOST}: {quote(path)}. Try a shorter one."
        )
    if path.startswith("@"):
        return _bind(path, "\0" + path[1:]), None
    _make_way(path)
    listener = _bind(path, path)
    file = SocketFile.at(path)
    try:
        os.chmod(path, permissions)  # nobody could connect before, for it does not listen yet
    except OSError as error:
        file.remove()
        listener.close()
        raise StartupError(path_failure(error, path)) from None
    return listener, file


def path_failure(error: OSError, path: str) -> str:
    """One line for an error of bind(2), or of what makes way for it."""
    directory = os.path.dirname(path) or "."
    match error.errno:
        case errno.EADDRINUSE:
            return _in_use(path)
        case errno.ENOENT | errno.ENOTDIR:
            reason = f"there is no directory {quote(directory)}. Create it, or try another --uds"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            reason = f"this process may not write there ({os.strerror(error.errno)}). Try another --uds"
        case _:
            reason = f"{os.strerror(error.errno or 0)}. Try another --uds"
    return f"Unix socket {quote(path)} cannot be made: {reason}."


def _bind(shown: str, address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise StartupError(path_failure(error, shown)) from None
    return listener


def _make_way(path: str) -> None:
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise StartupError(f"{quote(path)} is there, and is not a socket. Remove it, or try another --uds.")
        judged = SocketFile.at(path)
        if path_is_held(path) or _answers(path):
            raise StartupError(_in_use(path))
        _remove_stale(judged)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StartupError(path_failure(error, path)) from None


def _answers(path: str) -> bool:
    """Whether anybody listens; OSError where that cannot be found out."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True  # its queue is full
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:  # datagrams are taken there
                raise
        return True


def _remove_stale(judged: SocketFile) -> None:
    aside = f"{judged.path}.{os.getpid()}.stale"
    os.rename(judged.path, aside)
    if SocketFile.at(aside).identity != judged.identity:
        os.rename(aside, judged.path)  # another server was faster, and this is its socket
        raise StartupError(_in_use(judged.path))
    os.unlink(aside)


def _in_use(path: str) -> str:
    return f"Unix socket {quote(path)} is in use{path_holder(path)}. Try another --uds."
