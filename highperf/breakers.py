"""The circuit breakers of one app, by name.

Owns which there are and what was asked of each: where nothing was asked, a breaker follows the
server's settings. Must not know routes, nor how a breaker decides.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from highperf.errors import ConfigError
from highperf.guards.breaker import CircuitBreaker
from highperf.policies import NAMES, Kind, is_name, is_whole, read_values, shown
from highperf.values import HOUR, SECOND, duration

FAILURES: Final = 20
VOLUME: Final = 20
# A probe that takes longer than twice its route's deadline is lost; within these bounds.
LEASE_LEAST_NS: Final = SECOND
LEASE_MOST_NS: Final = 24 * HOUR

_DURATION: Final = duration(off=False)


def _whole(most: int) -> Kind:
    def read(value: object) -> int:
        if isinstance(value, int) and is_whole(value, 1, most):
            return value
        raise ValueError(value)

    return Kind(read, f"a whole number from 1 to {most}")


def _share(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 1e-6 <= value <= 1:
        return value
    raise ValueError(value)


def _time(value: object) -> int:
    if isinstance(value, str):
        nanoseconds: int = _DURATION.parse(value)
        return nanoseconds
    raise ValueError(value)


_TIME: Final = Kind(_time, _DURATION.expected)
_OPTIONS: Final = {
    "failures": _whole(10_000),
    "open_for": _TIME,
    "longest_open": _TIME,
    "lease": _TIME,
    "volume": _whole(1_000_000),
    "ratio": Kind(_share, "a share from 0.000001 to 1"),
}


@dataclass(slots=True)
class _Entry:
    breaker: CircuitBreaker
    adopted: bool = False  # made by the user, and left as it was made
    asked: dict[str, Any] = field(default_factory=dict)  # by the names of _OPTIONS, as CircuitBreaker takes it


class Breakers:
    """Finds, makes and configures breakers."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    def __iter__(self) -> Iterator[CircuitBreaker]:
        return (entry.breaker for entry in self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def get(self, name: str) -> CircuitBreaker:
        """The breaker of this name, which is made if there is none."""
        if name not in self._entries:
            self._entries[name] = _Entry(CircuitBreaker(name))
        return self._entries[name].breaker

    def ask(self, name: str, options: Mapping[str, object]) -> CircuitBreaker:
        """The same with these options, as a user writes them. ConfigError where others were asked for before."""
        if not is_name(name):
            raise ConfigError(f"breaker {shown(name)}: expected {NAMES}")
        read = read_values(_OPTIONS, options, f"breaker {name!r}", "option")
        breaker = self.get(name)
        entry = self._entries[name]
        for option, value in read.items():
            if entry.adopted:
                raise ConfigError(f"breaker {name!r}: it is made elsewhere, and takes no {option} here")
            if entry.asked.setdefault(option, value) != value:
                raise ConfigError(f"breaker {name!r}: {option}={shown(options[option])}, but it has another elsewhere")
        breaker.configure(**_configuration(read))
        return breaker

    def adopt(self, breaker: CircuitBreaker) -> None:
        """Takes in one that the user made. ConfigError where there is another of its name."""
        entry = self._entries.setdefault(breaker.name, _Entry(breaker, adopted=True))
        if entry.breaker is not breaker:
            raise ConfigError(f"breaker {breaker.name!r}: there are two of this name")

    def configure(self, failures: int, open_for_ns: int, deadlines_ns: Mapping[str, int]) -> None:
        """Gives each breaker what was asked of it, and else what the server's settings say.

        Args:
            failures: in a row, that open a breaker; 0: routes have none, so that only others are left.
            open_for_ns: how long it stays open at first.
            deadlines_ns: by a breaker's name, the longest deadline of the routes that it guards.
        """
        for name, entry in self._entries.items():
            if not entry.adopted:
                lease_ns = min(LEASE_MOST_NS, max(LEASE_LEAST_NS, 2 * deadlines_ns.get(name, 0)))
                common = {"failures": failures or FAILURES, "open_for": open_for_ns, "lease": lease_ns}
                values = common | entry.asked
                values.setdefault("volume", max(VOLUME, values["failures"]))
                entry.breaker.configure(**_configuration(values))


def _configuration(values: Mapping[str, Any]) -> dict[str, Any]:
    """As CircuitBreaker.configure calls it."""
    return {f"{name}_ns" if _OPTIONS[name] is _TIME else name: value for name, value in values.items()}
