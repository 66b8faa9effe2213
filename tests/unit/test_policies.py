"""Policies: what a route may ask for, how it is read, and what is said about what cannot be used."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from highperf import CircuitBreaker, ConfigError, RateLimit, Request, TokenBucket
from highperf.policies import Policy, RoutePolicy, read_policy
from highperf.values import most_tokens

MS = 1_000_000
RATES = "100/s, 5.5/s, 10/m, 1000/h or 5000/d, at least 0.0001 and at most 1000000000 a second"
NAME = 'expected a name of 1 to 64 printable ASCII characters besides " and \\'
BY = 'expected "client", "header:" and a field\'s name, or a def function of the request'


def by_user(request: Request) -> str | None:
    return request.headers.get("x-user")


async def by_user_later(request: Request) -> str | None:
    return None


# ---- rate limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "per_second", "capacity"),
    [
        ("100/s", 100.0, 100),
        ("5.5/s", 5.5, 5),
        ("0.5/s", 0.5, 1),
        ("10/m", 10 / 60, 10),
        ("10/min", 10 / 60, 10),
        ("1000/h", 1000 / 3600, 1000),
        ("1/h", 1 / 3600, 1),
        ("5000/d", 5000 / 86400, 5000),
        ("0.0001/s", 0.0001, 1),
        ("1000000000/s", 1e9, 1_000_000_000),
        ("9999999999/m", 9999999999 / 60, 1_000_000_000),
    ],
)
def test_a_rate_is_a_number_and_a_unit_and_its_number_may_come_at_once(
    text: str, per_second: float, capacity: int
) -> None:
    limit = RateLimit(text)
    assert (limit.rate, limit.capacity) == (per_second, capacity)


def test_what_is_not_given_has_a_default() -> None:
    limit = RateLimit("100/s")
    found = (limit.by, limit.header, limit.key, limit.cost, limit.name, limit.table_bytes)
    assert found == ("", b"", None, 1, "", 1024 * 1024)


@pytest.mark.parametrize(
    ("by", "kind", "header", "key"),
    [
        (None, "", b"", None),
        ("client", "client", b"", None),
        ("header:X-API-Key", "header", b"x-api-key", None),
        (by_user, "callable", b"", by_user),
    ],
)
def test_what_has_a_bucket_of_its_own(by: Any, kind: str, header: bytes, key: Any) -> None:
    limit = RateLimit("1/s", by=by)
    assert (limit.by, limit.header, limit.key) == (kind, header, key)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        *(
            ({"rate": rate}, f"rate={rate!r}, expected a rate such as {RATES}")
            for rate in ("fast", "", "100", "100/", "/s", "-1/s", "0/s", "nan/s", "inf/s", "1e3/s", "1/y", "1 /s")
        ),
        *(
            ({"rate": rate}, f"rate={rate!r}, expected a rate such as {RATES}")
            for rate in ("1/s\n", "8/d", "0.00009/s", "1000000001/s", "99999999999/h", "\u0661/s", 100, 1.5, None)
        ),
        ({"rate": "x" * 100}, f"rate='{'x' * 76}..., expected a rate such as {RATES}"),
        *(
            ({"capacity": value}, f"capacity={value!r}, expected a whole number from 1 to 777600000, "
                                  "which come back within 90 days")
            for value in (0, -1, 1.5, True, "5", 777_600_001)
        ),
        (
            {"rate": "1000/s", "capacity": 1_000_000_001},
            "capacity=1000000001, expected a whole number from 1 to 1000000000",
        ),
        (
            {"rate": "1000001/s", "by": "client"},
            "rate='1000001/s', expected at most 1000000 a second, as it is by client",
        ),
        (
            {"rate": "1000/s", "by": "header:a", "capacity": 100_000_001},
            "capacity=100000001, expected a whole number from 1 to 100000000",
        ),
        *(
            ({"cost": value}, f"cost={value!r}, expected a whole number from 1 to 100, the capacity")
            for value in (0, -1, 101, 1.0, None, True)
        ),
        *(({"by": value}, f"by={value!r}, {BY}") for value in ("ip", "header:", "header:a b", b"client", 1, True)),
        *(({"by": value}, f"by={value!r}, {BY}") for value in (by_user_later, test_what_is_not_given_has_a_default)),
        *(
            ({"name": value}, f"name={value!r}, {NAME}")
            for value in ('a"b', "a\\b", "\xe9", " a", "a ", "a\nb", "x" * 65, None, b"a")
        ),
        *(
            ({"table_bytes": value}, f"table_bytes={value!r}, expected a size from 4k to 128m that is a power of two")
            for value in (0, 2048, 4095, 5000, 256 * 1024**2, "3m", "1g", 1.5, None, True)
        ),
    ],
)  # fmt: skip
def test_a_limit_that_cannot_be_used_is_refused_where_it_is_made(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RateLimit(**{"rate": "100/s", **arguments})
    assert str(caught.value) == f"RateLimit: {sentence}"


def test_a_table_may_be_given_as_text() -> None:
    assert RateLimit("1/s", table_bytes="64k").table_bytes == 65536


def test_a_limit_cannot_be_changed_and_equals_its_like() -> None:
    limit: Any = RateLimit("60/m", capacity=5)
    assert limit == RateLimit("1/s", capacity=5)
    assert hash(limit) == hash(RateLimit("1/s", capacity=5))
    assert limit != RateLimit("1/s", capacity=6)
    with pytest.raises(dataclasses.FrozenInstanceError):
        limit.rate = 2.0


@given(st.integers(1, 10**9), st.sampled_from(["s", "m", "min", "h", "d"]), st.booleans())
def test_what_is_accepted_makes_a_bucket(number: int, unit: str, largest: bool) -> None:
    try:
        limit = RateLimit(f"{number}/{unit}")
    except ConfigError:
        assert number / 86400 < 0.0001
    else:
        capacity = most_tokens(limit.rate) if largest else limit.capacity
        bucket = TokenBucket(limit.rate, RateLimit(f"{number}/{unit}", capacity=capacity).capacity)
        assert bucket.capacity >= 1


# ---- policies -------------------------------------------------------------------------------------


def test_a_route_that_says_nothing_leaves_all_to_the_server() -> None:
    policy = read_policy({}, "route GET /x")
    assert policy == RoutePolicy()
    assert (policy.deadline, policy.limit_body) == (None, -1)


def test_each_policy_that_a_type_checker_knows_is_read() -> None:
    assert set(Policy.__annotations__) == set(RoutePolicy._fields)


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("deadline", "80ms", 80 * MS),
        ("deadline", "0", 0),
        ("deadline", 0, 0),
        ("deadline", None, None),
        ("rate_limit", "100/s", (RateLimit("100/s"),)),
        ("rate_limit", RateLimit("1/s", by="client"), (RateLimit("1/s", by="client"),)),
        ("rate_limit", ["100/s", RateLimit("1/s", by="client")], (RateLimit("100/s"), RateLimit("1/s", by="client"))),
        ("rate_limit", ("1/s", None), (RateLimit("1/s"),)),
        ("rate_limit", "0", ()),
        ("rate_limit", 0, ()),
        ("rate_limit", False, ()),
        ("rate_limit", None, ()),
        ("rate_limit", [], ()),
        ("breaker", "db", "db"),
        ("breaker", True, True),
        ("breaker", False, False),
        ("breaker", None, None),
        ("limit_body", "1k", 1024),
        ("limit_body", 0, 0),
        ("limit_body", None, -1),
        ("limit_concurrency", 8, 8),
        ("limit_concurrency", 0, 0),
        ("limit_concurrency", None, 0),
        ("critical", True, True),
        ("blocking", True, True),
    ],
)
def test_a_policy_is_read(name: str, value: object, read: object) -> None:
    assert getattr(read_policy({name: value}, "route GET /x"), name) == read


DURATION = "a duration from 1ms to 24h such as 80ms, 2s or 1m30s, or 0 to turn it off"
RATE_LIMIT = f"a RateLimit or a rate such as {RATES}, or a list of at most 7 of them"
SIZE = "a size such as 512, 16k or 2m"
CONCURRENCY = "a whole number from 0 to 1000000"


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("deadline", ["fast", "80", "", "-1s", "25h", "1us", 80, 0.0, 1.5, True, False, [1]], DURATION),
        ("rate_limit", ["fast", "100", "0/s", "", 100, 1.5, True, ["1/s", "fast"], {"1/s"}, ["1/s"] * 8], RATE_LIMIT),
        (
            "breaker",
            ["", "a\nb", 5, 0, b"db", CircuitBreaker()],
            "a name, a CircuitBreaker that has one, True or False",
        ),
        ("limit_body", ["x", "-1", -1, 1.5, "1g", True, "", [1]], SIZE),
        ("limit_concurrency", [-1, 1_000_001, 1.5, "8", True, [1]], CONCURRENCY),
        ("critical", ["yes", 1, None], "True or False"),
        ("blocking", ["yes", 1, None], "True or False"),
    ],
)
def test_a_policy_that_cannot_be_used_is_named_with_its_route_and_what_was_expected(
    name: str, values: list[object], expected: str
) -> None:
    for value in values:
        with pytest.raises(ConfigError) as caught:
            read_policy({name: value}, "route GET /x")
        assert str(caught.value) == f"route GET /x: {name}={value!r}, expected {expected}"


def test_a_breaker_that_has_a_name_is_taken_as_it_is() -> None:
    breaker = CircuitBreaker("db")
    assert read_policy({"breaker": breaker}, "route GET /x").breaker is breaker


def test_what_is_said_of_a_wrong_value_stays_on_one_line_of_bounded_length() -> None:
    class Long:
        def __repr__(self) -> str:
            return "two\nlines " * 20

    with pytest.raises(ConfigError) as caught:
        read_policy({"critical": Long()}, "route GET /x")
    assert str(caught.value) == f"route GET /x: critical={('two lines ' * 8)[:77]}..., expected True or False"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("limit_bdy", " Did you mean limit_body?"),
        ("ratelimit", " Did you mean rate_limit?"),
        ("cached", f" There are {', '.join(Policy.__annotations__)}."),
    ],
)
def test_an_unknown_policy_is_refused_and_the_nearest_is_named(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_policy({name: 1}, "route GET /x")
    assert str(caught.value) == f"route GET /x: unknown policy {name!r}.{hint}"
