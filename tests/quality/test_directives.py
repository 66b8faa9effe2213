"""What Cython allows and this house does not. Each rule says why in the line that reports it."""

import re
from pathlib import Path

import pytest

from tests.quality.source import compiled_sources, place, python_sources

BANS = {
    "cpdef": (r"\bcpdef\b", "makes every call a look-up: a def for Python, a cdef twin named ..._c for modules"),
    "include": (r"^\s*include\b", "shares one namespace and breaks line coverage: use a module with a .pxd"),
    "star": (r"\bc?import\s+\*", "hides where a name comes from"),
    "macro": (r"^\s*(?:DEF|IF)\b", "deprecated in Cython: use an enum"),
    "directive": (r"^\s*#\s*(?:cython|distutils)\s*:", "directives live in setup.py alone"),
    "untyped": (
        r"^\s*cdef\s+(?:inline\s+)?\w+\(",
        "without a return type it returns an object: say int, bint or object",
    ),
    "bare void": (
        r"^\s*cdef\s+(?:inline\s+)?void\s+\w+\s*\((?:[^()]|\([^()]*\))*\)(?!\s*(?:noexcept|except)\b)",
        "is probed for an exception after every call: int ... except -1, or noexcept",
    ),
}
NOTES = r"\b(?:TODO|FIXME|XXX|HACK)\b"


def breaches(text: str, pattern: str) -> list[int]:
    """Line numbers on which a banned thing stands; a declaration may run over several lines."""
    return [text.count("\n", 0, match.start()) + 1 for match in re.finditer(pattern, text, re.MULTILINE)]


def report(paths: list[Path], pattern: str, why: str) -> str:
    return "\n".join(f"{place(path, line)}: {why}" for path in paths for line in breaches(path.read_text(), pattern))


@pytest.mark.parametrize("rule", BANS)
def test_compiled_code_keeps_to_the_house_rules(rule: str) -> None:
    pattern, why = BANS[rule]
    found = report(compiled_sources(), pattern, f"{rule} {why}")
    assert not found, found


def test_no_notes_to_self() -> None:
    found = report([*compiled_sources(), *python_sources()], NOTES, "do it, or file it")
    assert not found, found


def test_extension_types_are_final_or_extended_here() -> None:
    modules = [path for path in compiled_sources() if path.suffix == ".pyx"]
    bases = {
        name for path in modules for name in re.findall(r"^cdef class \w+\((\w+)\)", path.read_text(), re.MULTILINE)
    }
    for path in modules:
        for mark, name in re.findall(
            r"(^@cython\.final\n(?:@.*\n)*)?^cdef class (\w+)", path.read_text(), re.MULTILINE
        ):
            assert mark or name in bases, f"{path.name}: {name} is not final: a call of its methods is a look-up"


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("cdef void f(int a)", False),
        ("cdef void f(int a):", False),
        ("    cdef void f(self,\n        int a) nogil:", False),
        ("cdef inline void f(int a) noexcept nogil:", True),
        ("cdef void f(self,\n        int a) noexcept", True),
        ("cdef void* find(int a)", True),
        ("cdef void f() except *:", True),
        ("cpdef int f()", False),
        ("cdef int f() except -1:", True),
        ("cdef f(x):", False),
        ("from libc.string cimport *", False),
        ("DEF SIZE = 3", False),
    ],
)
def test_the_bans_catch_what_they_should(line: str, allowed: bool) -> None:
    assert allowed is not any(breaches(line, pattern) for pattern, _ in BANS.values())
