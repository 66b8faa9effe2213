"""Who holds an address, as far as /proc tells: its owner and root may look, and only on Linux.

Owns the reading of the kernel's tables. Must not know why anybody asks; what cannot be read is
nobody's, so that a message never fails for want of a name.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from highperf.values import quote

_TCP_TABLES: Final = ("/proc/net/tcp", "/proc/net/tcp6")
_TCP_LISTEN: Final = "0A"
_UNIX_TABLE: Final = "/proc/net/unix"
_UNIX_UNCONNECTED: Final = "01"  # bound, listening or not; a connection that was accepted there has another state


def port_holder(port: int) -> str:
    """` (pid 12 "uvicorn app:app")` of a process that listens on the port, or nothing."""
    return _described(next(_holders(_port_inodes(port)), None))


def path_holder(path: str) -> str:
    """The same for a process that holds a Unix socket with this path, listening or not."""
    return _described(_pid_at(path))


def path_is_held(path: str) -> bool:
    """Whether there is such a process."""
    return _pid_at(path) is not None


def _pid_at(path: str) -> int | None:
    # The path may mean another file there: in a container, where each service has a /tmp of its own, or
    # where it is relative to another directory.
    pids = _holders(_path_inodes(path))
    return next((pid for pid in pids if path.startswith("@") or _has_same_file(pid, path)), None)


def _has_same_file(pid: int, path: str) -> bool:
    try:
        there = f"root{path}" if os.path.isabs(path) else f"cwd/{path}"
        return os.path.samefile(f"/proc/{pid}/{there}", path)
    except OSError:
        return False


def _described(pid: int | None) -> str:
    if pid is None:
        return ""
    try:
        program, *arguments = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return f" (pid {pid})"
    return f" (pid {pid} {quote(' '.join([Path(program).name, *arguments]).strip())})"


def _holders(inodes: Iterable[str]) -> Iterator[int]:
    """The processes that have one of these sockets open. The first, which has the lowest number, is the one
    that an operator knows: a supervisor comes before its workers."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    if not wanted:
        return
    for pid in sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        if not wanted.isdisjoint(_open_files(Path(f"/proc/{pid}/fd"))):
            yield pid


def _port_inodes(port: int) -> Iterator[str]:
    for table in _TCP_TABLES:
        for row in _rows(table):
            columns = row.split()
            if columns[3] == _TCP_LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                yield columns[9]


def _path_inodes(path: str) -> Iterator[str]:
    names = {path} if path.startswith("@") else {path, os.path.abspath(path)}
    for row in _rows(_UNIX_TABLE):
        columns = row.split(maxsplit=7)  # Num RefCount Protocol Flags Type St Inode Path
        if len(columns) == 8 and columns[5] == _UNIX_UNCONNECTED and columns[7] in names:
            yield columns[6]


def _rows(table: str) -> list[str]:
    try:
        return Path(table).read_text(errors="surrogateescape").splitlines()[1:]
    except OSError:
        return []


def _open_files(directory: Path) -> Iterator[str]:
    try:
        descriptors = list(directory.iterdir())
    except OSError:
        return  # the process has ended, or is another user's
    for descriptor in descriptors:
        with contextlib.suppress(OSError):  # closed meanwhile, such as the one that listed the directory
            yield os.readlink(descriptor)
