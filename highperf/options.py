"""One setting under all of its names: what the entries of the table in config are made of.

Owns how a flag, a variable and an argument are called after a field of Settings. Must not know which there are.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final, NamedTuple

from highperf.values import Kind

PREFIX: Final = "HIGHPERF_"


class Option(NamedTuple):
    """One entry of the table: a setting under all of its names."""

    name: str  # read_timeout, as App(...) calls it
    attribute: str  # read_timeout_ns, as Settings calls it
    variable: str  # READ_TIMEOUT
    default: str  # as a user would write it
    kind: Kind
    about: str
    group: str
    for_app: bool  # App(...) may give it
    for_run: bool  # app.run(...) may give it
    reference_only: bool  # belongs to the reference API

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def is_argument(self) -> bool:
        return self.name == "app"

    @property
    def is_switch(self) -> bool:
        return self.kind.metavar == "BOOLEAN"

    @property
    def is_file(self) -> bool:
        """Whether it names a file to read, at the start and again at a reload."""
        return self.kind.metavar == "FILE"

    @property
    def is_list(self) -> bool:
        return self.kind.metavar.endswith(",...")


def setting(
    default: str,
    kind: Kind,
    group: str,
    about: str,
    *,
    variable: str = "",
    for_app: bool = True,
    for_run: bool | None = None,
    reference_only: bool = False,
    unset: Any = "",
) -> Any:
    """A field of Settings, `unset` where it has no default; without `variable`, the environment variable is
    PREFIX and the flag's name; without `for_run`, app.run(...) takes what App(...) takes."""
    entry = {
        "default": default,
        "kind": kind,
        "group": group,
        "about": about,
        "variable": variable,
        "for_app": for_app,
        "for_run": for_app if for_run is None else for_run,
        "reference_only": reference_only,
    }
    return field(default=kind.parse(default) if default else unset, metadata=entry, repr=not kind.hidden)


def option_of(attribute: str, entry: Mapping[str, Any]) -> Option:
    """Of the field of this name, which setting() made."""
    name = attribute.removesuffix("_ns")
    variable = entry["variable"] or PREFIX + name.upper()
    return Option(**{**entry, "name": name, "attribute": attribute, "variable": variable})
