"""Invariant: dates, lists of entity-tags and Accept-Encoding mean to us what they mean to a slow reader of RFC 9110.

    python -m fuzz.fuzz_conditions [--seconds N] [--seed N]

Ends with exit code 1 and the field, as a Python literal, at the first difference. For memory errors
run it on the sanitizer build, see tools/flavour.py.
"""

import random
import sys
from collections import Counter

from fuzz import files
from tests.reference import files_twin

TAG = b'"5f3a-400"'
TAGS = [TAG, b"W/" + TAG, b'"other"', b'""', b"*", b"5f3a-400", b'"a,b"', b'"\xff"']
CODINGS = ["br", "zstd", "gzip", "x-gzip", "identity", "*", "deflate", "GZip"]
WEIGHTS = ["", ";q=0", ";q=1", ";q=0.5", "; q=0.501", ";q=1.000", ";q=0.", ";Q=0.1"]
FORMS = [files_twin.imf_fixdate, files_twin.rfc850_date, files_twin.asctime_date]
NOW_S = 1_795_500_000
probe = files.load_probe()
NUMBERS = {"br": probe.BR, "zstd": probe.ZSTD, "gzip": probe.GZIP, "identity": probe.IDENTITY}


def difference(what: str, value: object, ours: object, theirs: object) -> str | None:
    return None if ours == theirs else f"{what} {value!r}: {ours}, and to the twin {theirs}"


def date(dice: random.Random) -> str | None:
    when = dice.choice((dice.randrange(2**31), dice.randrange(-62135596800, 253402300800)))
    value = files.mutate(dice, dice.choice(FORMS)(when).encode(), b"0123456789 ,:-GMTSunFrdayNovJan\xb2")
    return difference("date", value, probe.parse_date(value, NOW_S), files_twin.date(value, NOW_S))


def tags(dice: random.Random) -> str | None:
    value = dice.choice((b", ", b",", b" ,, ")).join(dice.choices(TAGS, k=dice.randrange(1, 5)))
    value = files.mutate(dice, value, b'",W/* \t\\a\x7f\x80').strip(b" \t")
    strong = dice.random() < 0.5
    theirs = files_twin.tags_match(value, TAG, strong=strong)
    return difference("tags", value, probe.tags_match(value, TAG, TAG, strong=strong), theirs)


def coding(dice: random.Random) -> str | None:
    value = ", ".join(dice.choice(CODINGS) + dice.choice(WEIGHTS) for _ in range(dice.randrange(5)))
    octets = files.mutate(dice, value.encode(), b"01.;q=, \tbrgzip*\xff")
    available = {name for name in ("br", "zstd", "gzip") if dice.random() < 0.6}
    ours = probe.choose_coding([octets], {NUMBERS[name] for name in available})
    return difference("codings", octets, ours, NUMBERS[files_twin.coding([octets.decode("latin-1")], available)])


def breach(dice: random.Random, counts: Counter[str]) -> str | None:
    kind = dice.choice((date, tags, coding))
    counts[kind.__name__] += 1
    return kind(dice)


if __name__ == "__main__":
    sys.exit(files.run("fuzz_conditions", breach))
