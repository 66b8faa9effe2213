"""What several targets use."""

from types import ModuleType

from tests import compiled


def load_probe(name: str) -> ModuleType:
    """A module of tests/unit that reaches C interfaces."""
    return compiled.load_into(compiled.ROOT / "build" / "probes", f"tests/unit/{name}_probe.pyx")


def difference(what: str, value: object, ours: object, theirs: object) -> str | None:
    return None if ours == theirs else f"{what} {value!r}: {ours}, and to the twin {theirs}"
