"""Runs one target: chooses an input, changes it, looks whether all holds, and keeps what reached something new.

Before each execution the input lies in a Slot, a file that this process maps: should it die, its parent finds the
input there. What is wrong but leaves the process alive ends the run, with the input made as small as may be.
"""

import mmap
import struct
import time
import traceback
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Self

from fuzz.edges import Blind, Edges
from fuzz.mutation import Mutator

SLOT_BYTES = 1 << 20
HEADER = struct.Struct("QQ")
MINIMISE_S, KEEP_S = 5.0, 1.0  # for making a breach, or an input that is kept, small
MADE = 0.25  # of the inputs are made anew, where a target can do that
YOUNG = 0.5  # are mutations of what was found lately


@dataclass(frozen=True)
class Target:
    """What is tried.

    Attributes:
        check: says what is wrong with the treatment of an input; None: nothing. An exception is wrong as well.
            It decides by the input alone, so that a seed can be replayed.
        seeds: inputs to begin with.
        make: makes an input from parts; None: there are the seeds only.
        words: what mutations put in.
        counts: what check counts, shown at the end.
    """

    check: Callable[[bytes], str | None]
    seeds: Iterable[bytes]
    make: Callable[[Random], bytes] | None = None
    words: Sequence[bytes] = ()
    longest: int = 2000
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Breach:
    kind: str  # mismatch, exception, crash or hang
    octets: bytes
    words: str

    @classmethod
    def read(cls, kind: str, octets: str, words: str) -> Self:
        return cls(kind, b64decode(octets), words)

    @property
    def told(self) -> tuple[str, str, str]:
        """In words of JSON, for read()."""
        return self.kind, b64encode(self.octets).decode(), self.words

    @property
    def name(self) -> str:
        return f"{self.kind}-{name_of(self.octets)}"


def name_of(octets: bytes) -> str:
    return sha256(octets).hexdigest()[:12]


def judge(target: Target, octets: bytes) -> Breach | None:
    try:
        wrong = target.check(octets)
    except Exception:
        return Breach("exception", octets, traceback.format_exc())
    return None if wrong is None else Breach("mismatch", octets, wrong)


class Slot:
    """How many executions there were, and the input of the latest."""

    def __init__(self, file: Path) -> None:
        if not file.exists() or file.stat().st_size != SLOT_BYTES:
            file.write_bytes(bytes(SLOT_BYTES))
        with file.open("r+b") as opened:
            self.memory = mmap.mmap(opened.fileno(), SLOT_BYTES)

    def put(self, executions: int, octets: bytes) -> None:
        self.memory[HEADER.size : HEADER.size + len(octets)] = octets
        HEADER.pack_into(self.memory, 0, executions, len(octets))

    @property
    def executions(self) -> int:
        return int(HEADER.unpack_from(self.memory)[0])

    @property
    def octets(self) -> bytes:
        return self.memory[HEADER.size : HEADER.size + HEADER.unpack_from(self.memory)[1]]


def shorter(octets: bytes) -> Iterator[tuple[int, int]]:
    """Spans to leave out, large ones first."""
    size = len(octets) // 2
    while size:
        for start in range(0, len(octets), size):
            yield start, start + size
        size //= 2


def minimised(octets: bytes, still: Callable[[bytes], bool], until_s: float) -> bytes:
    """As short as leaving parts out makes it while `still` holds, or as the time allows."""
    before = None
    while before != octets and time.monotonic() < until_s:
        before = octets
        for start, end in shorter(before):
            if time.monotonic() >= until_s:
                break
            if start < len(octets) and still(octets[:start] + octets[end:]):
                octets = octets[:start] + octets[end:]
    return octets


class Engine:
    def __init__(self, target: Target, edges: Edges | Blind, slot: Slot, dice: Random, folder: Path | None) -> None:
        """folder: where inputs that reached something new are kept from one run to the next."""
        self.target = target
        self.edges = edges
        self.slot = slot
        self.dice = dice
        self.folder = folder
        self.mutator = Mutator(dice, target.words, target.longest)
        self.corpus: list[bytes] = []
        self.executions = 0
        self.end_s = 0.0

    @classmethod
    def run(cls, seconds: float, *arguments: object) -> tuple[Self, Breach | None]:
        engine = cls(*arguments)  # type: ignore[arg-type]
        engine.end_s = time.monotonic() + seconds
        return engine, engine.replay() or engine.explore()

    def replay(self) -> Breach | None:
        """The seeds, and what earlier runs found; what they know already is given up."""
        for octets in self.target.seeds:
            if (breach := self.execute(octets)) is not None:
                return breach
            self.corpus.append(octets)
            self.edges.learn()
        for file in sorted(self.folder.iterdir(), key=lambda file: file.stat().st_size) if self.folder else ():
            octets = file.read_bytes()
            if (breach := self.execute(octets)) is not None:
                return breach
            if self.fresh or isinstance(self.edges, Blind):
                self.corpus.append(octets)
                self.edges.learn()
            else:
                file.unlink()
        return None

    def explore(self) -> Breach | None:
        while time.monotonic() < self.end_s:
            octets = self.choose()
            if (breach := self.execute(octets)) is not None:
                return self.smallest(breach)
            if self.fresh and (breach := self.keep(octets)) is not None:
                return self.smallest(breach)
        return None

    def choose(self) -> bytes:
        dice, make = self.dice, self.target.make
        if make is not None and dice.random() < MADE:
            octets = make(dice)[: self.target.longest]
            if dice.random() < 0.5:
                return octets
        else:
            octets = self.pick()
        return self.mutator.mutate(octets, self.pick())

    def pick(self) -> bytes:
        count = len(self.corpus)
        first = count - 1 - count // 8 if self.dice.random() < YOUNG else 0
        return self.corpus[first + int(self.dice.random() * (count - first))]

    def execute(self, octets: bytes) -> Breach | None:
        self.executions += 1
        self.slot.put(self.executions, octets)
        self.edges.begin()
        breach = judge(self.target, octets)
        self.fresh = self.edges.end()
        return breach

    def keep(self, octets: bytes) -> Breach | None:
        """Keeps the shortest input that still reaches what this one reached first."""
        wanted = self.edges.fresh()
        breaches: list[Breach] = []

        def still(shorter: bytes) -> bool:
            if not breaches and (breach := self.execute(shorter)) is not None:
                breaches.append(breach)
            return not breaches and self.edges.met(wanted)

        octets = minimised(octets, still, min(self.end_s, time.monotonic() + KEEP_S))
        if breaches or (breach := self.execute(octets)) is not None:
            return breaches[0] if breaches else breach
        self.edges.learn()
        self.corpus.append(octets)
        if self.folder is not None:
            (self.folder / name_of(octets)).write_bytes(octets)
        return None

    def smallest(self, breach: Breach) -> Breach:
        def still(shorter: bytes) -> bool:
            found = self.execute(shorter)
            return found is not None and found.kind == breach.kind

        octets = minimised(breach.octets, still, time.monotonic() + MINIMISE_S)
        return judge(self.target, octets) or breach
