"""What systemd and a service tell each other: the sockets that it opened, and how the service is.

Owns the variables of that protocol: each is taken out of the environment when it is read, for it is
meant for this process and not for its children. Nothing here fails for want of systemd, or because
it does not listen: a service that cannot say how it is has to serve all the same.
"""

import asyncio
import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final, Self

LISTEN_FDS_START: Final = 3
VARIABLES: Final = (
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
)  # no process inherits these from its server

_DIGITS: Final = 18
_COUNT_DIGITS: Final = 4  # what is longer is no count of sockets


def take_listen_fds(environ: MutableMapping[str, str]) -> list[tuple[int, str]]:
    """Number and name of each socket that systemd opened for this process (sd_listen_fds(3)); the name may
    be empty."""
    pid, count, names = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()) or not count.isdecimal() or len(count) > _COUNT_DIGITS:
        return []
    named = names.split(":")
    fds = range(LISTEN_FDS_START, LISTEN_FDS_START + int(count))
    return [(fd, named[index] if index < len(named) else "") for index, fd in enumerate(fds)]


class Notifier:
    """Tells systemd how this service is (sd_notify(3)), where it asked for that."""

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_s = watchdog_s
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Self:
        """The one that the environment asks for, which says nothing if it asks for none."""
        address, pid, period = (environ.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"))
        if not address.startswith(("/", "@")):
            return cls()
        is_meant = pid in ("", str(os.getpid())) and period.isdecimal() and len(period) <= _DIGITS
        return cls(address, int(period) / 1_000_000 if is_meant else 0.0)

    def ready(self, status: str) -> None:
        """The start, or a reload, is over; connections are accepted."""
        self._send("READY=1", f"STATUS={_line(status)}")

    def reloading(self, status: str) -> None:
        """A reload begins, which ready() ends however it went."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now_us}", f"STATUS={_line(status)}")

    def stopping(self, status: str) -> None:
        self._send("STOPPING=1", f"STATUS={_line(status)}")

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={_line(status)}")

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on, say twice in each period of the watchdog that the loop turns."""
        self.close()
        if self._watchdog_s:
            self._send("WATCHDOG=1")
            self._timer = loop.call_later(self._watchdog_s / 2, self.watch, loop)

    def close(self) -> None:
        """End watch()."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _send(self, *assignments: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(assignments).encode(), self._address)
        except OSError:
            pass  # nobody listens, or its queue is full


def _line(text: str) -> str:
    return " ".join(text.split())
