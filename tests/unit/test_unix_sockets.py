"""Unix sockets: whose file it is, when it may be replaced, and one line where it cannot be had."""

import errno
import os
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from highperf.config import Layers, Settings, resolve
from highperf.errors import StartupError
from highperf.server import unix
from highperf.server.sockets import listen, open_listeners, url_of
from highperf.server.unix import PATH_MOST, SocketFile, bind_path, path_failure
from tests.processes import fork, kill

LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="names without a file, and /proc, are Linux'")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)  # so that the path is short
    return "shop.sock"


@pytest.fixture
def dead(path: str) -> str:
    """What a server leaves that could not clean up."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
    return path


@pytest.fixture
def other(path: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        yield server


def settings(path: str, **flags: str) -> Settings:
    return resolve(Layers(flags={"uds": path, **flags}))


def refusal(path: str) -> str:
    with pytest.raises(StartupError) as caught:
        bind_path(path, 0o660)
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    return said


def answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


def test_all_slots_share_the_socket_whose_file_goes_with_it(path: str) -> None:
    listeners = open_listeners(settings(path), 2)
    (first,), (second,) = listeners.slots
    for listener in first, second:
        assert url_of(listener) == "unix:shop.sock"
        assert not listener.getblocking()
        assert not listener.get_inheritable()
    listen(second, 1)
    second.close()
    assert answers(path)
    listeners.close()
    assert not os.path.lexists(path)
    listeners.close()


@pytest.mark.parametrize("permissions", ["660", "600", "0777"])
def test_the_file_has_the_permissions_that_were_asked_for(path: str, permissions: str) -> None:
    listeners = open_listeners(settings(path, uds_permissions=permissions))
    assert stat.S_IMODE(os.lstat(path).st_mode) == int(permissions, 8)
    listeners.close()


def test_the_file_of_a_dead_server_is_replaced(dead: str) -> None:
    listeners = open_listeners(settings(dead))
    listen(listeners.slots[0][0], 1)
    assert answers(dead)
    assert os.listdir() == [dead]
    listeners.close()
    assert os.listdir() == []


def test_a_server_that_listens_keeps_its_file(other: socket.socket, path: str) -> None:
    other.listen(1)
    before = os.lstat(path)
    said = refusal(path)
    assert said.startswith(f'Unix socket "{path}" is in use')
    assert said.endswith(". Try another --uds.")
    assert os.lstat(path) == before


def test_a_server_whose_queue_is_full_keeps_its_file(
    other: socket.socket, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unix, "path_is_held", lambda path: False)
    other.listen(0)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        assert refusal(path).startswith(f'Unix socket "{path}" is in use')
        other.accept()[0].close()


def test_a_server_of_datagrams_keeps_its_file(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unix, "path_is_held", lambda path: False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        assert refusal(path).startswith(f'Unix socket "{path}" is in use')
        assert os.path.lexists(path)


@LINUX_ONLY
def test_a_server_that_is_still_starting_keeps_its_file(other: socket.socket, path: str) -> None:
    said = refusal(path)
    assert said.startswith(f'Unix socket "{path}" is in use (pid {os.getpid()} "')
    assert os.path.lexists(path)


@LINUX_ONLY
@pytest.mark.skipif(os.geteuid() != 0, reason="chroot(2) is for root")
def test_a_server_with_the_same_path_in_another_tree_of_files_is_no_holder(tmp_path: Path) -> None:
    path = str(tmp_path / "shop.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    children: list[int] = []
    told, tell = os.pipe()

    def serve_elsewhere() -> None:
        jail = tmp_path / "jail"
        os.makedirs(f"{jail}{tmp_path}")
        os.chroot(jail)
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen()
        os.write(tell, b"!")
        signal.pause()

    try:
        fork(children, serve_elsewhere)
        assert os.read(told, 1) == b"!"
        listeners = open_listeners(settings(path))
        listeners.close()
    finally:
        kill(children)
        os.close(told)
        os.close(tell)


@LINUX_ONLY
def test_a_server_with_the_same_relative_path_in_another_directory_is_no_holder(dead: str, tmp_path: Path) -> None:
    children: list[int] = []
    told, tell = os.pipe()

    def serve_elsewhere() -> None:
        (tmp_path / "elsewhere").mkdir()
        os.chdir(tmp_path / "elsewhere")
        server = socket.socket(socket.AF_UNIX)
        server.bind(dead)
        os.write(tell, b"!")
        signal.pause()

    try:
        fork(children, serve_elsewhere)
        assert os.read(told, 1) == b"!"
        open_listeners(settings(dead)).close()
    finally:
        kill(children)
        os.close(told)
        os.close(tell)


@LINUX_ONLY
def test_connections_that_a_dead_server_left_open_do_not_keep_its_file(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as client, socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        client.connect(path)
        connection, _ = server.accept()
        server.close()
        with connection:
            listeners = open_listeners(settings(path))
            listeners.close()


def test_of_two_servers_that_replace_one_file_the_first_keeps_it(dead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def be_late(path: str) -> bool:
        monkeypatch.undo()
        os.chdir(directory)
        first.append(bind_path(path, 0o660)[0])
        return False

    directory, first = os.getcwd(), list[socket.socket]()
    monkeypatch.setattr(unix, "_answers", be_late)
    assert refusal(dead).startswith(f'Unix socket "{os.path.abspath(dead)}" is in use')
    assert os.listdir() == [dead]
    listen(first[0], 1)
    assert answers(dead)
    first[0].close()


def test_a_file_that_has_become_anothers_is_left_alone(path: str) -> None:
    listeners = open_listeners(settings(path))
    os.unlink(path)
    successor = socket.socket(socket.AF_UNIX)
    successor.bind(path)
    listeners.close()
    assert os.path.lexists(path)
    successor.close()


def test_the_file_is_found_again_from_another_directory(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    listeners = open_listeners(settings(path))
    os.mkdir("elsewhere")
    with monkeypatch.context() as patch:
        patch.chdir("elsewhere")
        listeners.close()
    assert not os.path.lexists(path)


def test_a_directory_that_is_gone_leaves_nothing_to_remove(tmp_path: Path) -> None:
    place = tmp_path / "run"
    place.mkdir()
    file = place / "a"
    file.touch()
    made = SocketFile.at(str(file))
    file.unlink()
    place.rmdir()
    made.remove()


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_what_is_no_socket_is_left_alone(path: str, kind: str) -> None:
    if kind == "file":
        Path(path).touch()
    elif kind == "directory":
        Path(path).mkdir()
    else:
        os.symlink("nowhere", path)
    assert refusal(path) == f'"{path}" is there, and is not a socket. Remove it, or try another --uds.'
    assert os.path.lexists(path)


@pytest.mark.parametrize("directory", ["missing", "file/deeper"])
def test_a_directory_that_is_missing_is_named(path: str, directory: str) -> None:
    Path("file").touch()
    assert refusal(f"{directory}/{path}") == (
        f'Unix socket "{directory}/{path}" cannot be made: there is no directory "{directory}". '
        "Create it, or try another --uds."
    )


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, "this process may not write there (Permission denied)"),
        (errno.EROFS, "this process may not write there (Read-only file system)"),
        (errno.ENOSPC, "No space left on device"),
    ],
)
def test_a_refusal_of_the_kernel_is_put_in_one_line(number: int, reason: str) -> None:
    said = path_failure(OSError(number, ""), "run/shop.sock")
    assert said == f'Unix socket "run/shop.sock" cannot be made: {reason}. Try another --uds.'


def test_a_file_that_takes_no_permissions_is_removed_again(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, mode: int) -> None:
        raise PermissionError(errno.EPERM, "")

    monkeypatch.setattr(os, "chmod", refuse)
    assert "may not write there (Operation not permitted)" in refusal(path)
    assert not os.path.lexists(path)


def test_a_path_is_as_long_as_the_system_takes_it(path: str) -> None:
    longest = "x" * PATH_MOST
    listener, file = bind_path(longest, 0o660)
    listener.close()
    assert file is not None
    file.remove()
    assert refusal("é" + longest) == (
        f'The path of --uds has {PATH_MOST + 2} bytes, and may have {PATH_MOST}: "é{"x" * 76}...". Try a shorter one.'
    )


@LINUX_ONLY
def test_a_name_without_a_file_is_held_as_long_as_its_socket() -> None:
    name = f"@highperf-{os.getpid()}"
    listeners = open_listeners(settings(name))
    (listener,) = listeners.slots[0]
    assert url_of(listener) == f"unix:{name}"
    listen(listener, 1)
    assert answers("\0" + name[1:])
    assert refusal(name).startswith(f'Unix socket "{name}" is in use (pid {os.getpid()} "')
    listeners.close()
    listeners = open_listeners(settings(name))
    listeners.close()
