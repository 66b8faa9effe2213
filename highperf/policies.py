"""What a route may ask for besides its path and methods.

Owns the one table of policies: how the value of each is read, and what is said about one that
cannot be used. Must not know how a guard decides nor what the server's settings are: what a route
leaves open stays open here, and app fills it in.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, NamedTuple, TypedDict

from highperf.callables import is_async, takes
from highperf.errors import ConfigError
from highperf.guards.breaker import CircuitBreaker
from highperf.values import (
    FIELD_NAME,
    KIB,
    MIB,
    RATE_LEAST,
    RATE_MOST,
    TOKENS_MOST,
    did_you_mean,
    duration,
    most_tokens,
    parse_size,
    show_size,
)

# The part of a request that is counted for itself; None: this one is not limited.
Key = Callable[[Any], str | bytes | None]

ROUTE_REQUESTS_MOST: Final = 1_000_000
ROUTE_LIMITS_MOST: Final = 7  # with that of the server as many as a gate asks
TABLE_LEAST: Final = 4 * KIB
TABLE_MOST: Final = 128 * MIB
# A table of buckets keeps less than a bucket alone.
KEY_RATE_MOST: Final = 1e6
KEY_TOKENS_MOST: Final = 100_000_000

_UNITS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_RATE: Final = re.compile(r"([0-9]{1,10}(?:\.[0-9]{1,9})?)/(s|m|min|h|d)")
_RATES: Final = "100/s, 5.5/s, 10/m, 1000/h or 5000/d, at least 0.0001 and at most 1000000000 a second"
_NAME: Final = re.compile(r"[!#-\[\]-~](?:[ !#-\[\]-~]{0,62}[!#-\[\]-~])?")  # a String of RFC 9651 as it stands
NAMES: Final = 'a name of 1 to 64 printable ASCII characters besides " and \\'


class Policy(TypedDict, total=False):
    """What a route may ask for besides its path and methods.

    Attributes:
        deadline: the time from the request's head to its answer, as ``"80ms"``; then the client gets
            504 and the handler is cancelled. Waiting for the client to send its content does not count.
            0: none. Default: the server's ``request_timeout``.
        rate_limit: a rate such as ``"100/s"``, a :class:`RateLimit`, or a list of them, which all must
            admit a request; 429 where one does not. None, False or ``"0"``: none, which is the default.
            The limit of the whole server, ``rate_limit_rps``, holds besides.
        breaker: the name of a circuit breaker, which routes and ``app.breaker(name)`` share; or one that was
            made elsewhere; True: one of the route's own; False: none. Answers of 500 to 599 besides 501,
            exceptions and missed deadlines are failures; while it is open, the client gets 503. Default: the
            app's ``breaker``, and else one of its own where ``cb_failure_threshold`` is given.
        limit_body: largest content, in octets or as ``"64k"``; 413 above it. Default: the server's
            ``limit_request_body``.
        limit_concurrency: requests of this route that may run at once in one worker; 503 above it.
            0: no such limit, which is the default. The server's ``limit_concurrency`` holds besides.
        critical: the last to be refused. A fifth of the server's ``limit_concurrency`` is kept for such routes,
            once there is one, and in it they are served while a queue has others refused. Default: False.
        blocking: run a ``def`` handler in a thread, because it blocks. A request that is cancelled goes on
            until its thread has ended, for a thread cannot be stopped. Default: False.
    """

    deadline: str | int | None
    rate_limit: "str | RateLimit | Sequence[str | RateLimit] | Literal[False, 0] | None"
    breaker: str | bool | CircuitBreaker | None
    limit_body: int | str | None
    limit_concurrency: int | None
    critical: bool
    blocking: bool


@dataclass(frozen=True, slots=True, init=False)
class RateLimit:
    """So many requests in a time, over all workers together.

    A token bucket: it begins full with `capacity` tokens, each request takes `cost` of them, and they come
    back at the rate. Between any two instants at most ``capacity + rate * seconds`` are taken.

        @app.get("/search", rate_limit=RateLimit("10/m", by="client"))

    Args:
        rate: a number and a unit: ``"100/s"``, ``"5.5/s"``, ``"10/m"`` (or ``/min``), ``"1000/h"``, ``"5000/d"``.
        capacity: requests that may come at once. Default: the number of the rate, at least 1.
        by: what has a bucket of its own. None: all requests share one. ``"client"``: the client's address, with
            IPv6 its /64 network. ``"header:X-API-Key"``: the value of this field; requests without it are
            told apart by address. A function of the request: the str or bytes it returns; None is not limited.
        cost: tokens that a request takes.
        name: limits of one name on several routes share their tokens, and must be the same; it is also what
            the RateLimit field calls the limit. Default: the route's own.
        table_bytes: memory for the buckets of `by`, in octets or as ``"1m"``, a power of two. An eighth of it is
            the number of keys that fit while they are in use; those above it share a bucket.

    Raises:
        ConfigError: a value cannot be used.

    Attributes:
        rate: tokens per second.
        capacity: as given.
        by: ``"client"``, ``"header"``, ``"callable"``, or ``""`` where all share one bucket.
        header: the name of the field in lower case, or ``b""``.
        key: the function, or None.
        cost: as given.
        name: as given.
        table_bytes: octets.
    """

    rate: float
    capacity: int
    by: str
    header: bytes
    key: Key | None
    cost: int
    name: str
    table_bytes: int

    def __init__(
        self,
        rate: str,
        *,
        capacity: int | None = None,
        by: str | Key | None = None,
        cost: int = 1,
        name: str = "",
        table_bytes: int | str = MIB,
    ) -> None:
        kind, header, key = _read_by(by)
        count, per_second = _read_rate(rate)
        if kind and per_second > KEY_RATE_MOST:
            raise _wrong("rate", rate, f"at most {KEY_RATE_MOST:.0f} a second, as it is by {kind}")
        tokens = _read_capacity(capacity, count, per_second, KEY_TOKENS_MOST if kind else TOKENS_MOST)
        if not is_whole(cost, 1, tokens):
            raise _wrong("cost", cost, f"a whole number from 1 to {tokens}, the capacity")
        if name != "" and not is_name(name):
            raise _wrong("name", name, NAMES)
        values = (per_second, tokens, kind, header, key, cost, name, _read_table_bytes(table_bytes))
        for field, value in zip(fields(self), values, strict=True):
            object.__setattr__(self, field.name, value)


def _read_rate(text: object) -> tuple[float, float]:
    """The number before the slash, and what that is in a second."""
    found = _RATE.fullmatch(text) if isinstance(text, str) else None
    if found:
        count = float(found[1])
        per_second = count / _UNITS[found[2]]
        if RATE_LEAST <= per_second <= RATE_MOST:
            return count, per_second
    raise _wrong("rate", text, f"a rate such as {_RATES}")


def _read_capacity(given: int | None, count: float, per_second: float, bound: int) -> int:
    most = min(bound, most_tokens(per_second))
    if given is None:
        return max(1, min(int(count), most))
    if not is_whole(given, 1, most):
        reason = "" if most == bound else ", which come back within 90 days"
        raise _wrong("capacity", given, f"a whole number from 1 to {most}{reason}")
    return given


def _read_by(by: object) -> tuple[str, bytes, Key | None]:
    if by is None:
        return "", b"", None
    if by == "client":
        return "client", b"", None
    if isinstance(by, str) and by.startswith("header:") and re.fullmatch(FIELD_NAME, by.removeprefix("header:")):
        return "header", by.removeprefix("header:").lower().encode(), None
    if callable(by) and not is_async(by) and takes(by, 1):
        return "callable", b"", by
    raise _wrong("by", by, '"client", "header:" and a field\'s name, or a def function of the request')


def _read_table_bytes(value: object) -> int:
    try:
        octets = _octets(value)
    except ValueError:
        octets = 0
    if not TABLE_LEAST <= octets <= TABLE_MOST or octets.bit_count() != 1:
        bounds = f"from {show_size(TABLE_LEAST)} to {show_size(TABLE_MOST)}"
        raise _wrong("table_bytes", value, f"a size {bounds} that is a power of two")
    return octets


def _wrong(argument: str, value: object, expected: str) -> ConfigError:
    return ConfigError(f"RateLimit: {argument}={shown(value)}, expected {expected}")


# ---- the table of policies ----------------------------------------------------------------------


class RoutePolicy(NamedTuple):
    """The policies of one route, read; by the names of Policy."""

    deadline: int | None = None  # nanoseconds; 0: none; None: the server's
    rate_limit: tuple[RateLimit, ...] = ()
    breaker: str | bool | CircuitBreaker | None = None  # None: what the app or the server says
    limit_body: int = -1  # octets; -1: the server's
    limit_concurrency: int = 0  # 0: none
    critical: bool = False
    blocking: bool = False


class Kind(NamedTuple):
    """What a value in a declaration may be."""

    read: Callable[[Any], Any]  # raises ValueError for what it does not take
    expected: str  # ends the sentence "expected ..."


_DEADLINE: Final = duration(off=True)


def _deadline(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) or (value == 0 and not isinstance(value, bool)):
        nanoseconds: int = _DEADLINE.parse(str(value))
        return nanoseconds
    raise ValueError(value)


def _rate_limit(value: object) -> tuple[RateLimit, ...]:
    if value is None or value is False or value in (0, "0"):
        return ()
    if isinstance(value, list | tuple):
        return tuple(limit for part in value for limit in _rate_limit(part))
    return (value if isinstance(value, RateLimit) else RateLimit(value),)  # type: ignore[arg-type]


def _rate_limits(value: object) -> tuple[RateLimit, ...]:
    limits = _rate_limit(value)
    if len(limits) > ROUTE_LIMITS_MOST:
        raise ValueError(value)
    return limits


def _breaker(value: object) -> str | bool | CircuitBreaker | None:
    if value is None or isinstance(value, bool) or (isinstance(value, CircuitBreaker) and value.name):
        return value
    if isinstance(value, str) and is_name(value):
        return value
    raise ValueError(value)


def _limit_body(value: object) -> int:
    return -1 if value is None else _octets(value)


def _limit_concurrency(value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, int) and is_whole(value, 0, ROUTE_REQUESTS_MOST):
        return value
    raise ValueError(value)


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(value)


def _octets(value: object) -> int:
    if isinstance(value, int) and is_whole(value, 0, math.inf):
        return value
    if isinstance(value, str):
        return parse_size(value)
    raise ValueError(value)


_KINDS: Final = {
    "deadline": Kind(_deadline, _DEADLINE.expected),
    "rate_limit": Kind(
        _rate_limits, f"a RateLimit or a rate such as {_RATES}, or a list of at most {ROUTE_LIMITS_MOST} of them"
    ),
    "breaker": Kind(_breaker, "a name, a CircuitBreaker that has one, True or False"),
    "limit_body": Kind(_limit_body, "a size such as 512, 16k or 2m"),
    "limit_concurrency": Kind(_limit_concurrency, f"a whole number from 0 to {ROUTE_REQUESTS_MOST}"),
    "critical": Kind(_boolean, "True or False"),
    "blocking": Kind(_boolean, "True or False"),
}


def read_policy(given: Mapping[str, object], place: str) -> RoutePolicy:
    """The policies as `place`, a route, declares them. ConfigError names it, the policy and what was expected."""
    return RoutePolicy(**read_values(_KINDS, given, place, "policy"))


def read_values(kinds: Mapping[str, Kind], given: Mapping[str, object], place: str, noun: str) -> dict[str, Any]:
    """Each value that is given, read by the kind of its name, which is called a `noun`."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in kinds:
            hint = did_you_mean(name, list(kinds)) or f" There are {', '.join(kinds)}."
            raise ConfigError(f"{place}: unknown {noun} {name!r}.{hint}")
        try:
            values[name] = kinds[name].read(value)
        except ValueError:
            raise ConfigError(f"{place}: {name}={shown(value)}, expected {kinds[name].expected}") from None
    return values


def shown(value: object) -> str:
    """A value as Python writes it, on one line of bounded length."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def is_name(value: object) -> bool:
    """Whether it can be what a limit or a breaker is called."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def is_whole(value: object, least: int, most: float) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
