"""Conditional requests: RFC 9110 sections 5.6.7, 8.8 and 13."""

from itertools import product
from typing import Any

import pytest

from tests import compiled
from tests.reference import files_twin

NOW_S = 1_795_500_000  # in November 2026
TAG = b'"5f3a-400"'
OTHER = b'"5f3a-401"'


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/files_probe.pyx")


# ---- dates ------------------------------------------------------------------------------------------

NOVEMBER_1994 = 784111777


@pytest.mark.parametrize(
    ("value", "unix_s"),
    [
        (b"Sun, 06 Nov 1994 08:49:37 GMT", NOVEMBER_1994),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", NOVEMBER_1994),
        (b"Sun Nov  6 08:49:37 1994", NOVEMBER_1994),
        (b"Thu, 01 Jan 1970 00:00:00 GMT", 0),
        (b"Wed, 31 Dec 1969 23:59:59 GMT", -1),
        (b"Mon, 01 Jan 0001 00:00:00 GMT", -62135596800),
        (b"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799),
        (b"Thu, 29 Feb 2024 00:00:00 GMT", 1709164800),
        (b"Tue, 29 Feb 2000 00:00:00 GMT", 951782400),
        (b"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800),
        (b"Mon, 06 Nov 1994 08:49:37 GMT", NOVEMBER_1994),  # not a Monday, and nobody asked
        (b"Monday, 23-Nov-76 00:00:00 GMT", 3373315200),  # in less than 50 years
        (b"Monday, 24-Dec-79 00:00:00 GMT", 314841600),  # more than 50 years would be ahead
        (b"Saturday, 01-Jan-00 00:00:00 GMT", 946684800),
        (b"Thu Jan 01 00:00:00 1970", 0),
    ],
)
def test_the_three_forms_of_a_date(probe: Any, value: bytes, unix_s: int) -> None:
    assert probe.parse_date(value, NOW_S) == unix_s == files_twin.date(value, NOW_S)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"0",
        b"784111777",
        b"yesterday",
        b"Sun, 06 Nov 1994 08:49:37 UTC",
        b"Sun, 06 Nov 1994 08:49:37 +0000",
        b"Sun, 06 Nov 1994 08:49:37",
        b"Sun, 06 Nov 1994 08:49:37 GMT ",
        b" Sun, 06 Nov 1994 08:49:37 GMT",
        b"sun, 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06 nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 gmt",
        b"Son, 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nix 1994 08:49:37 GMT",
        b"Sun, 6 Nov 1994 08:49:37 GMT",
        b"Sun,  6 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 94 08:49:37 GMT",
        b"Sun, 31 Nov 1994 08:49:37 GMT",
        b"Sun, 00 Nov 1994 08:49:37 GMT",
        b"Sun, 29 Feb 1994 08:49:37 GMT",
        b"Sun, 29 Feb 1900 08:49:37 GMT",
        b"Sun, 06 Nov 0000 08:49:37 GMT",
        b"Sun, 06 Nov 1994 24:00:00 GMT",
        b"Sun, 06 Nov 1994 08:60:37 GMT",
        b"Sun, 06 Nov 1994 08:49:61 GMT",
        b"Sun, 06 Nov 1994 -8:49:37 GMT",
        b"Sun, 06-Nov-1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994T08:49:37 GMT",
        b"Sunday, 06-Nov-9x 08:49:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 EST",
        b"Sonntag, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov 6 08:49:37 1994",
        b"Sun Nov 06 08:49:37 94  ",
        b"Sun Nov 31 08:49:37 1994",
        "Sun, 06 Nov \u0661\u0669\u0669\u0664 08:49:37 GMT".encode(),
        b"Sun, \xb2\xb3 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 GMT; length=1",
    ],
)
def test_what_is_no_date_is_none(probe: Any, value: bytes) -> None:
    assert probe.parse_date(value, NOW_S) is None
    assert files_twin.date(value, NOW_S) is None


# ---- entity-tags ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "weakly", "strongly"),
    [
        (TAG, True, True),
        (b"*", True, True),
        (b"W/" + TAG, True, False),
        (OTHER, False, False),
        (OTHER + b", " + TAG, True, True),
        (OTHER + b"," + TAG, True, True),
        (OTHER + b"\t, ," + TAG + b",", True, True),
        (b"W/" + OTHER + b", W/" + TAG, True, False),
        (TAG + b", W/" + TAG, True, True),
        (b'"", ' + TAG, True, True),
        (b'"a,b", ' + TAG, True, True),
        (b'"\xff\x80", ' + TAG, True, True),
        (b"", False, False),
        (b",", False, False),
        (TAG[1:-1], False, False),
        (TAG[:-1], False, False),
        (b"'5f3a-400'", False, False),
        (b"w/" + TAG, False, False),
        (b"W /" + TAG, False, False),
        (b"W/ " + TAG, False, False),
        (b"W/", False, False),
        (b"*, " + TAG, False, False),
        (b"**", False, False),
        (b'"a b", ' + TAG, False, False),
        (OTHER + TAG, False, False),
        (OTHER + b" " + TAG, False, False),
        (OTHER + b"; " + TAG, False, False),
        (TAG + b" rubbish", True, True),
    ],
)
def test_list_of_tags_names_ours(probe: Any, value: bytes, weakly: bool, strongly: bool) -> None:
    for strong, expected in ((False, weakly), (True, strongly)):
        assert probe.tags_match(value, TAG, TAG, strong=strong) is expected
        assert files_twin.tags_match(value, TAG, strong=strong) is expected


def test_both_forms_of_a_tag_are_ours(probe: Any) -> None:
    assert probe.tags_match(OTHER, TAG, OTHER, strong=True)
    assert probe.tags_match(TAG, TAG, OTHER, strong=True)


# ---- precedence -------------------------------------------------------------------------------------

MODIFIED_S = NOVEMBER_1994
DATES = {
    "absent": None,
    "before": b"Sun, 06 Nov 1994 08:49:36 GMT",
    "same": b"Sun, 06 Nov 1994 08:49:37 GMT",
    "after": b"Sun, 06 Nov 1994 08:49:38 GMT",
    "malformed": b"the other day",
}
TAGS = {"absent": None, "ours": TAG, "weak": b"W/" + TAG, "any": b"*", "other": OTHER, "malformed": b"5f3a-400"}


def expected_verdict(match: str, none_match: str, modified: str, unmodified: str, reads: bool) -> str:
    """RFC 9110 section 13.2.2, in the words of this table."""
    if match != "absent":
        if match not in ("ours", "any"):
            return "failed"
    elif unmodified == "before":
        return "failed"
    if none_match != "absent":
        if none_match in ("ours", "weak", "any"):
            return "not modified" if reads else "failed"
    elif reads and modified in ("same", "after"):
        return "not modified"
    return "proceed"


@pytest.mark.parametrize("reads", [True, False])
def test_every_combination_of_conditions(probe: Any, reads: bool) -> None:
    seen = set()
    for match, none_match, modified, unmodified in product(TAGS, TAGS, DATES, DATES):
        fields = (TAGS[match], TAGS[none_match], DATES[modified], DATES[unmodified])
        said = {"tag": TAG, "modified_s": MODIFIED_S, "now_s": NOW_S, "reads": reads}
        verdict = probe.judge(*fields, **said)
        assert verdict == expected_verdict(match, none_match, modified, unmodified, reads), fields
        assert verdict == files_twin.judge(*fields, **said), fields
        seen.add(verdict)
    assert seen == ({"proceed", "failed", "not modified"} if reads else {"proceed", "failed"})


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (TAG, True),
        (OTHER, False),
        (b"W/" + TAG, False),
        (b"*", False),
        (TAG + b", " + OTHER, False),
        (TAG + b",", False),
        (TAG + b" ", False),
        (TAG[:-1], False),
        (b"", False),
        (DATES["same"], True),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", True),
        (DATES["before"], False),
        (DATES["after"], False),
        (DATES["malformed"], False),
    ],
)
def test_if_range_holds_only_for_exactly_what_is_there(probe: Any, value: bytes, holds: bool) -> None:
    assert probe.still_holds(value, TAG, MODIFIED_S, NOW_S) is holds
