"""Clients that send garbage: broken, cut and mutated requests, each on a connection that it ends as it likes.

They take turns on the agenda of a Traffic. What a server may not do to them is answer 500 or keep them for
ever; everything else is right.
"""

import contextlib
import select
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from bench.load.connections import RESET_ON_CLOSE
from bench.load.places import HOST
from bench.load.traffic import Traffic
from fuzz.mutation import Mutator

PAUSE_S = 0.02  # from one to the next
STAY_S = 3.0  # those who are not sent away leave after so long
LONGEST = 4000
READ_BYTES = 65536
SEEDS = [
    b"GET /at/1 HTTP/1.1\r\nHost: a\r\n\r\n" * 3,
    b"POST /content/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    b"POST /content/1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),  # TLS where there is none
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x05\x01\x00SSH-2.0-x\r\n",
]
WORDS = [
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"\0",
    b":",
    b"Host: b\r\n",
    b"Content-Length: 9\r\n",
    b"Transfer-Encoding: chunked\r\n",
]


@dataclass
class Vandal:
    socket: socket.socket
    begun_s: float
    got: bytes = field(default=b"")


class Vandals:
    def __init__(self, traffic: Traffic, seed: int) -> None:
        self.traffic = traffic
        self.dice = Random(seed)
        self.mutator = Mutator(self.dice, WORDS, LONGEST)
        self.there: dict[int, Vandal] = {}
        self.poll = select.epoll()
        self.came = 0
        self.statuses = Counter[str]()  # of their last answers; "": none
        traffic.after(PAUSE_S, self.turn)

    def turn(self) -> None:
        if self.traffic.stopping:
            return
        self.come()
        for fd, _ in self.poll.poll(0):
            self.hear(self.there[fd])
        late_s = time.monotonic() - STAY_S
        for vandal in [vandal for vandal in self.there.values() if vandal.begun_s < late_s]:
            self.leave(vandal)
        self.traffic.after(PAUSE_S, self.turn)

    def come(self) -> None:
        vandal = Vandal(socket.socket(), time.monotonic())
        vandal.socket.settimeout(STAY_S)
        octets = self.mutator.mutate(self.dice.choice(SEEDS), self.dice.choice(SEEDS))
        try:
            vandal.socket.connect((HOST, self.traffic.port))
            vandal.socket.setblocking(False)
            vandal.socket.send(octets)
        except OSError:
            vandal.socket.close()
            self.statuses["no connection"] += 1
            return
        self.came += 1
        self.there[vandal.socket.fileno()] = vandal
        self.poll.register(vandal.socket, select.EPOLLIN)
        if self.dice.random() < 0.2:
            self.leave(vandal)

    def hear(self, vandal: Vandal) -> None:
        try:
            octets = vandal.socket.recv(READ_BYTES)
        except OSError:
            octets = b""
        vandal.got += octets
        if not octets:
            self.leave(vandal)

    def leave(self, vandal: Vandal) -> None:
        """Some are polite, some shut only one side before, some tear the connection down."""
        how = self.dice.randrange(3)
        with contextlib.suppress(OSError):
            if how == 1:
                vandal.socket.shutdown(socket.SHUT_WR)
            elif how == 2:
                vandal.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.statuses[vandal.got[vandal.got.rfind(b"HTTP/1.") :][9:12].decode("latin-1")] += 1
        del self.there[vandal.socket.fileno()]
        vandal.socket.close()

    def end(self) -> None:
        for vandal in list(self.there.values()):
            self.leave(vandal)
        self.poll.close()
