"""What stands in two places of the project's files says the same in both."""

import re
import tomllib

import highperf
from tests.quality.source import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_make_builds_with_what_pip_builds_with() -> None:
    assert PROJECT["dependency-groups"]["build"] == PROJECT["build-system"]["requires"]


def test_every_make_target_has_its_line_of_help() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert phony is not None
    helped = re.findall(r"^([a-z]+): [^\n]*## \w", text, re.MULTILINE)
    assert sorted(helped) == sorted(set(phony[1].split()) - {"FORCE"})


def test_changelog_begins_with_what_is_not_released_or_with_this_version() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] in {"Unreleased", highperf.__version__}


def test_supported_pythons_agree() -> None:
    classified = {
        text.rpartition(" ")[2] for text in PROJECT["project"]["classifiers"] if re.search(r"Python :: 3\.\d", text)
    }
    built = {f"3.{minor}" for minor in re.findall(r"cp3(\d+)-", PROJECT["tool"]["cibuildwheel"]["build"])}
    tested = set(re.findall(r'"(3\.\d+)"', (ROOT / ".github" / "workflows" / "test.yml").read_text()))
    assert classified == built == tested
    assert PROJECT["project"]["requires-python"] == f">={min(classified, key=lambda text: int(text[2:]))}"
