"""The slow, obvious way to escape text for a log line, and back."""

import re

PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b'"\\')


def escaped(text: bytes, room: int, *, json: bool) -> bytes:
    """As much of the text as fits into this many octets, and "..." in the place of the rest."""
    shown = b""
    for octet in text:
        if len(shown) > room - 9:  # an escape and "..."
            return shown + b"..." if room - len(shown) >= 3 else shown
        shown += bytes([octet]) if octet in PLAIN else (b"\\u00%02x" if json else b"\\x%02x") % octet
    return shown


def unescaped(shown: str) -> bytes:
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), shown).encode("latin-1")
