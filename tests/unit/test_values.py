"""Text into values and back: what is read, what is refused, and what is said about it."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from highperf import values
from highperf.guards.limiter import TokenBucket
from highperf.values import (
    counted,
    did_you_mean,
    most_tokens,
    parse_duration,
    parse_size,
    quote,
    show_decimal,
    show_duration,
    show_size,
)

MS = 1_000_000
NETWORKS = values.networks()


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("1ns", 1),
        ("15us", 15_000),
        ("15µs", 15_000),
        ("80ms", 80 * MS),
        ("2s", 2000 * MS),
        ("1.5s", 1500 * MS),
        ("1m30s", 90_000 * MS),
        ("1h2m3s4ms", ((3600 + 120 + 3) * 1000 + 4) * MS),
        ("0.0000000001s", 0),
        ("007s", 7000 * MS),
    ],
)
def test_durations_are_written_as_go_writes_them(text: str, nanoseconds: int) -> None:
    assert parse_duration(text) == nanoseconds


@pytest.mark.parametrize(
    "text",
    ["", "2", "s", "-2s", "+2s", "2 s", " 2s", "2s ", "2S", "2sec", "1d", "1:30", "1s\n", "9" * 60 + "s"],
)
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["nan", "inf", "1e3s", "1.s", ".5s", "0x2s", "1_000s", "\u0662s"])
def test_a_number_in_another_notation_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "octets"),
    [("0", 0), ("512", 512), ("8k", 8192), ("8K", 8192), ("16m", 16 * 1024**2), ("16M", 16 * 1024**2)],
)
def test_sizes_take_k_and_m(text: str, octets: int) -> None:
    assert parse_size(text) == octets


@pytest.mark.parametrize(
    "text", ["", "k", "-1", "+1", "1.5k", "1kb", "1KiB", "1g", "1 k", "1e3", "nan", "\u0661", "1_0", "9" * 30, "1k\n"]
)
def test_what_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        parse_size(text)


@given(st.integers(0, 24 * 3600 * 1000 * MS))
def test_a_shown_duration_reads_as_itself(nanoseconds: int) -> None:
    assert parse_duration(show_duration(nanoseconds)) == nanoseconds


@given(st.integers(0, 1024**4))
def test_a_shown_size_reads_as_itself(octets: int) -> None:
    assert parse_size(show_size(octets)) == octets


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (values.duration(off=True), "0", 0),
        (values.duration(off=True), "0ms", 0),
        (values.duration(off=False), "1ms", MS),
        (values.duration(off=False), "24h", 24 * 3600 * 1000 * MS),
        (values.size(least=32, most=1024), "1k", 1024),
        (values.size(off=True, least=1024 * 1024, most=1024**3), "0", 0),
        (values.automatic(values.number(least=1, most=256)), "AUTO", 0),
        (values.automatic(values.number(least=1, most=256)), "256", 256),
        (values.number(least=0, most=65535), "65535", 65535),
        (values.rate(), "0", 0.0),
        (values.rate(), "0.0001", 0.0001),
        (values.rate(), "1000000000", 1e9),
        (values.rate(), "2.50", 2.5),
        (values.rate(), "0.0012345678901234567", 0.0012345678901234567),
        (values.switchable(values.matching(r"[a-z]+", "letters", "WORD")), "abc", "abc"),
        (values.switchable(values.matching(r"[a-z]+", "letters", "WORD")), "OFF", ""),
        (values.switchable(values.matching(r"[a-z]+", "letters", "WORD")), "", ""),
        (values.boolean(), "Yes", True),
        (values.boolean(), "1", True),
        (values.boolean(), "OFF", False),
        (values.choice("LEVEL", "info", "debug"), "DEBUG", "debug"),
        (values.matching(r"[a-z]+", "letters", "WORD"), "abc", "abc"),
        (values.directory(), ".", "."),
    ],
)
def test_a_kind_takes_what_lies_in_its_bounds(kind: values.Kind, text: str, value: object) -> None:
    assert kind.parse(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (values.duration(off=False), "0"),
        (values.duration(off=True), "999us"),
        (values.duration(off=True), "24h1ns"),
        (values.size(least=32, most=1024), "31"),
        (values.size(least=32, most=1024), "1025"),
        (values.size(off=False, least=1, most=1024), "0"),
        (values.size(off=True, least=1024 * 1024, most=1024**3), "1k"),
        (values.automatic(values.number(least=1, most=256)), "0"),
        (values.automatic(values.number(least=1, most=256)), "automatic"),
        (values.number(least=0, most=65535), "65536"),
        (values.number(least=1, most=65535), "0"),
        (values.number(least=0, most=65535), "-1"),
        (values.number(least=0, most=65535), "nan"),
        (values.number(least=0, most=65535), "1.0"),
        (values.number(least=0, most=65535), "\u0661"),
        (values.number(least=0, most=65535), "9" * 5000),
        *(
            (values.rate(), text)
            for text in ("-1", "0.00009", "1000000001", "nan", "inf", "1e3", "1.", ".5", "", "1_0")
        ),
        (values.rate(), "0." + "0" * 5000),
        (values.switchable(values.matching(r"[a-z]+", "letters", "WORD")), "ABC"),
        (values.boolean(), "maybe"),
        (values.boolean(), ""),
        (values.choice("LEVEL", "info", "debug"), "trace"),
        (values.matching(r"[a-z]+", "letters", "WORD"), "abc\n"),
        (values.directory(), "./no such directory"),
        (values.directory(), "nul\0"),
    ],
)
def test_a_kind_refuses_what_lies_outside(kind: values.Kind, text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        kind.parse(text)


@given(st.floats(0.0001, 1e9))
def test_a_shown_number_reads_as_itself(number: float) -> None:
    text = show_decimal(number)
    assert float(text) == number
    assert "e" not in text


@given(st.floats(0.0001, 1e9))
def test_the_largest_capacity_of_a_rate_can_be_kept(rate: float) -> None:
    capacity = most_tokens(rate)
    assert TokenBucket(rate, capacity).capacity == capacity


def test_a_kind_says_its_bounds() -> None:
    assert values.size(least=32, most=32 * 1024).expected == "a size from 32 to 32k such as 512, 16k or 2m"
    assert values.number("a port number", least=0, most=65535).expected == "a port number from 0 to 65535"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x", '"x"'),
        ("", '""'),
        ("caf\xe9", '"caf\xe9"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("a\nb\x1b[31m\x7f", '"a\\nb\\x1b[31m\\x7f"'),
        ("a\u2028b\ud800", '"a\\u2028b\\ud800"'),
        ("x" * 81, '"' + "x" * 77 + '..."'),
    ],
)
def test_a_quoted_value_stays_on_one_line_of_bounded_length(text: str, shown: str) -> None:
    assert quote(text) == shown


def test_a_near_word_is_suggested_and_a_far_one_is_not() -> None:
    assert did_you_mean("prot", ["host", "port"]) == " Did you mean port?"
    assert did_you_mean("prot", ["port"], '"{}"') == ' Did you mean "port"?'
    assert did_you_mean("zzz", ["host", "port"]) == ""


def test_nouns_follow_their_count() -> None:
    assert [counted(n, "request") for n in (0, 1, 2)] == ["0 requests", "1 request", "2 requests"]


@pytest.mark.parametrize(
    ("text", "networks", "shown"),
    [
        ("127.0.0.1", ["127.0.0.1/32"], "127.0.0.1"),
        ("127.0.0.1,::1", ["127.0.0.1/32", "::1/128"], "127.0.0.1,::1"),
        (" 10.0.0.0/8 ,\t2001:DB8::/32", ["10.0.0.0/8", "2001:db8::/32"], "10.0.0.0/8,2001:db8::/32"),
        ("10.0.0.1/32,10.0.0.1", ["10.0.0.1/32"], "10.0.0.1"),
        ("*", ["0.0.0.0/0", "::/0"], "*"),
        ("0.0.0.0/0,::/0", ["0.0.0.0/0", "::/0"], "*"),
        ("::/0", ["::/0"], "::/0"),
        ("*,10.0.0.0/8", ["0.0.0.0/0", "::/0", "10.0.0.0/8"], "0.0.0.0/0,::/0,10.0.0.0/8"),
        ("off", [], "off"),
        ("OFF", [], "off"),
        ("::ffff:10.0.0.1", ["10.0.0.1/32"], "10.0.0.1"),
        ("::ffff:10.0.0.0/104", ["10.0.0.0/8"], "10.0.0.0/8"),
        ("::ffff:0:0/96", ["0.0.0.0/0"], "0.0.0.0/0"),
    ],
)
def test_networks_are_read_and_shown(text: str, networks: list[str], shown: str) -> None:
    read = NETWORKS.parse(text)
    assert read == tuple(map(ip_network, networks))
    assert NETWORKS.show(read) == shown
    assert NETWORKS.parse(shown) == read


@pytest.mark.parametrize(
    "element",
    [
        "",
        "localhost",
        "10.0.0.1/8",
        "10.0.0.1/",
        "10.0.0.0/33",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "10.0.0",
        "10.0.0.01",
        "167772160",
        "2001:db8::1/32",
        "2001:db8::/129",
        "[::1]",
        "fe80::1%eth0",
        "fe80::%eth0/10",
        "10.0.0.1:80",
        "**",
        "off",
        "\u0661.0.0.1",
        "::ffff:10.0.0.1/104",
        "::ffff:10.0.0.1/0",
    ],
)
def test_what_is_no_network_is_named(element: str) -> None:
    with pytest.raises(values.WrongElement) as caught:
        NETWORKS.parse(f"127.0.0.1,{element}")
    assert caught.value.element == element
