"""Runs in a process of its own: forks workers that share one segment, each with a socket of its own.

Arguments: how many, settings as JSON. Says each worker's process and port on standard error, then `ready`.
The workers end with this process, whichever way it ends.
"""

import asyncio
import json
import os
import socket
import sys
from typing import Any

import uvloop

from highperf import App, HTTPError, RateLimit, Request
from highperf.config import Layers, resolve
from highperf.core.worker import Worker
from highperf.segment import Segment


def application(lease: str) -> App:
    app = App()
    app.breaker("db", failures=20, open_for="500ms", lease=lease)
    held: list[asyncio.Future[None]] = []

    @app.get("/now", critical=True)  # however long it waits: not refused for that
    def now(request: Request) -> str:
        return ""

    @app.get("/keyed", rate_limit=RateLimit("1/h", capacity=7, by="header:X-Key"))
    def keyed(request: Request) -> str:
        return ""

    @app.get("/db/well", breaker="db")
    def well(request: Request) -> str:
        return ""

    @app.get("/db/fail", breaker="db")
    def fail(request: Request) -> None:
        raise HTTPError(500, "as asked")

    @app.get("/db/hold", breaker="db")
    async def hold(request: Request) -> str:
        held.append(asyncio.get_running_loop().create_future())
        await held[-1]
        return ""

    @app.get("/held")
    def count(request: Request) -> str:
        return str(len(held))

    @app.get("/release")
    def release(request: Request) -> None:
        while held:
            held.pop().set_result(None)

    return app


def serve(segment: Segment, listening: socket.socket, given: dict[str, Any], life: int) -> None:
    lease = given.pop("lease", "1s")
    settings = resolve(Layers(app=given))
    loop = uvloop.new_event_loop()
    app = application(lease)
    worker = Worker(app.build(settings), settings, loop, app=app, segment=segment)
    worker.ready = True
    loop.run_until_complete(loop.create_server(worker.connection, sock=listening))
    loop.add_reader(life, os._exit, 0)
    loop.run_forever()


def main(count: int, given: dict[str, Any]) -> None:
    segment = Segment.create()
    life, lifeline = os.pipe()
    for _ in range(count):
        listening = socket.create_server(("127.0.0.1", 0))
        pid = os.fork()
        if pid == 0:
            os.close(lifeline)
            serve(segment, listening, given, life)
            return
        print(f"worker {pid} {listening.getsockname()[1]}", file=sys.stderr)
        listening.close()
    print("ready", file=sys.stderr, flush=True)
    while True:
        os.wait()


main(int(sys.argv[1]), json.loads(sys.argv[2]))
