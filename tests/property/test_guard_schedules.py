"""Requests to routes under every guard, whatever their handlers, their clients and the clock do.

Handlers answer, wait, fail, compute, stream, run in threads, ignore that they are cancelled or fail over it;
clients trickle their content in, pipeline, set deadlines, send a FIN or leave; the server announces its end,
drains or gives up, and ends connections for newcomers where it has room for few.
After every step:

- Answers come in the order of the requests, one for each; a refused request's handler did not begin.
- Nobody is told 504 before the deadline, nor later than due once time has passed. The time in which a
  handler waited for its client's content is none of its own.
- As many permits are out as there are handlers that have not ended, and the zombies are among them; a breaker waits
  for no probe when there are none.

At the end nothing is left: no permit, no timer, no buffer, and a breaker that opened lets itself be closed.
"""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, count
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from highperf import HTTPError, RateLimit, Request, Response
from highperf.errors import SHUTTING_DOWN
from tests import compiled
from tests.answers import Answer, split_answers
from tests.protocol.harness import Client, Wire

MS = 1_000_000
SECOND = 1000 * MS
SLOT = 1 * MS  # what the wheel rounds due times up to
PATIENCE_TURNS = 100_000
COMPUTING = 3 * MS
CAUSES = {  # by words of a refusal's detail; a handler's own problems have none of them
    "the time that the client gives is over": "deadline_unstarted",
    "requests to this path are running": "route_concurrency",
    "as many requests are running as may": "concurrency",
    "requests wait too long": "queue_delay",
    "the rate limit": "rate_limit",
    "the circuit breaker": "breaker",
}

DEADLINES = {"free": 0, "brief": 20 * MS, "short": 50 * MS, "long": 200 * MS, "limited": 50 * MS, "all": 100 * MS}
BUDGETS = {"": None, "0": 0, "5ms": 5 * MS, "0.03": 30 * MS, "10s": 10 * SECOND, "soon": None}
GROUPS = [
    "free",
    "brief",
    "short",
    "long",
    "limited",
    "client",
    "two",
    "keyed",
    "breaking",
    "narrow",
    "critical",
    "all",
]
HOWS = [
    *["now", "wait", "fail", "wait and fail", "refuse", "compute", "stubborn", "fail when cancelled", "clean up"],
    *["answer when cancelled", "stream", "failing stream", "stream that closes slowly", "outbound"],
    *["content", "content", "late content", "thread", "failing thread"],
]


@dataclass
class Asked:
    """A request, and what became of it."""

    number: int
    group: str
    how: str
    budget: str
    began: int = -1  # instant
    waits_since: int = -1  # for its content
    waited: int = 0
    answered: int = -1
    ended: bool = False

    @property
    def octets(self) -> bytes:
        fields = b"X-Key: %d\r\n" % (self.number % 3)
        if self.budget:
            fields += b"Request-Timeout: %b\r\n" % self.budget.encode()
        content = b""
        if "content" in self.how:
            content = b"%d." % self.number * 100
            fields += b"Content-Length: %d\r\n" % len(content)
        path = b"/%b/%d/%b" % (self.group.encode(), self.number, self.how.replace(" ", "-").encode())
        return b"POST %b HTTP/1.1\r\nHost: a\r\n%b\r\n%b" % (path, fields, content)

    @property
    def own_time(self) -> int | None:
        """How long its handler may take; None: for ever."""
        times = [time for time in (DEADLINES.get(self.group), BUDGETS[self.budget]) if time]
        return min(times, default=None)

    def due(self, now: int) -> int | None:
        if self.own_time is None:
            return None
        waiting = now - self.waits_since if self.waits_since >= 0 else 0
        return self.began + self.own_time + self.waited + waiting


class Source:
    """Three parts of an answer; knows when it was closed."""

    def __init__(self, run: "Run", asked: Asked) -> None:
        self.run, self.asked, self.left = run, asked, 3

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        if not self.left:
            raise StopAsyncIteration
        if self.left < 3:
            await self.run.gate(self.asked)
            if self.asked.how == "failing stream":
                raise OSError("as asked")
        self.left -= 1
        return f"{self.asked.number}."

    async def aclose(self) -> None:
        try:
            if self.asked.how == "stream that closes slowly":
                await asyncio.shield(self.run.gate(self.asked))
        finally:
            self.asked.ended = True


@dataclass
class Talk:
    """What one client says, and the octets that it has not said yet."""

    client: Client
    requests: list[Asked]
    unsaid: bytes
    heard: bytes = b""  # of an answer that is not there as a whole
    answers: list[Answer] = field(default_factory=list)

    def say(self, size: int) -> None:
        said, self.unsaid = self.unsaid[:size], self.unsaid[size:]
        if said:
            self.client.feed(said)

    def hear(self) -> list[tuple[Asked, Answer]]:
        """The answers that have come since, each with its request: they come in order."""
        self.heard += self.client.taken()
        before = len(self.answers)
        answers, self.heard = split_answers(self.heard)
        self.answers += answers
        assert len(self.answers) <= len(self.requests)
        return list(zip(self.requests, self.answers, strict=False))[before:]


class Run:
    """One schedule, carried out."""

    def __init__(self, probe: ModuleType, server: dict[str, object], talks: list[list[tuple[str, str, str]]]) -> None:
        self.probe = probe
        self.wire = Wire()
        self.wire.settings = server
        self.now = 0
        self.gates: dict[int, list[asyncio.Future[None]]] = {}
        self.events: dict[int, threading.Event] = {}
        self.causes: Counter[str] = Counter()
        self.threads = ThreadPoolExecutor(32)
        self.wire.loop.set_default_executor(self.threads)
        self.db = self.wire.app.breaker(
            "db", failures=3, open_for="100ms", longest_open="300ms", lease="60ms", volume=8
        )
        numbers = count()
        requests = [[Asked(next(numbers), *kind) for kind in kinds] for kinds in talks]
        self.asked = list(chain(*requests))
        add_routes(self)
        self.talks = [self.talk(number, asked) for number, asked in enumerate(requests)]
        self.strangers: list[Client] = []

    def talk(self, number: int, requests: list[Asked]) -> Talk:
        octets = b"".join(one.octets for one in requests)
        return Talk(self.wire.connect(f"192.0.2.{number % 2}"), requests, octets)

    # ---- for handlers -------------------------------------------------------------------------

    def begin(self, request: Request) -> Asked:
        asked = self.asked[int(request.params["number"])]
        assert asked.began == -1
        asked.began = self.now
        assert request.remaining() == (float("inf") if asked.own_time is None else asked.own_time / SECOND)
        return asked

    def gate(self, asked: Asked) -> asyncio.Future[None]:
        future = self.wire.loop.create_future()
        self.gates.setdefault(asked.number, []).append(future)
        return future

    def compute(self) -> None:
        self.now += COMPUTING
        self.wire.drift(COMPUTING / SECOND)

    # ---- steps --------------------------------------------------------------------------------

    def step(self, index: int, what: str) -> None:
        talk = self.talks[index % len(self.talks)]
        if what == "say all":
            talk.say(len(talk.unsaid))
        elif what == "say some":
            talk.say(120)
        elif what == "say little":
            talk.say(7)
        elif what == "open":
            self.open_one(index)
        elif what == "leave":
            talk.client.leave()
            talk.unsaid = b""
        elif what == "fin":
            talk.unsaid = b""
            talk.client.finish_sending()
        elif what == "announce":
            self.wire.worker.announce()
        elif what == "drain":
            self.wire.worker.begin_drain()
        elif what == "newcomer":
            self.let_come()
        else:
            self.advance(int(what) * MS)
        self.check()

    def let_come(self) -> None:
        """Somebody else connects, for whom another may have to go, but no request that is being handled."""
        self.settle()
        busy = [talk for talk in self.talks if not talk.client.gone and self.is_handled(talk)]
        self.strangers.append(self.wire.connect("192.0.2.9"))
        self.settle()
        assert not any(talk.client.gone for talk in busy)

    def is_handled(self, talk: Talk) -> bool:
        return any(one.began >= 0 and not one.ended for one in talk.requests[len(talk.answers) :][:1])

    def advance(self, time: int) -> None:
        self.wire.settle()
        self.now += time
        self.wire.advance(time / SECOND)

    def open_one(self, index: int) -> bool:
        waiting = [futures for futures in self.gates.values() for future in futures if not future.done()]
        events = [event for event in self.events.values() if not event.is_set()]
        if not waiting and not events:
            return False
        place = index % (len(waiting) + len(events))
        if place < len(waiting):
            next(future for future in waiting[place] if not future.done()).set_result(None)
        else:
            events[place - len(waiting)].set()
        return True

    # ---- what must hold -----------------------------------------------------------------------

    def check(self) -> None:
        self.settle()
        self.wire.advance(0)  # handlers may have computed past somebody's deadline
        worker = self.wire.worker
        assert worker.shedder.running == self.probe.running(worker) == self.running
        assert 0 <= worker.zombies <= self.running
        assert self.running or not self.probe.probing(self.db)
        assert self.probe.deadlines(worker) <= self.running
        for talk in self.talks:
            for asked, answer in talk.hear():
                self.check_answer(asked, answer)
            if not talk.client.gone:
                self.check_late(talk)

    def settle(self) -> None:
        """Until nothing moves, and no thread is about to begin or to end its handler."""
        self.wire.settle()
        for _ in range(PATIENCE_TURNS):
            ending = any(event.is_set() and not self.asked[number].ended for number, event in self.events.items())
            threads = any("thread" in one.how and not one.ended for one in self.asked)
            if not ending and (not threads or self.wire.worker.shedder.running == self.running):
                break
            self.wire.loop.run_until_complete(asyncio.sleep(0))
        self.wire.settle()

    @property
    def running(self) -> int:
        return sum(1 for one in self.asked if one.began >= 0 and not one.ended)

    def check_answer(self, asked: Asked, answer: Answer) -> None:
        asked.answered = self.now
        if answer.status == 200:
            assert asked.began >= 0
            assert set(answer.content.decode().split(".")) <= {str(asked.number), ""}
            return
        problem = answer.json()
        if answer.status == 408 and asked.began < 0:  # its head never came as a whole
            asked.began, asked.ended = -2, True
            return
        assert problem["instance"].split("/")[2] == str(asked.number)
        if answer.status == 504:
            self.causes["deadline_missed"] += 1
            due = asked.due(self.now)
            assert due is not None
            assert asked.began >= 0
            assert due <= self.now
            return
        causes = [cause for words, cause in CAUSES.items() if words in problem.get("detail", "")]
        if causes and asked.began < 0:
            self.causes[causes[0]] += 1
            assert answer.status == (429 if causes == ["rate_limit"] else 503)
            assert int(answer.headers["Retry-After"]) >= 1
            asked.began, asked.ended = -2, True  # and may not begin any more
        elif answer.status in (400, 401, 408):
            assert answer.status == 401 or "content" in asked.how
        else:
            assert asked.began >= 0
            assert answer.status in (409, 500, 503)

    def check_late(self, talk: Talk) -> None:
        """The request that is to be answered next has no more than its time."""
        for asked in talk.requests[len(talk.answers) :][:1]:
            due = asked.due(self.now)
            if asked.began >= 0 and due is not None and not asked.ended:
                assert self.now < due + SLOT

    # ---- the end ------------------------------------------------------------------------------

    def end(self, how: str) -> None:
        worker = self.wire.worker
        if how == "all is said":
            for talk in self.talks:
                talk.say(len(talk.unsaid))
        elif how == "drain":
            worker.begin_drain()
        elif how == "cancel":
            worker.cancel_requests(SHUTTING_DOWN)
            for asked in self.asked:  # which waits for no thread
                asked.ended = asked.ended or (asked.began >= 0 and "thread" in asked.how)
        elif how == "abort":
            worker.abort()
        self.check()
        self.open_all()
        if how == "all is said" and not any(talk.client.gone or talk.client.half_closed for talk in self.talks):
            self.check_counts()
        for talk in self.talks:
            talk.client.leave()
        self.open_all()
        assert self.probe.deadlines(worker) == worker.shedder.running == worker.zombies == worker.in_flight == 0

    def open_all(self) -> None:
        turn = 0
        while self.open_one(turn):
            turn += 1
            self.check()

    def check_counts(self) -> None:
        """Everybody was answered, and the counters say how."""
        assert all(len(talk.answers) == len(talk.requests) for talk in self.talks)
        refused = {cause: count for cause, count in self.wire.worker.refused.items() if cause != "deadline_missed"}
        late = self.wire.worker.refused["deadline_missed"] - self.causes.pop("deadline_missed", 0)
        assert self.causes == Counter(refused)
        assert 0 <= late <= sum(1 for asked in self.asked if asked.began >= 0)  # whom nothing could interrupt

    def recover(self) -> None:
        """Whatever the breaker went through, time and three good calls close it."""
        self.advance(10 * SECOND)
        for _ in range(3):
            pass_ = self.db.allow(now_ns=self.clock())
            self.db.report(pass_, "success", now_ns=self.clock())
            if self.db.state in ("closed", "ramp"):
                return
            assert pass_ >= 0, self.db
        raise AssertionError(self.db)

    def clock(self) -> int:
        return self.probe.now(self.wire.worker)

    def close(self) -> None:
        self.wire.worker.abort()
        self.settle()
        while self.open_one(0):
            self.settle()
        self.threads.shutdown()
        assert self.probe.timers(self.wire.worker) == 0
        self.wire.close()


def key(request: Request) -> str | None:
    name = request.headers["x-key"]
    if name == "2":
        raise HTTPError(401, "who are you?")
    return None if name == "1" else name


def policies(run: Run) -> dict[str, dict[str, object]]:
    """By group. Those of `all` are what the others have one by one."""
    limit = RateLimit("50/s", capacity=3, name="limited")
    client = RateLimit("20/s", capacity=2, by="client", name="clients", table_bytes=4096)
    return {
        "free": {},
        "brief": {},
        "short": {},
        "long": {},
        "limited": {"rate_limit": limit},
        "client": {"rate_limit": RateLimit("30/s", capacity=2, by="client", name="client", table_bytes=4096)},
        "two": {
            "rate_limit": [client, RateLimit("40/s", capacity=3, by="header:X-Key", name="keys", table_bytes=4096)]
        },
        "keyed": {"rate_limit": RateLimit("50/s", capacity=1, by=key, name="keyed", table_bytes=4096)},
        "breaking": {"breaker": run.db},
        "narrow": {"limit_concurrency": 1},
        "critical": {"critical": True},
        "all": {"rate_limit": [limit, client], "breaker": run.db, "limit_concurrency": 3},
    }


def add_routes(run: Run) -> None:
    for group, policy in policies(run).items():
        deadline = DEADLINES.get(group, 0)
        whole = {**policy, "deadline": f"{deadline // MS}ms" if deadline else "0"}
        handler = waiting_handler(run)
        for how in dict.fromkeys(asked.how for asked in run.asked if asked.group == group):
            path = f"/{group}/:number/{how.replace(' ', '-')}"
            if "thread" in how:
                run.wire.app.post(path, blocking=True, **whole)(thread_handler(run))
            elif how in ("now", "fail", "refuse", "compute"):
                run.wire.app.post(path, **whole)(plain_handler(run))
            else:
                run.wire.app.post(path, **whole)(handler)


def plain_handler(run: Run) -> Callable[[Request], str]:
    def handle(request: Request) -> str:
        asked = run.begin(request)
        asked.ended = True
        if asked.how == "fail":
            raise LookupError
        if asked.how == "refuse":
            raise HTTPError(409)
        if asked.how == "compute":
            run.compute()
        return f"{asked.number}."

    return handle


def thread_handler(run: Run) -> Callable[[Request], str]:
    def handle(request: Request) -> str:
        asked = run.begin(request)
        event = run.events[asked.number] = threading.Event()
        try:
            assert event.wait(30)
            if asked.how == "failing thread":
                raise LookupError
            return f"{asked.number}."
        finally:
            asked.ended = True

    return handle


def waiting_handler(run: Run) -> Callable[[Request], object]:
    async def handle(request: Request) -> object:
        asked = run.begin(request)
        try:
            result = await BEHAVIOURS.get(asked.how, wait)(run, asked, request)
        except BaseException:
            asked.ended = True
            raise
        asked.ended = not isinstance(result, Response)
        return result

    return handle


async def wait(run: Run, asked: Asked, request: Request) -> object:
    await run.gate(asked)
    if asked.how == "wait and fail":
        raise LookupError
    return f"{asked.number}."


async def stream(run: Run, asked: Asked, request: Request) -> object:
    await asyncio.sleep(0)
    return Response.stream(Source(run, asked))


async def be_stubborn(run: Run, asked: Asked, request: Request) -> object:
    gate = run.gate(asked)
    while True:
        try:
            await asyncio.shield(gate)
            return f"{asked.number}."
        except asyncio.CancelledError:
            continue


async def end_otherwise(run: Run, asked: Asked, request: Request) -> object:
    try:
        await run.gate(asked)
    except asyncio.CancelledError:
        if asked.how == "fail when cancelled":
            raise ValueError("while cleaning up") from None
        if asked.how == "clean up":
            await run.gate(asked)
            raise
    return f"{asked.number}."


async def call_outbound(run: Run, asked: Asked, request: Request) -> object:
    async with run.db:
        await run.gate(asked)
        raise OSError("the other side is down")


async def read(run: Run, asked: Asked, request: Request) -> object:
    if asked.how == "late content":
        await run.gate(asked)
    asked.waits_since = run.now
    try:
        content = await request.body()
    finally:
        asked.waited += run.now - asked.waits_since
        asked.waits_since = -1
    assert content == b"%d." % asked.number * 100
    await run.gate(asked)
    return content


BEHAVIOURS = {
    "stream": stream,
    "failing stream": stream,
    "stream that closes slowly": stream,
    "stubborn": be_stubborn,
    "fail when cancelled": end_otherwise,
    "answer when cancelled": end_otherwise,
    "clean up": end_otherwise,
    "outbound": call_outbound,
    "content": read,
    "late content": read,
}

SERVERS = st.fixed_dictionaries(
    {
        "limit_concurrency": st.sampled_from([0, 2, 5, 100]),
        "rate_limit_rps": st.sampled_from([0, 0, 20]),
        "limit_connections": st.sampled_from([0, 0, 5]),
    }
)
KINDS = st.tuples(st.sampled_from(GROUPS), st.sampled_from(HOWS), st.sampled_from(["", "", "", *BUDGETS]))
TALKS = st.lists(st.lists(KINDS, min_size=1, max_size=5), min_size=1, max_size=5)
SAYING = ["say all", "say all", "say all", "say some", "say some", "say little"]
TIMES = ["1", "4", "10", "30", "60", "200", "1500"]
STEPS = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.sampled_from([*SAYING, "open", "open", "open", *TIMES, "leave", "fin", "announce", "drain", "newcomer"]),
    ),
    max_size=40,
)
ENDS = ["all is said", "all is said", "nothing more", "drain", "cancel", "abort"]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("highperf.error"), "disabled", True)


@pytest.fixture(scope="module")
def probe(pytestconfig: pytest.Config) -> ModuleType:
    return compiled.load(pytestconfig, "tests/unit/worker_probe.pyx")


def carry_out(
    probe: ModuleType,
    server: dict[str, object],
    talks: list[list[tuple[str, str, str]]],
    steps: list[tuple[int, str]],
    end: str,
) -> Run:
    run = Run(probe, server, talks)
    try:
        for index, what in steps:
            run.step(index, what)
        run.end(end)
        run.recover()
    finally:
        run.close()
    return run


@settings(max_examples=120)
@given(server=SERVERS, talks=TALKS, steps=STEPS, end=st.sampled_from(ENDS))
def test_whatever_the_schedule(
    probe: ModuleType,
    server: dict[str, object],
    talks: list[list[tuple[str, str, str]]],
    steps: list[tuple[int, str]],
    end: str,
) -> None:
    carry_out(probe, server, talks, steps, end)


FAILING_KINDS = st.tuples(
    st.sampled_from(["breaking", "breaking", "all", "brief"]),
    st.sampled_from(["fail", "fail", "now", "wait and fail", "outbound", "stream", "failing stream", "stubborn"]),
    st.sampled_from(["", "", "0.03"]),
)
FAILING_TALKS = st.lists(st.lists(FAILING_KINDS, min_size=2, max_size=5), min_size=3, max_size=4)
FAILING_STEPS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from(["say all", "say all", "open", "open", "30", "60", "leave"])),
    min_size=10,
    max_size=30,
)


@settings(max_examples=100)
@given(talks=FAILING_TALKS, steps=FAILING_STEPS)
def test_however_many_requests_fail(
    probe: ModuleType, talks: list[list[tuple[str, str, str]]], steps: list[tuple[int, str]]
) -> None:
    carry_out(probe, {"limit_concurrency": 4}, talks, steps, "all is said")


SLOW_KINDS = st.tuples(
    st.sampled_from(["free", "brief", "short", "long", "all"]),
    st.sampled_from(["content", "late content", "wait", "stubborn"]),
    st.sampled_from(["", "", "0.03"]),
)
SLOW_TALKS = st.lists(st.lists(SLOW_KINDS, min_size=1, max_size=2), min_size=2, max_size=3)
SLOW_SAYING = ["say some", "say some", "say some", "say little", "say all"]
SLOW_STEPS = st.lists(
    st.tuples(st.integers(0, 30), st.sampled_from([*SLOW_SAYING, "open", "open", "4", "10", "10", "30"])),
    min_size=20,
    max_size=40,
)


@settings(max_examples=100)
@given(talks=SLOW_TALKS, steps=SLOW_STEPS)
def test_whenever_clients_send_their_content(
    probe: ModuleType, talks: list[list[tuple[str, str, str]]], steps: list[tuple[int, str]]
) -> None:
    carry_out(probe, {}, talks, steps, "all is said")
