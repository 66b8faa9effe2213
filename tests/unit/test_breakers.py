"""The circuit breakers of an app: one of each name, configured by who asked, and else by the server."""

from typing import Any

import pytest

from highperf import CircuitBreaker, ConfigError
from highperf.breakers import Breakers

MS = 1_000_000
SECOND = 1_000_000_000


def configured(breaker: CircuitBreaker) -> dict[str, float]:
    names = ("failures", "volume", "ratio", "open_for_ns", "longest_open_ns", "lease_ns")
    return {name: getattr(breaker, name) for name in names}


def test_a_name_is_one_breaker() -> None:
    breakers = Breakers()
    assert "db" not in breakers
    first = breakers.get("db")
    assert first.name == "db"
    assert breakers.get("db") is breakers.ask("db", {}) is first
    assert breakers.get("cache") is not first
    assert [breaker.name for breaker in breakers] == ["db", "cache"]
    assert "db" in breakers


def test_what_was_asked_is_in_force_at_once() -> None:
    breakers = Breakers()
    breaker = breakers.ask(
        "db",
        {"failures": 5, "open_for": "500ms", "longest_open": "1m", "lease": "3s", "volume": 50, "ratio": 0.25},
    )
    assert configured(breaker) == {
        "failures": 5,
        "volume": 50,
        "ratio": 0.25,
        "open_for_ns": 500 * MS,
        "longest_open_ns": 60 * SECOND,
        "lease_ns": 3 * SECOND,
    }


def test_what_nobody_asked_for_follows_the_settings_and_the_deadlines() -> None:
    breakers = Breakers()
    plain, asked = breakers.get("plain"), breakers.ask("asked", {"failures": 5})
    breakers.configure(7, 4 * SECOND, {"plain": 800 * MS})
    assert configured(plain) == {
        "failures": 7,
        "volume": 20,
        "ratio": 0.5,
        "open_for_ns": 4 * SECOND,
        "longest_open_ns": 30 * SECOND,
        "lease_ns": 1600 * MS,
    }
    assert (asked.failures, asked.open_for_ns, asked.lease_ns) == (5, 4 * SECOND, SECOND)
    breakers.configure(100, SECOND, {"plain": 80 * MS, "asked": SECOND})
    assert (plain.failures, plain.volume, plain.open_for_ns, plain.lease_ns) == (100, 100, SECOND, SECOND)
    assert (asked.failures, asked.volume, asked.lease_ns) == (5, 20, 2 * SECOND)


def test_a_lease_is_no_longer_than_a_day() -> None:
    breakers = Breakers()
    breaker = breakers.get("slow")
    breakers.configure(20, SECOND, {"slow": 24 * 3600 * SECOND})
    assert breaker.lease_ns == 24 * 3600 * SECOND


def test_where_routes_have_none_others_keep_the_default() -> None:
    breakers = Breakers()
    breaker = breakers.get("db")
    breakers.configure(0, SECOND, {})
    assert breaker.failures == 20


def test_options_may_be_asked_for_in_several_places_if_they_agree() -> None:
    breakers = Breakers()
    breaker = breakers.ask("db", {"failures": 5})
    assert breakers.ask("db", {"failures": 5, "open_for": "1s"}) is breaker
    assert (breaker.failures, breaker.open_for_ns) == (5, SECOND)
    assert breakers.ask("db", {"open_for": "1000ms"}) is breaker
    with pytest.raises(ConfigError) as caught:
        breakers.ask("db", {"open_for": "2s"})
    assert str(caught.value) == "breaker 'db': open_for='2s', but it has another elsewhere"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"failures": 0}, "failures=0, expected a whole number from 1 to 10000"),
        ({"failures": 10_001}, "failures=10001, expected a whole number from 1 to 10000"),
        ({"failures": True}, "failures=True, expected a whole number from 1 to 10000"),
        ({"failures": "5"}, "failures='5', expected a whole number from 1 to 10000"),
        ({"open_for": "0"}, "open_for='0', expected a duration from 1ms to 24h such as 80ms, 2s or 1m30s"),
        ({"open_for": 2}, "open_for=2, expected a duration from 1ms to 24h such as 80ms, 2s or 1m30s"),
        ({"longest_open": "25h"}, "longest_open='25h', expected a duration from 1ms to 24h such as 80ms, 2s or 1m30s"),
        ({"lease": "soon"}, "lease='soon', expected a duration from 1ms to 24h such as 80ms, 2s or 1m30s"),
        ({"volume": 1.5}, "volume=1.5, expected a whole number from 1 to 1000000"),
        ({"ratio": 0}, "ratio=0, expected a share from 0.000001 to 1"),
        ({"ratio": float("nan")}, "ratio=nan, expected a share from 0.000001 to 1"),
        ({"ratio": True}, "ratio=True, expected a share from 0.000001 to 1"),
        ({"failure": 5}, "unknown option 'failure'. Did you mean failures?"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(options: dict[str, Any], reason: str) -> None:
    breakers = Breakers()
    with pytest.raises(ConfigError) as caught:
        breakers.ask("db", options)
    assert str(caught.value) == f"breaker 'db': {reason}"
    assert "db" not in breakers


@pytest.mark.parametrize("name", ["", 'a"b', "x" * 65, "caf\xe9", " db", None, 5, b"db"])
def test_a_name_that_cannot_be_used_is_refused(name: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Breakers().ask(name, {})
    shown = repr(name) if len(repr(name)) <= 80 else repr(name)[:77] + "..."
    assert str(caught.value) == (
        f'breaker {shown}: expected a name of 1 to 64 printable ASCII characters besides " and \\'
    )


@pytest.mark.parametrize("options", [{"failures": 1}, {"failures": 10_000}, {"ratio": 1e-6}, {"ratio": 1}])
@pytest.mark.parametrize("time", ["1ms", "24h"])
def test_every_option_within_its_bounds_is_taken(options: dict[str, object], time: str) -> None:
    breakers = Breakers()
    breakers.ask("db", options | {"open_for": time, "longest_open": time, "lease": time, "volume": 1_000_000})
    breakers.configure(10_000, 1, {"db": 24 * 3600 * SECOND})


def test_what_the_user_made_stays_as_it_was_made() -> None:
    breakers = Breakers()
    own = CircuitBreaker("db", failures=3, lease_ns=MS)
    breakers.adopt(own)
    breakers.adopt(own)
    before = configured(own)
    breakers.configure(7, SECOND, {"db": SECOND})
    assert configured(own) == before
    assert breakers.get("db") is breakers.ask("db", {}) is own
    with pytest.raises(ConfigError) as caught:
        breakers.ask("db", {"failures": 3})
    assert str(caught.value) == "breaker 'db': it is made elsewhere, and takes no failures here"
    assert configured(own) == before


def test_two_of_one_name_are_refused() -> None:
    breakers = Breakers()
    breakers.get("db")
    with pytest.raises(ConfigError) as caught:
        breakers.adopt(CircuitBreaker("db"))
    assert str(caught.value) == "breaker 'db': there are two of this name"
