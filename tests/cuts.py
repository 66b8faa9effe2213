"""Ways to cut a stream, for tests whose outcome must not depend on where a read ended."""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise


def whole(stream: bytes) -> list[bytes]:
    return [stream]


def fixed(stream: bytes, size: int = 7) -> list[bytes]:
    return [stream[start : start + size] for start in range(0, len(stream), size)]


def bytewise(stream: bytes) -> list[bytes]:
    return fixed(stream, 1)


def growing(stream: bytes) -> list[bytes]:
    pieces, start, size = [], 0, 1
    while start < len(stream):
        pieces.append(stream[start : start + size])
        start, size = start + size, size + 1
    return pieces


def shrinking(stream: bytes) -> list[bytes]:
    """Halves what is left, down to single octets."""
    pieces, start = [], 0
    while start < len(stream):
        end = start + (len(stream) - start + 1) // 2
        pieces.append(stream[start:end])
        start = end
    return pieces


CUTS: dict[str, Callable[[bytes], list[bytes]]] = {
    "whole": whole,
    "bytewise": bytewise,
    "fixed": fixed,
    "growing": growing,
    "shrinking": shrinking,
}


def at(stream: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut before each of the places (offsets into the stream)."""
    edges = [0, *sorted({place for place in places if 0 < place < len(stream)}), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def once(stream: bytes) -> Iterator[list[bytes]]:
    """Every way to cut the stream in two."""
    for place in range(1, len(stream)):
        yield [stream[:place], stream[place:]]


def line_ends(stream: bytes) -> list[int]:
    """The offsets behind every CRLF."""
    return [place + 2 for place in range(len(stream) - 1) if stream[place : place + 2] == b"\r\n"]
