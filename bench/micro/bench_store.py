"""What the user store costs: a read, a create alone, creates that come together.

    python -m bench.micro.bench_store [DIRECTORY]

The database is made in DIRECTORY (default: here), so that it lies on a real disk; the price of
one fsync there is printed first, because a create alone is little else.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from highperf.service.store import UserStore

USERS = 100_000
READS = 100_000
ALONE = 300
TOGETHER = 20_000
CLIENTS = 64
BUSY_US = 5


def main() -> None:
    directory = sys.argv[1] if len(sys.argv) > 1 else "."
    with tempfile.TemporaryDirectory(dir=directory, prefix="bench-store-") as scratch:
        report("fsync of one page", fsync_s(Path(scratch) / "probe"), "us")
        uvloop.run(measure(f"sqlite:///{Path(scratch).absolute()}/users.db"))


async def measure(url: str) -> None:
    store = UserStore(url)
    await store.open()
    await create_together(store, "fill", USERS)
    report("read by id, same 1,000 users", read_s(store, 1_000, 1), "ns")
    report(f"read by id, all {USERS:,} users", read_s(store, USERS, 7919), "ns")
    report("read by id, unknown", read_s(store, 1_000, 1, first=10**9), "ns")

    started, commits = time.perf_counter(), store.commits
    for n in range(ALONE):
        await store.create("Ada Lovelace", f"alone{n}@example.com")
    report("create alone", (time.perf_counter() - started) / ALONE, "us")
    print(f"{'':42}{(store.commits - commits) / ALONE:10.2f} fsyncs per create")

    await measure_together(store, f"creates, {CLIENTS} clients")
    with busy_loop():
        await measure_together(store, f"creates, {CLIENTS} clients, busy loop")
    await store.close()


async def measure_together(store: UserStore, label: str) -> None:
    commits = store.commits
    took_s = await create_together(store, label, TOGETHER)
    print(f"{label:42}{TOGETHER / took_s:10,.0f} per s")
    print(f"{'':42}{(store.commits - commits) / TOGETHER:10.3f} fsyncs per create")


async def create_together(store: UserStore, tag: str, count: int) -> float:
    numbers = iter(range(count))

    async def client() -> None:
        for n in numbers:
            await store.create("Ada Lovelace", f"{tag}.{n}@example.com".replace(" ", ""))

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return time.perf_counter() - started


def read_s(store: UserStore, users: int, step: int, first: int = 1) -> float:
    """Best of three; the step decides whether neighbours share pages."""
    get, best = store.get, float("inf")
    ids = [first + n * step % users for n in range(READS)]
    for _ in range(3):
        started = time.perf_counter()
        for user_id in ids:
            get(user_id)
        best = min(best, time.perf_counter() - started)
    return best / READS


def fsync_s(probe: Path, count: int = 200) -> float:
    with probe.open("wb", buffering=0) as file:
        started = time.perf_counter()
        for _ in range(count):
            file.write(bytes(4096))
            os.fsync(file.fileno())
        return (time.perf_counter() - started) / count


@contextmanager
def busy_loop() -> Iterator[None]:
    """Keeps the loop at work all the time, as a saturated server's is."""
    loop = asyncio.get_running_loop()
    ending = False

    def work() -> None:
        until = time.perf_counter() + BUSY_US * 1e-6
        while time.perf_counter() < until:
            pass
        if not ending:
            loop.call_soon(work)

    loop.call_soon(work)
    try:
        yield
    finally:
        ending = True


def report(label: str, seconds: float, unit: str) -> None:
    print(f"{label:42}{seconds * (1e9 if unit == 'ns' else 1e6):10,.0f} {unit}")


if __name__ == "__main__":
    main()
