"""What several targets use."""

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from types import ModuleType
from typing import TypeVar

from tests import compiled

T = TypeVar("T")


class Choices:
    """An input as a list of choices, an octet each; one that is short goes on with zeros."""

    def __init__(self, octets: bytes) -> None:
        self.octets: Iterator[int] = chain(octets, repeat(0))

    def of(self, things: Sequence[T]) -> T:
        return things[next(self.octets) % len(things)]

    def up_to(self, most: int) -> int:
        return next(self.octets) % (most + 1)


def load_probe(name: str) -> ModuleType:
    """A module of tests/unit that reaches C interfaces."""
    return compiled.load_into(compiled.ROOT / "build" / "probes", f"tests/unit/{name}_probe.pyx")


def field_text(octets: bytes) -> str:
    """Without the octets that the parser lets into no field, and without blanks at the ends."""
    return "".join(chr(octet) for octet in octets if (octet >= 32 and octet != 127) or octet == 9).strip(" \t")


def difference(what: str, value: object, ours: object, theirs: object) -> str | None:
    return None if ours == theirs else f"{what} {value!r}: {ours}, and to the twin {theirs}"
