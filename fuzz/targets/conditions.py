"""Dates, lists of entity-tags, Accept-Encoding and what goes before what mean to us what RFC 9110 says, read slowly.

The first octet says what is read and how; where all four conditions are, a line feed parts them.
"""

from collections import Counter
from collections.abc import Callable
from random import Random

from fuzz.engine import Target
from fuzz.targets.shared import difference, load_probe
from tests.reference import files_twin

TAG = b'"5f3a-400"'
TAGS = [TAG, b"W/" + TAG, b'"other"', b'""', b"*", b"5f3a-400", b'"a,b"', b'"\xff"']
CODINGS = ["br", "zstd", "gzip", "x-gzip", "identity", "*", "deflate", "GZip"]
WEIGHTS = ["", ";q=0", ";q=1", ";q=0.5", "; q=0.501", ";q=1.000", ";q=0.", ";Q=0.1"]
FORMS = [files_twin.imf_fixdate, files_twin.rfc850_date, files_twin.asctime_date]
NOW_S = 1_795_500_000
WORDS = [*TAGS, *(word.encode() for word in (*CODINGS, *WEIGHTS, *files_twin.DAYS, *files_twin.MONTHS))]
WORDS += [b", ", b",", b"\t", b"GMT", b"00:00:00", b"23:59:60", b" 1", b"29", b"\n", b"W/"]
probe = load_probe("files")
NUMBERS = {"br": probe.BR, "zstd": probe.ZSTD, "gzip": probe.GZIP, "identity": probe.IDENTITY}


COUNTS = Counter[str]()


def date(value: bytes, _: int) -> str | None:
    theirs = files_twin.date(value, NOW_S)
    COUNTS["no date" if theirs is None else "date"] += 1
    return difference("date", value, probe.parse_date(value, NOW_S), theirs)


def tags(value: bytes, flags: int) -> str | None:
    value, strong = value.strip(b" \t"), bool(flags & 1)
    theirs = files_twin.tags_match(value, TAG, strong=strong)
    COUNTS["tag found" if theirs else "no tag found"] += 1
    return difference("tags", value, probe.tags_match(value, TAG, TAG, strong=strong), theirs)


def coding(value: bytes, flags: int) -> str | None:
    available = {name for place, name in enumerate(("br", "zstd", "gzip")) if flags >> place & 1}
    ours = probe.choose_coding([value], {NUMBERS[name] for name in available})
    theirs = files_twin.coding([value.decode("latin-1")], available)
    COUNTS[f"coding {theirs}"] += 1
    return difference("codings", value, ours, NUMBERS[theirs])


def judgement(value: bytes, flags: int) -> str | None:
    lines = (value.split(b"\n") + [b""] * 4)[:4]
    fields = [line.strip(b" \t") if flags >> place & 1 else None for place, line in enumerate(lines)]
    given = {"tag": TAG, "modified_s": NOW_S - 1000, "now_s": NOW_S, "reads": bool(flags & 16)}
    theirs = files_twin.judge(*fields, **given)
    COUNTS[f"judged {theirs}"] += 1
    return difference("conditions", fields, probe.judge(*fields, **given), theirs)


KINDS: list[Callable[[bytes, int], str | None]] = [date, tags, coding, judgement]


def check(octets: bytes) -> str | None:
    first = octets[0] if octets else 0
    return KINDS[first & 3](octets[1:], first >> 2)


def spell_date(dice: Random) -> bytes:
    when = dice.choice(
        (dice.randrange(2**31), NOW_S - dice.randrange(2000), dice.randrange(-62135596800, 253402300800))
    )
    return dice.choice(FORMS)(when).encode()


def spell_tags(dice: Random) -> bytes:
    return dice.choice((b", ", b",", b" ,, ")).join(dice.choices(TAGS, k=dice.randrange(1, 5)))


def spell_codings(dice: Random) -> bytes:
    return ", ".join(dice.choice(CODINGS) + dice.choice(WEIGHTS) for _ in range(dice.randrange(5))).encode()


def spell_all(dice: Random) -> bytes:
    return b"\n".join([spell_tags(dice), spell_tags(dice), spell_date(dice), spell_date(dice)])


def make(dice: Random) -> bytes:
    first = dice.randrange(256)
    return bytes([first]) + (spell_date, spell_tags, spell_codings, spell_all)[first & 3](dice)


def load() -> Target:
    dice = Random(1)
    return Target(check, [make(dice) for _ in range(64)], make, WORDS, counts=COUNTS)
