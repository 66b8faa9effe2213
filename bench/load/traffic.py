"""Clients on raw sockets, as many as one thread carries: each asks, waits for the answer, pauses, asks again.

They do what a careful client does, and no more: keep a connection until an answer says `Connection: close` or it
is closed while nothing is asked on it, look whether it is before they ask again, and then connect
anew. They never ask anything twice. What became of each request stands in `requests`, and how
connections ended on which nothing was asked in `ended`; see outcomes.py.

The app is apps/proofs_app.py: an answer names its request and the process that gave it.
"""

import errno
import functools
import heapq
import itertools
import random
import select
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.load.openloop import NS
from bench.load.outcomes import Ended, Outcome, Quiet, Request
from bench.load.places import HOST
from bench.load.server import NotMeasured

OK = 200
READ_BYTES = 65536
START_S = 0.1  # within which all clients ask first
SWEEP_S = 0.1  # how exactly a timeout is kept
HALF_S = 0.01  # from the first half of the content to the second
AFTER_FAILURE_S = 0.01
ENDS = {
    0: Outcome.CLOSED,
    errno.ECONNRESET: Outcome.RESET,
    errno.EPIPE: Outcome.RESET,
    errno.ECONNREFUSED: Outcome.REFUSED,
    errno.ETIMEDOUT: Outcome.TIMEOUT,
}
SPREAD = 0.5  # pauses differ by so much, so that clients do not march in step


@dataclass(frozen=True)
class Kind:
    """So many clients that do the same."""

    name: str
    clients: int
    pause_s: float  # from an answer to the next request
    path: str = "/at"
    keeps: bool = True  # its connection, for the next request
    turns: int = 0  # requests on one connection, of which the last asks for its end; 0: as many as it lasts
    content: int = 0  # octets of content; the second half follows later than the first
    allowed: tuple[int, ...] = (OK,)  # statuses that are right


class Connection:
    """One socket, with at most one request on it."""

    def __init__(self, client: "Client") -> None:
        self.client = client
        self.traffic = client.traffic
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pid = 0
        self.asked = 0
        self.got = b""
        self.unsent = b""
        self.ends_ns = 0  # since when it has said that it ends
        self.connected = False
        self.open = True

    def connect(self) -> None:
        """Nearby, it stands at once, and nothing is gained by leaving it silent for a while; else see ready()."""
        code = self.socket.connect_ex((HOST, self.traffic.port))
        if code in (0, errno.EINPROGRESS):
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self.over(code)
            return
        self.traffic.connections[self.socket.fileno()] = self
        self.connected = self.stands()
        self.traffic.poll.register(self.socket, select.EPOLLIN if self.connected else select.EPOLLOUT)
        if self.connected:
            self.send()

    def stands(self) -> bool:
        try:
            self.socket.getpeername()
        except OSError:
            return False
        return True

    def ask(self, octets: bytes, later: bytes) -> None:
        self.asked += 1
        self.unsent = octets
        if later:
            self.traffic.after(HALF_S, functools.partial(self.add, later, self.asked))
        if self.connected:
            self.send()

    def add(self, octets: bytes, number: int) -> None:
        """The rest of the request's content, if that is still the request, and still unanswered."""
        if self.open and self.client.serial >= 0 and self.client.connection is self and number == self.asked:
            self.unsent += octets
            if self.connected:
                self.send()

    def send(self) -> None:
        try:
            sent = self.socket.send(self.unsent)
        except OSError:
            self.receive()  # an answer may have come before the end did
            if self.open:
                self.over(errno.EPIPE)
            return
        self.unsent = self.unsent[sent:]
        if self.unsent:
            raise NotMeasured("a request did not fit into the socket's buffer")

    def ready(self) -> None:
        if self.connected:
            self.receive()
        elif code := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.over(code)
        else:
            self.connected = True
            self.traffic.poll.modify(self.socket, select.EPOLLIN)
            self.send()

    def receive(self) -> None:
        try:
            octets = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.over(error.errno or errno.ECONNRESET)
            return
        if octets:
            self.got += octets
            self.client.heard(self)
        else:
            self.over(0)

    def over(self, code: int) -> None:
        """The connection has ended; 0: politely."""
        self.drop()
        self.client.lost(self, code)

    def drop(self) -> None:
        if self.open:
            self.open = False
            self.traffic.connections.pop(self.socket.fileno(), None)
            self.socket.close()


class Client:
    """Asks again and again, on a connection that it keeps or on one for each request."""

    def __init__(self, traffic: "Traffic", kind: Kind) -> None:
        self.traffic = traffic
        self.kind = kind
        self.connection: Connection | None = None
        self.serial = -1  # of the request that is under way
        self.begun_ns = 0
        self.fresh = False
        self.done = False

    def ask(self) -> None:
        if self.traffic.stopping:
            self.done = True
            return
        if self.connection is not None:
            self.connection.receive()  # notices its end, before anything is asked on it
        self.serial, self.begun_ns = next(self.traffic.serials), time.monotonic_ns()
        self.fresh = self.connection is None
        connection = self.connection or Connection(self)
        self.connection = connection
        connection.ask(*self.spell())
        if not connection.connected and connection.open:
            connection.connect()

    def spell(self) -> tuple[bytes, bytes]:
        """The request, and the part of it that follows later."""
        kind = self.kind
        last = not kind.keeps or (self.connection is not None and self.connection.asked + 1 == kind.turns)
        method, fields = "GET", "Connection: close\r\n" if last else ""
        if kind.content:
            method, fields = "POST", f"{fields}Content-Length: {kind.content}\r\n"
        head = f"{method} {kind.path}/{self.serial} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n".encode()
        content = b"c" * kind.content
        half = len(content) // 2
        return head + content[:half], content[half:]

    def heard(self, connection: Connection) -> None:
        if connection.ends_ns or self.serial < 0:
            connection.drop()
            self.traffic.note(connection, Quiet.SPOKE)
            self.forget(connection)
            return
        head, border, content = connection.got.partition(b"\r\n\r\n")
        if not border:
            return
        status, length, closes = read_head(head)
        if len(content) < length:
            return
        connection.got = b""
        right = len(content) == length and status in self.kind.allowed
        if right and status == OK:
            connection.pid = self.check(content)
            right = connection.pid > 0
            if right:
                self.traffic.workers.setdefault(connection.pid, time.monotonic_ns())
        if not right:
            connection.drop()
        elif closes or not self.kind.keeps:
            connection.ends_ns = time.monotonic_ns()
        if closes or not self.kind.keeps or not right:
            self.forget(connection)
        self.became(Outcome.OK if right else Outcome.WRONG, connection, status)

    def check(self, content: bytes) -> int:
        """The process that gave the answer to just this request; 0: it is another's."""
        words = content.split()
        if len(words) != 3 or not all(word.isdigit() for word in words):
            return 0
        serial, pid, length = map(int, words)
        return pid if (serial, length) == (self.serial, self.kind.content) else 0

    def lost(self, connection: Connection, code: int) -> None:
        if connection is not self.connection or self.serial < 0:
            how = Quiet.CLOSED if not code else Quiet.RESET_AT_END if connection.ends_ns else Quiet.RESET
            if code or not connection.ends_ns:
                self.traffic.note(connection, how)
            self.forget(connection)
            return
        self.forget(connection)
        if code not in ENDS:
            raise NotMeasured(f"a client cannot connect: {errno.errorcode.get(code, code)}")
        truncated = connection.got and code != errno.ETIMEDOUT
        self.became(Outcome.TRUNCATED if truncated else ENDS[code], connection)

    def became(self, outcome: Outcome, connection: Connection, status: int = 0) -> None:
        """The end of the request under way; the next follows after the pause."""
        now_ns = time.monotonic_ns()
        request = Request(
            self.serial, self.kind.name, self.begun_ns, now_ns, outcome, status, connection.pid, self.fresh
        )
        self.traffic.requests.append(request)
        self.serial = -1
        if outcome is Outcome.REFUSED and self.traffic.until_refused:
            self.done = True
            return
        pause_s = self.kind.pause_s * (1 + SPREAD * (2 * self.traffic.chance.random() - 1))
        self.traffic.after(pause_s if outcome is Outcome.OK else max(pause_s, AFTER_FAILURE_S), self.ask)

    def forget(self, connection: Connection) -> None:
        if self.connection is connection:
            self.connection = None


def read_head(head: bytes) -> tuple[int, int, bool]:
    """Status, Content-Length (-1: none, which is wrong here), whether the connection ends."""
    status_line, *fields = head.lower().split(b"\r\n")
    length, closes = -1, False
    for field in fields:
        name, _, value = field.partition(b":")
        if name == b"content-length":
            length = int(value)
        elif name == b"connection":
            closes = value.strip() == b"close"
    parts = status_line.split()
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0, length, closes


class Traffic:
    """The clients, the socket events that they wait for, and an agenda of what is due."""

    def __init__(
        self, port: int, kinds: Sequence[Kind], timeout_s: float = 5.0, until_refused: bool = False, seed: int = 1
    ) -> None:
        """`until_refused`: a client ends where it finds nobody listening."""
        self.port = port
        self.timeout_s = timeout_s
        self.until_refused = until_refused
        self.stopping = False
        self.requests: list[Request] = []
        self.ended: list[Ended] = []
        self.workers: dict[int, int] = {}  # the process ids of those that answered; when each did first
        self.serials = itertools.count()
        self.chance = random.Random(seed)
        self.poll = select.epoll()
        self.connections: dict[int, Connection] = {}
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.late_ns = 0  # by which the clients themselves were, at most: other processes had the CPU
        self.start_ns = time.monotonic_ns()
        self.clients = [Client(self, kind) for kind in kinds for _ in range(kind.clients)]
        for client in self.clients:
            self.after(self.chance.random() * START_S, client.ask)
        self.after(SWEEP_S, self._sweep)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (time.monotonic_ns() + round(seconds * NS), next(self._order), action))

    def at(self, seconds: float, action: Callable[[], None]) -> None:
        """Counted from the start."""
        heapq.heappush(self._agenda, (self.start_ns + round(seconds * NS), next(self._order), action))

    @property
    def elapsed_s(self) -> float:
        return (time.monotonic_ns() - self.start_ns) / NS

    def run(self, seconds: float) -> None:
        """Until so long after the start."""
        self.run_while(lambda: self.elapsed_s < seconds)

    def run_while(self, condition: Callable[[], bool]) -> None:
        while condition():
            self._turn()

    def finish(self) -> None:
        """Asks nothing more, and waits for the answers that are to come and for the ends of their connections."""
        self.stopping = True
        self.run_while(lambda: any(client.serial >= 0 for client in self.clients) or bool(self._ending()))
        for connection in list(self.connections.values()):
            connection.drop()
        self.poll.close()

    def over(self) -> bool:
        """No client will ask again."""
        return all(client.done for client in self.clients)

    def open_to(self, pid: int) -> int:
        """How many connections there are to this worker, or to one that is not known yet."""
        return sum(connection.pid in (pid, 0) for connection in self.connections.values())

    def note(self, connection: Connection, how: Quiet) -> None:
        self.ended.append(Ended(time.monotonic_ns(), how, connection.pid))

    def _ending(self) -> Iterable[Connection]:
        return [connection for connection in self.connections.values() if connection.ends_ns]

    def _turn(self) -> None:
        wait_s = max(0.0, (self._agenda[0][0] - time.monotonic_ns()) / NS)
        for fd, _ in self.poll.poll(min(wait_s, SWEEP_S)):
            if connection := self.connections.get(fd):  # none: it was dropped meanwhile
                connection.ready()
        now_ns = time.monotonic_ns()
        self.late_ns = max(self.late_ns, now_ns - self._agenda[0][0])
        while self._agenda[0][0] <= now_ns:  # never empty: the sweep is on it
            heapq.heappop(self._agenda)[2]()

    def _sweep(self) -> None:
        """Ends what takes too long."""
        limit_ns = time.monotonic_ns() - round(self.timeout_s * NS)
        for client in self.clients:
            if client.serial >= 0 and client.begun_ns < limit_ns and client.connection is not None:
                client.connection.over(errno.ETIMEDOUT)
        for connection in self._ending():
            if connection.ends_ns < limit_ns:
                connection.drop()
                self.note(connection, Quiet.LEFT_OPEN)
        self.after(SWEEP_S, self._sweep)
