from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import FrameType
from typing import Any, NoReturn, TextIO

from highperf.guards.deadlines import TimerOwner

async def await_any(awaitable: Any) -> Any:
    """Awaits it: a coroutine for what is awaitable in another way."""

def raise_again(error: BaseException) -> NoReturn:
    """Raises the error."""

def describe(self: StepTask) -> str:
    """The task's ``repr``."""

class StepTask(TimerOwner):
    """An asyncio task whose first step runs at once; otherwise as :class:`asyncio.Task`."""

    _must_cancel: bool
    _asyncio_future_blocking: bool
    @property
    def _loop(self) -> AbstractEventLoop: ...
    @property
    def _coro(self) -> Coroutine[Any, Any, Any] | None: ...
    @property
    def _context(self) -> Context | None: ...
    @property
    def _fut_waiter(self) -> Future[Any] | None: ...
    def _step(self, error: BaseException | None) -> None: ...
    def _wakeup(self, future: Future[Any]) -> None: ...
    def _make_cancelled_error(self) -> BaseException: ...
    def cancel(self, msg: Any = None) -> bool:
        """As asyncio.Task.cancel."""

    def cancelling(self) -> int:
        """As asyncio.Task.cancelling."""

    def uncancel(self) -> int:
        """As asyncio.Task.uncancel."""

    def done(self) -> bool:
        """As asyncio.Task.done."""

    def cancelled(self) -> bool:
        """As asyncio.Task.cancelled."""

    def result(self) -> Any:
        """As asyncio.Task.result."""

    def exception(self) -> BaseException | None:
        """As asyncio.Task.exception."""

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context | None = None) -> None:
        """As asyncio.Task.add_done_callback."""

    def remove_done_callback(self, callback: Callable[[Any], object]) -> int:
        """As asyncio.Task.remove_done_callback."""

    def get_loop(self) -> AbstractEventLoop:
        """As asyncio.Task.get_loop."""

    def get_coro(self) -> Coroutine[Any, Any, Any] | None:
        """As asyncio.Task.get_coro."""

    def get_context(self) -> Context | None:
        """As asyncio.Task.get_context."""

    def get_name(self) -> str:
        """As asyncio.Task.get_name."""

    def set_name(self, value: object) -> None:
        """As asyncio.Task.set_name."""

    def get_stack(self, *, limit: int | None = None) -> list[FrameType]:
        """As asyncio.Task.get_stack."""

    def print_stack(self, *, limit: int | None = None, file: TextIO | None = None) -> None:
        """As asyncio.Task.print_stack."""

    def __await__(self) -> Generator[Any, None, Any]: ...
    def __iter__(self) -> Generator[Any, None, Any]: ...
