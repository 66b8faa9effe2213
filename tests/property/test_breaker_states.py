"""Every state that three workers can bring a breaker into, found by a search in breadth.

The breaker is the compiled one: for each step its shared words are put back, a worker does one
thing, and the words are read again. States that differ only in what cannot matter (which instant it
is, how often generations have come round, which of the workers is which) are one state.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from highperf.guards.breaker import CircuitBreaker
from highperf.segment import Segment

MS = 1_000_000
S = 1_000 * MS
WORDS = 24
CLOSED, OPEN, PROBING, RAMP = range(4)
GENERATIONS = 2**20
IDLE, RUNNING, DEAD = "idle", "running", "dead"
REFUSED_RAMP = -2
# Two failures open it; the window's rule is left to other tests, so the ring need not be kept.
SETTINGS: dict[str, Any] = {"failures": 2, "volume": 10**6, "open_for_ns": S, "longest_open_ns": 2 * S, "lease_ns": S}


@dataclass(frozen=True)
class Worker:
    """A dead one has taken its call with it, and what that may have held."""

    doing: str = IDLE
    pass_: int = -1
    lease_end_ns: int = -1  # of a call that passed as a probe

    def probes(self, now_ns: int) -> bool:
        return self.lease_end_ns > now_ns


@dataclass(frozen=True)
class World:
    words: tuple[int, int]  # state, streak
    now_ns: int
    workers: tuple[Worker, ...] = (Worker(), Worker(), Worker())

    @property
    def state(self) -> int:
        return self.words[0] >> 62

    @property
    def generation(self) -> int:
        return self.words[0] >> 42 & GENERATIONS - 1

    @property
    def left_ns(self) -> int:
        return max((self.words[0] >> 10 & 2**32 - 1) * MS - self.now_ns, 0) if self.state != CLOSED else 0

    def key(self) -> tuple[object, ...]:
        row = self.words[1] & 2**16 - 1 if self.words[1] >> 44 == self.generation else 0
        workers = sorted(
            (worker.doing, worker.pass_ == self.generation, worker.probes(self.now_ns)) for worker in self.workers
        )
        successes, backoff = self.words[0] >> 6 & 15, min(self.words[0] & 63, 3)
        return self.state, self.left_ns > 0, successes, backoff, row, tuple(workers)


@dataclass(frozen=True)
class Step:
    kind: str  # time, allow, report, die, start
    after: World
    outcome: str = ""
    pass_: int = -1
    opened: int = 0

    @property
    def helps(self) -> bool:
        """One that the world makes by itself when all goes well."""
        return self.kind in ("time", "allow", "start") or self.outcome == "success"


class Model:
    """Steps of the compiled breaker between worlds."""

    def __init__(self) -> None:
        self.segment = Segment.create(1 << 20, epoch_ns=0)
        self.offset = self.segment.area("breaker db", 8 * WORDS)

    def breaker(self, world: World) -> CircuitBreaker:
        for at in range(WORDS):
            self.segment.write_word(self.offset + 8 * at, world.words[at] if at < len(world.words) else 0)
        return CircuitBreaker("db", segment=self.segment, **SETTINGS)

    def after(self, world: World, index: int, worker: Worker) -> World:
        words = self.segment.read_word(self.offset), self.segment.read_word(self.offset + 8)
        workers = (*world.workers[:index], worker, *world.workers[index + 1 :])
        return replace(world, words=words, workers=workers)

    def steps(self, world: World) -> Iterator[Step]:
        waits_ns = {worker.lease_end_ns - world.now_ns for worker in world.workers if worker.probes(world.now_ns)}
        for wait_ns in waits_ns | {world.left_ns} - {0}:
            yield Step("time", replace(world, now_ns=world.now_ns + wait_ns))
        for index, worker in enumerate(world.workers):
            if worker.doing == IDLE:
                yield from self.allow(world, index)
            elif worker.doing == RUNNING:
                for outcome in ("success", "failure", "ignored"):
                    yield self.report(world, index, outcome)
            else:
                yield Step("start", self.change(world, index, Worker()))
            if worker.doing != DEAD:
                yield Step("die", self.change(world, index, replace(worker, doing=DEAD)))

    def change(self, world: World, index: int, worker: Worker) -> World:
        self.breaker(world)
        return self.after(world, index, worker)

    def allow(self, world: World, index: int) -> Iterator[Step]:
        breaker = self.breaker(world)
        pass_ = next((given for _ in range(500) if (given := breaker.allow(now_ns=world.now_ns)) != REFUSED_RAMP), -2)
        if pass_ < 0:
            assert pass_ == -1
            assert self.after(world, index, world.workers[index]) == world  # a refusal stores nothing
            return
        lease_end_ns = world.now_ns + breaker.lease_ns if breaker.probes else -1
        yield Step("allow", self.after(world, index, Worker(RUNNING, pass_, lease_end_ns)), pass_=pass_)

    def report(self, world: World, index: int, outcome: str) -> Step:
        breaker, pass_ = self.breaker(world), world.workers[index].pass_
        breaker.report(pass_, outcome, now_ns=world.now_ns)
        return Step("report", self.after(world, index, Worker()), outcome, pass_, breaker.opened)


@cache
def search() -> tuple[dict[Any, World], dict[Any, list[Step]]]:
    """Every world by its key, and the steps out of it."""
    model = Model()
    first = World((0, 0), 1_000 * S)
    worlds, steps, waiting = {first.key(): first}, {}, deque([first])
    while waiting:
        world = waiting.popleft()
        steps[world.key()] = list(model.steps(world))
        for step in steps[world.key()]:
            if step.after.key() not in worlds:
                worlds[step.after.key()] = step.after
                waiting.append(step.after)
    return worlds, steps


def all_steps() -> Iterator[tuple[World, Step]]:
    worlds, steps = search()
    for key, world in worlds.items():
        for step in steps[key]:
            yield world, step


def test_search_sees_every_kind_of_state() -> None:
    worlds, _ = search()
    assert len(worlds) > 1_000
    kinds = {key[:4] for key in worlds}
    assert {(OPEN, left, successes, backoff) for left, successes, backoff in [(True, 0, 0), (False, 2, 3)]} <= kinds
    assert {(PROBING, left, successes, 1) for left in (True, False) for successes in range(3)} <= kinds
    assert {(RAMP, left, 0, backoff) for left in (True, False) for backoff in range(4)} <= kinds
    assert {key[4] for key in worlds} == {0, 1}


def test_never_two_probes_have_a_valid_lease() -> None:
    worlds, _ = search()
    for world in worlds.values():
        assert sum(worker.probes(world.now_ns) and worker.pass_ == world.generation for worker in world.workers) <= 1
        holding = [worker for worker in world.workers if worker.probes(world.now_ns)]
        if world.state == PROBING and world.left_ns:
            assert [worker.pass_ for worker in holding if worker.pass_ == world.generation] in ([], [world.generation])
    for world, step in all_steps():
        if step.kind == "allow" and step.after.state == PROBING:
            assert not (world.state == PROBING and world.left_ns)


def test_probe_passes_while_no_other_valid_one_has_not_reported() -> None:
    for world, step in all_steps():
        if step.kind == "allow" and step.after.state == PROBING:
            still = [worker for worker in world.workers if worker.doing == RUNNING and worker.probes(world.now_ns)]
            assert not still


def test_no_state_is_without_an_exit_to_closed() -> None:
    worlds, steps = search()
    before: dict[Any, set[Any]] = {}
    for key, out in steps.items():
        for step in out:
            if step.helps:
                before.setdefault(step.after.key(), set()).add(key)
    waiting = [key for key in worlds if key[0] == CLOSED]
    reaching = set(waiting)
    while waiting:
        for key in before.get(waiting.pop(), set()) - reaching:
            reaching.add(key)
            waiting.append(key)
    assert reaching == set(worlds)


def test_closed_is_a_dozen_good_steps_away_from_any_state() -> None:
    # One idle worker that waits, calls and succeeds is enough, whatever has become of the others.
    model = Model()
    for world in search()[0].values():
        now_ns, caller = world.now_ns, model.breaker(world)
        for _ in range(12):
            if (pass_ := caller.allow(now_ns=now_ns)) >= 0:
                caller.report(pass_, "success", now_ns=now_ns)
            now_ns += caller.retry_after(now_ns=now_ns)
            if caller.state == "closed":
                break
        assert caller.state == "closed", world


def test_results_of_another_generation_change_nothing() -> None:
    late = 0
    for world, step in all_steps():
        if step.kind == "report" and step.pass_ != world.generation:
            late += 1
            assert step.after.words == world.words
    assert late > 1_000


def test_each_opening_is_one_step_of_one_failed_call_of_the_current_generation() -> None:
    trips = 0
    for world, step in all_steps():
        tripped = world.state in (CLOSED, RAMP) and step.after.state == OPEN
        assert step.opened == tripped
        if tripped:
            trips += 1
            assert (step.outcome, step.pass_, world.words[1] & 0xFFFF) == ("failure", world.generation, 1)
    assert trips


@pytest.mark.parametrize("kind", ["time", "die", "start"])
def test_nothing_changes_the_words_but_calls(kind: str) -> None:
    assert all(step.after.words == world.words for world, step in all_steps() if step.kind == kind)


def test_states_follow_each_other_as_drawn() -> None:
    # from -> to, by what, and the generations that begin with it
    drawn = {
        (CLOSED, OPEN, "failure", 1),
        (OPEN, PROBING, "allow", 1),
        (PROBING, PROBING, "allow", 1),  # the lease was over
        (PROBING, OPEN, "success", 1),  # over at once: the next probe
        (PROBING, OPEN, "ignored", 1),
        (PROBING, OPEN, "failure", 1),
        (PROBING, RAMP, "success", 1),
        (RAMP, OPEN, "failure", 1),
        (RAMP, CLOSED, "allow", 0),
    }
    seen = {
        (world.state, after.state, step.outcome or step.kind, (after.generation - world.generation) % GENERATIONS)
        for world, step in all_steps()
        if (after := step.after).words[0] != world.words[0]
    }
    assert seen == drawn
