"""The app of the proofs: each answer names its request and the process that gave it.

usage: highperf-serve proofs_app:app --app-dir . --port PORT
    WORK_US      CPU time of GET /work/:serial
    ADMITTED     file to which each handler that is begun adds its request's serial and the time, in ns of
                 CLOCK_MONOTONIC, 8 octets each: so it tells what was admitted even by a process that is killed then
"""

import asyncio
import os
import struct
import time
from collections.abc import AsyncIterator

from highperf import App, Request, Response

WORK_S = int(os.environ.get("WORK_US", "500")) / 1e6
NAP_S = 0.05
PIECE = b"x" * 65536

app = App()
pid = os.getpid()
admitted = -1
if path := os.environ.get("ADMITTED"):
    admitted = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def begin(request: Request) -> str:
    serial = request.params["serial"]
    if admitted >= 0:
        os.write(admitted, struct.pack("qq", int(serial), time.monotonic_ns()))
    return f"{serial} {pid}"


@app.get("/at/:serial")
async def at(request: Request):
    return f"{begin(request)} 0"


@app.get("/nap/:serial")
async def nap(request: Request):
    """Waits, so that a request is often under way."""
    name = begin(request)
    await asyncio.sleep(NAP_S)
    return f"{name} 0"


@app.get("/work/:serial")
async def work(request: Request):
    """Burns CPU time, not wall time: another process on this CPU does not shorten the work."""
    name, end = begin(request), time.thread_time() + WORK_S
    while time.thread_time() < end:
        pass
    return f"{name} 0"


@app.post("/content/:serial")
async def content(request: Request):
    name = begin(request)
    return f"{name} {len(await request.body())}"


# ---- what does not end ------------------------------------------------------------------------------


@app.get("/stubborn")
async def stubborn(request: Request):
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


async def endless(piece: bytes, pause_s: float) -> AsyncIterator[bytes]:
    while True:
        yield piece
        await asyncio.sleep(pause_s)


@app.get("/endless")
async def drops(request: Request):
    return Response.stream(endless(b"drop\n", 0.1))


@app.get("/flood")
async def flood(request: Request):
    """As fast as it is read."""
    return Response.stream(endless(PIECE, 0))
