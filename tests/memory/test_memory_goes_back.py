"""What a burst or a router needed goes back to the system, measured from a process of its own."""

import platform
import subprocess
import sys

import pytest

MIB = 1024 * 1024

pytestmark = [
    pytest.mark.release_build,
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators decide for themselves"),
]

RESIDENT = """
def resident_bytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))
"""

BURST = """
from highperf.wire.buffers import BufferPool

capacity = int(sys.argv[1])
pool = BufferPool()
before = resident_bytes()
for _ in range(3):
    buffers = [pool.acquire(capacity) for _ in range(pool.limit_bytes // capacity)]
    for buffer in buffers:
        buffer.write(bytes(capacity))
    # Lives on above the buffers, as other connections' memory does.
    younger = bytes(100_000)
    burst = resident_bytes() - before
    for buffer in buffers:
        pool.release(buffer)
    del buffers, buffer
    while pool.held_bytes:
        pool.trim()
print(burst, resident_bytes() - before)
"""

ROUTERS = """
from highperf.wire.router import Router

def use_router():
    router = Router()
    for number in range(2_000):
        router.add("GET", f"/api/{'long' * 20}/{number}/:id/*rest", number)

use_router()
before = resident_bytes()
for _ in range(60):
    use_router()
print(resident_bytes() - before)
"""


def run(script: str, *arguments: str) -> list[int]:
    command = [sys.executable, "-c", f"import sys\n{RESIDENT}{script}", *arguments]
    return [int(word) for word in subprocess.check_output(command, text=True).split()]


@pytest.mark.parametrize("capacity", [1024, 4096, 64 * 1024, MIB])
def test_memory_of_a_burst_goes_back_after_some_trims(capacity: int) -> None:
    burst, left = run(BURST, str(capacity))
    assert burst > 12 * MIB
    assert left < 3 * MIB  # of that 1 MiB, by chance: Python's objects come in arenas, and the last may stay in use


def test_router_frees_its_tree() -> None:
    # The smaller part of such a tree, its lists of children, takes 100 KB: sixty of them would show.
    (grown,) = run(ROUTERS)
    assert grown < 2 * MIB
