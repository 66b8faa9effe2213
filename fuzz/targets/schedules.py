"""Whatever the schedule of requests, pieces, steps and ends: tests/protocol/schedules.py says what holds.

An input is a list of Choices.
"""

import logging
from collections import Counter
from random import Random

from fuzz.engine import Target
from fuzz.targets.shared import Choices
from tests.protocol import schedules

LONGEST = 200
QUICK_BYTES = 1000
ERRORS = logging.getLogger("highperf.error")
MOST_TALKS, MOST_REQUESTS, MOST_SIZES, MOST_STEPS = 3, 8, 6, 60

COUNTS = Counter[str]()


def check(octets: bytes) -> str | None:
    choices = Choices(octets)
    secure, signals, end = choices.of((False, False, True)), choices.of(schedules.SIGNALS), choices.of(schedules.ENDS)
    talks = []
    for _ in range(1 + choices.up_to(MOST_TALKS - 1)):
        count = 1 + choices.up_to(MOST_REQUESTS - 1)
        requests = [(choices.of(schedules.KINDS), choices.of(schedules.SIZES_OF_BODIES)) for _ in range(count)]
        count = 1 + choices.up_to(MOST_SIZES - 1)
        sizes = [choices.of(schedules.SIZES_OF_PIECES) for _ in range(count)]
        if any(size > QUICK_BYTES for _, size in requests):
            sizes.append(max(schedules.SIZES_OF_PIECES))  # octet by octet it would take too long
        talks.append((requests, sizes))
    kinds = choices.of((schedules.STEPS, schedules.STEPS, schedules.BREAKING_STEPS))
    steps = [(choices.up_to(2), choices.of(kinds)) for _ in range(choices.up_to(MOST_STEPS))]
    ERRORS.disabled = True  # handlers fail on purpose
    try:
        run = schedules.Run(talks, signals, secure=secure)
        run.play(steps, end)
    finally:
        ERRORS.disabled = False
    COUNTS.update(f"answered {answer.status}" for talk in run.talks for answer in talk.answers)
    COUNTS["requests"] += sum(len(talk.wanted) for talk in run.talks)
    return None


def make(dice: Random) -> bytes:
    return dice.randbytes(dice.randrange(LONGEST))


def load() -> Target:
    dice = Random(1)
    return Target(check, [make(dice) for _ in range(16)], make, longest=LONGEST, counts=COUNTS)
