"""Lazy views on a request: header fields and query. Nothing is decoded before it is asked for."""

from collections.abc import Iterator
from typing import Self, TypeVar, final, overload

from highperf.wire.parser import Head

_T = TypeVar("_T")

@final
class Headers:
    """The field lines of a request as a read-only multi-mapping.

    Names are compared without case (RFC 9110 section 5.1) and given in lower case, lines in the
    order in which they came, repeated names included. Values are text of one character an octet
    (latin-1), without surrounding white space.
    """

    def __new__(cls, head: Head) -> Self:
        """A view on the head; headers of real requests come from a Request or RequestHead."""
    def __getitem__(self, name: str, /) -> str:
        """The first value of that name. Raises KeyError if there is none."""
    def __contains__(self, name: object, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int:
        """The number of field lines."""
    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: _T) -> str | _T: ...
    def get_all(self, name: str) -> list[str]:
        """The values of all lines of that name, in order."""
    def keys(self) -> list[str]:
        """The name of every line, in lower case."""
    def values(self) -> list[str]:
        """The value of every line."""
    def items(self) -> list[tuple[str, str]]:
        """Name in lower case and value of every line."""
    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """Name and value of every line in the octets that were sent."""

@final
class Query:
    """The query of a request target as a read-only multi-mapping.

    Read as application/x-www-form-urlencoded: "+" is a space, percent-encoding is undone once,
    octets that are not UTF-8 become U+FFFD, and a "%" without two hex digits stands for itself.
    A name without "=" has an empty value. It is parsed on first use, in linear time.
    """

    def __init__(self, source: bytes) -> None:
        """source is what follows the "?" of a target."""
    def __getitem__(self, name: str, /) -> str:
        """The first value of that name. Raises KeyError if there is none."""
    def __contains__(self, name: object, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int:
        """The number of name-value pairs."""
    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: _T) -> str | _T: ...
    def get_all(self, name: str) -> list[str]:
        """All values of that name, in order."""
    def keys(self) -> list[str]:
        """The name of every pair, in order."""
    def values(self) -> list[str]:
        """The value of every pair, in order."""
    def items(self) -> list[tuple[str, str]]:
        """Every pair, in order."""
