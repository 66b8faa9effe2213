"""What a function that a user gives looks like from outside: its arguments, its kind, its name."""

import inspect
from collections.abc import Callable
from typing import Any


def takes(function: Callable[..., Any], count: int) -> bool:
    """Whether it can be called with this many positional arguments; True where that cannot be known."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        pass  # a builtin without a signature
    return True


def is_async(function: object) -> bool:
    """Whether it is an ``async def`` function, or an object that is called as one."""
    call = getattr(function, "__call__", None)  # noqa: B004 (an object's own method)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def is_generator(function: object) -> bool:
    """Whether calling it makes a generator, of whichever kind, that is not awaited."""
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if flags & inspect.CO_ITERABLE_COROUTINE:  # made by types.coroutine: it can be awaited
        return False
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def name_of(function: object) -> str:
    """What to call it in a message."""
    return getattr(function, "__name__", None) or repr(function)
