"""Libraries that do the same work as a part of highperf: from the dependency group `bench`, and only measured."""

from importlib import import_module
from typing import Any

missing: set[str] = set()


def module(name: str) -> Any:
    """The module; None, and noted as missing, where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        missing.add(name.partition(".")[0])
        return None
