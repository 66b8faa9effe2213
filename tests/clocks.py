"""An event loop whose time passes in a moment: where it would wait, its clock moves on instead.

with clocked() as loop:
    loop.run_until_complete(asyncio.sleep(3600))
"""

import asyncio
import selectors
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class ClockedLoop(asyncio.SelectorEventLoop):
    """Begins an hour after zero; `skip` moves its clock as if the process had been stopped."""

    def __init__(self) -> None:
        self._now = 3600.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self._now

    def skip(self, seconds: float) -> None:
        self._now += seconds

    async def settle(self) -> None:
        """Let everything happen that is to happen now."""
        for _ in range(20):
            await asyncio.sleep(0)


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: ClockedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        events = super().select(0)
        if not events:
            assert timeout is not None, "nothing will happen any more"
            self._loop.skip(max(0.0, timeout))
        return events


@contextmanager
def clocked() -> Iterator[ClockedLoop]:
    loop = ClockedLoop()
    try:
        yield loop
    finally:
        loop.close()
