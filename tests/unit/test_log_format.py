"""Formats of the access log: what may stand in them, and what is said of what may not."""

import pytest

from highperf.log_format import ATOMS, ATOMS_MOST, LITERALS_MOST, MEMBERS, NAMED, Atom, parse_format
from highperf.values import WrongElement


def test_atoms_stand_between_literals() -> None:
    assert parse_format('<%(h)s "%(r)s">') == ("<", Atom("h"), ' "', Atom("r"), '">')


def test_two_percent_signs_are_one() -> None:
    assert parse_format("100%% of %(B)s") == ("100% of ", Atom("B"))


def test_fields_are_found_whatever_case_they_are_written_in() -> None:
    assert parse_format("%({X-Request-ID}i)s%({Location}o)s") == (Atom("i", "x-request-id"), Atom("o", "location"))


@pytest.mark.parametrize("name", NAMED)
def test_words_stand_for_formats(name: str) -> None:
    assert parse_format(name) == parse_format(NAMED[name])


def test_json_has_members() -> None:
    assert parse_format("json") == MEMBERS


@pytest.mark.parametrize("name", ATOMS)
def test_each_atom_is_one(name: str) -> None:
    assert parse_format(f"%({name})s") == (Atom(name),)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("%(h)s %(zz)s", "%(zz)s"),
        ("%({HOME}e)s", "%({HOME}e)s"),
        ("%({a b}i)s", "%({a b}i)s"),
        ("%({}i)s", "%({}i)s"),
        ("%({x}i", "%({x}i"),
        ("%()s", "%()s"),
        ("%(h)d", "%(h)d"),
        ("50% of %(h)s", "% "),
        ("%(h)s %", "%"),
        ("two\nlines of %(h)s", "two\nlines of "),
        ("\x1b[31m%(h)s", "\x1b[31m"),
        ("a constant", "a constant"),
        ("", ""),
        ("%(h)s" * (ATOMS_MOST + 1), f"{ATOMS_MOST + 1} atoms"),
        ("x" * (LITERALS_MOST + 1) + "%(h)s", "1 atoms"),
    ],
)
def test_what_is_no_format_is_named(text: str, wrong: str) -> None:
    with pytest.raises(WrongElement) as caught:
        parse_format(text)
    assert caught.value.element == wrong
