"""Whatever clients, handlers and the clock do to routes under every guard: test_guard_schedules.py says what holds.

An input is a list of Choices.
"""

from collections import Counter
from random import Random

from fuzz.engine import Target
from fuzz.targets.schedules import ERRORS
from fuzz.targets.shared import Choices, load_probe
from tests.property import test_guard_schedules as schedules

LONGEST = 200
MOST_TALKS, MOST_REQUESTS, MOST_STEPS = 5, 5, 40
SERVERS = [
    {"limit_concurrency": running, "rate_limit_rps": rate, "limit_connections": connections}
    for running in (0, 2, 5, 100)
    for rate in (0, 20)
    for connections in (0, 5)
]
BUDGETS = ["", "", "", *schedules.BUDGETS]
STEPS = [*schedules.SAYING, "open", "open", "open", *schedules.TIMES, "leave", "fin", "announce", "drain", "newcomer"]
# Threads end when the operating system wishes: a seed could not be replayed.
HOWS = [how for how in schedules.HOWS if "thread" not in how]
# Requests of all kinds, and such as open a breaker: groups, hows, steps.
MIXTURES = [
    (schedules.GROUPS, HOWS, STEPS),
    (
        ["breaking", "breaking", "all"],
        ["fail", "fail", "wait", "outbound"],
        ["say all", "say all", "open", "60", "leave"],
    ),
]
probe = load_probe("worker")
COUNTS = Counter[str]()


def check(octets: bytes) -> str | None:
    choices = Choices(octets)
    server, end = choices.of(SERVERS), choices.of(schedules.ENDS)
    groups, hows, kinds = choices.of(MIXTURES)
    talks = [
        [
            (choices.of(groups), choices.of(hows), choices.of(BUDGETS))
            for _ in range(1 + choices.up_to(MOST_REQUESTS - 1))
        ]
        for _ in range(1 + choices.up_to(MOST_TALKS - 1))
    ]
    steps = [(choices.up_to(30), choices.of(kinds)) for _ in range(choices.up_to(MOST_STEPS))]
    ERRORS.disabled = True  # handlers fail on purpose
    try:
        run = schedules.carry_out(probe, server, talks, steps, end)
    finally:
        ERRORS.disabled = False
    COUNTS.update(f"answered {answer.status}" for talk in run.talks for answer in talk.answers)
    COUNTS["requests"] += len(run.asked)
    return None


def make(dice: Random) -> bytes:
    return dice.randbytes(dice.randrange(LONGEST))


def load() -> Target:
    dice = Random(1)
    return Target(check, [make(dice) for _ in range(16)], make, longest=LONGEST, counts=COUNTS)
