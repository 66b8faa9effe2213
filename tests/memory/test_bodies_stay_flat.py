"""A body of 200 MB passes through a handler in a process whose memory does not grow."""

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
