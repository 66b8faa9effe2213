"""For tests that import modules which they wrote themselves."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def forgotten_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is imported from tmp_path, and that it was searched, is forgotten after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    for name, module in list(sys.modules.items()):
        if any(tmp_path.resolve() in Path(place).parents for place in _places(module)):
            del sys.modules[name]


def _places(module: object) -> list[str]:
    file = getattr(module, "__file__", None)
    return [file] if file else list(getattr(module, "__path__", ()))  # a folder without __init__.py has no file
