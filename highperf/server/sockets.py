"""Opens what the server listens on, and says in one line why it cannot be had.

Owns the listening sockets of a server, slot by slot. Must not know who serves on them.

TCP: with several slots, each has a socket of its own (SO_REUSEPORT), among which the kernel shares
connections out; so that nobody joins unasked, an exclusive socket is bound first, and what is bound
refuses others from then on, listening or not. A slot that stays alone has an exclusive socket. A Unix socket,
or one that was inherited, is shared by all slots, each of which has a descriptor of its own; so is
TCP where SO_REUSEPORT does not balance.
"""

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from highperf.config import Settings
from highperf.errors import StartupError
from highperf.server import systemd
from highperf.server.holders import port_holder
from highperf.server.inherited import from_fd
from highperf.server.logs import logger
from highperf.server.trust import open_trust
from highperf.server.unix import SocketFile, bind_path
from highperf.values import quote, split_address

BALANCED: Final = sys.platform == "linux"  # elsewhere the last socket bound to a port gets all connections


_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h
# A classic BPF program (struct sock_filter each: code, jump if true, jump if false, operand) that sees TCP's header.
_NO_NEWCOMERS: Final = b"".join(
    struct.pack("HBBI", *step)
    for step in (
        (0x30, 0, 0, 13),  # ldb [13]: the flags
        (0x54, 0, 0, 0x12),  # and SYN | ACK
        (0x15, 0, 1, 0x02),  # jeq SYN
        (0x06, 0, 0, 0),  # ret 0: a connection would begin; drop it
        (0x06, 0, 0, 0xFFFF_FFFF),  # ret all: one that has begun goes on
    )
)


class Listeners(NamedTuple):
    """The bound sockets of a server: for each slot those that its worker is to serve, which are the slot's to
    close. The file is that of a Unix socket, where there is one."""

    slots: Sequence[list[socket.socket]]
    file: SocketFile | None = None
    balanced: bool = False  # SO_REUSEPORT: each slot has a socket of its own for each address
    ours: bool = True  # bound here; whoever passed others on may serve them again
    metrics: Sequence[socket.socket] = ()  # of --metrics-address, for all slots

    def another_slot(self) -> list[socket.socket]:
        """The sockets of one slot more, which are not kept here."""
        return _bind_beside(self.slots[0]) if self.balanced else _dup(self.slots[0])

    def turn_away(self) -> None:
        """Before the sockets are closed for good: see turn_away(); but not where they are another's."""
        for listeners in self.slots if self.ours else ():
            turn_away(listeners)

    def close(self) -> None:
        """Remove the file, unless it has become another server's, and close the sockets."""
        if self.file:
            self.file.remove()
        for listeners in (*self.slots, self.metrics):
            _close(listeners)


def open_listeners(settings: Settings, slots: int = 1, *, may_grow: bool = False) -> Listeners:
    """What these settings, or systemd, say to listen on, for this number of slots; a single slot too shares a
    TCP port out if there may be more. StartupError says why it cannot be had, and the way out."""
    listeners = _open(settings, slots, may_grow)
    try:
        listeners = listeners._replace(metrics=_open_metrics(settings))
    except StartupError:
        listeners.close()
        raise
    if warning := open_trust(settings.forwarded_allow_ips, listeners.slots[0]):
        logger.warning("%s", warning)
    return listeners


def _open(settings: Settings, slots: int, may_grow: bool) -> Listeners:
    from_systemd = _from_systemd(settings)
    if from_systemd:
        return _shared(from_systemd, slots, ours=False)
    if settings.fd is not None:
        return _shared([from_fd(settings.fd)], slots, ours=False)
    if settings.uds:
        listener, file = bind_path(settings.uds, settings.uds_permissions)
        return _shared([listener], slots, file)
    exclusive = bind(settings.host, settings.port)
    if not BALANCED or (slots == 1 and not may_grow):
        return _shared(exclusive, slots)
    try:
        return Listeners([_bind_beside(exclusive) for _ in range(slots)], balanced=True)
    finally:
        _close(exclusive)


def _open_metrics(settings: Settings) -> list[socket.socket]:
    if not settings.metrics_address:
        return []
    return bind(*split_address(settings.metrics_address), flag="--metrics-address")


def bind(host: str, port: int, *, flag: str = "") -> list[socket.socket]:
    """Bound, not yet listening sockets for every address that the host name stands for, all on one port;
    port 0 lets the kernel choose it. StartupError says why not, and the way out: the flag, or else those
    that name host and port."""
    bound: list[socket.socket] = []
    missing: OSError | None = None
    for family, address in _addresses(host, port, flag):
        try:
            bound.append(_bind_one(family, (address[0], bound[0].getsockname()[1] if bound else port, *address[2:])))
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                _close(bound)
                raise StartupError(bind_failure(error, host, port, flag)) from None
            missing = error  # "localhost" means ::1 as well, which a machine without IPv6 does not have
    if not bound:
        raise StartupError(bind_failure(missing or OSError(errno.EADDRNOTAVAIL, ""), host, port, flag))
    return bound


def listen(listener: socket.socket, backlog: int) -> None:
    """Let the kernel complete connections. StartupError where another process has begun that since bind()."""
    try:
        if listener.family != socket.AF_UNIX:
            _reuse_address(listener, True)  # listen(2) looks for others too, connections in TIME_WAIT among them
        listener.listen(backlog)
    except OSError as error:
        raise StartupError(_listen_failure(error, listener)) from None


def turn_away(listeners: Sequence[socket.socket]) -> None:
    """Let the kernel begin no more connections there, in whichever process, for ever; those that wait can still
    be accepted, and so can those whose handshake is under way, in a moment. So closing the sockets then resets
    nobody; who comes later tries again, and is then refused.

    Where that cannot be had (other systems than Linux), a connection may be completed and reset in between.
    """
    for listener in listeners:
        with suppress(OSError):
            if listener.family == socket.AF_UNIX:
                listener.shutdown(socket.SHUT_RD)
            elif sys.platform == "linux":
                import ctypes

                program = ctypes.create_string_buffer(_NO_NEWCOMERS, len(_NO_NEWCOMERS))
                steps = len(_NO_NEWCOMERS) // 8
                filtering = struct.pack("HxxxxxxP", steps, ctypes.addressof(program))  # struct sock_fprog
                listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filtering)


def take_waiting(listener: socket.socket, most: int = sys.maxsize) -> list[socket.socket]:
    """The connections that the kernel has completed and nobody has accepted yet, but no more than that many."""
    taken: list[socket.socket] = []
    while len(taken) < most:
        try:
            taken.append(listener.accept()[0])
        except OSError:  # BlockingIOError: no more of them; or no file is left
            break
    return taken


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    """scheme://host:port, or unix:path."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{_shown_path(listener.getsockname())}"
    host, port = listener.getsockname()[:2]
    return f"{scheme}://{_bracketed(host)}:{port}"


def tell_metrics(listeners: Listeners) -> None:
    """Say where the metrics are, if they have an address of their own."""
    if listeners.metrics:
        logger.info("Metrics are on %s", " and ".join(f"{url_of(listener)}/metrics" for listener in listeners.metrics))


def bind_failure(error: OSError, host: str, port: int, flag: str = "") -> str:
    """One line for an error of bind(2) or listen(2)."""
    place = _bracketed(host)
    if flag:
        reason = f"is in use{port_holder(port)}" if error.errno == errno.EADDRINUSE else "is not to be had"
        why = "" if error.errno == errno.EADDRINUSE else f": {os.strerror(error.errno or 0)}"
        return f"Port {port} on {place}, of {flag}, {reason}{why}. Try another {flag}."
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else port - 1
        return f"Port {port} on {place} is in use{port_holder(port)}. Try --port {other} or --port 0."
    if error.errno == errno.EACCES:
        return f"Port {port} on {place} needs privileges that this process does not have. Try --port 8080."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{place} is not an address of this machine. Try --host 127.0.0.1, or --host 0.0.0.0 for all."
    return f"Could not listen on {place}, port {port}: {os.strerror(error.errno or 0)}. Try another --host or --port."


def _listen_failure(error: OSError, listener: socket.socket) -> str:
    if listener.family == socket.AF_UNIX:
        return f"Could not listen on {url_of(listener)}: {os.strerror(error.errno or 0)}. Try another --uds."
    host, port = listener.getsockname()[:2]
    return bind_failure(error, host, port)


def _from_systemd(settings: Settings) -> list[socket.socket]:
    """The sockets that systemd has opened for this process, unless the command line names an address."""
    passed = systemd.take_listen_fds(os.environ)
    shown = ", ".join(f"{fd} ({name})" if name else str(fd) for fd, name in passed)
    if passed and settings.address_is_flag:
        logger.warning("The command line names an address: the sockets of systemd are left alone (fd %s)", shown)
        return []
    if passed:
        logger.info("Listening on the sockets of systemd (fd %s)", shown)
    return [from_fd(fd, name) for fd, name in passed]


def _shared(
    listeners: list[socket.socket], slots: int, file: SocketFile | None = None, *, ours: bool = True
) -> Listeners:
    return Listeners([listeners, *(_dup(listeners) for _ in range(1, slots))], file, ours=ours)


def _addresses(host: str, port: int, flag: str = "") -> Iterator[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    name = host.removeprefix("[").removesuffix("]")
    try:
        octets = name.encode("ascii") if name.isascii() else name  # text of any kind loads the tables of IDNA
        found = socket.getaddrinfo(octets, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a host name"
        way_out = f"another {flag}" if flag else "--host 127.0.0.1, or --host 0.0.0.0 for all"
        raise StartupError(f"Host {quote(host)} cannot be resolved: {reason}. Try {way_out}.") from None
    yield from dict.fromkeys((family, address) for family, _, _, _, address in found)


def _dup(listeners: Sequence[socket.socket]) -> list[socket.socket]:
    return [listener.dup() for listener in listeners]


def _bind_beside(listeners: Sequence[socket.socket]) -> list[socket.socket]:
    bound: list[socket.socket] = []
    for listener in listeners:
        address = listener.getsockname()
        try:
            bound.append(_bind_one(listener.family, address, balanced=True))
        except OSError as error:
            _close(bound)
            raise StartupError(bind_failure(error, *address[:2])) from None
    for listener in bound:
        _reuse_address(listener, False)  # or the next server's exclusive socket would fit in until we listen
    return bound


def _bind_one(family: int, address: tuple[Any, ...], *, balanced: bool = False) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # a restart must not wait for connections in TIME_WAIT; on Linux this does not share a live listener
        _reuse_address(listener, True)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, balanced)
        if family == socket.AF_INET6:
            # "::" alone is every address of the machine, IPv4 too
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        listener.setblocking(False)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _reuse_address(listener: socket.socket, allowed: bool) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, allowed)


def _close(listeners: Sequence[socket.socket]) -> None:
    for listener in listeners:
        listener.close()


def _shown_path(address: str | bytes) -> str:
    """A Unix socket's address as --uds takes it: a path, or "@name" in Linux' abstract space."""
    return address if isinstance(address, str) else "@" + os.fsdecode(address[1:])


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
