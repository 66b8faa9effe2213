"""What UserStore promises: durable, grouped, shared, and never a traceback for a broken file."""

import asyncio
import os
import resource
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from highperf.service import store as store_module
from highperf.service.store import (
    EmailTaken,
    StoreBusy,
    StoreClosed,
    StoreError,
    User,
    UserStore,
    database_path,
)

CREATE_MANY = """
import sys, uvloop
from highperf.service.store import UserStore

async def main(url, who, count):
    store = UserStore(url)
    await store.open()
    print("open", flush=True)
    sys.stdin.readline()
    for n in range(count):
        user = await store.create(who, f"{who}{n}@example.com")
        print(user.id, flush=True)
    await store.close()

uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "users.db"


def url_of(database: Path) -> str:
    return f"sqlite:///{database}"


@asynccontextmanager
async def opened(database: Path, *, waiting_limit: int = 1024, busy_timeout_s: float = 5.0) -> AsyncIterator[UserStore]:
    store = UserStore(url_of(database), waiting_limit=waiting_limit, busy_timeout_s=busy_timeout_s)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@contextmanager
def write_lock(database: Path) -> Iterator[None]:
    """While it is held, creates wait, so that what comes after them queues up."""
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def log_bytes(database: Path) -> int:
    return Path(f"{database}-wal").stat().st_size


def commits_in_log(database: Path) -> int:
    """Transactions in the write-ahead log, counted in the file itself."""
    log = Path(f"{database}-wal").read_bytes()
    page_bytes, salt = struct.unpack(">I", log[8:12])[0], log[16:24]
    frames = range(32, len(log) - page_bytes, 24 + page_bytes)
    return sum(log[at + 8 : at + 16] == salt and log[at + 4 : at + 8] != bytes(4) for at in frames)


async def refusal_to_open(database: Path) -> str:
    with pytest.raises(StoreError) as caught:
        async with opened(database, busy_timeout_s=0.01):
            pass
    message = str(caught.value)
    assert message.startswith(f"database {database} ")
    assert "\n" not in message
    return message


# -- users ---------------------------------------------------------------------------------------


def test_created_user_is_read_back(database: Path) -> None:
    async def scenario() -> None:
        async with opened(database) as store:
            ada = await store.create("Ada", "ada@example.com")
            assert ada == User(1, "Ada", "ada@example.com")
            assert store.get(1) == ada

    uvloop.run(scenario())


def test_unknown_user_is_none(database: Path) -> None:
    async def scenario() -> None:
        async with opened(database) as store:
            assert store.get(1) is None
            assert store.get(2**63 - 1) is None

    uvloop.run(scenario())


def test_any_text_is_kept_as_it_is(database: Path) -> None:
    async def scenario() -> None:
        async with opened(database) as store:
            odd = "nul\0 quote' \"; DROP TABLE users; -- \N{SNOWMAN}\N{GRINNING FACE}"
            user = await store.create(odd, odd)
            assert store.get(user.id) == User(1, odd, odd)

    uvloop.run(scenario())


def test_taken_email_is_refused_whatever_its_case(database: Path) -> None:
    async def scenario() -> None:
        async with opened(database) as store:
            await store.create("Ada", "Ada@Example.com")
            with pytest.raises(EmailTaken):
                await store.create("Eve", "ada@example.COM")
            assert store.get(1) == User(1, "Ada", "Ada@Example.com")
            assert store.get(2) is None

    uvloop.run(scenario())


def test_users_outlive_the_store_and_keep_their_ids(database: Path) -> None:
    async def scenario() -> None:
        async with opened(database) as store:
            await store.create("Ada", "ada@example.com")
        async with opened(database) as store:
            assert store.get(1) == User(1, "Ada", "ada@example.com")
            assert (await store.create("Bob", "bob@example.com")).id == 2

    uvloop.run(scenario())


def test_store_can_be_opened_again(database: Path) -> None:
    async def scenario() -> None:
        store = UserStore(url_of(database))
        for n in (1, 2):
            await store.open()
            assert (await store.create("Ada", f"ada{n}@example.com")).id == n
            await store.close()

    uvloop.run(scenario())


def test_relative_file_stays_where_it_was_when_the_process_moves(
    database: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    store = UserStore("sqlite:///./users.db")
    monkeypatch.chdir("/")
    assert store.path == str(database)


# -- groups --------------------------------------------------------------------------------------


def test_concurrent_creates_share_transactions(database: Path) -> None:
    async def scenario() -> None:
        async with opened(database) as store:
            before = commits_in_log(database)
            with write_lock(database):
                creates = [asyncio.ensure_future(store.create("x", f"{n}@example.com")) for n in range(200)]
                await asyncio.sleep(0)
            users = await asyncio.gather(*creates)
            assert commits_in_log(database) - before == store.commits
            # What came before the writer took its first group, then 128, then the rest.
            assert store.commits <= 3
            assert [user.id for user in users] == list(range(1, 201))
            assert all(store.get(user.id) == user for user in users)

    uvloop.run(scenario())


def test_taken_email_fails_only_itself_in_a_group(database: Path) -> None:
    async def scenario() -> None:
        async with opened(database) as store:
            await store.create("Old", "old@example.com")
            emails = ["a@x", "OLD@example.com", "b@x", "A@X", "a@x", "c@x", "old@example.com"]
            with write_lock(database):
                creates = [asyncio.ensure_future(store.create("New", email)) for email in emails]
                await asyncio.sleep(0)
            results = await asyncio.gather(*creates, return_exceptions=True)
            kept = [result for result in results if isinstance(result, User)]
            assert kept == [User(2, "New", "a@x"), User(3, "New", "b@x"), User(4, "New", "c@x")]
            assert sum(isinstance(result, EmailTaken) for result in results) == 4

    uvloop.run(scenario())


def test_group_of_taken_emails_commits_nothing(database: Path) -> None:
    async def scenario() -> None:
        async with opened(database) as store:
            await store.create("Ada", "ada@example.com")
            commits = commits_in_log(database)
            again = [store.create("Eve", "ada@example.com") for _ in range(10)]
            results = await asyncio.gather(*again, return_exceptions=True)
            assert {type(result) for result in results} == {EmailTaken}
            assert commits_in_log(database) == commits
            assert (await store.create("Bob", "bob@example.com")).id == 2

    uvloop.run(scenario())


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.sampled_from(["a@x", "A@X", "b@x", "c@x", "d@x", "D@x"]), max_size=12)))
def test_groups_have_the_outcome_of_creates_one_by_one(groups: list[list[str]]) -> None:
    async def scenario(database: Path) -> None:
        taken: dict[str, User] = {}
        async with opened(database) as store:
            for group in groups:
                creates = [store.create("x", email) for email in group]
                results = await asyncio.gather(*creates, return_exceptions=True)
                for email, result in zip(group, results, strict=True):
                    if email.lower() in taken:
                        assert isinstance(result, EmailTaken)
                    else:
                        user = User(len(taken) + 1, "x", email)
                        assert result == user == store.get(user.id)
                        taken[email.lower()] = user

    with tempfile.TemporaryDirectory() as directory:
        uvloop.run(scenario(Path(directory) / "users.db"))


def test_commits_are_synchronous_and_logged_ahead(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connections: list[sqlite3.Connection] = []

    def connect(path: str, busy_timeout_s: float) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
        connections.append(connection)
        return connection

    monkeypatch.setattr(store_module, "_connect", connect)

    async def scenario() -> None:
        async with opened(database):
            writer, reader = connections
            assert writer.execute("PRAGMA synchronous").fetchone() == (2,)
            assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert reader.execute("PRAGMA query_only").fetchone() == (1,)

    uvloop.run(scenario())


def test_reads_hold_no_snapshot_that_would_keep_the_log_growing(database: Path) -> None:
    async def scenario() -> None:
        async with opened(database) as store:
            await store.create("Ada", "ada@example.com")
            assert store.get(1)
            assert store.get(2) is None
            other = sqlite3.connect(database)
            busy, _, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            other.close()
            assert busy == 0
            assert log_bytes(database) == 0

    uvloop.run(scenario())


# -- cancellation, overload, close ---------------------------------------------------------------


def test_cancelled_create_is_kept_whole_or_not_at_all(database: Path) -> None:
    async def scenario() -> None:
        async with opened(database) as store:
            with write_lock(database):
                creates = [asyncio.ensure_future(store.create("x", f"{n}@example.com")) for n in range(20)]
                await asyncio.sleep(0)
                for create in creates[::2]:
                    create.cancel()
            results = await asyncio.gather(*creates, return_exceptions=True)
            for cancelled in results[::2]:
                assert isinstance(cancelled, asyncio.CancelledError)
            for kept in results[1::2]:
                assert isinstance(kept, User)
                assert store.get(kept.id) == kept

    uvloop.run(scenario())
    connection = sqlite3.connect(database)
    emails = {row[0] for row in connection.execute("SELECT email FROM users")}
    connection.close()
    assert {f"{n}@example.com" for n in range(1, 20, 2)} <= emails


def test_full_queue_refuses_and_recovers(database: Path) -> None:
    async def scenario() -> None:
        async with opened(database, waiting_limit=4) as store:
            with write_lock(database):
                creates = [asyncio.ensure_future(store.create("x", f"{n}@example.com")) for n in range(4)]
                await asyncio.sleep(0)
                with pytest.raises(StoreBusy, match="too many"):
                    await store.create("x", "late@example.com")
            await asyncio.gather(*creates)
            assert (await store.create("x", "late@example.com")).id == 5

    uvloop.run(scenario())


def test_close_finishes_the_creates_that_wait(database: Path) -> None:
    async def scenario() -> None:
        store = UserStore(url_of(database))
        await store.open()
        with write_lock(database):
            creates = [asyncio.ensure_future(store.create("x", f"{n}@example.com")) for n in range(20)]
            await asyncio.sleep(0)
            closing = asyncio.ensure_future(store.close())
            await asyncio.sleep(0)
            with pytest.raises(StoreClosed, match="not open"):
                await store.create("x", "late@example.com")
        await closing
        assert [create.result().id for create in creates] == list(range(1, 21))
        with pytest.raises(StoreClosed):
            store.get(1)
        await store.close()

    uvloop.run(scenario())
    assert not Path(f"{database}-wal").exists()


def test_store_that_was_not_opened_refuses(database: Path) -> None:
    async def scenario() -> None:
        store = UserStore(url_of(database))
        with pytest.raises(StoreClosed):
            store.get(1)
        with pytest.raises(StoreClosed):
            await store.create("Ada", "ada@example.com")
        await store.close()

    uvloop.run(scenario())
    assert not database.exists()


# -- several processes ---------------------------------------------------------------------------


def start_worker(database: Path, who: str, count: int) -> subprocess.Popen[str]:
    """Another process with the store open; it creates users when it is sent a line."""
    worker = subprocess.Popen(
        [sys.executable, "-c", CREATE_MANY, url_of(database), who, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "open\n"
    return worker


def test_processes_share_the_users_of_one_file(database: Path) -> None:
    async def scenario(known: dict[int, str]) -> None:
        async with opened(database) as store:
            for user_id, who in known.items():
                user = store.get(user_id)
                assert user is not None
                assert user.name == who

    workers = {who: start_worker(database, who, 30) for who in ("ada", "bob", "eve")}
    for worker in workers.values():
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    known: dict[int, str] = {}
    for who, worker in workers.items():
        known |= {int(line): who for line in worker.communicate(timeout=30)[0].splitlines()}
    assert [worker.returncode for worker in workers.values()] == [0, 0, 0]
    assert sorted(known) == list(range(1, 91))
    uvloop.run(scenario(known))


def test_user_created_by_one_process_is_read_by_another_at_once(database: Path) -> None:
    async def scenario(worker: subprocess.Popen[str]) -> None:
        async with opened(database) as store:
            assert store.get(1) is None
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
            for n in range(5):
                user_id = int(worker.stdout.readline())
                assert store.get(user_id) == User(user_id, "ada", f"ada{n}@example.com")

    worker = start_worker(database, "ada", 5)
    uvloop.run(scenario(worker))
    worker.communicate(timeout=30)
    assert worker.returncode == 0


def test_open_waits_while_another_process_makes_the_file(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = threading.Event()
    monkeypatch.setattr(time, "sleep", lambda _: refused.set())

    async def scenario() -> None:
        store = UserStore(url_of(database))
        with write_lock(database):
            opening = asyncio.ensure_future(store.open())
            await asyncio.sleep(0)
            assert refused.wait(10)
        await opening
        assert (await store.create("Ada", "ada@example.com")).id == 1
        await store.close()

    uvloop.run(scenario())


# -- what stops the start ------------------------------------------------------------------------


def test_missing_directory_is_named(tmp_path: Path) -> None:
    message = uvloop.run(refusal_to_open(tmp_path / "none" / "users.db"))
    assert f"the directory {tmp_path / 'none'} does not exist; create it" in message


def test_directory_is_no_database(tmp_path: Path) -> None:
    assert "is a directory" in uvloop.run(refusal_to_open(tmp_path))


def test_file_of_another_kind_is_refused_and_left_alone(database: Path) -> None:
    database.write_bytes(b"not a database " * 1000)
    assert "is not a SQLite database" in uvloop.run(refusal_to_open(database))
    assert database.read_bytes() == b"not a database " * 1000


def test_truncated_database_is_refused(database: Path) -> None:
    async def fill() -> None:
        async with opened(database) as store:
            await asyncio.gather(*(store.create("x" * 90, f"{n}@x") for n in range(500)))

    uvloop.run(fill())
    os.truncate(database, 5000)
    assert "is damaged; restore a backup" in uvloop.run(refusal_to_open(database))


def test_database_of_another_application_is_refused_and_left_alone(database: Path) -> None:
    other = sqlite3.connect(database)
    other.execute("CREATE TABLE songs(title)")
    other.commit()
    other.close()
    before = database.read_bytes()
    assert "tables of another application" in uvloop.run(refusal_to_open(database))
    assert database.read_bytes() == before


def test_other_schema_version_is_refused(database: Path) -> None:
    other = sqlite3.connect(database)
    other.execute("PRAGMA user_version=7")
    other.close()
    assert "has schema version 7, expected version 1" in uvloop.run(refusal_to_open(database))


def test_schema_without_users_is_refused(database: Path) -> None:
    other = sqlite3.connect(database)
    other.execute("PRAGMA user_version=1")
    other.close()
    assert "no such table: users" in uvloop.run(refusal_to_open(database))


def test_locked_database_is_refused_after_the_busy_timeout(database: Path) -> None:
    holder = sqlite3.connect(database, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert "is locked by another process" in uvloop.run(refusal_to_open(database))
    holder.close()


@pytest.fixture
def unprivileged_directory() -> Iterator[Path]:
    """A directory that the effective user owns; root becomes nobody, whom permissions bind."""
    directory = Path(tempfile.mkdtemp())
    root = os.geteuid() == 0
    if root:
        os.chown(directory, 65534, 65534)
        os.seteuid(65534)
    try:
        yield directory
    finally:
        directory.chmod(0o700)
        if root:
            os.seteuid(0)
        shutil.rmtree(directory)


def test_read_only_file_is_refused(unprivileged_directory: Path) -> None:
    database = unprivileged_directory / "users.db"

    async def make() -> None:
        async with opened(database):
            pass

    uvloop.run(make())
    database.chmod(0o444)
    assert "cannot be written; check the permissions" in uvloop.run(refusal_to_open(database))


def test_read_only_directory_is_refused(unprivileged_directory: Path) -> None:
    unprivileged_directory.chmod(0o500)
    message = uvloop.run(refusal_to_open(unprivileged_directory / "users.db"))
    assert "cannot be opened: check the permissions" in message


def test_file_system_without_a_write_ahead_log_is_refused(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(path: str, busy_timeout_s: float) -> sqlite3.Connection:
        # Locks files by files of their own, and so has no memory that processes share.
        return sqlite3.connect(f"file:{path}?vfs=unix-dotfile", uri=True, isolation_level=None)

    monkeypatch.setattr(store_module, "_connect", connect)
    assert "write-ahead log" in uvloop.run(refusal_to_open(database))


# -- what happens at run time --------------------------------------------------------------------


def test_create_that_meets_a_locked_file_fails_and_the_store_lives(database: Path) -> None:
    async def scenario() -> None:
        async with opened(database, busy_timeout_s=0.01) as store:
            with write_lock(database), pytest.raises(StoreError, match="locked by another"):
                await store.create("Ada", "ada@example.com")
            assert (await store.create("Ada", "ada@example.com")).id == 1

    uvloop.run(scenario())


def test_full_disk_fails_the_create_and_the_store_lives(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = store_module._connect

    def connect_small(path: str, busy_timeout_s: float) -> sqlite3.Connection:
        connection = connect(path, busy_timeout_s)
        connection.execute("PRAGMA max_page_count=8")
        return connection

    monkeypatch.setattr(store_module, "_connect", connect_small)

    async def scenario() -> None:
        async with opened(database) as store:
            first = await store.create("Ada", "ada@example.com")
            with pytest.raises(StoreError, match="the disk is full"):
                await store.create("x" * 50_000, "big@example.com")
            assert store.get(first.id) == first
            assert (await store.create("Bob", "bob@example.com")).id == 2

    uvloop.run(scenario())


def test_write_error_fails_the_whole_group_and_the_store_lives(database: Path) -> None:
    async def scenario() -> None:
        async with opened(database) as store:
            first = await store.create("Ada", "ada@example.com")
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (log_bytes(database), hard))
            try:
                creates = [store.create("x" * 9000, f"{n}@example.com") for n in range(5)]
                results = await asyncio.gather(*creates, return_exceptions=True)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert {type(result) for result in results} == {StoreError}
            assert "cannot be read or written" in str(results[0])
            assert store.get(first.id) == first
            assert (await store.create("Bob", "bob@example.com")).id == 2

    uvloop.run(scenario())


def test_damaged_page_fails_its_reads_and_the_store_lives(database: Path) -> None:
    async def fill() -> None:
        async with opened(database) as store:
            await asyncio.gather(*(store.create("x" * 90, f"{n}@x") for n in range(500)))

    async def scenario() -> None:
        async with opened(database) as store:
            with pytest.raises(StoreError, match="is damaged"):
                store.get(500)

    uvloop.run(fill())
    with database.open("r+b") as file:
        file.seek(4096 * 4)
        file.write(b"\xff" * (database.stat().st_size - 4096 * 4))
    uvloop.run(scenario())


# -- URLs ----------------------------------------------------------------------------------------


def test_url_gives_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert database_path("sqlite:///./a.db") == f"{tmp_path}/a.db"
    assert database_path("sqlite:///b/a.db") == f"{tmp_path}/b/a.db"
    assert database_path("SQLite:////var/a.db") == "/var/a.db"
    assert database_path("sqlite:////var/100%25 #1.db") == "/var/100%25 #1.db"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("highperf.db", "expected a database URL"),
        ("", "expected a database URL"),
        ("postgresql://ada:secret@host/users", "postgresql is not supported yet"),
        ("mysql://host/users", "mysql is not supported yet"),
        ("sqlite://", "a database in memory"),
        ("sqlite:///", "a database in memory"),
        ("sqlite:///:memory:", "a database in memory"),
        ("sqlite://host/a.db", "another host"),
        ("sqlite:///a.db?mode=ro", "parameters are not supported"),
        ("sqlite:///a\0.db", "printable characters"),
        ("sqlite:///a\nb.db", "printable characters"),
    ],
)
def test_other_urls_are_refused_in_one_line_without_secrets(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        UserStore(url)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
