"""Schedules of several connections on one worker, in memory: who says what in which pieces, and what happens meanwhile.

A Run plays one and checks that, whatever the schedule, the same few things hold:

- Answers come in the order of the requests, one for each, and are what the requests asked for.
- Nothing follows an answer that ends the connection.
- A client that leaves, or says no more, takes nothing from the others.
- A server that announces its end, or drains, ends each connection with an answer that says so, or when it is
  silent; what it has begun to answer it finishes.
- At the end nothing is left: no connection, no task, no buffer; and the counters add up.
"""

import asyncio
import atexit
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from highperf import HTTPError, Request, Response
from tests.answers import Answer, split_answers
from tests.protocol.harness import GET, Client, Stepped, Wire, chunked, post, secure_contexts

LARGE = 150_000
LONG_S = 7.0  # beyond some timeouts of a connection that says nothing
SHORTEST_TIMEOUT_S = 2.0  # of a head
WITH = b"%b %b HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"
CUT_SHORT = (400, 408)  # what is told of a request that never came as a whole
LARGE_FILE = b"/files/large"

FILES = tempfile.TemporaryDirectory(prefix="highperf-")
atexit.register(FILES.cleanup)
Path(FILES.name, "small").write_bytes(b"small")
Path(FILES.name, "large").write_bytes(bytes(LARGE))


@dataclass
class Wanted:
    """A request, and the answer that it must get."""

    octets: bytes
    status: int = 200
    content: bytes = b""
    method: str = "GET"
    last: bool = False


def close(path: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path


def expecting(path: bytes, body: bytes) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n%b" % (
        path,
        len(body),
        body,
    )


def make(kind: str, number: int, size: int) -> Wanted:
    name = b"%d" % number
    body = (name + b"-") * size
    if kind == "chunked":
        step = max(1, len(body) // 3)
        parts = [body[start : start + step] for start in range(0, len(body), step)]
        return Wanted(chunked(*parts), content=body, method="POST")
    if kind in ("body", "late", "taken", "streamed"):
        path = {"body": b"/body", "late": b"/late/", "taken": b"/taken", "streamed": b"/mirror"}[kind]
        # A mirror cannot promise to go on: when it begins, the end of the content may not be there.
        return Wanted(post(path + (name if kind == "late" else b""), body), content=body, method="POST")
    return {
        "now": Wanted(GET % (b"/now/" + name), content=name),
        "wait": Wanted(GET % (b"/wait/" + name), content=name),
        "soon": Wanted(GET % (b"/soon/" + name), content=name),
        "expecting": Wanted(expecting(b"/body", body + b"."), content=body + b".", method="POST"),
        "deaf": Wanted(post(b"/deaf", body), content=b"heard nothing", method="POST"),
        "fail": Wanted(GET % b"/fail", 500),
        "fail later": Wanted(GET % (b"/fail/" + name), 500),
        "refuse": Wanted(post(b"/refuse", body), 409, method="POST"),
        "stream": Wanted(GET % (b"/stream/" + name), content=name * 3),
        "slow stream": Wanted(GET % (b"/parts/" + name), content=name * 3),
        "large": Wanted(GET % b"/large", content=bytes(LARGE)),
        "large stream": Wanted(GET % b"/large/stream", content=bytes(LARGE)),
        "file": Wanted(GET % b"/files/small", content=b"small"),
        "large file": Wanted(GET % b"/files/large", content=bytes(LARGE)),
        "parts of a file": Wanted(WITH % (b"GET", LARGE_FILE, b"Range: bytes=5-"), 206, bytes(LARGE - 5)),
        "beyond a file": Wanted(WITH % (b"GET", LARGE_FILE, b"Range: bytes=999999-"), 416),
        "known file": Wanted(WITH % (b"GET", LARGE_FILE, b"If-None-Match: *"), 304),
        "head of a file": Wanted(WITH % (b"HEAD", LARGE_FILE, b"A: b"), method="HEAD"),
        "missing file": Wanted(GET % b"/files/none", 404),
        "handed file": Wanted(GET % (b"/hand/" + name), content=bytes(LARGE)),
        "head": Wanted(b"HEAD /now/a HTTP/1.1\r\nHost: a\r\n\r\n", method="HEAD"),
        "head of a stream": Wanted(WITH % (b"HEAD", b"/large/stream", b"A: b"), method="HEAD"),
        "upgrade": Wanted(WITH % (b"GET", b"/now/" + name, H2C), content=name),
        "connect": Wanted(WITH % (b"CONNECT", b"a:1", b"A: b"), 501, last=True),
        "http/2": Wanted(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, last=True),
        "once": Wanted(b"GET /now/%b HTTP/1.0\r\n\r\n" % name, content=name, last=True),
        "options": Wanted(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 204, method="OPTIONS"),
        "unknown": Wanted(post(b"/nothing", body), 404, method="POST"),
        "wrong method": Wanted(post(b"/now/a", body), 405, method="POST"),
        "http/1.0": Wanted(b"GET /now/%b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" % name, content=name),
        "close": Wanted(close(b"/now/" + name), content=name, last=True),
        "close later": Wanted(close(b"/soon/" + name), content=name, last=True),
        "bad": Wanted(b"BAD\r\n\r\n", 400, last=True),
        "too large": Wanted(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413, last=True),
        "bad chunk": Wanted(chunked(b"x")[:-5] + b"zz\r\n\r\n", 400, method="POST", last=True),
    }[kind]


KINDS = [
    *["now", "wait", "soon", "body", "chunked", "late", "taken", "streamed", "expecting", "deaf", "fail", "fail later"],
    *["file", "large file", "parts of a file", "missing file", "handed file", "beyond a file", "known file"],
    *["head of a file", "head of a stream", "upgrade", "connect", "http/2", "once"],
    *["refuse", "stream", "slow stream", "large", "large stream", "head", "options", "unknown", "wrong method"],
    *["http/1.0", "close", "close later", "bad", "too large", "bad chunk"],
]


def add_routes(wire: Wire) -> None:
    app = wire.app

    @app.get("/soon/:name")
    async def soon(request: Request) -> str:
        await asyncio.sleep(0)
        return request.params["name"]

    @app.get("/fail")
    def fail(request: Request) -> None:
        raise LookupError

    @app.get("/fail/:name")
    async def fail_later(request: Request) -> None:
        await wire.gate(request.params["name"])
        raise LookupError

    @app.post("/refuse")
    async def refuse(request: Request) -> None:
        raise HTTPError(409)

    @app.post("/late/:name")
    async def late(request: Request) -> bytes:
        await wire.gate(request.params["name"])
        return await request.body()

    @app.post("/taken")
    async def taken(request: Request) -> bytes:
        return b"".join([part async for part in request.stream()])

    @app.post("/mirror")
    async def mirror(request: Request) -> Response:
        parts = [part async for part in request.stream()]

        async def again() -> AsyncIterator[bytes]:
            for part in parts:
                yield part

        return Response.stream(again())

    async def three(name: str, waits: bool) -> AsyncIterator[str]:
        for _ in range(3):
            if waits:
                await wire.gate(name)
            yield name

    @app.get("/stream/:name")
    async def stream(request: Request) -> Response:
        return Response.stream(three(request.params["name"], False))

    @app.get("/parts/:name")
    async def parts(request: Request) -> Response:
        return Response.stream(three(request.params["name"], True))

    app.files("/files/*path", FILES.name)

    @app.get("/hand/:name")
    async def hand(request: Request) -> Response:
        await wire.gate(request.params["name"])
        return Response.file("large", root=FILES.name)

    @app.get("/large")
    def large(request: Request) -> bytes:
        return bytes(LARGE)

    @app.get("/large/stream")
    async def large_stream(request: Request) -> Response:
        async def tenths() -> AsyncIterator[bytes]:
            for _ in range(10):
                yield bytes(LARGE // 10)

        return Response.stream(tenths())


@dataclass
class Talk:
    """What one client says, in pieces, and what it must hear."""

    client: Client
    wanted: list[Wanted]
    pieces: Iterator[bytes]
    heard: bytes = b""  # of an answer that is not there as a whole
    answers: list[Answer] = field(default_factory=list)
    broken: bool = False  # by the client, or by a timeout: not all will be answered

    def check(self, *, whole: bool, ending: bool = False) -> None:
        """What was heard answers the requests in order; with `whole`, all of them, or where the server is
        `ending` all up to one that ends the connection, or none more on one that was silent."""
        self.heard += self.client.taken()
        expected = []
        for wanted in self.wanted:
            expected.append(wanted)
            if wanted.last:
                break
        before = len(self.answers)
        answers, self.heard = split_answers(self.heard, [wanted.method for wanted in expected[before:]])
        self.answers += answers
        assert len(self.answers) <= len(expected)
        for answer, wanted in zip(answers, expected[before:], strict=False):
            if self.broken and answer.status in CUT_SHORT:
                assert answer.closes
                continue
            assert answer.status == wanted.status
            if wanted.status < 400:
                assert answer.content == wanted.content
        if any(answer.closes for answer in self.answers[:-1]):
            raise AssertionError("something follows the last answer")
        if whole:
            assert not self.heard
        if whole and ending:
            assert self.client.half_closed or self.client.gone
        elif whole:
            assert len(self.answers) == len(expected)
            assert self.answers[-1].closes == expected[-1].last
            assert not expected[-1].last or self.client.half_closed or self.client.gone


def cut(octets: bytes, sizes: list[int]) -> Iterator[bytes]:
    place, turn = 0, 0
    while place < len(octets):
        size = sizes[turn % len(sizes)]
        yield octets[place : place + size]
        place, turn = place + size, turn + 1


SIZES_OF_BODIES = (0, 1, 10, 500, 20_000)
SIZES_OF_PIECES = (1, 2, 7, 40, 300, 5_000, 70_000)
STEPS = ("send", "send", "send", "send and settle", "open", "open", "turn", "take", "pass", "stop taking", "signal")
BREAKING_STEPS = (*STEPS, *STEPS, "leave", "fin", "pass long")
SIGNALS = ["none", "none", "announce", "drain", "announce and drain"]
ENDS = ["all is said", "all is said", "leave", "fin", "silence", "drain", "cancel", "abort"]


class Run:
    """One schedule, carried out."""

    def __init__(
        self, talks: list[tuple[list[tuple[str, int]], list[int]]], signals: str, *, secure: bool = False
    ) -> None:
        self.wire = Wire(*(secure_contexts() if secure else ()))
        self.signals = [] if signals == "none" else signals.split(" and ")  # what comes with each "signal"
        self.wire.loop.set_default_executor(Stepped(at_once=True))
        add_routes(self.wire)
        self.talks: list[Talk] = []
        self.passed_s = 0.0
        number = 0
        for requests, sizes in talks:
            wanted = []
            for kind, size in requests:
                number += 1
                wanted.append(make(kind, number, size))
            octets = b"".join(one.octets for one in wanted)
            self.talks.append(Talk(self.wire.connect(), wanted, cut(octets, sizes)))

    def step(self, index: int, what: str) -> None:
        wire, talk = self.wire, self.talks[index % len(self.talks)]
        if what in ("send", "send and settle"):
            if piece := next(talk.pieces, b""):
                talk.client.feed(piece)
            if what == "send and settle":
                wire.settle()
        elif what == "open":
            self.open_one(index)
        elif what == "turn":
            wire.loop.run_until_complete(asyncio.sleep(0))
        elif what == "take":
            talk.client.take(10_000)
        elif what == "stop taking":
            talk.client.window = 0
        elif what == "signal":
            self.signal()
        elif what in ("leave", "fin"):
            self.break_off(talk, what)
        else:
            self.pass_time(LONG_S if what == "pass long" else 0.1)
        talk.check(whole=False)

    def pass_time(self, seconds: float) -> None:
        self.passed_s += seconds
        if self.passed_s >= SHORTEST_TIMEOUT_S:
            for talk in self.talks:
                talk.broken = True
        self.wire.advance(seconds)

    def signal(self) -> None:
        if self.signals:
            getattr(self.wire.worker, {"announce": "announce", "drain": "begin_drain"}[self.signals.pop(0)])()

    def break_off(self, talk: Talk, what: str) -> None:
        talk.broken, talk.pieces = True, iter(())
        if what == "leave":
            talk.client.leave()
        else:
            talk.client.finish_sending()

    def open_one(self, index: int) -> None:
        gates = sorted(name for name, gate in self.wire.gates.items() if not gate.done())
        if gates:
            self.wire.open(gates[index % len(gates)])

    @property
    def ending(self) -> bool:
        return self.wire.worker.announced

    def say_all(self) -> None:
        for talk in self.talks:
            for piece in talk.pieces:
                talk.client.feed(piece)
            talk.client.take()

    def open_all(self) -> None:
        self.wire.settle()
        while [gate for gate in self.wire.gates.values() if not gate.done()]:
            self.open_one(0)
        self.wire.settle()

    def end(self, how: str) -> None:
        wire = self.wire
        if how == "leave":
            for talk in self.talks:
                talk.client.leave()
        elif how == "fin":
            for talk in self.talks:
                talk.client.take()
                talk.client.finish_sending()
        elif how == "silence":
            for _ in range(40):
                wire.advance(2.5)
        elif how == "drain":
            wire.worker.begin_drain()
            self.open_all()
            self.fall_silent()
            assert not wire.worker.connections
        elif how == "cancel":
            wire.worker.cancel_requests("the server is shutting down")
            wire.settle()
        elif how == "abort":
            wire.worker.abort()
        if how == "all is said":
            self.say_all()
        self.open_all()
        if self.ending and how == "all is said":
            self.fall_silent()
        for talk in self.talks:
            if how not in ("silence", "drain", "cancel", "fin"):
                talk.check(whole=how == "all is said" and not talk.broken, ending=self.ending)

    def fall_silent(self) -> None:
        """Nobody says a word for as long as any timeout but that of an idle connection."""
        if not self.wire.worker.draining:
            self.wire.worker.begin_drain()
        for talk in self.talks:
            talk.client.take()
        for _ in range(12):
            self.wire.advance(0.3)
            self.open_all()

    def play(self, steps: list[tuple[int, str]], how: str) -> None:
        """The whole schedule; nothing is left behind."""
        try:
            for index, what in steps:
                self.step(index, what)
            self.end(how)
        finally:
            self.wire.close()
        worker = self.wire.worker
        asked = sum(len(talk.wanted) for talk in self.talks)
        assert worker.served <= asked + len(self.talks)  # a refusal may answer what is not yet a request
        if how == "all is said" and not any(talk.broken for talk in self.talks):
            assert worker.served == sum(len(talk.answers) for talk in self.talks)
            assert worker.cancelled == 0
            assert worker.dropped == 0 or self.ending  # what came when an idle connection was being closed
