"""Whatever is registered and asked for, the compiled router answers as its twin does.

An input is text: lines "METHOD PATTERN" are routes, all others are paths.
"""

from collections import Counter
from random import Random

from fuzz.engine import Target
from fuzz.targets.shared import difference
from highperf.errors import RouteConflict
from highperf.wire.router import Router
from tests.property import test_router_against_twin as parts
from tests.reference.router_twin import RouterTwin

METHODS = ("GET", "POST", "*")
MOST = 40  # routes and paths; the twin is slow
SEEDS = [
    b"GET /\nGET /users/:id\nPOST /users\n/\n/users/7\n/users",
    b"GET /a/:b/c\nGET /a/b/*d\n* /*e\n/a/b/c\n/a/x/c\n/a/b/\n/a",
    b"GET /{a}/{b:path}\nGET /a/ab\nPOST /a/abc\n/a/abc/d\n/ab/c",
    b"GET /a/:b/c\nGET /a/:c\n/a/b",
]


COUNTS = Counter[str]()


def check(octets: bytes) -> str | None:
    router, twin, paths = Router(), RouterTwin(), []
    for line in octets.decode("utf-8", "replace").split("\n")[:MOST]:
        method, blank, pattern = line.partition(" ")
        if blank:
            add(router, twin, method, pattern, len(router))
        else:
            paths.append(line)
    for path in paths:
        allowed = twin.allowed(path)
        COUNTS["found" if allowed else "not found"] += 1
        wrong = difference("methods of", path, router.allowed(path), allowed)
        for method in METHODS:
            wrong = wrong or difference(f"{method} of", path, router.match(method, path), twin.match(method, path))
        if wrong is not None:
            return f"{router.routes()}\n{wrong}"
    router.match("GET", octets)  # not of UTF-8, it has no twin
    return None


def add(router: Router, twin: RouterTwin, method: str, pattern: str, value: int) -> None:
    """What the compiled router takes, in the spelling that it tells."""
    try:
        router.add(method, pattern, value)
    except (RouteConflict, ValueError):
        return
    twin.add(*router.routes()[-1])


def make(dice: Random) -> bytes:
    def words() -> list[str]:
        return dice.choices([*parts.WORDS, ":", "*", "{x}"], k=dice.randrange(1, 5))

    patterns = [parts.spell((words(), [])) for _ in range(dice.randrange(1, 12))]
    routes = [f"{dice.choice(METHODS)} {pattern}" for pattern in patterns]
    paths = ["/" + "/".join(dice.choices([*parts.WORDS, "z", "a\0b"], k=dice.randrange(1, 5))) for _ in range(4)]
    return "\n".join([*routes, *paths, *patterns]).encode()


def load() -> Target:
    words = [word.encode() for word in (*parts.WORDS, "/:", "/*", "/{", "}", ":path}", "\nGET /", "\n* /", "\n/", "\0")]
    return Target(check, SEEDS, make, words, counts=COUNTS)
