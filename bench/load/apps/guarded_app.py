"""An app for overload: 1 ms of CPU a request. Its guards are what the environment makes of them.

usage: WORK_US=1000 highperf-serve guarded_app:app --app-dir . --port PORT
"""

import os
import time

from highperf import App, Request

WORK_S = int(os.environ.get("WORK_US", "1000")) / 1e6

app = App()


@app.get("/work")
async def work(request: Request):
    """Burns CPU time, not wall time: another process on this CPU does not shorten the work."""
    end = time.thread_time() + WORK_S
    while time.thread_time() < end:
        pass
    return "done"
