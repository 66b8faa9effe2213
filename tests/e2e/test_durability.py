"""What was acknowledged is there, whatever happens to the server; what is shared is seen at once."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests import servers

CLIENTS = 16
JSON = {"Content-Type": "application/json"}
UNGUARDED = {"RATE_LIMIT_RPS": "0", "CB_FAILURE_THRESHOLD": "0"}  # the crowd asks for more than the reference API gives


class Crowd:
    """Clients that create users, each on its own connection, until the server is gone."""

    def __init__(self, port: int, tag: str) -> None:
        self.acknowledged: dict[int, dict[str, Any]] = {}
        self.refused: list[str] = []
        self._changed = threading.Condition()
        self._clients = [
            threading.Thread(target=self._create, args=(port, f"{tag}-{client}")) for client in range(CLIENTS)
        ]
        for client in self._clients:
            client.start()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.acknowledged) >= count or self.refused, 30)

    def join(self) -> None:
        for client in self._clients:
            client.join(30)
            assert not client.is_alive()

    def _create(self, port: int, tag: str) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            for n in range(100_000):
                user = {"name": tag, "email": f"{tag}.{n}@example.com"}
                connection.request("POST", "/users", json.dumps(user), JSON)
                response = connection.getresponse()
                content = response.read()
                with self._changed:
                    if response.status == 201:
                        created = json.loads(content)
                        assert created == {"id": created["id"], **user}
                        self.acknowledged[created["id"]] = created
                    elif response.status != 504:  # a slow disk; it was not acknowledged
                        self.refused.append(f"{response.status} {content!r}")
                    self._changed.notify_all()
        except (OSError, HTTPException):
            pass  # the server is gone, and this create was not acknowledged
        finally:
            connection.close()


@contextmanager
def connected(port: int) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def read_user(connection: HTTPConnection, user_id: int) -> dict[str, Any] | None:
    connection.request("GET", f"/users/{user_id}")
    response = connection.getresponse()
    content = response.read()
    assert response.status in (200, 404)
    user: dict[str, Any] = json.loads(content)
    return user if response.status == 200 else None


def create_user(connection: HTTPConnection, name: str) -> int:
    connection.request("POST", "/users", json.dumps({"name": name, "email": f"{name}@example.com"}), JSON)
    response = connection.getresponse()
    user_id: int = json.loads(response.read())["id"]
    return user_id


def test_acknowledged_users_survive_kill_9(tmp_path: Path) -> None:
    acknowledged: dict[int, dict[str, Any]] = {}
    for life in range(3):
        with servers.running(directory=tmp_path, env=UNGUARDED) as server:
            crowd = Crowd(server.port, f"life{life}")
            crowd.wait_for(150)
            server.signal(signal.SIGKILL)
            crowd.join()
        assert not crowd.refused
        assert not acknowledged.keys() & crowd.acknowledged.keys()
        acknowledged |= crowd.acknowledged
    with servers.running(directory=tmp_path, env=UNGUARDED) as server, connected(server.port) as connection:
        assert {user_id: read_user(connection, user_id) for user_id in acknowledged} == acknowledged
        # What was committed but not acknowledged any more is there whole.
        user_id = 1
        while user := read_user(connection, user_id):
            assert user == {"id": user_id, "name": user["name"], "email": user["email"]}
            assert user["email"].startswith(f"{user['name']}.")
            user_id += 1
        assert user_id > max(acknowledged)


def test_acknowledged_users_survive_a_graceful_stop_amid_creates(tmp_path: Path) -> None:
    with servers.running(directory=tmp_path, env=UNGUARDED) as server:
        crowd = Crowd(server.port, "ada")
        crowd.wait_for(100)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        crowd.join()
    assert not crowd.refused
    assert not list(tmp_path.glob("*-wal"))
    with servers.running(directory=tmp_path, env=UNGUARDED) as server, connected(server.port) as connection:
        assert {user_id: read_user(connection, user_id) for user_id in crowd.acknowledged} == crowd.acknowledged


def test_servers_on_one_database_see_each_others_users_at_once(tmp_path: Path) -> None:
    with (
        servers.running(directory=tmp_path, env=UNGUARDED) as one,
        servers.running(directory=tmp_path, env=UNGUARDED) as other,
        connected(one.port) as through_one,
        connected(other.port) as through_other,
    ):
        for n in range(10):
            user_id = create_user(through_one, f"one{n}")
            created = {"id": user_id, "name": f"one{n}", "email": f"one{n}@example.com"}
            assert read_user(through_other, user_id) == created
            user_id = create_user(through_other, f"other{n}")
            assert read_user(through_one, user_id) is not None


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("sqlite:///none/users.db", 3, "none does not exist; create it"),
        ("sqlite:///./notes.txt", 3, "notes.txt is not a SQLite database"),
        ("sqlite:///.", 3, "it is a directory"),
        ("sqlite:///:memory:", 2, "a database in memory"),
        ("postgresql://ada@localhost/users", 2, "sqlite:///./highperf.db"),
    ],
)
def test_database_that_cannot_be_used_is_said_in_one_line(url: str, code: int, said: str) -> None:
    notes = {"notes.txt": "no database " * 100}
    finished = servers.run("--port", "0", "--log-level", "error", files=notes, env={"DATABASE_URL": url})
    assert finished.code == code
    assert finished.stderr.startswith("Error: ")
    assert finished.stderr.count("\n") == 1
    assert said in finished.stderr
