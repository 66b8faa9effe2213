"""What RFC 9110 says of files, written down slowly: the oracles of highperf/files; shares no code with it."""

import re
import time
from calendar import timegm
from datetime import UTC, datetime

# ---- ranges (section 14) ----------------------------------------------------------------------------


def ranges(value: bytes, length: int) -> list[tuple[int, int]] | str:
    """Parts as (offset, size); or "whole", where the field is as good as absent; or "unsatisfiable"."""
    match = re.fullmatch(rb"(?i:bytes)=(.*)", value, re.DOTALL)
    if match is None or length == 0:
        return "whole"
    specs = [spec for text in match[1].split(b",") if (spec := text.strip(b" \t"))]
    if not specs or len(specs) > 10:
        return "whole"
    wanted: list[set[int] | range] = []
    for spec in specs:
        found = re.fullmatch(rb"([0-9]*)-([0-9]*)", spec)
        if found is None or not (found[1] or found[2]):
            return "whole"
        if not found[1]:
            part = range(max(0, length - int(found[2])), length)
        else:
            first, last = int(found[1]), int(found[2]) if found[2] else length - 1
            if found[2] and last < first:
                return "whole"
            part = range(first, min(last + 1, length))
        if part:
            wanted.append(part)
    if sum(len(part) for part in wanted) > length:
        return "whole"
    return _merge(wanted) if wanted else "unsatisfiable"


def _merge(parts: list) -> list[tuple[int, int]]:
    """Overlapping or touching parts become one, at the place of the first of them."""
    merged = [(part[0], part[-1] + 1) for part in parts]
    while True:
        pairs = [(one, other) for other in range(len(merged)) for one in range(other)]
        pair = next(((i, j) for i, j in pairs if merged[i][0] <= merged[j][1] and merged[j][0] <= merged[i][1]), None)
        if pair is None:
            return [(start, end - start) for start, end in merged]
        i, j = pair
        merged[i] = (min(merged[i][0], merged[j][0]), max(merged[i][1], merged[j][1]))
        del merged[j]


# ---- dates (section 5.6.7) --------------------------------------------------------------------------

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
SHORT = "|".join(day[:3] for day in DAYS)
TIME = r"(?P<time>\d\d:\d\d:\d\d)"
FORMS = [
    rf"(?:{SHORT}), (?P<day>\d\d) (?P<month>{'|'.join(MONTHS)}) (?P<year>\d{{4}}) {TIME} GMT",
    rf"(?:{'|'.join(DAYS)}), (?P<day>\d\d)-(?P<month>{'|'.join(MONTHS)})-(?P<year>\d\d) {TIME} GMT",
    rf"(?:{SHORT}) (?P<month>{'|'.join(MONTHS)}) (?P<day>\d\d| \d) {TIME} (?P<year>\d{{4}})",
]
FIFTY_YEARS_S = 50 * 31556952


def date(value: bytes, now_s: int) -> int | None:
    text = value.decode("latin-1")
    match = next((found for form in FORMS if (found := re.fullmatch(form, text, re.ASCII))), None)
    if match is None:
        return None
    year = int(match["year"])
    if len(match["year"]) == 4:
        return _instant(year, match)
    year += datetime.fromtimestamp(now_s, UTC).year // 100 * 100
    found = _instant(year, match)
    return _instant(year - 100, match) if found is not None and found > now_s + FIFTY_YEARS_S else found


def _instant(year: int, match: re.Match[str]) -> int | None:
    hour, minute, second = (int(part) for part in match["time"].split(":"))
    leap = second == 60
    try:
        whole = datetime(
            year, MONTHS.index(match["month"]) + 1, int(match["day"]), hour, minute, second - leap, tzinfo=UTC
        )
    except ValueError:
        return None
    return timegm(whole.timetuple()) + leap


def imf_fixdate(unix_s: int) -> str:
    when = time.gmtime(unix_s)
    return f"{DAYS[when.tm_wday][:3]}, {when.tm_mday:02} {MONTHS[when.tm_mon - 1]} {when.tm_year:04} " + time.strftime(
        "%H:%M:%S GMT", when
    )


def rfc850_date(unix_s: int) -> str:
    when = time.gmtime(unix_s)
    return (
        f"{DAYS[when.tm_wday]}, {when.tm_mday:02}-{MONTHS[when.tm_mon - 1]}-{when.tm_year % 100:02} "
        + time.strftime("%H:%M:%S GMT", when)
    )


def asctime_date(unix_s: int) -> str:
    when = time.gmtime(unix_s)
    return f"{DAYS[when.tm_wday][:3]} {MONTHS[when.tm_mon - 1]} {when.tm_mday:2} " + time.strftime(
        f"%H:%M:%S {when.tm_year:04}", when
    )


# ---- conditions (section 13) ------------------------------------------------------------------------


def tags_match(value: bytes, tag: bytes, *, strong: bool) -> bool:
    """Reads members until one matches or is malformed."""
    if value == b"*":
        return True
    rest = value
    while True:
        rest = rest.lstrip(b" \t,")
        member = re.match(rb'(W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?P<end>,|$)?', rest)
        if member is None:
            return False
        if member[2] == tag and not (strong and member[1]):
            return True
        if member["end"] is None:
            return False
        rest = rest[member.end() :]


def judge(
    match: bytes | None,
    none_match: bytes | None,
    modified_since: bytes | None,
    unmodified_since: bytes | None,
    *,
    tag: bytes,
    modified_s: int,
    now_s: int,
    reads: bool,
) -> str:
    """Section 13.2.2, step by step."""
    if match is not None:
        if not tags_match(match, tag, strong=True):
            return "failed"
    elif unmodified_since is not None:
        when = date(unmodified_since, now_s)
        if when is not None and not modified_s <= when:
            return "failed"
    if none_match is not None:
        if tags_match(none_match, tag, strong=False):
            return "not modified" if reads else "failed"
    elif modified_since is not None and reads:
        when = date(modified_since, now_s)
        if when is not None and not modified_s > when:
            return "not modified"
    return "proceed"


# ---- codings (section 12.5.3) -----------------------------------------------------------------------


def coding(values: list[str], available: set[str]) -> str:
    """The best of br, zstd, gzip and identity."""
    weights: dict[str, float] = {}
    for member in ",".join(values).split(","):
        match = re.fullmatch(
            r"[ \t]*([^; \t]+)[ \t]*(?:;[ \t]*[qQ]=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)[ \t]*)?", member, re.ASCII
        )
        if match is not None:
            name = match[1].lower()
            weights["gzip" if name == "x-gzip" else name] = 1.0 if match[2] is None else float(match[2])
    best, best_weight = "identity", weights.get("identity", -1.0)
    for name in ("br", "zstd", "gzip"):
        weight = weights.get(name, weights.get("*", 0.0))
        if (
            name in available
            and weight > 0
            and (weight > best_weight or (weight == best_weight and best == "identity"))
        ):
            best, best_weight = name, weight
    return best


# ---- paths ------------------------------------------------------------------------------------------


def path_allowed(path: bytes) -> bool:
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return False
    if len(path) > 4096 or any(ord(c) < 32 or c in "\x7f\\" for c in text):
        return False
    segments = text.removesuffix("/").split("/") if text else []
    for place, segment in enumerate(segments):
        if not segment or len(segment.encode()) > 255:
            return False
        if segment.startswith(".") and not (place == 0 and segment == ".well-known"):
            return False
    return True
