"""A body of 200 MB passes through a handler in a process whose memory does not grow; what whole ones took goes back."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.release_build

MIB = 1024 * 1024

SCRIPT = """
import asyncio, json, resource, sys
import uvloop
from highperf import App, Request
from highperf.config import Layers, resolve
from highperf.core.worker import Worker
from highperf.testing import MemoryTransport

how, warm_up, total = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
app = App()
read = 0
peaks = {}


def note(octets):
    global read
    read += octets
    if read >= warm_up and "before" not in peaks:
        peaks["before"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@app.post("/", limit_body="500m")
async def load(request: Request) -> str:
    if how == "json_items":
        async for item in request.json_items("item"):
            note(len(item["text"]))
            await asyncio.sleep(0)
    else:
        async for part in request.stream():
            note(len(part))
            await asyncio.sleep(0)
    return "loaded"


class Sender(MemoryTransport):
    # Sends as fast as it is read, a chunk of the transfer coding at a time.
    def begin(self, content):
        self.content = content
        self.send(b"POST / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n")

    def send(self, octets):
        buffer = self._protocol.get_buffer(-1)
        buffer[: len(octets)] = octets
        self._protocol.buffer_updated(len(octets))
        if self._reading:
            self._loop.call_soon(self._deliver)

    def _deliver(self):
        if self._reading and not self._closing:
            part = next(self.content, None)
            if part is not None:
                self.send(b"%x\\r\\n%b\\r\\n" % (len(part), part))


def array():
    item = json.dumps({"text": "x" * 2000, "tags": ["a", "b"], "number": 1.5}).encode()
    some = b",".join([item] * 20)
    yield b"[" + item
    for _ in range(total // len(some)):
        yield b"," + some
    yield b"]"
    yield b""


loop = uvloop.new_event_loop()
worker = Worker(app.build(), resolve(Layers()), loop, app=app)
sender = Sender(loop, worker.connection())
loop.call_soon(sender.begin, array())
loop.run_until_complete(sender.closed)
assert sender.sent.endswith(b"loaded"), bytes(sender.sent)
assert read > total * 0.9
assert worker.pool.in_use == 0
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peaks["before"]) * 1024)
"""


@pytest.mark.parametrize("how", ["json_items", "stream"])
def test_memory_does_not_grow_with_a_body_that_is_taken_in_parts(how: str) -> None:
    command = [sys.executable, "-c", SCRIPT, how, str(10 * MIB), str(200 * 1000 * 1000)]
    grown = int(subprocess.check_output(command, text=True, timeout=120))
    assert grown < 2 * MIB


WHOLE = """
import asyncio, socket, sys, threading
import uvloop
from highperf import App, Request
from highperf.config import Layers, resolve
from highperf.core.worker import Worker

SIZE, CLIENTS, ROUNDS = int(sys.argv[1]), 8, 4
app = App(limit_request_body=SIZE)
younger = []


@app.post("/")
async def load(request: Request) -> str:
    whole = await request.body()
    younger.append(bytes(2000))  # lives on above it
    await asyncio.sleep(0)
    return str(len(whole))


def resident_bytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))


async def send(address):
    client = socket.create_connection(address)
    client.setblocking(False)
    for _ in range(ROUNDS):
        await loop.sock_sendall(client, b"POST / HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: %d\\r\\n\\r\\n" % SIZE)
        await loop.sock_sendall(client, content)
        assert (await loop.sock_recv(client, 1000)).endswith(str(SIZE).encode())
    client.close()


async def run():
    server = await loop.create_server(worker.connection, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    await asyncio.gather(*[send(address) for _ in range(CLIENTS)])
    before = resident_bytes()
    while worker.pool.held_bytes:
        worker.advance(1)
    print(before - start, resident_bytes() - start)
    server.close()


loop = uvloop.new_event_loop()
worker = Worker(app.build(), resolve(Layers(app=app.defaults)), loop, app=app)
content = bytes(SIZE)
start = resident_bytes()
loop.run_until_complete(run())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators decide for themselves")
@pytest.mark.parametrize("size", [200 * 1024, MIB, 10 * MIB])
def test_memory_of_whole_bodies_goes_back(size: int) -> None:
    command = [sys.executable, "-c", WHOLE, str(size)]
    after, left = map(int, subprocess.check_output(command, text=True, timeout=120).split())
    assert left < 3 * MIB, after
