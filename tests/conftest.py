"""For every test: bounded, reproducible hypothesis runs, and no process or thread left behind."""

import os
import threading
from collections.abc import Iterator

import pytest
from hypothesis import settings

PATIENCE_S = 5.0

settings.register_profile("highperf", max_examples=100, deadline=None, derandomize=True, print_blob=True)
settings.load_profile("highperf")


def living_child() -> bool:
    """Says whether this process has a child that still runs; collects those that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return False
    return True


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind() -> Iterator[None]:
    yield
    threads = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    for thread in threads:
        thread.join(PATIENCE_S)  # one that was told to end may still be about it
    if left := [thread.name for thread in threads if thread.is_alive()]:
        pytest.fail(f"threads left behind: {', '.join(left)}")
    if living_child():
        pytest.fail("a child process was left behind")
