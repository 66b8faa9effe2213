"""The users of the reference API, kept in one SQLite file that all workers share.

Owns the schema, the two connections and the words an operator reads when the file fails. Must
not know HTTP, the app or its settings.

Rules
- An acknowledged user survives a power cut: WAL with synchronous=FULL, so a commit has reached
  the disk before the create that waits for it goes on.
- Reads never wait for writes. They run on the loop's thread, by one prepared statement on a
  connection of their own; a lookup by primary key costs 2.2 us, 0.8 of them for SQLite's file locks.
- A group of creates is one INSERT statement that is its own transaction, on the thread of a
  GroupWriter: one fsync, and a fixed number of hand-overs of the interpreter lock, per group.
- E-mail addresses are kept as given and are unique without regard to ASCII case.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NoReturn

import msgspec

from highperf.service.group_writer import GroupWriter, QueueFull, WriterStopped

SCHEMA_VERSION = 1
CREATE_USERS = """\
CREATE TABLE users(
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    email TEXT NOT NULL COLLATE NOCASE UNIQUE)"""
READ_BY_ID = "SELECT id, name, email FROM users WHERE id = ?"
READ_RANGE = "SELECT id, email FROM users WHERE id BETWEEN ? AND ? ORDER BY id"

GROUP_LIMIT = 128
WAITING_LIMIT = 1024
WRITE_BUSY_TIMEOUT_S = 5.0
# A reader waits only while another process recovers or closes the file, but it is the loop
# that waits.
READ_BUSY_TIMEOUT_S = 0.05

ANOTHER_FILE = "name another file in DATABASE_URL"
EXPLANATIONS = {
    sqlite3.SQLITE_BUSY: "is locked by another process; stop that process and try again",
    sqlite3.SQLITE_CORRUPT: f"is damaged; restore a backup, or {ANOTHER_FILE}",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full; free some space on it",
    sqlite3.SQLITE_IOERR: "cannot be read or written; check the disk, its free space and quotas",
    sqlite3.SQLITE_NOTADB: f"is not a SQLite database; {ANOTHER_FILE}",
    sqlite3.SQLITE_READONLY: "cannot be written; check the permissions of it and of its directory",
}

NewRow = tuple[str, str]  # name, email


class User(msgspec.Struct, frozen=True, gc=False):
    id: int
    name: str
    email: str


class StoreError(Exception):
    """The database failed. One line that names the file, the reason and the way out."""


class StoreBusy(StoreError):
    """Too many creates are waiting for the disk; this one was not begun."""


class StoreClosed(StoreError):
    """The store was not opened, or has been closed."""


class EmailTaken(Exception):
    """Another user has this e-mail address."""


def database_path(url: str) -> str:
    """The absolute path of the file that a `sqlite:///relative` or `sqlite:////absolute` URL
    names. The path is taken literally: no percent-decoding, no parameters.

    Raises ValueError (one line, without the URL's secrets) for every other URL.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not scheme:
        raise ValueError("expected a database URL like sqlite:///./highperf.db")
    if scheme.lower() != "sqlite":
        raise ValueError(f"{scheme} is not supported yet; expected sqlite:///FILE")
    if rest.lstrip("/") in ("", ":memory:"):
        raise ValueError(
            "a database in memory is not shared by workers and outlives none of them; expected sqlite:///FILE"
        )
    if not rest.startswith("/"):
        raise ValueError(
            "a file on another host is not supported; expected sqlite:///relative/path or sqlite:////absolute/path"
        )
    if "?" in rest:
        raise ValueError("parameters are not supported; expected sqlite:///FILE")
    if not rest.isprintable():
        raise ValueError("expected a file name of printable characters after sqlite:///")
    return os.path.abspath(rest[1:])


class UserStore:
    """Users in a SQLite file. Belongs to the loop that opened it.

    url: see database_path, whose ValueError it raises.
    waiting_limit: creates that may wait for the disk; the next one gets StoreBusy.
    busy_timeout_s: how long opening and writing wait for other processes.
    """

    def __init__(
        self,
        url: str,
        *,
        waiting_limit: int = WAITING_LIMIT,
        busy_timeout_s: float = WRITE_BUSY_TIMEOUT_S,
    ) -> None:
        self._path = database_path(url)
        self._sink = _UserSink(self._path, busy_timeout_s)
        self._writer: GroupWriter[NewRow, User] = GroupWriter(
            self._sink, group_limit=GROUP_LIMIT, waiting_limit=waiting_limit
        )
        self._reader: sqlite3.Connection | None = None
        self._execute: Callable[..., Any] = self._refuse
        self._fetch: Callable[[], Any] = self._refuse

    @property
    def path(self) -> str:
        """The database file, absolute."""
        return self._path

    @property
    def commits(self) -> int:
        """Transactions that added users since the store was made."""
        return self._sink.commits

    async def open(self) -> None:
        """Make the file or check it. Raises StoreError."""
        await self._writer.start()
        try:
            self._reader = _connect(self._path, READ_BUSY_TIMEOUT_S)
            self._reader.execute("PRAGMA query_only=ON")
            cursor = self._reader.cursor()
            cursor.execute(READ_BY_ID, (0,)).fetchone()
        except sqlite3.Error as error:
            await self.close()
            raise _explained(self._path, error) from error
        self._execute = cursor.execute
        self._fetch = cursor.fetchone

    def get(self, user_id: int) -> User | None:
        """The user with this id (at most 2**63 - 1), or None. Raises StoreError."""
        try:
            self._execute(READ_BY_ID, (user_id,))
            row = self._fetch()
        except sqlite3.Error as error:
            raise _explained(self._path, error) from error
        return None if row is None else User(*row)

    async def create(self, name: str, email: str) -> User:
        """Add a user; returns once it is on the disk.

        Raises EmailTaken, StoreBusy, StoreClosed or StoreError. When cancelled, the user is
        kept whole or not at all.
        """
        try:
            created = self._writer.submit((name, email))
        except QueueFull:
            raise StoreBusy(f"database {self._path} is too slow: too many users are waiting to be written") from None
        except WriterStopped:
            self._refuse()
        return await created

    async def close(self) -> None:
        """Finish the creates that wait, then close the file. May be called again."""
        self._execute = self._fetch = self._refuse
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        await self._writer.stop()

    def _refuse(self, *_: object) -> NoReturn:
        raise StoreClosed(f"database {self._path} is not open")


class _UserSink:
    """The writing side; its methods run on the writer's thread."""

    def __init__(self, path: str, busy_timeout_s: float) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._connection: sqlite3.Connection
        self.commits = 0

    def open(self) -> None:
        try:
            self._connection = _connect(self._path, self._busy_timeout_s)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.Error as error:
            raise _explained(self._path, error) from error

    def write(self, items: Sequence[NewRow]) -> Sequence[User | Exception]:
        values = [value for item in items for value in item]
        try:
            cursor = self._connection.execute(_insert(len(items)), values)
            added = cursor.rowcount
            self.commits += added > 0
            if added == 0:
                return [EmailTaken() for _ in items]
            # Nobody else writes while a statement adds its rows, and SQLite numbers them one
            # after the other.
            first = (cursor.lastrowid or 0) - added + 1
            if added == len(items):
                return [User(first + i, *item) for i, item in enumerate(items)]
            rows = self._connection.execute(READ_RANGE, (first, first + added - 1)).fetchall()
        except sqlite3.Error as error:
            raise _explained(self._path, error) from error
        return _sort_out(items, rows)

    def close(self) -> None:
        self._connection.close()

    def _prepare(self) -> None:
        connection = self._connection
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA fullfsync=ON")  # macOS: fsync alone stops at the drive's cache
        _schema_version(connection, self._path)  # before anything of a foreign file changes
        _use_wal(connection, self._path, self._busy_timeout_s)
        connection.execute("BEGIN IMMEDIATE")
        if _schema_version(connection, self._path) == 0:
            connection.execute(CREATE_USERS)
        # Set even if it is set: only a write tells that the file can be written.
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        connection.execute("COMMIT")


@cache
def _insert(count: int) -> str:
    # One string object per count, so that the connection finds its prepared statement.
    rows = ",".join(["(?,?)"] * count)
    return f"INSERT INTO users(name, email) VALUES {rows} ON CONFLICT(email) DO NOTHING"


def _sort_out(items: Sequence[NewRow], rows: Sequence[tuple[int, str]]) -> list[User | Exception]:
    # The rows are the items that got in, in the items' order. An address that the item and the
    # next row share is that item's own: had it been taken, no later item could have got it.
    results: list[User | Exception] = []
    unclaimed = iter(rows)
    row = next(unclaimed, None)
    for name, email in items:
        if row is not None and row[1] == email:
            results.append(User(row[0], name, email))
            row = next(unclaimed, None)
        else:
            results.append(EmailTaken())
    return results


def _connect(path: str, busy_timeout_s: float) -> sqlite3.Connection:
    return sqlite3.connect(
        path,
        timeout=busy_timeout_s,
        isolation_level=None,  # no transaction but those that stand here
        cached_statements=GROUP_LIMIT + 16,
    )


def _schema_version(connection: sqlite3.Connection, path: str) -> int:
    """0 for an empty database; raises StoreError for one that is not ours."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, SCHEMA_VERSION):
        raise StoreError(
            f"database {path} has schema version {version}, expected version {SCHEMA_VERSION}; {ANOTHER_FILE}"
        )
    if version == 0 and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise StoreError(f"database {path} holds the tables of another application; {ANOTHER_FILE}")
    return version


def _use_wal(connection: sqlite3.Connection, path: str, timeout_s: float) -> None:
    # Not every lock that this change meets is waited for by SQLite itself: workers that start
    # together on a new file would refuse each other.
    give_up = time.monotonic() + timeout_s
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if _primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up:
                raise
            time.sleep(0.005)
        else:
            break
    if mode != "wal":
        raise StoreError(
            f"database {path} cannot keep a write-ahead log: its file system shares no memory; {ANOTHER_FILE}"
        )


def _primary_code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF


def _explained(path: str, error: sqlite3.Error) -> StoreError:
    code = _primary_code(error)
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreError(f"database {path} cannot be opened: {_why_unopened(path)}")
    if code in EXPLANATIONS:
        return StoreError(f"database {path} {EXPLANATIONS[code]}")
    return StoreError(f"database {path} fails: {error}; {ANOTHER_FILE}")


def _why_unopened(path: str) -> str:
    directory = os.path.dirname(path)
    if os.path.isdir(path):
        return f"it is a directory; {ANOTHER_FILE}"
    if not os.path.exists(directory):
        return f"the directory {directory} does not exist; create it, or {ANOTHER_FILE}"
    return f"check the permissions of it and of its directory, or {ANOTHER_FILE}"
