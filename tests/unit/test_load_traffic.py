"""The clients of the proofs: what each way in which a server can fail them counts as."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bench.load.outcomes import Outcome, Quiet
from bench.load.traffic import Kind, Traffic, read_head

PATIENCE_S = 10.0
RESET = struct.pack("ii", 1, 0)  # linger 0
Script = Callable[[socket.socket, "Asked"], None]


class Asked:
    """The requests on one connection, as a server sees them."""

    def __init__(self, connection: socket.socket) -> None:
        self.file = connection.makefile("rb")

    def next(self) -> tuple[int, list[bytes]]:
        """The serial and the header fields of the next one."""
        line = self.file.readline()
        fields = list(iter(self.file.readline, b"\r\n")) if line else []
        return int(line.split()[1].rpartition(b"/")[2]) if line else -1, fields


def answer(serial: int, pid: int = 7, length: int = 0, fields: str = "") -> bytes:
    body = f"{serial} {pid} {length}"
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{fields}\r\n{body}".encode()


@contextmanager
def served(*scripts: Script) -> Iterator[int]:
    """Plays one script for each connection that comes; its end closes the connection. Nobody listens afterwards."""

    def play() -> None:
        with listener:
            for script in scripts:
                connection, _ = listener.accept()
                connection.settimeout(PATIENCE_S)
                with connection:
                    script(connection, Asked(connection))

    listener = socket.create_server(("127.0.0.1", 0), backlog=1)
    listener.settimeout(PATIENCE_S)
    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def all_of(port: int, kind: Kind, count: int, timeout_s: float = PATIENCE_S) -> Traffic:
    """Asks so many requests with one client."""
    traffic = Traffic(port, [kind], timeout_s)
    traffic.run_while(lambda: len(traffic.requests) < count)
    traffic.finish()
    return traffic


def resets_after_reading(connection: socket.socket, asked: Asked) -> None:
    asked.next()
    reset(connection)


def closes_after_reading(connection: socket.socket, asked: Asked) -> None:
    asked.next()


def sends_half_an_answer(connection: socket.socket, asked: Asked) -> None:
    connection.sendall(answer(asked.next()[0])[:-2])


def resets_within_the_answer(connection: socket.socket, asked: Asked) -> None:
    connection.sendall(answer(asked.next()[0])[:-2])
    connection.recv(1)  # the client leaves once its patience ends: until then it waits for more
    reset(connection)


def answers_another_request(connection: socket.socket, asked: Asked) -> None:
    connection.sendall(answer(asked.next()[0] + 1))


def answers_too_much(connection: socket.socket, asked: Asked) -> None:
    connection.sendall(answer(asked.next()[0]) + b"x")


def answers_503(connection: socket.socket, asked: Asked) -> None:
    asked.next()
    connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")


def says_nothing(connection: socket.socket, asked: Asked) -> None:
    asked.next()
    connection.recv(1)


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        (resets_after_reading, Outcome.RESET),
        (closes_after_reading, Outcome.CLOSED),
        (sends_half_an_answer, Outcome.TRUNCATED),
        (answers_another_request, Outcome.WRONG),
        (answers_too_much, Outcome.WRONG),
        (answers_503, Outcome.WRONG),
    ],
)
def test_whatever_is_not_the_whole_right_answer_is_a_failure_of_its_kind(script, outcome):
    with served(script) as port:
        traffic = all_of(port, Kind("one", 1, 5.0), 1)
    assert [request.outcome for request in traffic.requests] == [outcome]
    assert not traffic.ended


@pytest.mark.parametrize("script", [says_nothing, resets_within_the_answer])
def test_an_answer_that_does_not_come_in_time_is_a_timeout(script):
    with served(script) as port:
        traffic = all_of(port, Kind("one", 1, 5.0), 1, timeout_s=0.05)
    assert [request.outcome for request in traffic.requests] == [Outcome.TIMEOUT]


def test_nobody_listening_is_told_from_a_reset():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    traffic = Traffic(port, [Kind("one", 1, 0.0)], until_refused=True)
    traffic.run_while(lambda: not traffic.over())
    traffic.finish()
    assert [request.outcome for request in traffic.requests] == [Outcome.REFUSED]


def test_a_connection_is_kept_until_an_answer_says_that_it_ends():
    def twice(connection: socket.socket, asked: Asked) -> None:
        connection.sendall(answer(asked.next()[0]))
        connection.sendall(answer(asked.next()[0], fields="Connection: close\r\n"))

    with served(twice, twice) as port:
        traffic = all_of(port, Kind("keep-alive", 1, 0.0), 4)
    found = [(request.outcome, request.fresh) for request in traffic.requests[:4]]
    assert found == [(Outcome.OK, True), (Outcome.OK, False)] * 2
    assert not traffic.ended
    assert list(traffic.workers) == [7]


def test_a_connection_that_is_closed_while_nothing_is_asked_is_no_failure():
    def once(connection: socket.socket, asked: Asked) -> None:
        connection.sendall(answer(asked.next()[0]))

    with served(once, once) as port:
        traffic = Traffic(port, [Kind("keep-alive", 1, 0.01)])
        traffic.run_while(lambda: len(traffic.ended) < 2)
        traffic.finish()
    assert {request.outcome for request in traffic.requests} == {Outcome.OK}
    assert [end.how for end in traffic.ended] == [Quiet.CLOSED] * 2


def test_a_connection_torn_down_after_its_last_answer_is_counted():
    def torn(connection: socket.socket, asked: Asked) -> None:
        connection.sendall(answer(asked.next()[0], fields="Connection: close\r\n"))
        reset(connection)

    with served(torn) as port:
        traffic = all_of(port, Kind("one-shot", 1, 5.0, keeps=False), 1)
    assert [request.outcome for request in traffic.requests] == [Outcome.OK]
    assert [end.how for end in traffic.ended] == [Quiet.RESET_AT_END]


def test_a_connection_that_does_not_end_as_it_said_is_counted():
    def stays(connection: socket.socket, asked: Asked) -> None:
        connection.sendall(answer(asked.next()[0], fields="Connection: close\r\n"))
        connection.recv(1)

    with served(stays) as port:
        traffic = Traffic(port, [Kind("one", 1, 5.0)], PATIENCE_S)
        traffic.run_while(lambda: not traffic.requests)
        traffic.timeout_s = 0.0
        traffic.finish()
    assert [end.how for end in traffic.ended] == [Quiet.LEFT_OPEN]


def test_one_shot_clients_and_those_that_have_had_their_turns_ask_for_the_end():
    seen = []

    def to_the_end(connection: socket.socket, asked: Asked) -> None:
        fields: list[bytes] = []
        while b"Connection: close\r\n" not in fields:
            serial, fields = asked.next()
            seen.append(b"Connection: close\r\n" in fields)
            connection.sendall(answer(serial, fields="Connection: close\r\n" if seen[-1] else ""))

    with served(to_the_end) as port:
        all_of(port, Kind("turns", 1, 0.0, turns=3), 3)
    with served(to_the_end) as port:
        all_of(port, Kind("one-shot", 1, 5.0, keeps=False), 1)
    assert seen == [False, False, True, True]


def test_content_follows_in_two_halves():
    def reads(connection: socket.socket, asked: Asked) -> None:
        serial, fields = asked.next()
        assert b"Content-Length: 5\r\n" in fields
        assert asked.file.read(5) == b"ccccc"
        connection.sendall(answer(serial, length=5))

    with served(reads) as port:
        traffic = all_of(port, Kind("content", 1, 5.0, "/content", content=5), 1)
    assert [request.outcome for request in traffic.requests] == [Outcome.OK]


def test_head_tells_status_length_and_whether_the_connection_ends():
    assert read_head(b"HTTP/1.1 200 OK\r\nContent-Length: 12") == (200, 12, False)
    assert read_head(b"HTTP/1.1 429 Too Many\r\nconnection: Close\r\nCONTENT-LENGTH:0") == (429, 0, True)
    assert read_head(b"HTTP/1.1 200 OK") == (200, -1, False)
    assert read_head(b"nonsense") == (0, -1, False)
