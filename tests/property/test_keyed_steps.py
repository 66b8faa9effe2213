"""The code of KeyedBuckets in every order of its accesses to memory, up to some switches between processes.

Who is stopped is one who is switched from and returned to late; who is killed, one who is returned to when
the others have ended. The orders are enumerated, not drawn: so what passes once passes always.
"""

import sys
from collections.abc import Iterator
from functools import cache
from itertools import count
from typing import Any, NamedTuple

import pytest

from highperf.segment import Segment
from tests import stepped
from tests.reference.keyed_twin import siphash

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no stacks to switch between")

RATE, CAPACITY = 10, 2
UNIT_NS = 2**16
INTERVAL = 1527  # units
SETS, HEAD_BYTES = 64, 128
SECRET = bytes(range(16))
NOW = 2**37  # in units, as all times here

Act = tuple[str, int] | tuple[str, int, str]
Word = tuple[str, int] | None


class Scene(NamedTuple):
    """The set as it is at first, what each process does, and how many switches between them are tried."""

    words: list[Word]  # first word first
    programs: list[list[Act]]  # (key, its clock) or (key, its clock, "refund"), in turn
    switches: int = 3
    newest: int = NOW  # the table's clock


SCENES = {
    "two bring a new key": Scene([], [[("a", NOW)] * 3] * 2, 4),
    "three bring a new key": Scene([], [[("a", NOW)], [("a", NOW)] * 2, [("a", NOW)]]),
    "two bring a new key while the first word is in use": Scene([("b", NOW + 5), ("c", 9)], [[("a", NOW)] * 2] * 2, 4),
    "who has to move takes": Scene([("b", NOW + 5), ("c", 9)], [[("a", NOW)], [("b", NOW)] * 2], 4),
    "two move the same one, which takes": Scene(
        [("b", NOW + 5), ("c", 9), ("d", 8), ("e", 7)], [[("a", NOW)], [("f", NOW)], [("b", NOW)]]
    ),
    "two move the same one, and one of them and another take": Scene(
        [("b", NOW + 5), ("c", 9)], [[("a", NOW)], [("f", NOW), ("b", NOW)], [("b", NOW)]]
    ),
    "who is idle is moved and comes back": Scene(
        [("b", 9), ("c", 8)], [[("a", NOW)], [("b", NOW)] * 2, [("b", NOW)] * 2]
    ),
    "who is idle is moved, comes back and is moved": Scene(
        [("b", 9), ("c", 8), ("d", 7)], [[("a", NOW)], [("f", NOW), ("b", NOW)], [("b", NOW)]]
    ),
    "two bring three keys in other orders": Scene([], [[(key, NOW) for key in "abc"], [(key, NOW) for key in "cba"]]),
    "all the room there is": Scene(
        [("b", NOW + 5), *((f"x{at}", NOW + 9) for at in range(5)), ("c", 5), ("d", 6)],
        [[("a", NOW)], [("e", NOW)], [("b", NOW)]],
    ),
    "one comes upon a copy of who has entered meanwhile": Scene(
        [("b", 9), ("c", 8)], [[("a", NOW)], [("a", NOW)] * 2, [("f", NOW)]]
    ),
    "a copy that a killed one left": Scene(
        [("b", NOW + 2000), ("c", 9), ("b", NOW + 5)], [[("a", NOW)], [("b", NOW)], [("f", NOW), ("b", NOW)]]
    ),
    "a copy that a killed one left, and it is idle": Scene(
        [("b", NOW + 5), ("c", 9), ("b", 7), ("d", 6)], [[("a", NOW)], [("b", NOW)], [("f", NOW), ("b", NOW)]]
    ),
    "one was stopped while others came and went": Scene(
        [None, ("c", 9), *((f"x{at}", NOW + 9999) for at in range(6))],
        [[("a", NOW)], [*[("a", NOW + 1)] * 2, ("d", NOW + 3056), ("e", NOW + 3057)]],
    ),
    "the hand turns over who comes back": Scene(
        [("b", 9), ("c", 8)], [[("c", NOW)], [("c", NOW + 1)] * 2, [("b", NOW + 1)]], 2, newest=NOW - 2**25
    ),
    "the hand turns over who is moved": Scene(
        [("b", NOW - 2**20), ("c", 9), ("d", 8)], [[("a", NOW)], [("b", NOW)], [("b", NOW)]], 2, newest=NOW - 2**25
    ),
    "one was stopped for half of what a word holds": Scene([], [[("a", NOW)], [("a", NOW + 2**39 + 999)] * 3], 1),
    "two turn the hand after a silence": Scene(
        [("b", 9), ("c", 8)], [[("b", NOW + 2**40 - 20)], [("b", NOW + 2**40)] * 2], 1
    ),
    "some is given back": Scene(
        [("b", NOW + 5)], [[("a", NOW), ("a", NOW, "refund"), ("a", NOW)], [("a", NOW)] * 2], 4
    ),
    "one was stopped before giving back": Scene([], [[("a", NOW), ("a", NOW, "refund")], [("a", NOW + 2**25)] * 2], 4),
    "some is given back while it moves": Scene(
        [], [[("a", NOW), ("a", NOW, "refund")], [("b", NOW), ("a", NOW)], [("c", NOW)]]
    ),
}


@pytest.fixture(scope="module")
def keyed(pytestconfig: pytest.Config) -> Any:
    return stepped.load(pytestconfig)


@cache
def octets_of(name: str) -> bytes:
    """A key of set 0 for each name."""
    return next(key for at in count() if siphash(SECRET, key := b"%s %d" % (name.encode(), at), 1, 3) % SETS == 0)


class Stage:
    """A table with the words of a scene in set 0, and the processes before their first step."""

    def __init__(self, keyed: Any, scene: Scene) -> None:
        segment = Segment.create(2**20, epoch_ns=0)
        for at in (0, 8):
            segment.write_word(32 + at, int.from_bytes(SECRET[at : at + 8], "little"))
        self.segment = Segment.attach(segment.fd)
        self.buckets = keyed.KeyedBuckets(RATE, CAPACITY, table_bytes=64 * SETS, segment=self.segment)
        area = self.segment.area(f"table  {UNIT_NS.bit_length() - 1}", HEAD_BYTES + 64 * SETS)
        self.segment.write_word(area, scene.newest)
        for index, word in enumerate(scene.words):
            if word is not None:
                tag = siphash(SECRET, octets_of(word[0]), 1, 3) >> 40
                self.segment.write_word(area + HEAD_BYTES + 8 * index, tag << 40 | word[1])
        self.acts = [
            (which, at, *act) for which, program in enumerate(scene.programs) for at, act in enumerate(program)
        ]
        self.earliest, self.latest = (pick(act[3] for act in self.acts) for pick in (min, max))
        self.refunds = any(len(act) == 5 for act in self.acts)
        self.names = sorted({act[2] for act in self.acts})
        spelled = [
            [(octets_of(key), clock * UNIT_NS, bool(more)) for key, clock, *more in acts] for acts in scene.programs
        ]
        self.run = keyed.Scene(self.buckets, spelled)
        self.room = {clock: self.rooms_at(clock) for clock in (self.earliest, self.latest)}

    def rooms_at(self, clock: int) -> dict[str, int]:
        rooms = {}
        for name in self.names:
            rooms[name] = self.drain(name, clock)
            self.run.rewind()
        return rooms

    def drain(self, name: str, clock: int) -> int:
        key, passed = octets_of(name), 0
        while self.buckets.take(key, now_ns=clock * UNIT_NS) == 0:
            passed += 1
        return passed

    def flaw(self, waits: list[list[int]]) -> str | None:
        """What is wrong after a run, if anything."""
        for name in self.names:
            late = total = self.drain(name, self.latest)
            for which, at, key, clock, *refund in self.acts:
                if key == name:
                    step = -1 if refund else waits[which][at] == 0
                    total += step
                    late += step if clock == self.latest else 0
            if late > self.room[self.latest][name]:
                return f"{late} of {name} at once"
            if total > self.room[self.earliest][name] + (self.latest - self.earliest) // INTERVAL:
                return f"{total} of {name} altogether"
            # A refund that meets a move may be lost.
            if self.earliest == self.latest and not self.refunds and total < self.room[self.latest][name]:
                return f"only {total} of {name}"
        return None


def orders(scene: Any, most: int, switches: tuple[tuple[int, int], ...] = ()) -> Iterator[tuple[Any, Any]]:
    """(switches, what the takes told) of every order with at most so many switches."""
    steps, waits = scene.run(list(switches))
    yield switches, waits
    if len(switches) == most:
        return
    for step in range(switches[-1][0] + 1 if switches else 0, len(steps)):
        for other in set(steps[step:]) - {steps[step]}:
            yield from orders(scene, most, (*switches, (step, other)))


@pytest.mark.parametrize("name", SCENES)
def test_no_order_gives_a_key_more_or_less_than_its_bucket_has(keyed: Any, name: str) -> None:
    stage = Stage(keyed, SCENES[name])
    for switches, waits in orders(stage.run, SCENES[name].switches):
        assert stage.flaw(waits) is None, switches
