"""An app whose guards are measured: one route to overload, one for each way to be refused.

usage: GUARDS=on highperf-serve guarded_app:app --app-dir . --port PORT
    GUARDS    off: the same routes without protection
    WORK_US   CPU time of GET /work
"""

import asyncio
import os
import time

from highperf import App, HTTPError, Request

WORK_S = int(os.environ.get("WORK_US", "1000")) / 1e6
GUARDED = os.environ.get("GUARDS", "on") == "on"

app = App()
lateness_us: list[int] = []


def guards(**policy):
    """Only of requests that are critical the server sheds none, however long they have waited."""
    return policy if GUARDED else {"critical": True}


ALL = guards(deadline="100ms", rate_limit="100000000/s", breaker="work")


@app.get("/work", **ALL)
async def work(request: Request):
    """Burns CPU time, not wall time: another process on this CPU does not shorten the work."""
    end = time.thread_time() + WORK_S
    while time.thread_time() < end:
        pass
    return "done"


@app.get("/noop", **ALL)
async def noop(request: Request):
    return {"done": True}


@app.get("/limited", **guards(rate_limit="1/m"))
async def limited(request: Request):
    return "done"


@app.get("/broken", **guards(breaker="broken"))
async def broken(request: Request):
    raise HTTPError(500)


@app.get("/full", **guards(limit_concurrency=1))
async def full(request: Request):
    await asyncio.Event().wait()


# ---- deadlines ----------------------------------------------------------------------------------


@app.get("/hold", **guards(deadline="10m"))
async def hold(request: Request):
    await asyncio.Event().wait()


@app.get("/wait/80", **guards(deadline="80ms"))
async def wait_80(request: Request):
    await wait_in_vain(request)


@app.get("/wait/100", **guards(deadline="100ms"))
async def wait_100(request: Request):
    await wait_in_vain(request)


async def wait_in_vain(request: Request) -> None:
    """Notes how long after its deadline the handler hears of it."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        lateness_us.append(round((time.monotonic() - request.deadline) * 1e6))
        raise


@app.get("/lateness")
async def lateness(request: Request):
    """What was noted since the last time, in microseconds."""
    noted = lateness_us.copy()
    lateness_us.clear()
    return noted
