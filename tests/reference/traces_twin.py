"""What W3C Trace Context, Level 2, says of traceparent and tracestate: slow, and easy to compare with it."""

import re

VERSION_00 = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
LATER = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
MEMBER = re.compile(r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]")
MEMBERS_MOST = 32
KNOWN_FLAGS = 0x03


def parse_traceparent(text: str) -> tuple[int, int, int] | None:
    """(trace id, parent id, flags), or None where it is not valid."""
    form = VERSION_00 if text.startswith("00") else LATER
    if not (found := form.fullmatch(text)):
        return None
    trace_id, parent_id, flags = (int(digits, 16) for digits in found.groups()[:3])
    return (trace_id, parent_id, flags & KNOWN_FLAGS) if trace_id and parent_id else None


def pass_on(lines: list[str]) -> str:
    """The lines of tracestate as one, or nothing where they are not valid."""
    lines = [line.strip(" \t") for line in lines]
    members = [member for line in lines for part in line.split(",") if (member := part.strip(" \t"))]
    if len(members) > MEMBERS_MOST or not all(map(MEMBER.fullmatch, members)):
        return ""
    return ",".join(filter(None, lines)) if members else ""
