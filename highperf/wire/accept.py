"""Reads Accept fields (RFC 9110 section 12.5.1): which media types a client takes, and how gladly."""

import re
from collections.abc import Iterator
from typing import Final

_WEIGHT: Final = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")  # section 12.4.2


def read_accept(field: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Each media range of the field, its parameters, and its weight from 0 to 1; one that is malformed counts 0.
    Names and values are in lower case."""
    for member in field.lower().split(","):
        kind, *rest = (part.strip() for part in member.split(";"))
        parameters = dict(part.split("=", 1) for part in rest if "=" in part)
        weight = parameters.pop("q", "1")
        yield kind, parameters, float(weight) if _WEIGHT.fullmatch(weight) else 0.0
