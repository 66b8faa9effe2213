"""A router that is slow and obvious: it tries every route on the path, segment by segment.

The oracle of the compiled router; shares no code with it. What it says in one line each:

- a pattern is given in canonical form, and only once for a method;
- a literal segment matches itself, ":name" any segment that is not empty, "*name" all the rest;
- of all patterns that match, the one with the least kinds wins, compared from the left, where a
  literal is less than a parameter and a parameter less than a catch-all;
- only then the method is looked up, and "*" stands for each that has no value of its own.
"""

LITERAL, PARAM, CATCH_ALL = range(3)
KNOWN = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}


def read(pattern: str) -> list[tuple[int, str]]:
    parts = []
    for segment in pattern[1:].split("/"):
        kind = {":": PARAM, "*": CATCH_ALL}.get(segment[:1], LITERAL)
        parts.append((kind, segment[1:] if kind else segment))
    return parts


def fit(parts: list[tuple[int, str]], path: str) -> dict[str, str] | None:
    segments = path[1:].split("/")
    params = {}
    for index, (kind, word) in enumerate(parts):
        if index >= len(segments):
            return None
        if kind == CATCH_ALL:
            params[word] = "/".join(segments[index:])
            return params
        if kind == PARAM and segments[index]:
            params[word] = segments[index]
        elif kind == PARAM or word != segments[index]:
            return None
    return params if len(parts) == len(segments) else None


class RouterTwin:
    def __init__(self) -> None:
        self.values: dict[str, dict[str, object]] = {}  # pattern -> method -> value

    def add(self, method: str, pattern: str, value: object) -> None:
        self.values.setdefault(pattern, {})[method] = value

    def find(self, path: str) -> tuple[str, dict[str, str]] | None:
        if not path.startswith("/"):
            return None
        fitting = [(pattern, params) for pattern in self.values if (params := fit(read(pattern), path)) is not None]
        if not fitting:
            return None
        return min(fitting, key=lambda found: [kind for kind, _ in read(found[0])])

    def match(self, method: str, path: str) -> tuple[object, dict[str, str]] | None:
        found = self.find(path)
        if found is None:
            return None
        pattern, params = found
        methods = self.values[pattern]
        if method not in methods and "*" not in methods:
            return None
        value = methods[method] if method in methods else methods["*"]
        return value, {name: text.replace("\0", "/") for name, text in params.items()}

    def allowed(self, path: str) -> tuple[str, ...]:
        found = self.find(path)
        if found is None:
            return ()
        names = set(self.values[found[0]])
        if "*" in names:
            names = names - {"*"} | KNOWN
        if "GET" in names:
            names.add("HEAD")
        return tuple(sorted(names | {"OPTIONS"}))
