"""The language of --access-log-format: words that stand for formats, and gunicorn's atoms.

Owns which atoms there are, and what is said of one that is none. Must not know how a line is
written, which observe.access_log does.
"""

import re
from typing import Final, NamedTuple

from highperf.values import WrongElement

LITERALS_MOST: Final = 1024  # octets of a format besides its atoms, so that there is room for these in a line
ATOMS_MOST: Final = 64

# Those without a parameter, and what each stands for.
ATOMS: Final = {
    "h": "the client's address",
    "l": "nothing: -",
    "u": "nothing: - (this server knows no users)",
    "t": "the time as Apache writes it, in UTC",
    "r": "the request line, as it was sent",
    "m": "the method",
    "U": "the path, as it was sent",
    "q": "the query",
    "H": "the version of HTTP",
    "s": "the status",
    "B": "octets of the answer's content",
    "b": "the same, - for none",
    "f": "the Referer field",
    "a": "the User-Agent field",
    "T": "whole seconds that the request took",
    "M": "whole milliseconds",
    "D": "microseconds",
    "L": "seconds with six decimals",
    "p": "the id of the worker process",
    "port": "the client's port",
    "client": "the client's address and port",
    "time": "the time as RFC 3339 has it, in UTC",
    "ms": "milliseconds with two decimals",
    "reason": "the status in words",
    "route": "the route's pattern",
    "id": "the request id",
    "trace": "the trace id",
    "span": "the span id",
    "received": "octets of the request's content, as far as it was read",
    "ending": "sent, cut (the server gave the answer up) or left (the client was gone first)",
}
# With one, %({name}i)s: a field of the request or of the answer.
FIELD_ATOMS: Final = {"i": "a field of the request", "o": "a field of the answer"}

NAMED: Final = {
    "common": '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s',
    "combined": '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
    "default": '%(time)s INFO %(client)s - "%(r)s" %(s)s %(reason)s %(ms)sms %(B)sB %(id)s',
}
TERMINAL: Final = 'INFO:     %(client)s - "%(r)s" %(s)s %(reason)s %(ms)sms %(B)sB %(id)s'
JSON: Final = "json"

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PARTS: Final = re.compile(
    r"%\((?P<atom>[^()]*)\)s|(?P<percent>%%)|(?P<wrong>%(?:\([^)]*\)?.?|.?))|(?P<text>[^%]+)", re.S
)


class Atom(NamedTuple):
    """A place in a line; field: the lower-case name of the field that %({name}i)s and %({name}o)s tell."""

    name: str
    field: str = ""


class Member(NamedTuple):
    """One of a JSON object's; it is left out where there is nothing to tell."""

    key: str
    atom: Atom
    is_number: bool = False


Part = str | Atom

# By the names of OpenTelemetry's semantic conventions, where there are any.
MEMBERS: Final = (
    Member("time", Atom("time")),
    Member("level", Atom("level")),
    Member("client.address", Atom("h")),
    Member("http.request.method", Atom("m")),
    Member("url.path", Atom("U")),
    Member("url.query", Atom("q")),
    Member("http.route", Atom("route")),
    Member("http.response.status_code", Atom("s"), is_number=True),
    Member("http.response.body.size", Atom("B"), is_number=True),
    Member("duration_ms", Atom("ms"), is_number=True),
    Member("user_agent.original", Atom("a")),
    Member("trace_id", Atom("trace")),
    Member("span_id", Atom("span")),
    Member("request_id", Atom("id")),
    Member("worker", Atom("worker"), is_number=True),
    Member("ending", Atom("unusual")),
)


def parse_format(text: str) -> tuple[Part, ...] | tuple[Member, ...]:
    """Literals and atoms in turn, where a literal may be missing; for "json" MEMBERS. WrongElement names what is
    wrong."""
    if text == JSON:
        return MEMBERS
    parts: list[Part] = []
    for found in _PARTS.finditer(NAMED.get(text, text)):
        if found["atom"] is not None:
            parts.append(_atom(found["atom"], found[0]))
        elif found["wrong"] is not None:
            raise WrongElement(found[0], "%(atom)s, or %% for a percent sign")
        else:
            literal = "%" if found["percent"] else found[0]
            if not literal.isprintable():
                raise WrongElement(literal, "characters that can be seen")
            if parts and isinstance(parts[-1], str):
                literal = parts.pop() + literal  # type: ignore[operator]
            parts.append(literal)
    return _bounded(parts)


def _atom(name: str, whole: str) -> Atom:
    if name in ATOMS:
        return Atom(name)
    field, kind = name[1:-2], name[-1:]
    if name[:1] == "{" and name[-2:-1] == "}" and kind in FIELD_ATOMS and _TOKEN.fullmatch(field):
        return Atom(kind, field.lower())
    raise WrongElement(whole, f"one of {', '.join(ATOMS)}, {{name}}i, {{name}}o as the atom")


def _bounded(parts: list[Part]) -> tuple[Part, ...]:
    atoms = sum(isinstance(part, Atom) for part in parts)
    literals = sum(len(part.encode()) for part in parts if isinstance(part, str))
    if not atoms:
        raise WrongElement(
            "".join(part for part in parts if isinstance(part, str)),
            f"{', '.join(NAMED)}, {JSON} or a format with atoms",
        )
    if atoms > ATOMS_MOST or literals > LITERALS_MOST:
        raise WrongElement(f"{atoms} atoms", f"at most {ATOMS_MOST}, and at most {LITERALS_MOST} octets of other text")
    return tuple(parts)
