"""Which paths may be looked for at all."""

from typing import Any

import pytest

from highperf.files.paths import name_allowed
from tests import compiled
from tests.reference import files_twin


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> Any:
    return compiled.load(pytestconfig, "tests/unit/files_probe.pyx")


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"a",
        b"a/",
        b"a/b/c.txt",
        b"a.b..c...",
        b"a..",
        b"a/b..",
        b"~",
        b"a b ",
        b"%2e%2e/x",
        b"a;b",
        b"a:b",
        b"con",
        b".well-known",
        b".well-known/",
        b".well-known/acme-challenge/token",
        "\u00fcn\u00ef.txt".encode(),
        "\u65e5\u672c\u8a9e/\U0001f600".encode(),
        "\uff0e\uff0e/x".encode(),
        b"\xf4\x8f\xbf\xbf",
        b"\xed\x9f\xbf\xee\x80\x80",
        b"a" * 255,
        b"a" * 255 + b"/" + b"b" * 255,
        b"a/" * 2048,
    ],
)
def test_ordinary_paths_are_allowed(probe: Any, path: bytes) -> None:
    assert probe.allowed(path) is True is files_twin.path_allowed(path)


@pytest.mark.parametrize(
    "path",
    [
        b"/",
        b"/a",
        b"//",
        b"a//",
        b"a//b",
        b".",
        b"..",
        b"../",
        b"a/.",
        b"a/..",
        b"a/../b",
        b"a/./b",
        b"...",
        b".env",
        b"a/.env",
        b"a/.well-known/x",
        b".well-known/.x",
        b".well-knowN/x",
        b".well-known2/x",
        b".well-know",
        b"a\0b",
        b"\0",
        b"a\\b",
        b"\\",
        b"..\\a",
        b"a\nb",
        b"a\x1f",
        b"a\x7f",
        b"\xc0\xae\xc0\xae/x",
        b"\xc0\xaf",
        b"\xc1\x9c",
        b"\xe0\x80\xae",
        b"\xf0\x80\x80\xae",
        b"\xf8\x80\x80\x80\xae",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\x80",
        b"\xc3",
        b"\xe2\x82",
        b"\xc3/",
        b"\xf0\x9f\x98",
        b"\xff",
        b"\xfe\xff",
        b"a" * 256,
        b"a/" * 2048 + b"a",
        "\u00fc".encode() * 128,
    ],
)
def test_paths_that_mean_more_than_they_say_are_refused(probe: Any, path: bytes) -> None:
    assert probe.allowed(path) is False is files_twin.path_allowed(path)


@pytest.mark.parametrize("name", [b"a", b"a.txt", "\u00fc".encode(), b"a" * 255, b"a b", b"-"])
def test_listing_may_show(name: bytes) -> None:
    assert name_allowed(name)


@pytest.mark.parametrize(
    "name", [b"", b".", b"..", b".x", b".well-known", b"a/b", b"a\\b", b"a\n", b"\xff", b"a" * 256]
)
def test_listing_may_not_show(name: bytes) -> None:
    assert not name_allowed(name)
