"""Content-Disposition of a file that is to be saved: RFC 6266 and RFC 8187.

Owns how a file name is written there. Must not know the file.
"""

from urllib.parse import quote

_ATTR_CHARS = "!#$&+-.^_`|~"  # attr-char of RFC 8187 section 3.2.1 besides letters and digits
_REPLACED = frozenset('"\\%')  # what browsers undo differently within a quoted-string


def attachment(name: str) -> str:
    """The value that makes a client save content under this name.

    A name that is not plain ASCII is given twice: for those who know RFC 8187, and with ``_`` for
    what the others would not understand.

    Raises:
        ValueError: the name is empty, or has a control character or slash.
    """
    if not name or any(letter < " " or letter in "/\x7f" for letter in name):
        raise ValueError(f"a download's name must not be empty, nor have a slash or control character: {name!r}")
    plain = "".join(letter if letter.isascii() and letter not in _REPLACED else "_" for letter in name)
    value = f'attachment; filename="{plain}"'
    if plain != name:
        value += f"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS, errors='replace')}"
    return value
