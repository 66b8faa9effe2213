"""Thousands of connections that dawdle, carried by one thread: octets trickle out or in, one a second on each."""

import contextlib
import select
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from bench.load.openloop import percentile
from bench.load.places import HOST
from bench.load.server import NotMeasured

TICK_S = 0.001  # as many as are due in so short a time follow each other
SAMPLE_S = 0.25
CONNECT_S = 20.0
SMALL_BUFFER = 4096
READ_BYTES = 65536


@dataclass(frozen=True)
class Manner:
    """How a client dawdles."""

    name: str
    first: bytes  # what it sends at once
    drip: bytes = b""  # and then, one octet each second, again and again
    reads: bool = True  # what comes, else one octet each second


class Dawdler:
    """One connection. Times are seconds of CLOCK_MONOTONIC."""

    __slots__ = ("begun_s", "gone_s", "got", "how", "sent", "socket")

    def __init__(self, port: int, manner: Manner) -> None:
        self.socket = socket.socket()
        if not manner.reads:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        self.socket.settimeout(CONNECT_S)
        self.begun_s = time.monotonic()
        self.socket.connect((HOST, port))
        self.socket.sendall(manner.first)
        self.socket.setblocking(False)
        self.got = b""
        self.sent = 0
        self.gone_s = 0.0  # 0: it is there
        self.how = ""

    def read(self, most: int) -> None:
        try:
            octets = self.socket.recv(most)
        except BlockingIOError:
            return
        except OSError:
            self.gone("reset")
            return
        if not octets:
            self.gone("closed")
        elif len(self.got) < READ_BYTES:
            self.got += octets

    def gone(self, how: str) -> None:
        if not self.gone_s:
            self.gone_s, self.how = time.monotonic(), how
            self.socket.close()


class Crowd:
    """All of them. They come one after another, and take turns, so that work for the server is spread evenly."""

    def __init__(self, port: int, manner: Manner, count: int) -> None:
        self.manner = manner
        self.members: list[Dawdler] = []
        self.by_fd: dict[int, Dawdler] = {}
        self.poll = select.epoll()
        self.history: list[tuple[float, int]] = []  # time and how many are there
        self.turns = 0  # taken so far, since start_s
        self.late_s = 0.0  # the longest time between two looks at all of them: theirs, not the server's
        self.port = port
        self.count = count
        self.start_s = self.sampled_s = self.looked_s = 0.0

    def come(self) -> None:
        """Those that are there already dawdle on meanwhile."""
        self.start_s = self.sampled_s = self.looked_s = time.monotonic()
        for number in range(self.count):
            try:
                one = Dawdler(self.port, self.manner)
            except OSError as error:
                raise NotMeasured(f"{self.manner.name} {number}: {error}") from error
            self.members.append(one)
            self.by_fd[one.socket.fileno()] = one
            self.poll.register(one.socket, select.EPOLLIN if self.manner.reads else select.EPOLLRDHUP)
            if number % 50 == 0:
                self._turn()

    def run(self, until_s: float) -> None:
        while time.monotonic() < until_s:
            self._turn()
            time.sleep(TICK_S)

    def run_while_there(self, until_s: float) -> None:
        while self.there and time.monotonic() < until_s:
            self.run(time.monotonic() + SAMPLE_S)

    @property
    def there(self) -> int:
        return len(self.by_fd)

    def ends(self) -> Counter[str]:
        """How they ended, with the status of the answer that they got before."""
        return Counter(" ".join(filter(None, (one.got[9:12].decode(), one.how))) for one in self.members if one.gone_s)

    def stay_s(self, percent: float) -> float:
        """How long the connections lasted."""
        return percentile(sorted(one.gone_s - one.begun_s for one in self.members if one.gone_s), percent)

    def leave(self) -> None:
        for one in self.members:
            one.gone("left")
        self.poll.close()

    def _turn(self) -> None:
        now_s = time.monotonic()
        self.late_s, self.looked_s = max(self.late_s, now_s - self.looked_s), now_s
        for one in self._due(now_s):
            self._dawdle(one)
        for fd, events in self.poll.poll(0):
            one = self.by_fd[fd]
            if self.manner.reads:
                one.read(READ_BYTES)
            elif events & (select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP):
                one.gone("reset" if events & select.EPOLLERR else "closed")
            if one.gone_s:
                del self.by_fd[fd]
        if now_s - self.sampled_s >= SAMPLE_S:
            self.sampled_s = now_s
            self.history.append((now_s, self.there))

    def _due(self, now_s: float) -> Iterator[Dawdler]:
        """Whose turn it is: everyone's, once a second."""
        if not self.members:
            return
        due = int((now_s - self.start_s) * self.count)
        for turn in range(max(self.turns, due - self.count), due):
            place = turn % self.count
            if place < len(self.members) and not self.members[place].gone_s:
                yield self.members[place]
        self.turns = due

    def _dawdle(self, one: Dawdler) -> None:
        if not self.manner.reads:
            fd = one.socket.fileno()
            one.read(1)
            if one.gone_s:
                self.by_fd.pop(fd, None)
        elif self.manner.drip:
            with contextlib.suppress(OSError):  # that it has ended shows when it is read from
                at = one.sent % len(self.manner.drip)
                one.sent += one.socket.send(self.manner.drip[at : at + 1])
