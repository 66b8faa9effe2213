"""What a supervisor decides, by a clock of the test's, about workers that are none."""

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from highperf.config import Settings
from highperf.errors import StartupError
from highperf.server.board import Tally
from highperf.server.processes import BootFailure
from highperf.server.slots import Backoff, Part
from highperf.server.supervisor import Supervisor
from highperf.server.systemd import Notifier
from tests.clocks import ClockedLoop, clocked

SETTINGS = Settings(port=0, workers=2, shutdown_timeout_ns=5_000_000_000)
GONE = -signal.SIGKILL


class FakeWorker:
    """Becomes ready and ends when the test says so; writes down what it is told."""

    def __init__(self, loop: ClockedLoop, pid: int, leaving: Callable[..., None], exiting: Callable[..., None]) -> None:
        self.loop = loop
        self.pid = pid
        self.settings: asyncio.Future[Settings] = loop.create_future()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.exited: asyncio.Future[int] = loop.create_future()
        self.born_s = loop.time()
        self.beat_s = 0.0
        self.tally = Tally(served=1)
        self.told: list[object] = []
        self.slot = -1
        self.obedient = True
        self._ready_s = 0.0
        self._leaving = leaving
        self._exiting = exiting

    # What the test does.

    def boot(self, settings: Settings = SETTINGS) -> None:
        self.settings.set_result(settings)
        self.loop.call_soon(self.loop.call_soon, self._become_ready)

    def _become_ready(self) -> None:
        self._ready_s = self.beat_s = self.loop.time()
        self.ready.set_result(None)

    def end(self, code: int) -> None:
        if not self.exited.done():
            self.exited.set_result(code)
            self._exiting(self)

    def leave(self) -> None:
        self._leaving(self, "it is old")

    # What the supervisor asks and does.

    @property
    def lived_s(self) -> float:
        return self.loop.time() - self._ready_s if self._ready_s else 0.0

    @property
    def end_reason(self) -> str:
        return f"ended with {self.exited.result()}"

    async def reach(self, stage: asyncio.Future[Any]) -> Any:
        await asyncio.wait((stage, self.exited), return_when=asyncio.FIRST_COMPLETED)
        if stage.done():
            return stage.result()
        raise BootFailure("no database", code=self.exited.result())

    def place(self, slot: int, listeners: list[socket.socket], metrics: Sequence[socket.socket] = ()) -> None:
        self.slot = slot

    def is_silent(self, now_ns: int, timeout_ns: int) -> bool:
        return self.ready.done() and now_ns / 1e9 - self.beat_s > timeout_ns / 1e9 and signal.SIGUSR2 not in self.told

    def announce(self) -> None:
        self.told.append("announce")

    def retire(self) -> None:
        self._end_politely("retire")

    def stop(self) -> None:
        self._end_politely("stop")

    def _end_politely(self, word: str) -> None:
        self.told.append(word)
        if self.obedient:
            self.loop.call_later(0.1, self.end, 0)

    def adopt(self, slot: int, listeners: list[socket.socket]) -> None:
        self.told.append(("adopt", slot))

    def release(self, slot: int) -> None:
        self.told.append(("release", slot))

    def send_signal(self, number: signal.Signals) -> None:
        self.told.append(number)

    def kill(self) -> None:
        self.told.append("kill")
        self.end(GONE)

    def poll(self) -> None:
        if self.obedient and self.ready.done():
            self.beat_s = self.loop.time()

    def ended(self, code: int) -> None:
        raise NotImplementedError


class Scene:
    """A supervisor and all the workers that it has started."""

    def __init__(self, loop: ClockedLoop, settings: Settings) -> None:
        self.loop = loop
        self.started: list[FakeWorker] = []
        self.next_start = asyncio.Event()
        self.restarts: list[str] = []
        self.supervisor = Supervisor(loop, self._start, settings, Notifier(), self.restarts.append)
        self.running: asyncio.Task[int] | None = None

    def _start(self, leaving: Callable[[Part, str], None], exiting: Callable[[Part], None]) -> FakeWorker:
        self.started.append(FakeWorker(self.loop, 100 + len(self.started), leaving, exiting))
        self.next_start.set()
        return self.started[-1]

    async def begin(self, workers: int = 2) -> None:
        """All the workers of the start are ready."""
        self.running = self.loop.create_task(self.supervisor.run())
        for number in range(workers):
            await self.born(number + 1)
            self.started[number].boot(replace(SETTINGS, workers=workers))
        await self.loop.settle()

    async def born(self, count: int) -> FakeWorker:
        """Wait until so many have been started; the last one."""
        while len(self.started) < count:
            self.next_start.clear()
            await self.next_start.wait()
        return self.started[count - 1]

    async def finish(self) -> int:
        assert self.running is not None
        self.supervisor.stop("the test is over")
        return await self.running


def play(scene: Callable[[Scene], Coroutine[Any, Any, None]], settings: Settings = SETTINGS) -> None:
    with clocked() as loop:
        stage = Scene(loop, settings)
        loop.run_until_complete(scene(stage))
        assert stage.running is None or stage.running.done()


@pytest.mark.parametrize(
    ("lives_s", "pauses_s"),
    [
        ([0] * 8, [0, 1, 2, 4, 8, 16, 30, 30]),
        ([0, 0, 0, 1.0, 0, 0.9], [0, 1, 2, 0, 1, 2]),
        ([3600] * 3, [0, 0, 0]),
    ],
    ids=["a crash loop", "a long life between", "long lives"],
)
def test_pauses_grow_while_lives_are_short(lives_s: list[float], pauses_s: list[float]) -> None:
    backoff = Backoff()
    assert [backoff.after(lived_s) for lived_s in lives_s] == pauses_s


def test_the_first_worker_starts_alone_and_then_the_others_together() -> None:
    async def scene(stage: Scene) -> None:
        stage.running = stage.loop.create_task(stage.supervisor.run())
        first = await stage.born(1)
        await asyncio.sleep(60)
        assert len(stage.started) == 1
        first.boot(replace(SETTINGS, workers=4))
        await stage.born(4)
        await stage.loop.settle()
        assert [worker.slot for worker in stage.started] == [0, -1, -1, -1]  # they have not told their settings yet
        for worker in stage.started[1:]:
            worker.boot()
        await stage.loop.settle()
        assert [worker.slot for worker in stage.started] == [0, 1, 2, 3]
        assert await stage.finish() == 0

    play(scene)


def test_a_first_worker_that_fails_is_the_end_with_its_exit_code() -> None:
    async def scene(stage: Scene) -> None:
        stage.running = stage.loop.create_task(stage.supervisor.run())
        (await stage.born(1)).end(2)
        with pytest.raises(StartupError, match="no database") as caught:
            await stage.running
        assert caught.value.exit_code == 2
        assert len(stage.started) == 1

    play(scene)


def test_a_worker_that_dies_young_is_replaced_after_pauses_and_meanwhile_its_sibling_serves_for_it() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        sibling = stage.started[0]
        births = []
        for count in range(3, 7):
            died_s = stage.loop.time()
            stage.started[-1].end(1)
            fresh = await stage.born(count)
            births.append(round(fresh.born_s - died_s))
            fresh.boot()
            await stage.loop.settle()
        assert births == [0, 1, 2, 4]
        assert sibling.told == [("adopt", 1), ("release", 1)] * 4
        assert await stage.finish() == 0

    play(scene)


def test_a_worker_that_fails_to_start_again_and_again_is_not_given_up() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        stage.started[1].end(GONE)
        births = []
        for count in range(3, 11):
            fresh = await stage.born(count)
            births.append(fresh.born_s)
            fresh.end(3)
        pauses = [round(later - earlier) for earlier, later in pairwise(births)]
        assert pauses == [0, 1, 2, 4, 8, 16, 30]
        (await stage.born(11)).boot()
        await stage.loop.settle()
        assert stage.started[0].told == [("adopt", 1), ("release", 1)]
        assert await stage.finish() == 0

    play(scene)


def test_a_worker_that_is_killed_is_replaced_at_once_however_often() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        for count in range(3, 20):
            died_s = stage.loop.time()
            stage.started[-1].end(GONE)
            fresh = await stage.born(count)
            assert fresh.born_s - died_s < 0.1
            fresh.boot()
            await stage.loop.settle()
        assert await stage.finish() == 0

    play(scene)


def test_an_orphaned_slot_goes_to_another_worker_when_its_adopter_dies() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin(workers=3)
        first, second, third = stage.started
        third.end(GONE)
        (await stage.born(4)).end(3)
        await stage.loop.settle()
        adopter = next(worker for worker in (first, second) if ("adopt", 2) in worker.told)
        other = second if adopter is first else first
        assert ("adopt", 2) not in other.told
        adopter.end(GONE)
        await stage.loop.settle()
        assert ("adopt", 2) in other.told
        assert await stage.finish() == 0

    play(scene)


def test_a_worker_whose_loop_stands_is_asked_for_its_stacks_killed_and_replaced() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        hung = stage.started[1]
        hung.obedient = False
        silent_s = stage.loop.time()
        await asyncio.wait((hung.exited,))
        assert hung.told == [signal.SIGUSR2, "kill"]
        assert 30.5 <= stage.loop.time() - silent_s < 33
        (await stage.born(3)).boot()
        await stage.loop.settle()
        assert stage.started[0].told[-1] == ("release", 1)
        assert await stage.finish() == 0

    play(scene)


def test_each_restart_is_told_with_its_reason_once() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        assert stage.restarts == []
        stage.started[1].end(GONE)
        (await stage.born(3)).boot()
        await stage.loop.settle()
        stage.started[2].end(1)
        (await stage.born(4)).end(3)  # a start that fails is no restart yet
        (await stage.born(5)).boot()
        await stage.loop.settle()
        stage.started[4].leave()
        (await stage.born(6)).boot()
        await asyncio.sleep(1)
        stage.started[5].obedient = False
        await asyncio.wait((stage.started[5].exited,))
        (await stage.born(7)).boot()
        await stage.loop.settle()
        assert stage.restarts == ["killed", "exited", "recycled", "hung"]
        stage.supervisor.reload("SIGHUP")
        for count in (8, 9):
            (await stage.born(count)).boot()
            await asyncio.sleep(1)
        assert stage.restarts[4:] == ["reload", "reload"]
        assert await stage.finish() == 0

    play(scene)


def test_nobody_is_taken_for_hung_while_the_supervisor_itself_was_stopped() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        await asyncio.sleep(40)
        for worker in stage.started:
            worker.obedient = False
        stage.loop.skip(3600)
        await asyncio.sleep(20)
        for worker in stage.started:
            worker.obedient = True
        await asyncio.sleep(100)
        assert [worker.told for worker in stage.started] == [[], []]
        assert await stage.finish() == 0

    play(scene)


def test_a_reload_replaces_slot_by_slot_and_nobody_retires_before_his_successor_is_ready() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        old = stage.started[:2]
        stage.supervisor.reload("SIGHUP")
        third = await stage.born(3)
        await asyncio.sleep(60)
        assert (len(stage.started), old[0].told) == (3, [])
        third.boot()
        await stage.loop.settle()
        assert (len(stage.started), old[0].told) == (3, ["retire"])
        fourth = await stage.born(4)
        assert old[0].exited.done()
        assert old[1].told == []
        fourth.boot()
        await asyncio.sleep(1)
        assert old[1].told == ["retire"]
        assert await stage.finish() == 0
        assert len(stage.started) == 4

    play(scene)


def test_a_reload_that_fails_changes_nothing_and_the_next_one_may_succeed() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        stage.supervisor.reload("SIGHUP")
        (await stage.born(3)).end(3)
        await asyncio.sleep(100)
        assert [worker.told for worker in stage.started[:2]] == [[], []]
        assert len(stage.started) == 3
        stage.supervisor.reload("SIGHUP")
        for count in (4, 5):
            (await stage.born(count)).boot()
        await asyncio.sleep(1)
        assert [worker.told for worker in stage.started[:2]] == [["retire"], ["retire"]]
        assert await stage.finish() == 0

    play(scene)


def test_signals_during_a_reload_bring_one_more_after_it() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        for _ in range(3):
            stage.supervisor.reload("SIGHUP")
            await stage.loop.settle()
        for count in range(3, 7):
            (await stage.born(count)).boot()
        await asyncio.sleep(100)
        assert len(stage.started) == 6
        assert await stage.finish() == 0

    play(scene)


def test_a_start_that_does_not_end_is_given_up_for_a_later_reload() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        stage.supervisor.reload("SIGHUP")
        stuck = await stage.born(3)
        await asyncio.sleep(600)
        assert stuck.told == []
        stage.supervisor.reload("SIGHUP")
        wanted_s = stage.loop.time()
        fourth = await stage.born(4)
        assert stuck.told == ["kill", "stop"]
        assert 5 <= stage.loop.time() - wanted_s < 6
        fourth.boot()
        (await stage.born(5)).boot()
        await asyncio.sleep(1)
        assert [worker.told for worker in stage.started[:2]] == [["retire"], ["retire"]]
        assert await stage.finish() == 0

    play(scene)


def test_a_start_that_only_takes_its_time_is_not_given_up_however_often_a_reload_is_wanted() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        for count in range(3, 9):
            for _ in range(4):
                stage.supervisor.reload("SIGHUP")
                await asyncio.sleep(1)
            (await stage.born(count)).boot()
            await asyncio.sleep(0)
        assert all("kill" not in worker.told for worker in stage.started)
        assert await stage.finish() == 0

    play(scene)


def test_an_old_worker_that_does_not_retire_in_time_is_killed_and_the_reload_goes_on() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        stage.started[0].obedient = False
        stage.supervisor.reload("SIGHUP")
        (await stage.born(3)).boot()
        retired_s = stage.loop.time()
        fourth = await stage.born(4)
        assert stage.started[0].told == ["retire", "kill"]
        assert 5.5 <= stage.loop.time() - retired_s < 6
        fourth.boot()
        assert await stage.finish() == 0

    play(scene)


def test_a_worker_that_asks_for_it_gets_a_successor_and_serves_until_that_is_ready() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        leaver = stage.started[1]
        leaver.leave()
        births = []
        for count in (3, 4, 5):
            fresh = await stage.born(count)
            births.append(fresh.born_s)
            fresh.end(3)
        assert [round(later - earlier) for earlier, later in pairwise(births)] == [0, 1]
        assert leaver.told == []
        (await stage.born(6)).boot()
        await asyncio.sleep(1)
        assert leaver.told == ["retire"]
        assert stage.started[0].told == []
        assert await stage.finish() == 0

    play(scene)


def test_workers_are_added_and_taken_away_one_by_one_but_never_the_last() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        stage.supervisor.grow("SIGTTIN")
        (await stage.born(3)).boot()
        await stage.loop.settle()
        assert stage.started[2].slot == 2
        for _ in range(5):
            stage.supervisor.shrink("SIGTTOU")
        await asyncio.sleep(1)
        assert [worker.told for worker in stage.started] == [[], ["stop"], ["stop"]]
        assert await stage.finish() == 0
        assert len(stage.started) == 3

    play(scene)


def test_a_reload_takes_the_number_of_workers_from_the_new_settings() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin(workers=3)
        stage.supervisor.reload("SIGHUP")
        (await stage.born(4)).boot(replace(SETTINGS, workers=1))
        await asyncio.sleep(1)
        assert [worker.told for worker in stage.started] == [["retire"], ["stop"], ["stop"], []]
        stage.supervisor.reload("SIGHUP")
        (await stage.born(5)).boot(replace(SETTINGS, workers=2))
        (await stage.born(6)).boot(replace(SETTINGS, workers=2))
        await stage.loop.settle()
        assert [worker.slot for worker in stage.started[4:]] == [0, 1]
        assert await stage.finish() == 0

    play(scene)


def test_the_end_is_announced_to_all_and_comes_after_the_delay() -> None:
    delayed = replace(SETTINGS, shutdown_delay_ns=3_000_000_000)

    async def scene(stage: Scene) -> None:
        stage.running = stage.loop.create_task(stage.supervisor.run())
        for count in (1, 2):
            (await stage.born(count)).boot(delayed)
        await stage.loop.settle()
        stage.supervisor.stop("SIGTERM")
        await asyncio.sleep(2.9)
        assert [worker.told for worker in stage.started] == [["announce"], ["announce"]]
        await asyncio.sleep(0.15)
        assert [worker.told for worker in stage.started] == [["announce", "stop"], ["announce", "stop"]]
        assert await stage.running == 0

    play(scene)


def test_who_does_not_end_within_the_shutdown_timeout_is_killed_and_the_exit_code_is_1() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        stage.started[0].obedient = False
        stopped_s = stage.loop.time()
        assert await stage.finish() == 1
        assert 5.5 <= stage.loop.time() - stopped_s < 6
        assert [worker.told for worker in stage.started] == [["announce", "stop", "kill"], ["announce", "stop"]]
        assert stage.supervisor.totals() == "2 requests served, 0 cancelled, 0 dropped"

    play(scene)


def test_a_quick_stop_cuts_a_slow_one_short() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        for worker in stage.started:
            worker.obedient = False
        stopped_s = stage.loop.time()
        stage.supervisor.stop("SIGTERM")
        await asyncio.sleep(1)
        stage.supervisor.stop_quickly("SIGQUIT")
        await asyncio.sleep(0.1)
        assert all(worker.told == ["announce", "stop", signal.SIGQUIT] for worker in stage.started)
        for worker in stage.started:
            worker.end(0)
        assert await stage.finish() == 0
        assert stage.loop.time() - stopped_s < 2

    play(scene)


def test_nothing_is_started_once_the_end_has_begun() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        stage.supervisor.stop("SIGTERM")
        stage.supervisor.reload("SIGHUP")
        stage.supervisor.grow("SIGTTIN")
        stage.started[0].leave()
        stage.started[1].end(GONE)
        assert await stage.finish() == 1
        assert len(stage.started) == 2

    play(scene)


def test_a_failure_of_its_own_ends_the_supervisor_and_kills_the_workers() -> None:
    async def scene(stage: Scene) -> None:
        await stage.begin()
        stage.started[0].retire = lambda: 1 / 0  # type: ignore[assignment]
        stage.supervisor.reload("SIGHUP")
        (await stage.born(3)).boot()
        assert stage.running is not None
        with pytest.raises(ZeroDivisionError):
            await stage.running
        assert all(worker.exited.done() for worker in stage.started)

    play(scene)
