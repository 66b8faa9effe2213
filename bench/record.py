"""The files of results: which there are, and which is the newest of its kind."""

import re
from pathlib import Path

from bench.parts import PARTS

LOAD, SOAK, FUZZ = "load", "soak", "fuzz"
NAME = re.compile(r"(?P<date>\d{4}-\d\d-\d\d)-(?P<rest>.+)\.json")
KINDS = (*PARTS, SOAK, FUZZ)


def kind_of(path: Path) -> str:
    """Which part of the benchmark wrote it; "" where none did. Those of bench.load itself have no ending."""
    if not (found := NAME.fullmatch(path.name)):
        return ""
    ending = found["rest"].rpartition("-")[2]
    return ending if ending in KINDS else LOAD


def newest(folder: Path) -> dict[str, Path]:
    """By kind. Of two of one day, the last by name."""
    return {kind: path for path in sorted(folder.glob("*.json")) if (kind := kind_of(path))}


def stem(path: Path) -> str:
    """Date and machine of a file of results."""
    return path.stem.removesuffix(f"-{kind_of(path)}")
