"""Accept-Encoding: RFC 9110 section 12.5.3."""

from typing import Any

import pytest

from tests import compiled
from tests.reference import files_twin

ALL = {"br", "zstd", "gzip"}


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/files_probe.pyx")


def choose(probe: Any, values: list[str], available: set[str]) -> str:
    numbers = {"br": probe.BR, "zstd": probe.ZSTD, "gzip": probe.GZIP, "identity": probe.IDENTITY}
    number = probe.choose_coding([value.encode() for value in values], {numbers[name] for name in available})
    return next(name for name, known in numbers.items() if known == number)


@pytest.mark.parametrize(
    ("value", "available", "coding"),
    [
        ("gzip, deflate, br, zstd", ALL, "br"),
        ("gzip, deflate, br, zstd", {"gzip", "zstd"}, "zstd"),
        ("gzip, deflate, br, zstd", {"gzip"}, "gzip"),
        ("gzip, deflate, br, zstd", set(), "identity"),
        ("gzip", {"br"}, "identity"),
        ("deflate", ALL, "identity"),
        ("", ALL, "identity"),
        ("identity", ALL, "identity"),
        ("*", ALL, "br"),
        ("*", {"gzip"}, "gzip"),
        ("*;q=0", ALL, "identity"),
        ("br;q=0, *", ALL, "zstd"),
        ("br;q=0.1, *", ALL, "zstd"),
        ("gzip, *;q=0", ALL, "gzip"),
        ("br;q=0.5, gzip;q=0.8", ALL, "gzip"),
        ("br;q=0.5, gzip;q=0.8", {"br"}, "br"),
        ("br;q=0.001, gzip;q=0", ALL, "br"),
        ("gzip;q=0", ALL, "identity"),
        ("identity;q=1, gzip;q=0.5", ALL, "identity"),
        ("identity;q=0.5, gzip;q=0.5", ALL, "gzip"),
        ("identity;q=0, gzip", {"br"}, "identity"),
        ("identity;q=0", ALL, "identity"),
        ("x-gzip", ALL, "gzip"),
        ("GZip", ALL, "gzip"),
        ("BR;Q=1.000", ALL, "br"),
        ("br ; q=0.9 ,\tgzip\t;\tq=1", ALL, "gzip"),
        (",,gzip,", ALL, "gzip"),
        ("gzip;q=1.5", ALL, "identity"),
        ("gzip;q=-1", ALL, "identity"),
        ("gzip;q=", ALL, "identity"),
        ("gzip;q=2", ALL, "identity"),
        ("gzip;q=0.1234", ALL, "identity"),
        ("gzip;q=.5", ALL, "identity"),
        ("gzip;q=1.001", ALL, "identity"),
        ("gzip;x=1", ALL, "identity"),
        ("gzip q=1", ALL, "identity"),
        ("gzip;q=1;q=1", ALL, "identity"),
        ("gzip;level=9, br;q=0.1", ALL, "br"),
        ("brr, gzi, zst", ALL, "identity"),
        ("br\u0660, gzip;q=\u0661", ALL, "identity"),
    ],
)
def test_the_best_that_both_have(probe: Any, value: str, available: set[str], coding: str) -> None:
    assert choose(probe, [value], available) == coding == files_twin.coding([value], available)


def test_several_fields_are_one_list(probe: Any) -> None:
    assert choose(probe, ["gzip", "br;q=0.5"], ALL) == "gzip"
    assert choose(probe, ["gzip;q=0", "br;q=0.5"], ALL) == "br"
