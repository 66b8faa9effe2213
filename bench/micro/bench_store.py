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

from bench import figures
from bench.figures import Figure
from highperf.service.store import UserStore

USERS = 100_000
READS = 100_000
ALONE = 300
TOGETHER = 20_000
CLIENTS = 64
BUSY_US = 5


def main() -> int:
    directory = sys.argv[1] if len(sys.argv) > 1 else "."
    with tempfile.TemporaryDirectory(dir=directory, prefix="bench-store-") as scratch:
        found = [Figure("fsync of one page", 1e6 * fsync_s(Path(scratch) / "probe"), "µs")]
        found += uvloop.run(measure(f"sqlite:///{Path(scratch).absolute()}/users.db"))
    return figures.conclude("store", found)


async def measure(url: str) -> list[Figure]:
    store = UserStore(url)
    await store.open()
    await create_together(store, "fill", USERS)
    found = [
        Figure("read by id, same 1,000 users", 1e9 * read_s(store, 1_000, 1), "ns"),
        Figure(f"read by id, all {USERS:,} users", 1e9 * read_s(store, USERS, 7919), "ns"),
        Figure("read by id, unknown", 1e9 * read_s(store, 1_000, 1, first=10**9), "ns"),
    ]

    started, commits = time.perf_counter(), store.commits
    for n in range(ALONE):
        await store.create("Ada Lovelace", f"alone{n}@example.com")
    took_s, fsyncs = time.perf_counter() - started, (store.commits - commits) / ALONE
    found.append(Figure("create alone", 1e6 * took_s / ALONE, "µs", note=f"{fsyncs:.2f} fsyncs per create"))

    found.append(await measure_together(store, f"creates, {CLIENTS} clients"))
    with busy_loop():
        found.append(await measure_together(store, f"creates, {CLIENTS} clients, busy loop"))
    await store.close()
    return found


async def measure_together(store: UserStore, label: str) -> Figure:
    commits = store.commits
    took_s = await create_together(store, label, TOGETHER)
    fsyncs = (store.commits - commits) / TOGETHER
    return Figure(label, TOGETHER / took_s, "per s", note=f"{fsyncs:.3f} fsyncs per create")


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


if __name__ == "__main__":
    sys.exit(main())
