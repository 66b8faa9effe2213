"""Sockets that somebody else opened: what can be served, and what is said about the rest."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from highperf.config import Layers, Settings, resolve
from highperf.errors import StartupError
from highperf.server.inherited import from_fd
from highperf.server.sockets import listen, open_listeners, url_of
from highperf.server.systemd import take_listen_fds


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as held:
        yield held


def passed(stack: ExitStack, given: socket.socket) -> int:
    """The number under which a process would inherit it; from_fd takes it over."""
    stack.enter_context(given)
    fd = os.dup(given.fileno())
    os.set_inheritable(fd, True)
    return fd


def bound(listening: bool = True) -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    if listening:
        listener.listen()
    return listener


def refusal(fd: int, name: str = "") -> str:
    with pytest.raises(StartupError) as caught:
        from_fd(fd, name)
    return str(caught.value)


def settings(**flags: object) -> Settings:
    return resolve(Layers(flags={name: str(value) for name, value in flags.items()}))


@pytest.mark.parametrize("listening", [True, False])
def test_a_socket_is_served_whether_it_listens_already_or_not(stack: ExitStack, listening: bool) -> None:
    parents = bound(listening)
    fd = passed(stack, parents)
    listeners = open_listeners(settings(fd=fd), 2)
    (given,), (second,) = listeners.slots
    assert given.fileno() == fd
    for listener in given, second:
        assert not listener.getblocking()
        assert not listener.get_inheritable()
        assert url_of(listener) == f"http://127.0.0.1:{parents.getsockname()[1]}"
    listen(given, 1)
    socket.create_connection(parents.getsockname(), 5).close()
    listeners.close()


def test_a_socket_that_could_be_shared_out_is_shared_as_it_is(stack: ExitStack) -> None:
    parents = socket.socket()
    parents.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # ReusePort=yes in a .socket unit
    parents.bind(("127.0.0.1", 0))
    listeners = open_listeners(settings(fd=passed(stack, parents)), 2)
    added = [stack.enter_context(listener) for listener in listeners.another_slot()]
    listen(parents, 1)
    assert all(
        listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        for slot in [*listeners.slots, added]
        for listener in slot
    )
    listeners.close()


def test_a_unix_socket_is_served_and_its_file_left_to_who_made_it(stack: ExitStack, tmp_path: Path) -> None:
    parents = socket.socket(socket.AF_UNIX)
    parents.bind(str(tmp_path / "s"))
    listeners = open_listeners(settings(fd=passed(stack, parents)))
    assert url_of(listeners.slots[0][0]) == f"unix:{tmp_path / 's'}"
    listeners.close()
    assert (tmp_path / "s").is_socket()


def test_a_number_that_is_not_open_is_refused() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    assert refusal(reader) == (
        f"File descriptor {reader} is not open. Whoever starts the server has to pass it on; or try --host and --port."
    )


def test_what_is_no_socket_is_refused_and_left_open(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        fd = file.fileno()
        assert refusal(fd, "web") == (
            f'File descriptor {fd} ("web") is not a socket. Pass a listening one, or try --host and --port.'
        )
        os.fstat(fd)


def test_a_socket_of_another_kind_is_refused_and_left_open(stack: ExitStack) -> None:
    fd = passed(stack, socket.socket(type=socket.SOCK_DGRAM))
    assert refusal(fd) == (f"File descriptor {fd} is a socket of another kind. Pass a TCP or Unix stream socket.")
    os.close(fd)


def test_a_connection_is_refused(stack: ExitStack) -> None:
    ours, theirs = socket.socketpair()
    stack.enter_context(theirs)
    fd = passed(stack, ours)
    assert refusal(fd) == (
        f"File descriptor {fd} is one connection, not a listening socket. In a .socket unit, use Accept=no."
    )
    os.close(fd)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_a_socket_without_an_address_is_refused(stack: ExitStack, family: int) -> None:
    fd = passed(stack, socket.socket(family))
    assert refusal(fd) == (
        f"File descriptor {fd} is a socket without an address. Pass one that is bound, or try --host and --port."
    )
    os.close(fd)


# What systemd opened.


@pytest.mark.parametrize(
    ("count", "names", "found"),
    [
        ("2", "web:admin", [(3, "web"), (4, "admin")]),
        ("2", "web", [(3, "web"), (4, "")]),
        ("1", "", [(3, "")]),
        ("0", "", []),
        ("", "", []),
        ("-1", "", []),
        ("two", "", []),
        ("9" * 20, "", []),
    ],
)
def test_the_sockets_of_systemd_are_numbered_from_three(count: str, names: str, found: list[tuple[int, str]]) -> None:
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count, "LISTEN_FDNAMES": names, "PATH": "/bin"}
    assert take_listen_fds(environ) == found
    assert environ == {"PATH": "/bin"}


@pytest.mark.parametrize("pid", ["1", "", "self"])
def test_the_sockets_of_another_process_are_not_taken(pid: str) -> None:
    environ = {"LISTEN_PID": pid, "LISTEN_FDS": "1"}
    assert take_listen_fds(environ) == []
    assert environ == {}
