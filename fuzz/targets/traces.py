"""traceparent and tracestate are what the twin takes them for. The first line is the one, all others are the other."""

from collections import Counter
from random import Random

from fuzz.engine import Target
from fuzz.targets.shared import difference, field_text, load_probe
from tests.reference.traces_twin import parse_traceparent, pass_on

KEYS = ["a", "1", "tenant@system", "a" * 255, "a" * 256, "a*b/c-d_e"]
VALUES = ["1", "a b", "a" * 255, "a" * 256, "~!", " x"]
WORDS = [
    *(word.encode() for word in (*KEYS, *VALUES)),
    b"\n",
    b",",
    b"=",
    b"@",
    b"-",
    b"00-",
    b"ff-",
    b"-01",
    b"\t",
    b"\x80",
]
WORDS += [b"0" * 16, b"0" * 32, b"A", b"a=1,"]
MOST_LINES = 40
probe = load_probe("traces")


class Traces:
    def __init__(self) -> None:
        self.counts = Counter[str]()

    def check(self, octets: bytes) -> str | None:
        first, *lines = octets.split(b"\n")[:MOST_LINES]
        parent, states = first.decode("latin-1"), [field_text(line) for line in lines]
        head = "GET / HTTP/1.1\r\nHost: a\r\n" + "".join(f"tracestate: {state}\r\n" for state in states) + "\r\n"
        ours, passed = probe.parse_traceparent(first), probe.tracestate(head.encode("latin-1"))
        self.counts.update({"valid parents": ours is not None, "valid states": passed != ""})
        wrong = difference("traceparent", parent, ours, parse_traceparent(parent))
        return wrong or difference("tracestate", states, passed, pass_on(states))


def make(dice: Random) -> bytes:
    version, flags = dice.choice(["00", "00", "01", "fe", "ff"]), dice.choice(["00", "01", "02", "03", "ff"])
    rest = dice.choice(["", "", "-", "-more"])
    lines = [f"{version}-{dice.getrandbits(128):032x}-{dice.getrandbits(64):016x}-{flags}{rest}"]
    for _ in range(dice.randrange(4)):
        count = dice.choice((0, 1, 2, 3, 31, 32, 33))
        members = [f"{dice.choice(KEYS)}={dice.choice(VALUES)}" for _ in range(count)]
        lines.append(dice.choice([",", ", ", "\t,,"]).join(members))
    return "\n".join(lines).encode("latin-1")


def load() -> Target:
    traces, dice = Traces(), Random(1)
    return Target(traces.check, [make(dice) for _ in range(32)], make, WORDS, counts=traces.counts)
