"""What is tried: a module for each target, whose load() makes a Target."""

from importlib import import_module

from fuzz.engine import Target

# Name of the module -> its share of the time.
SHARES = {
    "parser": 5,
    "chunked": 2,
    "router": 1,
    "urls": 1,
    "ranges": 1,
    "conditions": 1,
    "paths": 2,
    "forwarded": 2,
    "traces": 1,
    "log_lines": 1,
    "schedules": 3,
    "guards": 3,
}


def load(name: str) -> Target:
    target = import_module(f"fuzz.targets.{name}").load()
    assert isinstance(target, Target)
    return target
