"""Chunked content, and what lies behind it: as for the parser, with a head that is always right."""

from random import Random

from fuzz.engine import Target
from fuzz.targets.parser import LONGEST, Streams
from tests.property import test_parser_against_llhttp as parts

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
SEEDS = [body for field, body in (*parts.BODIES, *parts.ODD_BODIES) if field.lower().startswith(b"transfer")]
WORDS = [
    b"\r\n",
    b"0\r\n\r\n",
    b"1\r\na\r\n",
    b";",
    b"a=b",
    b'="',
    b"\\",
    b'"',
    b"\t",
    b" ",
    b"\n",
    b"\r",
    b"0",
    b"f",
    b"F",
]
WORDS += [b"A: b\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: a\r\n", b"Trailer: a\r\n"]
WORDS += [b"fffffff", b"7fffffffffffffff", b"8000000000000000", b"ffffffffffffffff", b"10000000000000000", HEAD]


def make(dice: Random) -> bytes:
    chunks = []
    for _ in range(dice.randrange(4)):
        size = dice.choice((1, 2, 9, 10, 16, 17, 255))
        extension = dice.choice((b"", b"", b";a", b";a=b", b';a="b;\\"c"', b" ; a = b"))
        chunks.append(b"%x%b\r\n%b\r\n" % (size, extension, b"c" * size))
    trailers = dice.choice((b"", b"", b"A: b\r\n", b"A:\r\nB: \xff\t \r\n"))
    return b"".join(chunks) + b"0\r\n" + trailers + b"\r\n" + dice.choice((b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"))


def load() -> Target:
    streams = Streams(HEAD)
    return Target(streams.check, SEEDS, make, WORDS, LONGEST, streams.counts)
