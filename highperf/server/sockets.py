"""Binds the addresses that the server listens on, and says in one line why one cannot be had.

Owns the sockets until a worker takes them over. Must not know who serves on them.
"""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from highperf.errors import StartupError
from highperf.values import quote

_LISTEN: Final = "0A"  # TCP_LISTEN in /proc/net/tcp
_TABLES: Final = ("/proc/net/tcp", "/proc/net/tcp6")


def bind(host: str, port: int) -> list[socket.socket]:
    """Bound, not yet listening sockets for every address that the host name stands for, all on one port;
    port 0 lets the kernel choose it. StartupError says why not, and the way out."""
    bound: list[socket.socket] = []
    missing: OSError | None = None
    for family, address in _addresses(host, port):
        try:
            bound.append(_bind_one(family, address, bound[0].getsockname()[1] if bound else port))
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                _close(bound)
                raise StartupError(bind_failure(error, host, port)) from None
            missing = error  # "localhost" means ::1 as well, which a machine without IPv6 does not have
    if not bound:
        raise StartupError(bind_failure(missing or OSError(errno.EADDRNOTAVAIL, ""), host, port))
    return bound


def listen(listener: socket.socket, backlog: int) -> None:
    """Let the kernel complete connections. StartupError where another process has begun that since bind()."""
    try:
        listener.listen(backlog)
    except OSError as error:
        host, port = listener.getsockname()[:2]
        raise StartupError(bind_failure(error, host, port)) from None


def take_waiting(listener: socket.socket) -> list[socket.socket]:
    """The connections that the kernel has completed and nobody has accepted yet."""
    taken = []
    while True:
        try:
            taken.append(listener.accept()[0])
        except OSError:  # BlockingIOError: no more of them
            return taken


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{_bracketed(host)}:{port}"


def bind_failure(error: OSError, host: str, port: int) -> str:
    """One line for an error of bind(2) or listen(2)."""
    place = _bracketed(host)
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else port - 1
        return f"Port {port} on {place} is in use{_by_whom(port)}. Try --port {other} or --port 0."
    if error.errno == errno.EACCES:
        return f"Port {port} on {place} needs privileges that this process does not have. Try --port 8080."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{place} is not an address of this machine. Try --host 127.0.0.1, or --host 0.0.0.0 for all."
    return f"Could not listen on {place}, port {port}: {os.strerror(error.errno or 0)}. Try another --host or --port."


def _addresses(host: str, port: int) -> Iterator[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    name = host.removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a host name"
        raise StartupError(
            f"Host {quote(host)} cannot be resolved: {reason}. Try --host 127.0.0.1, or --host 0.0.0.0 for all."
        ) from None
    yield from dict.fromkeys((family, address) for family, _, _, _, address in found)


def _bind_one(family: socket.AddressFamily, address: tuple[Any, ...], port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # a restart must not wait for connections in TIME_WAIT; on Linux this does not share a live listener
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # "::" alone is every address of the machine, IPv4 too
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        listener.setblocking(False)
        listener.bind((address[0], port, *address[2:]))
    except OSError:
        listener.close()
        raise
    return listener


def _close(listeners: list[socket.socket]) -> None:
    for listener in listeners:
        listener.close()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


# Who holds a port, as far as /proc tells: its owner and root may look, and only on Linux.


def _by_whom(port: int) -> str:
    pid = _holder_of(port)
    if pid is None:
        return ""
    try:
        program, *arguments = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return f" (pid {pid})"
    return f" (pid {pid} {quote(' '.join([Path(program).name, *arguments]).strip())})"


def _holder_of(port: int) -> int | None:
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not wanted:
        return None
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and not wanted.isdisjoint(_open_files(entry / "fd")):
            return int(entry.name)
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    for table in _TABLES:
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            columns = row.split()
            if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                yield columns[9]


def _open_files(directory: Path) -> Iterator[str]:
    try:
        for descriptor in directory.iterdir():
            yield os.readlink(descriptor)
    except OSError:
        return  # the process has ended, or is another user's
