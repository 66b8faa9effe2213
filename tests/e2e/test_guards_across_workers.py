"""What guards promise, they promise for all workers together: forked ones, over sockets, by the real clock."""

import contextlib
import json
import os
import re
import selectors
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.answers import split_answers
from tests.effort import effort
from tests.servers import PATIENCE_S, running

PROGRAM = str(Path(__file__).parent / "forked_workers.py")
RATE = CAPACITY = effort(1000)
OVERLOAD_S = 1.0
BATCH = effort(50)
OPEN_S = 0.5  # as forked_workers has it

GET = b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n"


def received(connection: socket.socket) -> bytes:
    """The octets that come next; a connection that ends is a failure, nothing to wait for."""
    octets = connection.recv(1 << 20)
    assert octets
    return octets


class WorkerAsked:
    """One worker, and a connection to it."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self.port = port
        self.socket = self.connect()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)

    def ask(self, path: bytes, times: int = 1, field: bytes = b"") -> list[int]:
        """The statuses of so many requests, which are sent together."""
        return [status for status, _ in self.answers(path, times, field)]

    def answers(self, path: bytes, times: int = 1, field: bytes = b"") -> list[tuple[int, bytes]]:
        self.socket.sendall(GET % (path, field) * times)
        octets = b""
        while True:
            octets += received(self.socket)
            answers, rest = split_answers(octets)
            if len(answers) == times:
                assert not rest
                return [(answer.status, answer.content) for answer in answers]

    def hold(self) -> socket.socket:
        """A connection on which a call to what the breaker guards has begun, and waits."""
        connection = self.connect()
        connection.sendall(GET % (b"/db/hold", b""))
        self.until(b"/held", (200, b"1"))
        return connection

    def until(self, path: bytes, wanted: tuple[int, bytes]) -> None:
        """Asks again and again."""
        deadline = time.monotonic() + PATIENCE_S
        while self.answers(path) != [wanted]:
            assert time.monotonic() < deadline

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ConnectionResetError):
            while self.socket.recv(65536):
                pass


@contextmanager
def workers(count: int, **settings: object) -> Iterator[list[WorkerAsked]]:
    with running(program=[PROGRAM, str(count), json.dumps(settings)], until=r"ready\n") as server:
        found = re.findall(r"worker (\d+) (\d+)\n", server.stderr)
        asked = [WorkerAsked(int(pid), int(port)) for pid, port in found]
        assert len(asked) == count
        try:
            yield asked
        finally:
            for one in asked:
                one.socket.close()


# ---- rate limits ----------------------------------------------------------------------------------


class Hammer:
    """Keeps every worker busy with batches of requests, and counts the answers.

    Attributes:
        full_s: an instant by which the bucket was not full any more.
        empty_s: the last one that is known to lie before a moment at which it was empty.
    """

    def __init__(self, asked: list[WorkerAsked]) -> None:
        self.selector = selectors.DefaultSelector()
        self.admitted = self.refused = 0
        self.full_s = self.empty_s = 0.0
        self.awaited: dict[WorkerAsked, int] = {}
        self.sent_s: dict[WorkerAsked, float] = {}
        for one in asked:
            self.selector.register(one.socket, selectors.EVENT_READ, one)
            self.send(one)

    def run(self, until_s: float) -> None:
        while time.monotonic() < until_s:
            self.turn(again=True)

    def finish(self) -> None:
        while self.awaited:
            self.turn(again=False)

    def drop(self, one: WorkerAsked) -> None:
        self.selector.unregister(one.socket)
        del self.awaited[one]

    def send(self, one: WorkerAsked) -> None:
        self.awaited[one] = BATCH
        self.sent_s[one] = time.monotonic()
        one.socket.sendall(GET % (b"/now", b"") * BATCH)

    def turn(self, *, again: bool) -> None:
        for key, _ in self.selector.select(PATIENCE_S):
            self.count(key.data)
            if self.awaited[key.data] == 0:
                if again:
                    self.send(key.data)
                else:
                    self.drop(key.data)

    def count(self, one: WorkerAsked) -> None:
        octets = received(one.socket)
        while not octets.endswith((b"}", b"\r\n\r\n")):  # not in the midst of what is counted
            octets += received(one.socket)
        admitted, refused = octets.count(b"HTTP/1.1 200 "), octets.count(b"HTTP/1.1 429 ")
        self.full_s = self.full_s or time.monotonic()
        if refused:
            self.empty_s = max(self.empty_s, self.sent_s[one])
        self.admitted += admitted
        self.refused += refused
        self.awaited[one] -= admitted + refused


@pytest.mark.parametrize("killed", [0, 1], ids=["all live", "one is killed"])
def test_the_rate_of_the_server_is_kept_over_all_workers_and_used_up(killed: int) -> None:
    with workers(3, rate_limit_rps=RATE, rate_limit_capacity=CAPACITY, limit_concurrency=0) as asked:
        first_s = time.monotonic()
        hammer = Hammer(asked)
        hammer.run(first_s + OVERLOAD_S / 2)
        for one in asked[:killed]:
            hammer.drop(one)
            one.kill()
        hammer.run(first_s + OVERLOAD_S)
        hammer.finish()
        last_s = time.monotonic()
    assert hammer.refused > hammer.admitted
    assert hammer.admitted <= CAPACITY + RATE * (last_s - first_s)
    unheard = killed * BATCH  # of what it admitted
    assert hammer.admitted >= 0.99 * (CAPACITY + RATE * (hammer.empty_s - hammer.full_s)) - unheard


def test_each_key_has_its_tokens_once_over_all_workers() -> None:
    with workers(2) as asked:
        for key in range(20):
            field = b"X-Key: %d\r\n" % key
            statuses = [status for one in asked * 5 for status in one.ask(b"/keyed", 2, field)]
            assert statuses == [200] * 7 + [429] * 13


# ---- the circuit breaker ----------------------------------------------------------------------------


def test_the_breaker_opens_for_all_on_the_twentieth_failure_of_both() -> None:
    with workers(2) as (first, second):
        for _ in range(9):
            assert first.ask(b"/db/fail") == second.ask(b"/db/fail") == [500]
        assert first.ask(b"/db/fail") == [500]
        opened_s = time.monotonic()
        assert second.ask(b"/db/fail") == [500]
        statuses = [first.ask(b"/db/well"), second.ask(b"/db/well")]
        if time.monotonic() - opened_s < OPEN_S:
            assert statuses == [[503], [503]]
        second.until(b"/db/well", (200, b""))
        assert time.monotonic() - opened_s >= OPEN_S


def test_what_a_worker_saw_fail_counts_when_it_is_dead() -> None:
    with workers(2) as (first, second):
        assert first.ask(b"/db/fail", 10) == [500] * 10
        first.kill()
        assert second.ask(b"/db/fail", 11) == [500] * 10 + [503]


def test_one_call_probes_at_a_time_whichever_worker_it_comes_to() -> None:
    with workers(2, lease="60s") as (first, second):
        assert first.ask(b"/db/fail", 20) == [500] * 20
        second.until(b"/db/well", (200, b""))  # its time is over: a first success
        probe = first.hold()
        for one in (first, second) * 5:
            assert one.ask(b"/db/well", 4) == [503] * 4
        assert first.ask(b"/release") == [204]
        assert probe.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert second.ask(b"/db/well") == [200]  # the third; from here on it ramps up
        probe.close()


def test_a_probe_whose_worker_is_killed_is_replaced_when_its_lease_is_over() -> None:
    with workers(2, lease="300ms") as (first, second):
        assert second.ask(b"/db/fail", 20) == [500] * 20
        second.until(b"/db/well", (200, b""))
        before_s = time.monotonic()
        probe = first.hold()
        first.kill()
        second.until(b"/db/well", (200, b""))
        assert time.monotonic() - before_s >= 0.3
        assert second.ask(b"/db/well") == [200]
        probe.close()
