"""Find what was registered for a method and a path.

A radix tree: the cost of a match grows with the length of the path, not with the number of
routes. Usable alone:

    router = Router()
    router.add("GET", "/users/:id", show_user)
    router.match("GET", "/users/7")         # (show_user, {"id": "7"})

Patterns. A pattern begins with "/". A segment ":id" (or "{id}") takes one whole segment that
is not empty; "*path" (or "{path:path}"), as the last one only, takes the rest of the path,
slashes included, and the rest may be empty: "/files/*path" matches "/files/", not "/files".
Everything else is compared octet by octet with the decoded path: "/users" and "/users/" differ.

Precedence. A literal segment goes before a parameter, a parameter before a catch-all, decided
segment by segment from the left, whatever the order of registration. A match that leads to a
dead end falls back: with "/users/new" and "/users/:id/x" the path "/users/new/x" matches the
second. The path alone decides on the pattern, then the method is looked up there.

Not safe for adding routes while another thread matches.
"""

from typing import Any, Final, final

METHOD_NAMES: Final[tuple[str, ...]]
"""By the number of a method that has one: GET to CONNECT from 1 on; first what stands for all others."""

@final
class Endpoint:
    """One pattern and what its methods lead to. Made by Router.add."""

    @property
    def pattern(self) -> str:
        """The pattern in canonical form: "/users/:id", "/files/*path"."""
    @property
    def param_names(self) -> tuple[str, ...]:
        """Names of the parameters, from left to right."""
    @property
    def methods(self) -> tuple[str, ...]:
        """Sorted names for an Allow field (RFC 9110 section 10.2.1); see Router.allowed."""

@final
class Router:
    """Maps (method, path) to values."""

    def __len__(self) -> int:
        """Number of routes that were added."""
    def add(self, method: str, pattern: str, value: object) -> None:
        """Lead method and pattern to value, which may be anything but None.

        method is a token as it stands in a request, case-sensitive (RFC 9110 section 9.1), or
        "*" for every method that the pattern has no value of its own for.

        Raises RouteConflict (a ValueError) when the pattern has a value for this method already,
        or is registered with other parameter names; ValueError when the pattern or the method
        is malformed: no leading slash, a parameter that is not a whole segment, a name that is
        no identifier or occurs twice, a catch-all that is not last, more than 16 parameters, or
        a NUL, "?" or "#"; TypeError when value is None. The router is then unchanged.
        """
    def match(self, method: str, path: str | bytes) -> tuple[Any, dict[str, str]] | None:
        """The value for a request and its parameters, or None.

        path is decoded, without a query; a NUL in it stands for an encoded slash ("%2F"), which
        does not separate segments and is given back as "/". Parameters are decoded as UTF-8,
        octets that are not are replaced by U+FFFD. HEAD does not fall back to GET here.
        """
    def allowed(self, path: str | bytes) -> tuple[str, ...]:
        """Sorted methods that the path can be asked with, () when no pattern matches it.

        GET brings HEAD along, and OPTIONS always belongs to it: a server answers these itself.
        "*" counts as every method of RFC 9110 but CONNECT, whose target is no path, and PATCH.
        """
    def routes(self) -> list[tuple[str, str, Any]]:
        """(method, canonical pattern, value) of each route, in order of registration."""
