"""Runs a handler that blocks in a thread of the loop's pool.

Owns what becomes of the thread's work when its request is cancelled. A thread cannot be stopped, so
a request whose handler has begun there lasts until the handler ends: what it holds, such as its
place among the requests that may run at once, stays taken for as long as the thread does.
"""

import asyncio
import contextvars
import functools
import threading
from collections.abc import Callable
from typing import Any

from highperf.errors import SHUTTING_DOWN


async def call_in_thread(function: Callable[[Any], Any], argument: Any) -> Any:
    """What the function returns or raises, called in a thread with this task's context variables.

    Cancelled before a thread was free, it is never called. Cancelled later, this waits for its end, and
    raises what it raised, or else CancelledError; a second cancellation, or the server's end, ends the wait.
    """
    call = _Call(functools.partial(contextvars.copy_context().run, function, argument))
    future = asyncio.get_running_loop().run_in_executor(None, call.run)
    try:
        await asyncio.wait((future,))
    except asyncio.CancelledError as error:
        await _let_end(call, future, patient=error.args != (SHUTTING_DOWN,))
        raise
    return future.result()


class _Call:
    """A call that either begins in a thread or is dropped: whoever takes the claim first decides."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._claim = threading.Lock()

    def run(self) -> Any:
        if not self._claim.acquire(blocking=False):
            return None
        try:
            return self._function()
        except StopIteration as error:  # which no future can hold
            raise RuntimeError("the handler raised StopIteration") from error

    def drop(self) -> bool:
        """False: it has begun."""
        return self._claim.acquire(blocking=False)


async def _let_end(call: _Call, future: asyncio.Future[Any], *, patient: bool) -> None:
    try:
        if not call.drop() and patient:
            await asyncio.wait((future,))
            future.result()
    finally:
        future.cancel()  # nobody asks for its outcome any more
