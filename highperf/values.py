"""What the values of settings and policies look like as text: durations, sizes, numbers, words.

Owns reading and showing them, and the words that say what was expected. Must not know which
settings there are. Everything here takes text from users: each reader refuses what it does not
know with ValueError, never guesses, and never meets a number too long to compute with.
"""

import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_interface
from pathlib import Path
from typing import Any, Final, NamedTuple

KIB: Final = 1024
MIB: Final = 1024 * KIB
TIB: Final = 1024 * 1024 * MIB
MS: Final = 1_000_000
SECOND: Final = 1000 * MS
HOUR: Final = 3600 * SECOND

# Well within what a token bucket can keep: tokens per second, tokens, and the time to fill it.
RATE_LEAST: Final = 0.0001
RATE_MOST: Final = 1e9
TOKENS_MOST: Final = 1_000_000_000
REFILL_MOST_S: Final = 90 * 86_400

FIELD_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # a token, RFC 9110 section 5.6.2

_DIGITS_MAX: Final = 18
_NANOSECONDS: Final = {"h": HOUR, "m": 60 * SECOND, "s": SECOND, "ms": MS, "us": 1000, "µs": 1000, "ns": 1}
_SHOWN_UNITS: Final = ("h", "m", "s", "ms", "us", "ns")
_DURATION_PART: Final = re.compile(r"([0-9]+)(?:\.([0-9]+))?(ns|us|µs|ms|s|m|h)")
_DURATION: Final = re.compile(rf"(?:{_DURATION_PART.pattern})+")
_SIZE: Final = re.compile(r"([0-9]+)([kKmM]?)")
_NUMBER: Final = re.compile(r"[0-9]+")
_DECIMAL: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s\0/:\[\]]+):([0-9]{1,5})")
_PERMISSIONS: Final = re.compile(r"0?[0-7]{1,3}")
_BOOLEANS: Final = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration as Go writes it: 80ms, 1m30s, 1.5h, 0. ValueError for anything else."""
    if text == "0":
        return 0
    if len(text) > 3 * _DIGITS_MAX or not _DURATION.fullmatch(text):
        raise ValueError(text)
    total = 0
    for whole, fraction, unit in _DURATION_PART.findall(text):
        total += int(whole + fraction) * _NANOSECONDS[unit] // 10 ** len(fraction)
    return total


def show_duration(nanoseconds: int) -> str:
    """The text that parse_duration reads as this many nanoseconds, in the largest units that fit."""
    parts = []
    for unit in _SHOWN_UNITS:
        number, nanoseconds = divmod(nanoseconds, _NANOSECONDS[unit])
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0"


def parse_size(text: str) -> int:
    """Octets of a size: 512, 16k, 64m (powers of 1024). ValueError for anything else."""
    found = _SIZE.fullmatch(text)
    if not found or len(text) > _DIGITS_MAX:
        raise ValueError(text)
    return int(found[1]) * {"": 1, "k": KIB, "m": MIB}[found[2].lower()]


def show_size(octets: int) -> str:
    """The shortest text that parse_size reads as this many octets."""
    for suffix, unit in (("m", MIB), ("k", KIB)):
        if octets and octets % unit == 0:
            return f"{octets // unit}{suffix}"
    return str(octets)


def show_decimal(number: float) -> str:
    """The shortest text for a number from 0.0001 up, without the point where it is whole."""
    return repr(number).removesuffix(".0")


def most_tokens(per_second: float) -> int:
    """The largest capacity that a token bucket of this rate may have."""
    return min(TOKENS_MOST, int(per_second * REFILL_MOST_S))


class Kind(NamedTuple):
    """What a value may be: how its text is read and shown, and what is said about a wrong one."""

    parse: Callable[[str], Any]  # raises ValueError for what it does not take
    expected: str  # ends the sentence "expected ..."
    metavar: str
    show: Callable[[Any], str] = str  # takes a wrong value's text as well
    hidden: bool = False  # not to be shown, wherever else the value is


def duration(*, off: bool) -> Kind:
    """1 ms to 24 h in nanoseconds; with `off`, also 0."""

    def parse(text: str) -> int:
        value = parse_duration(text)
        if off and value == 0:
            return 0
        return _bounded(value, MS, 24 * HOUR)

    end = ", or 0 to turn it off" if off else ""
    return Kind(parse, f"a duration from 1ms to 24h such as 80ms, 2s or 1m30s{end}", "DURATION", show_duration)


def size(*, off: bool = False, least: int = 1, most: int) -> Kind:
    """Octets; with `off`, also 0."""

    def parse(text: str) -> int:
        value = parse_size(text)
        return value if off and value == 0 else _bounded(value, least, most)

    such, end = "512, 16k or 2m" if least < KIB else "200m", ", or 0 to turn it off" if off else ""
    expected = f"a size from {show_size(least)} to {show_size(most)} such as {such}{end}"
    return Kind(parse, expected, "SIZE", show_size)


def number(noun: str = "a number", *, least: int = 1, most: int) -> Kind:
    def parse(text: str) -> int:
        if not _NUMBER.fullmatch(text) or len(text) > _DIGITS_MAX:
            raise ValueError(text)
        return _bounded(int(text), least, most)

    return Kind(parse, f"{noun} from {least} to {most}", "NUMBER")


def rate() -> Kind:
    """Tokens per second, or 0."""

    def parse(text: str) -> float:
        if not _DECIMAL.fullmatch(text) or len(text) > 2 * _DIGITS_MAX:
            raise ValueError(text)
        value = float(text)
        if value and not RATE_LEAST <= value <= RATE_MOST:
            raise ValueError(text)
        return value

    expected = f"a number from {RATE_LEAST} to {RATE_MOST:.0f} such as 1000 or 0.5, or 0 to turn it off"
    return Kind(parse, expected, "NUMBER", show_decimal)


def share() -> Kind:
    """A part of a whole, from 0 to 1."""

    def parse(text: str) -> float:
        if not _DECIMAL.fullmatch(text) or len(text) > _DIGITS_MAX:
            raise ValueError(text)
        value = float(text)
        if value > 1:
            raise ValueError(text)
        return value

    return Kind(parse, "a number from 0 to 1 such as 0.01", "SHARE", show_decimal)


def boolean() -> Kind:
    def parse(text: str) -> bool:
        if text.lower() not in _BOOLEANS:
            raise ValueError(text)
        return _BOOLEANS[text.lower()]

    return Kind(parse, "true or false (or yes, no, on, off, 1, 0)", "BOOLEAN", lambda value: str(value).lower())


def choice(metavar: str, *words: str) -> Kind:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(text)
        return text.lower()

    return Kind(parse, f"one of {', '.join(words)}", metavar)


def matching(pattern: str, expected: str, metavar: str) -> Kind:
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(text)
        return text

    return Kind(parse, expected, metavar)


def address() -> Kind:
    """A host and a port as one text, for split_address."""

    def parse(text: str) -> str:
        split_address(text)
        return text

    return Kind(parse, "an address such as 127.0.0.1:9100, 0.0.0.0:9100 or [::1]:9100", "HOST:PORT")


def split_address(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT; ValueError for what is none."""
    found = _ADDRESS.fullmatch(text)
    if not found:
        raise ValueError(text)
    return found[1], _bounded(int(found[2]), 0, 65535)


def secret() -> Kind:
    """Text that is never shown, nor said to be wrong."""
    return Kind(str, "some text", "TEXT", lambda value: "******" if value else "", hidden=True)


def switchable(kind: Kind) -> Kind:
    """The same kind of text, or "off" (or nothing), which reads as ""."""

    def parse(text: str) -> Any:
        return "" if text.lower() in ("", "off") else kind.parse(text)

    return Kind(parse, f"{kind.expected}, or off", kind.metavar, lambda value: kind.show(value) or "off")


def optional(kind: Kind) -> Kind:
    """The same kind of text, where there may be no value at all: None, which is shown as nothing."""
    return Kind(kind.parse, kind.expected, kind.metavar, lambda value: "" if value is None else kind.show(value))


def several(kind: Kind) -> Kind:
    """Texts of this kind with commas between them, as a tuple."""

    def parse(text: str) -> tuple[Any, ...]:
        return tuple(kind.parse(part.strip()) for part in text.split(","))

    return Kind(parse, f"{kind.expected}, or several with commas between", f"{kind.metavar},...", ",".join)


def permissions() -> Kind:
    """Of a file, in octal as chmod(1) takes them."""

    def parse(text: str) -> int:
        if not _PERMISSIONS.fullmatch(text):
            raise ValueError(text)
        return int(text, 8)

    return Kind(parse, "permissions in octal from 0 to 777 such as 660", "OCTAL", _show_permissions)


def _show_permissions(value: int) -> str:
    return format(value, "o")


def automatic(kind: Kind) -> Kind:
    """The same kind of number, or "auto", which reads as 0."""

    def parse(text: str) -> Any:
        return 0 if text.lower() == "auto" else kind.parse(text)

    return Kind(parse, f"{kind.expected}, or auto", kind.metavar, lambda value: kind.show(value) if value else "auto")


Network = IPv4Network | IPv6Network


class WrongElement(ValueError):
    """One element of a list cannot be taken; `expected` ends the sentence "expected ..."."""

    def __init__(self, element: str, expected: str) -> None:
        super().__init__(element)
        self.element = element
        self.expected = expected


EVERYONE: Final = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
_NETWORKS_EXPECTED: Final = "an address or network such as 127.0.0.1, 10.0.0.0/8 or 2001:db8::/32, or * for everyone"


def networks() -> Kind:
    """Addresses and networks between commas; "*" is EVERYONE, "off" nobody. WrongElement names what is none."""

    def parse(text: str) -> tuple[Network, ...]:
        if text.lower() == "off":
            return ()
        parsed: list[Network] = []
        for element in map(str.strip, text.split(",")):
            parsed += EVERYONE if element == "*" else (_network(element),)
        return tuple(dict.fromkeys(parsed))

    def show(value: Sequence[Network]) -> str:
        shown = ",".join(str(network.network_address if network.num_addresses == 1 else network) for network in value)
        return "*" if tuple(value) == EVERYONE else shown or "off"

    return Kind(parse, f"{_NETWORKS_EXPECTED}, more of them between commas, or off", "ADDRESSES", show)


def _network(text: str) -> Network:
    """Of an IPv6 network that only spells IPv4 addresses (RFC 4291 section 2.5.5.2), that of IPv4."""
    try:
        interface = ip_interface(text)
    except ValueError:
        raise WrongElement(text, _NETWORKS_EXPECTED) from None
    network, address = interface.network, interface.ip
    if "%" in text or not re.fullmatch(r"[^/]+(?:/[0-9]{1,3})?", text):
        raise WrongElement(text, _NETWORKS_EXPECTED)
    if network.network_address != address:
        raise WrongElement(text, f"{network} for the whole network, or {address} for one address")
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None and network.prefixlen >= 96:
        return IPv4Network((int(address.ipv4_mapped), network.prefixlen - 96))
    return network


def directory() -> Kind:
    def parse(text: str) -> str:
        if not Path(text).is_dir():
            raise ValueError(text)
        return text

    return Kind(parse, "an existing directory", "DIRECTORY")


def _bounded(value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise ValueError(value)
    return value


def quote(text: str) -> str:
    """The text between quotes, on one line of bounded length whatever it holds."""
    shown = text if len(text) <= 80 else text[:77] + "..."
    return '"' + "".join(map(_visible, shown)) + '"'


def _visible(character: str) -> str:
    if character in '"\\' or not character.isprintable():
        return "\\" + character if character in '"\\' else ascii(character)[1:-1]
    return character


def counted(count: int, noun: str) -> str:
    """The count and its noun: 1 request, 2 requests."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def did_you_mean(word: str, known: list[str], shown: str = "{}") -> str:
    """A sentence that begins with a space and names the nearest known word, or nothing."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1)
    return f" Did you mean {shown.format(close[0])}?" if close else ""
