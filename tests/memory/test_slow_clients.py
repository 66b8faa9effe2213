"""What a crowd of slow clients costs a worker, and that a second one costs no more; measured from a process of
its own."""

import platform
import subprocess
import sys

import pytest

from highperf.core.connection import HttpProtocol

CROWD = 4000
BOUND = 2560  # for each, of this process; a head that trickles in takes 2.2, of which the transport has 1.3
SMALL_OBJECT_MOST = 512  # of CPython's Objects/obmalloc.c; what is larger has malloc's overhead, and scatters
GC_HEAD_BYTES = 16

pytestmark = [
    pytest.mark.release_build,
    pytest.mark.skipif(platform.system() != "Linux", reason="looks into /proc"),
]

SCRIPT = """
import asyncio, logging, os, resource, socket, sys
import uvloop
from highperf import App
from highperf.config import Layers, resolve
from highperf.core.worker import Worker

said, count = sys.argv[1].encode(), int(sys.argv[2])
logging.getLogger("highperf.error").disabled = True
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
app = App()
settings = resolve(Layers(app={"read_timeout": "10s"}))
loop = uvloop.new_event_loop()
worker = Worker(app.build(settings), settings, loop, app=app)
worker.advance(0)

def own_bytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))

async def come(count):
    peers = []
    for _ in range(count):
        peer, ours = socket.socketpair()
        await loop.connect_accepted_socket(worker.connection, ours)
        peers.append(peer.detach())
    return peers

async def drip(peers):
    for octet in said:
        for peer in peers:
            os.write(peer, octet.to_bytes())
        for _ in range(5):
            await asyncio.sleep(0)

async def leave(peers):
    for peer in peers:
        os.close(peer)
    while worker.connections:
        await asyncio.sleep(0)

async def crowd(count):
    peers = await come(count)
    await drip(peers)
    assert worker.connections == count
    most = own_bytes()
    worker.advance(10.1)
    while worker.connections:               # they linger, and end
        await asyncio.sleep(0)
        worker.advance(0.01)
    await leave(peers)
    return most

async def run():
    await crowd(100)
    before = own_bytes()
    print(*[await crowd(count) - before for _ in range(3)])

loop.run_until_complete(asyncio.wait_for(run(), 60))
"""


@pytest.mark.parametrize("said", ["", "GET /slow"], ids=["silent", "a head that comes octet by octet"])
def test_memory_of_a_crowd(said: str) -> None:
    command = [sys.executable, "-c", SCRIPT, said, str(CROWD)]
    grown = [int(size) for size in subprocess.check_output(command, text=True).split()]
    assert max(grown) < BOUND * CROWD
    assert grown[2] < 1.25 * grown[0]


def test_a_connection_is_small_enough_for_the_allocator_of_small_objects() -> None:
    assert HttpProtocol.__basicsize__ + GC_HEAD_BYTES <= SMALL_OBJECT_MOST
