"""Forked processes of a test that share memory with it: none outlives the test, and nobody sleeps."""

import os
import signal
import time
from collections.abc import Callable

PATIENCE_S = 30.0


def fork(children: list[int], work: Callable[[], object]) -> int:
    """Does the work in a process of its own, whose id is added to `children`."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    children.append(pid)
    return pid


def join(children: list[int]) -> None:
    """Waits for the end of all; each must have ended well."""
    while children:
        assert os.waitpid(children.pop(), 0)[1] == 0


def kill(children: list[int]) -> None:
    """Ends what still runs."""
    while children:
        pid = children.pop()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def wait_for(condition: Callable[[], bool]) -> None:
    """Looks at shared memory until the condition holds, and lets others run meanwhile."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        os.sched_yield()
