"""Request vectors of two other servers, under every delivery, against a strict reading of the RFCs.

Each case says what strict reading asks for: accept exactly n requests, reject after at most n, or
wait after n. Where this project does otherwise, tests/data/deviations.md lists the case.
"""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import cuts
from tests.streams import Outcome, outcome

DATA = Path(__file__).parent.parent / "data"
EVERY_CUT_UP_TO = 300

# What follows these requests is no HTTP/1.1, or is not looked at.
OPEN_ENDED = {"upgrade", "data-after-close"}


def read_cases() -> dict[str, dict[str, Any]]:
    texts = [(DATA / "http1" / f"{name}.jsonl").read_text() for name in ("gunicorn", "llhttp")]
    return {case["id"]: case for text in texts for case in map(json.loads, text.rstrip("\n").split("\n"))}


def read_deviations() -> dict[str, str]:
    """Case id -> what we do, from the rows of the table."""
    text = (DATA / "deviations.md").read_text()
    return dict(re.findall(r"^\| `([^`]+)` \| (accept|reject|incomplete) \|", text, re.MULTILINE))


CASES = read_cases()
DEVIATIONS = read_deviations()


def deliveries(stream: bytes) -> Iterator[list[bytes]]:
    borders = cuts.line_ends(stream)
    for cut in cuts.CUTS.values():
        yield cut(stream)
    yield cuts.at(stream, borders)
    yield cuts.at(stream, [border - 1 for border in borders])
    for border in borders:
        yield cuts.at(stream, [border])
        yield cuts.at(stream, [border - 1])
    if len(stream) <= EVERY_CUT_UP_TO:
        yield from cuts.once(stream)


def is_as_strict_asks(case: dict[str, Any], found: Outcome) -> bool:
    strict, count = case["strict"], found.complete
    if strict["expect"] == "reject":
        return found.verdict == "reject" and count <= strict["n"]
    if strict["expect"] == "accept" and OPEN_ENDED & set(case["tags"]):
        return count == strict["n"]
    return found.verdict == strict["expect"] and count == strict["n"]


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    case = CASES[name]
    found = outcome(cuts.whole(base64.b64decode(case["raw_host"])))
    if name in DEVIATIONS:
        assert not is_as_strict_asks(case, found), "it is no deviation any more"
        assert found.verdict == DEVIATIONS[name]
    else:
        assert is_as_strict_asks(case, found), found


@pytest.mark.parametrize("name", CASES)
def test_delivery_makes_no_difference(name: str) -> None:
    stream = base64.b64decode(CASES[name]["raw_host"])
    expected = outcome([stream])
    for pieces in deliveries(stream):
        assert outcome(pieces) == expected, pieces


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, case in CASES.items()
        if case["strict"]["expect"] == "accept" and "needs-loose" not in case["tags"] and case["requests"]
    ],
)
def test_content_of_accepted_requests(name: str) -> None:
    found = outcome([base64.b64decode(CASES[name]["raw_host"])]).requests
    for request, stated in zip(found, CASES[name]["requests"], strict=False):
        assert request.method == stated.get("method", request.method)
        assert request.target.decode("latin-1") == stated.get("target", request.target.decode("latin-1"))
        assert request.version == stated.get("version", request.version)
        sent = [(key.decode().lower(), value.decode("latin-1")) for key, value in request.headers]
        for key, value in stated.get("headers", []):
            assert (key.lower(), value) in sent
        if stated.get("body") is not None and not OPEN_ENDED & set(CASES[name]["tags"]):
            assert request.body == base64.b64decode(stated["body"])


def test_an_http11_request_without_host_is_refused_whatever_else_it_says() -> None:
    for case in CASES.values():
        stream = base64.b64decode(case["raw"])
        found = outcome([stream])
        for request in found.requests:
            names = {name.lower() for name, _ in request.headers}
            assert b"host" in names or request.version == "1.0", case["id"]


def test_every_listed_deviation_is_a_case() -> None:
    assert DEVIATIONS.keys() <= CASES.keys()
