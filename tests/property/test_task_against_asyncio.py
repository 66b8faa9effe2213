"""A handler's task does what an asyncio.Task would: random coroutines, disturbed from outside, run as both.

A program is a list of statements, an outside a list of what happens between the turns of the loop.
The first step of both is over before the outside begins: that it comes a turn earlier for a handler
is all that may differ.
"""

import asyncio
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.handlers import GET, Served

FUTURES = 3
TURNS = 40
Statement = tuple[Any, ...]

# uncancel() clears a cancellation that was not felt yet only since 3.13; ours always does.
UNCANCELS = sys.version_info >= (3, 13)

numbers = st.integers(0, FUTURES - 1)
leaves = st.one_of(
    st.tuples(st.just("wait"), numbers),
    st.tuples(st.sampled_from(["turn", "cancel self", "count", "raise", "return", "bad yield", "yield future"])),
    *([st.tuples(st.just("uncancel"))] if UNCANCELS else []),
)


def compound(inner: st.SearchStrategy[Statement]) -> st.SearchStrategy[Statement]:
    block = st.lists(inner, max_size=3)
    return st.one_of(
        st.tuples(st.sampled_from(["swallow", "replace", "child", "shield"]), block),
        st.tuples(st.sampled_from(["finally", "gather"]), block, block),
        *([st.tuples(st.sampled_from(["late", "never"]), block)] if UNCANCELS else []),
        *([st.tuples(st.just("group"), block, block)] if UNCANCELS else []),
    )


programs = st.lists(st.recursive(leaves, compound, max_leaves=8), min_size=1, max_size=5)
outsides = st.lists(
    st.one_of(
        st.tuples(st.just("cancel"), st.sampled_from(["why", "because", None])),
        st.tuples(st.sampled_from(["finish", "fail", "cancel future"]), numbers),
        st.tuples(st.just("nothing")),
    ),
    max_size=12,
)


class Boom(Exception):
    pass


class Yields:
    def __init__(self, value: object) -> None:
        self.value = value

    def __await__(self) -> Iterator[Any]:
        yield self.value


class Run:
    """One execution of a program: what it did stands in the log."""

    def __init__(self, loop: asyncio.AbstractEventLoop, program: list[Statement]) -> None:
        self.loop = loop
        self.program = program
        self.log: list[Any] = []
        self.task: Any = None
        self.futures = [loop.create_future() for _ in range(FUTURES)]

    async def main(self) -> None:
        self.task = asyncio.current_task()
        try:
            self.log.append(await self.block(self.program))
        except BaseException as error:
            self.log.append(shown(error))
            raise

    async def block(self, statements: list[Statement]) -> str:
        for statement in statements:
            self.log.append(statement[0])
            if await self.statement(*statement) == "return":
                return "returned"
        return "ended"

    async def statement(self, word: str, *rest: Any) -> str | None:
        match word:
            case "wait":
                self.log.append(await self.futures[rest[0]])
            case "turn":
                await asyncio.sleep(0)
            case "cancel self":
                self.task.cancel("self")
            case "uncancel":
                self.log.append(self.task.uncancel())
            case "count":
                self.log.append((self.task.cancelling(), self.task.done(), asyncio.current_task() is self.task))
            case "raise":
                raise Boom
            case "return":
                return "return"
            case "bad yield":
                await Yields(3)
            case "yield future":
                await Yields(self.loop.create_future())
            case _:
                return await self.compound(word, *rest)
        return None

    async def compound(self, word: str, *blocks: list[Statement]) -> str | None:
        match word:
            case "swallow" | "replace":
                try:
                    return await self.block(blocks[0])
                except BaseException as error:
                    self.log.append(shown(error))
                    if word == "replace":
                        raise KeyError(word) from None
            case "finally":
                try:
                    return await self.block(blocks[0])
                finally:
                    self.log.append(await self.block(blocks[1]))
            case "child":
                self.log.append(await asyncio.create_task(self.block(blocks[0])))
            case "shield":
                self.log.append(await asyncio.shield(self.block(blocks[0])))
            case "gather":
                self.log.append(await asyncio.gather(*map(self.block, blocks)))
            case "late" | "never":
                async with asyncio.timeout(-1 if word == "late" else None):
                    return await self.block(blocks[0])
            case "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(self.block(blocks[0]))
                    return await self.block(blocks[1])
        return None

    def disturb(self, word: str, *rest: Any) -> None:
        if word == "cancel":
            self.log.append(("cancel", self.task.cancel(rest[0])))
        elif word != "nothing" and not (future := self.futures[rest[0]]).done():
            if word == "finish":
                future.set_result(f"result {rest[0]}")
            elif word == "fail":
                future.set_exception(Boom(rest[0]))
            else:
                future.cancel("its own")

    def outcome(self) -> list[Any]:
        for future in self.futures:
            if not future.done():
                future.cancel()
            elif not future.cancelled():
                future.exception()
        assert self.task.done()
        try:
            end = self.task.result()
        except BaseException as error:
            end = shown(error)
        return [*self.log, end, self.task.cancelled(), self.task.cancelling(), self.task._must_cancel]


def shown(error: BaseException) -> Any:
    if isinstance(error, BaseExceptionGroup):
        return [shown(inner) for inner in error.exceptions]
    if isinstance(error, RuntimeError):
        return RuntimeError  # with words of its own
    return type(error), error.args


def turn(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()


def play(run: Run, outside: list[Statement]) -> list[Any]:
    while run.task is None:
        turn(run.loop)
    for event in outside:
        run.disturb(*event)
        turn(run.loop)
    for event in [("finish", number) for number in range(FUTURES)]:
        run.disturb(*event)
    for _ in range(TURNS):
        turn(run.loop)
    return run.outcome()


def play_as_task(program: list[Statement], outside: list[Statement]) -> list[Any]:
    loop = uvloop.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # children that nobody asked for their exceptions
    try:
        run = Run(loop, program)
        task = loop.create_task(run.main())
        log = play(run, outside)
        assert task is run.task
        return log
    finally:
        loop.close()


def play_as_handler(program: list[Statement], outside: list[Statement]) -> list[Any]:
    runs: list[Run] = []
    with Served(lambda request: runs[0].main(), noisy=True) as served:
        runs.append(Run(served.loop, program))
        peer = served.connect()
        peer.send(GET)
        return play(runs[0], outside)


@pytest.fixture(autouse=True, scope="module")
def _quiet_log() -> Iterator[None]:
    logger = logging.getLogger("highperf.error")
    logger.disabled = True
    yield
    logger.disabled = False


@settings(max_examples=300)
@given(program=programs, outside=outsides)
def test_handler_goes_the_way_of_a_task(program: list[Statement], outside: list[Statement]) -> None:
    assert play_as_handler(program, outside) == play_as_task(program, outside)
