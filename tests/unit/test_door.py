"""The door of a worker: open as long as there is room, and never shut for good by mistake."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from highperf.server.door import Door, files_for_connections

PATIENCE_S = 20.0
SLOT = 0


class Peer(asyncio.Protocol):
    def __init__(self, worker: "Doubles") -> None:
        self.worker = worker

    def connection_made(self, transport: Any) -> None:
        self.worker.let_in.append(transport)
        transport.write(b"welcome")


class Doubles:
    """Stands for a worker."""

    def __init__(self) -> None:
        self.on_full: Any = None
        self.limit_files = 0
        self.connections = 0
        self.room = True
        self.asked_for_room = 0
        self.asked_to_make_room = 0
        self.let_in: list[Any] = []

    def connection(self) -> Peer:
        return Peer(self)

    def has_room(self, files: int) -> bool:
        self.asked_for_room += 1
        return self.room

    def make_room(self) -> bool:
        self.asked_to_make_room += 1
        return False


class House:
    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self.worker = Doubles()
        self.door = Door(self.loop, self.worker, 10)  # type: ignore[arg-type]
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.clients: list[socket.socket] = []

    def run(self, awaitable: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(awaitable, PATIENCE_S))

    def add(self) -> None:
        self.run(self.door.add(SLOT, [self.listener]))

    def knock(self) -> socket.socket:
        client = socket.create_connection(self.listener.getsockname())
        client.setblocking(False)
        self.clients.append(client)
        return client

    def welcomed(self, client: socket.socket) -> bool:
        return bool(self.run(self.loop.sock_recv(client, 100)) == b"welcome")

    def until(self, holds: Any) -> None:
        while not holds():
            self.run(asyncio.sleep(0))

    def close(self) -> None:
        self.door.shut()
        for transport in self.worker.let_in:
            transport.abort()
        for client in self.clients:
            client.close()
        self.run(asyncio.sleep(0))
        self.loop.close()


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    house.add()
    yield house
    house.close()


def test_open_door_lets_in(house: House) -> None:
    assert house.welcomed(house.knock())


def test_some_files_are_kept_for_others(house: House) -> None:
    assert 0 < house.worker.limit_files == files_for_connections()


def test_newcomers_wait_before_a_full_house_and_come_in_when_there_is_room(house: House) -> None:
    house.worker.room = False
    house.worker.on_full()
    client = house.knock()
    house.until(lambda: house.worker.asked_to_make_room >= 2)
    assert not house.worker.let_in
    house.worker.room = True
    assert house.welcomed(client)


def test_nobody_has_to_go_where_nobody_waits(house: House) -> None:
    house.worker.room = False
    house.worker.on_full()
    house.until(lambda: house.worker.asked_for_room >= 3)
    assert not house.worker.asked_to_make_room


def test_door_that_cannot_be_opened_is_tried_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = []

    def fail_twice(slot: int) -> Any:
        if len(failures) < 2:
            failures.append(slot)
            raise OSError(24, "Too many open files")
        return serve(slot)

    serve = house.door._serve
    monkeypatch.setattr(house.door, "_serve", fail_twice)
    house.worker.on_full()
    assert house.welcomed(house.knock())
    assert failures == [SLOT, SLOT]


def test_slot_that_comes_while_the_door_is_closed_waits_as_well(house: House) -> None:
    house.worker.room = False
    house.worker.on_full()
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        house.run(house.door.add(SLOT + 1, [other]))
        client = socket.create_connection(other.getsockname())
        client.setblocking(False)
        house.clients.append(client)
        house.until(lambda: house.worker.asked_to_make_room)
        assert not house.worker.let_in
        house.worker.room = True
        assert house.welcomed(client)


def test_all_who_wait_are_taken_in_before_the_end(house: House) -> None:
    house.worker.room = False
    house.worker.on_full()
    clients = [house.knock() for _ in range(3)]
    assert not house.run(house.door.take_in())
    house.worker.room = True
    assert house.run(house.door.take_in())
    assert all(house.welcomed(client) for client in clients)
    late = house.knock()
    for _ in range(50):
        house.run(asyncio.sleep(0))
    assert len(house.worker.let_in) == 3  # it does not open again by itself
    house.door.shut()
    with pytest.raises(ConnectionResetError):
        house.run(house.loop.sock_recv(late, 100))


def test_socket_that_was_shut_down_is_found_to_be_empty(tmp_path: Path, house: House) -> None:
    # This is how a Unix socket turns newcomers away; to poll(2) somebody waits there for ever.
    with socket.socket(socket.AF_UNIX) as listener:
        path = os.path.relpath(tmp_path / "socket")
        listener.bind(path)
        listener.listen()
        listener.setblocking(False)
        house.run(house.door.add(SLOT + 1, [listener]))
        client = socket.socket(socket.AF_UNIX)
        house.clients.append(client)
        client.connect(path)
        client.setblocking(False)
        listener.shutdown(socket.SHUT_RD)
        assert house.run(house.door.take_in())
        assert house.welcomed(client)


def test_sockets_of_a_slot_that_leaves_are_closed(house: House) -> None:
    address = house.listener.getsockname()
    house.door.remove(SLOT)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)
