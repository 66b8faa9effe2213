"""Targets, paths and queries are decoded as the standard library decodes them, and a kept head says the same."""

from collections import Counter
from random import Random
from urllib.parse import parse_qsl, unquote_to_bytes

from fuzz.engine import Target
from fuzz.targets.shared import difference, load_probe
from highperf.errors import ProtocolError
from highperf.wire.request import Query
from highperf.wire.request_parser import RequestHead, RequestParser

PARTS = [
    b"a",
    b"/",
    b"%41",
    b"%2F",
    b"%2f",
    b"%00",
    b"%",
    b"%4",
    b"%zz",
    b"+",
    b"%2B",
    b"&",
    b"=",
    b"?",
    b"#",
    b"\xc3\xa9",
]
PARTS += [
    b"%C3%A9",
    b"%ff",
    b"%e2%82",
    b"..",
    b"//",
    b"http://a",
    b"https://[::1]:8",
    b"*",
    b"%EF%BB%BF",
    b";",
    b"\xff",
]
SEEDS = [b"/a/b?c=d&e=%20f+g", b"http://a.example:80/x%2Fy?z", b"*", b"/%C3%A9?%C3%A9=%ff&=&&a", b"a.example:443"]
probe = load_probe("parser")


COUNTS = Counter[str]()


def check(octets: bytes) -> str | None:
    path, _, query = octets.partition(b"?")
    return check_path(path) or check_query(query) or check_query(octets) or check_target(octets)


def check_path(path: bytes) -> str | None:
    decoded, text = probe.decode_path(path)
    plain = unquote_to_bytes(path.replace(b"%2F", b"\0").replace(b"%2f", b"\0"))
    wrong = difference("octets of path", path, decoded, plain)
    return wrong or difference("text of path", path, text, plain.replace(b"\0", b"/").decode("utf-8", "replace"))


def check_query(query: bytes) -> str | None:
    # parse_qsl is given latin-1 and gives latin-1 back, so that only this line says what UTF-8 is.
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    theirs = [tuple(part.encode("latin-1").decode("utf-8", "replace") for part in pair) for pair in pairs]
    found = Query(query)
    wrong = difference("query", query, found.items(), theirs)
    for name, _ in found.items()[:3]:
        values = [value for other, value in theirs if other == name]
        wrong = wrong or difference(f"{name!r} in", query, found.get_all(name), values)
    return wrong


def check_target(target: bytes) -> str | None:
    parser = RequestParser()
    parser.feed(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    try:
        head = parser.next_event()
    except ProtocolError:
        return None
    if not isinstance(head, RequestHead) or b" " in target or b"\n" in target:
        return None
    COUNTS["targets accepted"] += 1
    if b"#" in target:
        return f"a fragment was accepted: {target!r}"
    path, _, query = head.target.partition(b"?")
    wrong = difference("query of target", target, head.query, query)
    if path.startswith(b"/"):
        wrong = wrong or difference("path of target", target, head.raw_path, path)
    return wrong or difference("query fields of", target, head.query_fields.items(), Query(query).items())


def make(dice: Random) -> bytes:
    return b"/" + b"".join(dice.choices(PARTS, k=dice.randrange(20)))


def load() -> Target:
    return Target(check, SEEDS, make, PARTS, counts=COUNTS)
