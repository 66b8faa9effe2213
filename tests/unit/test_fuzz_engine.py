"""The engine of the fuzzer finds what is planted, makes it small, and keeps what reached something new."""

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from fuzz import targets
from fuzz.__main__ import Outcome, main, watch
from fuzz.edges import Blind, Edges
from fuzz.engine import Breach, Engine, Slot, Target, judge, minimised
from fuzz.mutation import Mutator
from tests.quality.source import ROOT

KEPT = ROOT / "tests" / "data" / "crashes"


class Letters:
    """Coverage of a target that is written in Python: the letters that an input holds."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.now: set[int] = set()

    known = 0

    def begin(self) -> None:
        self.now = set()

    def end(self) -> int:
        return len(self.now - self.seen)

    def learn(self) -> None:
        self.seen |= self.now

    def fresh(self) -> set[int]:
        return self.now - self.seen

    def met(self, wanted: set[int]) -> bool:
        return wanted <= self.now


def run(tmp_path: Path, target: Target, edges: object, folder: Path | None = None, seconds: float = 20.0) -> tuple:
    return Engine.run(seconds, target, edges, Slot(tmp_path / "slot"), Random(7), folder)


def test_a_mismatch_is_found_and_made_as_small_as_may_be(tmp_path: Path) -> None:
    target = Target(lambda octets: "wrong" if b"!" in octets else None, [b"a long seed without any mark"], words=[b"!"])
    _, breach = run(tmp_path, target, Blind())
    assert (breach.kind, breach.octets, breach.words) == ("mismatch", b"!", "wrong")


def test_an_exception_is_a_breach_and_tells_where_it_came_from(tmp_path: Path) -> None:
    _, breach = run(tmp_path, Target(lambda octets: octets.decode("ascii") and None, [b"abc"]), Blind())
    assert breach.kind == "exception"
    assert len(breach.octets) == 1
    assert "UnicodeDecodeError" in breach.words


def test_inputs_that_reach_something_new_lead_further_and_are_kept_for_the_next_run(tmp_path: Path) -> None:
    edges, folder = Letters(), tmp_path / "corpus"
    folder.mkdir()

    def check(octets: bytes) -> str | None:
        # How far the word is spelled shows as coverage: nobody guesses four octets at once.
        length = next((size for size in range(4, 0, -1) if octets.startswith(b"deep"[:size])), 0)
        edges.now |= set(range(length + 1))
        return "deep" if length == 4 else None

    engine, breach = run(tmp_path, Target(check, [b"-"]), edges, folder)
    assert breach.octets == b"deep"
    assert {b"d", b"de", b"dee"} <= set(engine.corpus)
    assert {file.read_bytes() for file in folder.iterdir()} == set(engine.corpus) - {b"-"}
    (folder / "known").write_bytes(b"dexx")
    edges.seen.clear()
    again, _ = run(tmp_path, Target(check, [b"-"]), edges, folder)
    assert b"dee" in again.corpus
    assert not (folder / "known").exists()


def test_the_input_lies_in_the_slot_before_it_is_tried(tmp_path: Path) -> None:
    seen = []

    def check(octets: bytes) -> None:
        seen.append((Slot(tmp_path / "slot").octets, octets))

    run(tmp_path, Target(check, [b"a", b"bc"]), Blind(), seconds=0.01)
    assert seen
    assert all(kept == octets for kept, octets in seen)


def test_mutations_differ_and_stay_within_their_length() -> None:
    mutator = Mutator(Random(1), [b"word"], 30)
    made = {mutator.mutate(b"0123456789", b"abcdefghij") for _ in range(2000)}
    assert len(made) > 1000
    assert max(map(len, made)) <= 30
    assert any(b"word" in octets for octets in made)


def test_leaving_out_ends_with_what_is_needed() -> None:
    octets = minimised(b"..a....b..c.....", lambda octets: {97, 98, 99} <= set(octets), time.monotonic() + 20)
    assert octets == b"abc"


@pytest.mark.parametrize("name", targets.SHARES)
def test_every_target_holds_for_its_seeds_and_for_what_comes_of_them(name: str, tmp_path: Path) -> None:
    target = targets.load(name)
    engine, breach = run(tmp_path, target, Blind(), seconds=0.3)
    assert breach is None, breach
    assert engine.executions >= len(engine.corpus) > 0


def test_what_once_went_wrong_goes_right() -> None:
    loaded = {folder.name: targets.load(folder.name) for folder in KEPT.iterdir() if folder.is_dir()}
    for name, target in loaded.items():
        for file in (KEPT / name).iterdir():
            assert judge(target, file.read_bytes()) is None, file


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os._exit(1)"])
def test_a_process_that_dies_leaves_its_input(end: str, tmp_path: Path) -> None:
    code = f"import os, sys, pathlib, fuzz.engine as e; e.Slot(pathlib.Path(sys.argv[1])).put(3, b'boom'); {end}"
    file = tmp_path / "slot"
    outcome = watch([sys.executable, "-c", code, str(file)], Slot(file))
    assert outcome.breach is not None
    assert (outcome.breach.kind, outcome.breach.octets) == ("crash", b"boom")
    assert outcome.report["executions"] == 3


def test_edges_of_code_that_is_built_for_it_are_counted(tmp_path: Path) -> None:
    source, library = tmp_path / "subject.c", tmp_path / "subject.so"
    source.write_text("int subject(int n) { int sum = 0; while (n--) sum += n & 1 ? 3 : 5; return sum; }\n")
    compiler = os.environ.get("CC", "gcc")
    flags = ["-O0", "-fPIC", "-shared", "-o", str(library)]
    made = [compiler, "-c", "-fPIC", "-fsanitize-coverage=trace-pc", "-o", f"{source}.o", source]
    env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    subprocess.run(made, check=True, env=env)
    subprocess.run([compiler, *flags, f"{source}.o", ROOT / "fuzz" / "edges.c"], check=True, env=env)
    code = ctypes.CDLL(str(library))
    edges = Edges(code)

    def fresh(number: int) -> int:
        edges.begin()
        code.subject(number)
        return edges.end()

    first = fresh(1)
    assert first > 0
    edges.learn()
    assert edges.known == first
    assert fresh(1) == 0
    assert fresh(3) > 0  # the other branch, and more turns
    wanted = edges.fresh()
    assert edges.met(wanted)
    fresh(1)
    assert not edges.met(wanted)


@pytest.mark.parametrize("wrong", [None, b"\x00"])
def test_a_run_leaves_a_record_of_what_it_did(
    wrong: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fuzz(name: str, *_: object) -> Outcome:
        breach = wrong and Breach("mismatch", wrong, "is not alike")
        counts = {"llhttp asked": 7} if name == "parser" else {}
        report = {"executions": 10, "seconds": 2.0, "edges": 3, "corpus": 1, "counts": counts}
        return Outcome(report | {"breach": breach and breach.told}, breach)

    monkeypatch.setattr("fuzz.__main__.fuzz", fuzz)
    file = tmp_path / "build" / "fuzz.json"
    monkeypatch.setattr(sys, "argv", ["fuzz", "parser", "urls", f"--record={file}", f"--crashes={tmp_path}"])
    assert main() == (wrong is not None)
    record = json.loads(file.read_text())
    assert list(record["targets"]) == (["parser", "urls"] if wrong is None else ["parser"])
    total = record["total"]
    assert (total["executions"], total["comparisons"]) == (10 * len(record["targets"]), {"llhttp": 7, "h11": 0})
    assert (total["mismatch"], total["crash"]) == (wrong is not None, 0)
