"""The supervisor: sees to it that each slot of the server has a worker process that serves it.

Owns the sockets (one set per slot, from among which the kernel picks one for each connection), the
shared segment, and every decision about workers: when one is started, replaced, recycled, taken for
hung, told to end. It holds the sockets open but never listens: so what queues up for a worker that
died waits for the next one. Must not know how a worker process is started and spoken to, nor what
it serves: the application is imported in workers alone, and what it says about settings that
concern all of them comes from there.

Start: the first worker alone, whose failure ends the server; then the others. A worker that ends
unasked is replaced at once, and after a growing pause if that happens again and again; meanwhile
one of its siblings serves its sockets, for a socket that listens and is not served swallows its
share of connections. Renewal: a fresh worker is started in the slot, and only when it is ready the
old one retires; slot by slot. Stop: announced, then drained, then killed.

In a server of one process this runs beside the part that serves, from the first reload on.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any, Final

from highperf.config import WORKERS_MOST, Settings
from highperf.errors import StartupError
from highperf.server.board import Tally, beat_period_s
from highperf.server.cpus import available_cpus
from highperf.server.logs import logger
from highperf.server.processes import BootFailure
from highperf.server.signals import Meaning
from highperf.server.slots import Backoff, Part, Slot, Start
from highperf.server.sockets import Listeners, open_listeners, tell_metrics, turn_away, url_of
from highperf.server.systemd import Notifier
from highperf.values import MS, SECOND, counted, show_duration

EXIT_CLEAN: Final = 0
EXIT_CRASH: Final = 1

GRACE_S: Final = 0.5  # from the shutdown timeout to the kill; workers promise to end a little earlier
QUITTING_S: Final = 2.0  # from QUIT to the kill; workers promise much less, but a machine may be busy
STARTING_S: Final = 5.0  # for a worker to start, once another reload is wanted
DUMPING_S: Final = 0.5  # for a hung worker to show its stacks
KILLING_S: Final = 1.0  # for the kernel to end what is killed
TELLING_S: Final = 0.1  # for a worker to show its stacks before the next one does


class Supervisor:
    """One run of a server that has workers."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        start: Start,
        settings: Settings,
        notifier: Notifier,
        on_restart: Callable[[str], object] = bool,
    ) -> None:
        """on_restart is told why a worker took the place of another: hung, killed, exited, reload or recycled."""
        self.loop = loop
        self.tasks: set[asyncio.Task[Any]] = set()
        self.code: int | None = None  # the exit code, once it has ended
        self._start_worker = start
        self._settings = settings
        self._notifier = notifier
        self._on_restart = on_restart
        self._listeners: Listeners | None = None
        self._slots: list[Slot] = []
        self._parts: set[Part] = set()  # whatever has not ended yet: starting, serving, retiring
        self._starting: dict[Part, float] = {}  # since when by loop.time()
        self._former = Tally()  # of those that have ended
        self._renewing = asyncio.Lock()  # one slot at a time
        self._reload_wanted = ""  # why
        self._reloading = False
        self._unclean = False  # a worker failed while it was stopped
        self._stopping: asyncio.Future[str] = self.loop.create_future()  # why; or the error that ends all
        self._hurrying: asyncio.Future[None] = self.loop.create_future()
        self._awake_ns = self._now_ns()  # this process was not stopped itself since then

    async def run(self) -> int:
        """From the first worker's start to the last one's end; returns the exit code.

        StartupError, or whatever else the first worker reports, if that fails to start.
        """
        logger.info("Started supervisor process [%d]", os.getpid())
        self.spawn(self._start())
        return await self.end()

    async def end(self) -> int:
        """Wait until it is told to stop, and stop."""
        ending = asyncio.current_task()
        ticking = self.spawn(self._tick())
        try:
            reason = await self._stopping
            logger.info("Shutting down (%s)", reason)
            self._notifier.stopping(f"Shutting down ({reason})")
            await self._cancel_tasks({ending, ticking})
            code = await self._stop()
        finally:
            await self._cancel_tasks({ending, ticking})
            await self._kill_parts()
            await self._cancel_tasks({ending})
            self._notifier.close()
            self._close_slots()
            if self._listeners:
                self._listeners.close()
        logger.info("Finished supervisor process [%d]: %s", os.getpid(), self.totals())
        self.code = code
        return code

    def take_over(self, part: Part, listeners: Listeners) -> None:
        """Supervise what serves already."""
        self._listeners = listeners
        slot = Slot(0, listeners.slots[0])
        slot.worker = part
        slot.tried.set()
        slot.filled.set()
        self._slots.append(slot)
        self._parts.add(part)
        slot.keeper = self.spawn(self._keep(slot))

    # What it is told.

    def stop(self, reason: str) -> None:
        """Let running requests finish within the shutdown timeout."""
        if not self._stopping.done():
            self._stopping.set_result(reason)

    def stop_quickly(self, reason: str) -> None:
        """Have running requests cancelled now."""
        if not self._hurrying.done():
            self._hurrying.set_result(None)
        self.stop(reason)

    def force(self) -> None:
        """Kill the workers, from a signal handler."""
        for part in list(self._parts):
            part.kill()

    def reload(self, reason: str) -> None:
        """Replace every worker by a fresh one, slot by slot; once more after a reload that is under way."""
        self._reload_wanted = reason
        if not self._reloading and not self._stopping.done():
            self._reloading = True
            self.spawn(self._reload())
        self.loop.call_later(STARTING_S, self._give_up_starting)

    def grow(self, reason: str) -> None:
        """One worker more."""
        if self._is_up and len(self._slots) < WORKERS_MOST:
            logger.info("Starting another worker (%s)", reason)
            self._resize(len(self._slots) + 1)

    def shrink(self, reason: str) -> None:
        """One worker less, but for the last one."""
        if self._is_up and len(self._slots) > 1:
            logger.info("Ending worker %d (%s)", len(self._slots), reason)
            self._resize(len(self._slots) - 1)

    def reopen_logs(self, reason: str) -> None:
        """Pass it on to the workers."""
        self._signal(signal.SIGUSR1)

    def meanings(self) -> dict[signal.Signals, Meaning]:
        """Of the signals that are for a supervisor alone."""
        return {
            signal.SIGHUP: self.reload,
            signal.SIGTTIN: self.grow,
            signal.SIGTTOU: self.shrink,
            signal.SIGUSR1: self.reopen_logs,
            signal.SIGUSR2: self.describe,
        }

    def describe(self, reason: str) -> None:
        """Have the workers tell what they do."""
        self.spawn(self._describe())

    @property
    def bound_s(self) -> float:
        """The longest time from stop() to the end."""
        settings = self._settings
        return (settings.shutdown_delay_ns + settings.shutdown_timeout_ns) / SECOND + GRACE_S + KILLING_S

    @property
    def quick_bound_s(self) -> float:
        """The same for stop_quickly()."""
        return QUITTING_S + KILLING_S

    def totals(self) -> str:
        """What became of the requests, in words."""
        return str(sum((part.tally for part in self._parts), self._former))

    # Start.

    async def _start(self) -> None:
        first = Slot(0, [])
        self._slots.append(first)
        try:
            async with first.starting:
                self._install(first, await self._boot(first))
        except BootFailure as failure:
            raise failure.as_error() from None
        first.keeper = self.spawn(self._keep(first))
        self._resize(self._wanted)
        for slot in self._slots:
            await slot.tried.wait()
        if self._listeners:
            tell_metrics(self._listeners)
        logger.info("highperf running on %s (Press CTRL+C to quit)", self._place_and_size())
        self._notifier.ready(f"Running on {self._place_and_size()}")
        self._notifier.watch(self.loop)

    def _place_and_size(self) -> str:
        urls = " and ".join(url_of(listener, self._settings.scheme) for listener in self._slots[0].listeners)
        return f"{urls} with {counted(len(self._slots), 'worker')}"

    async def _boot(self, slot: Slot) -> Part:
        """A worker that is ready to serve the slot. BootFailure says why there is none."""
        fresh = self._start_worker(self.replace, self.on_exit)
        self._parts.add(fresh)
        self._starting[fresh] = self.loop.time()
        try:
            # whether a flag gave the address only this process can tell, whose flags they are
            settings = replace(await fresh.reach(fresh.settings), address_is_flag=self._settings.address_is_flag)
            if self._listeners is None:
                self._listeners = open_listeners(settings, may_grow=True)
                slot.listeners = self._listeners.slots[0]
            fresh.place(slot.index, slot.listeners, self._listeners.metrics)
            await fresh.reach(fresh.ready)
        finally:
            del self._starting[fresh]
            if not fresh.ready.done():
                fresh.stop()
        if self._is_up and _address(settings) != _address(self._settings):
            logger.warning("The address stays as it is: another one takes a restart")
        self._settings = settings
        return fresh

    def _install(self, slot: Slot, fresh: Part) -> Part | None:
        """Let it serve the slot from now on; returns whoever did before."""
        old, slot.worker = slot.worker, fresh
        if slot.renewed_for:
            self._on_restart(slot.renewed_for)
            slot.renewed_for = ""
        slot.tried.set()
        slot.filled.set()
        if slot.adopter:
            slot.adopter.release(slot.index)
            slot.adopter = None
        logger.info("%s is ready (%d/%d workers)", slot.name(fresh), len(list(self._serving())), len(self._slots))
        self._share_orphans()
        return old

    # Keeping slots filled.

    @property
    def _is_up(self) -> bool:
        """Whether the first worker has been ready, and none has been told to stop."""
        return bool(self._slots) and self._slots[0].tried.is_set() and not self._stopping.done()

    @property
    def _wanted(self) -> int:
        """How many workers the settings want."""
        return self._settings.workers or available_cpus()

    def _resize(self, count: int) -> list[asyncio.Task[None]]:
        """Have so many slots; returns what goes on until then."""
        while len(self._slots) < count:
            try:
                slot = Slot(len(self._slots), self._listeners.another_slot() if self._listeners else [])
            except (StartupError, OSError) as error:
                logger.error("There is no place for worker %d: %s", len(self._slots) + 1, error)
                break
            self._slots.append(slot)
            slot.keeper = self.spawn(self._keep(slot))
        closing = self._slots[count:]
        del self._slots[count:]
        return [self.spawn(self._close_slot(slot)) for slot in closing]

    async def _keep(self, slot: Slot) -> None:
        """See to it that the slot has a worker, for ever."""
        pause = 0.0
        while True:
            if pause:
                logger.warning("Worker %d is started again in %d s", slot.index + 1, pause)
                self._share_orphans()
                await _passed(slot.filled.wait(), pause)
            async with slot.starting:
                if slot.worker is None:
                    pause = await self._fill(slot)
            if slot.worker is not None:
                pause = await self._outlive(slot, slot.worker)

    async def _fill(self, slot: Slot) -> float:
        """Start a worker; returns the pause before the next start."""
        try:
            self._install(slot, await self._boot(slot))
        except BootFailure as failure:
            logger.error("Worker %d failed to start: %s", slot.index + 1, failure.whole)
            slot.tried.set()
            return slot.backoff.after(0)
        return 0.0

    async def _outlive(self, slot: Slot, worker: Part) -> float:
        """Wait for the worker's end; returns the pause before the next start."""
        await asyncio.wait((worker.exited,))
        if slot.worker is not worker:
            return 0.0  # it had a successor
        slot.worker = None
        slot.renewed_for = slot.renewed_for or ("killed" if worker.exited.result() < 0 else "exited")
        slot.filled.clear()
        self._share_orphans()
        lived_s = worker.lived_s
        logger.error("%s %s", slot.name(worker), worker.end_reason)
        if worker.exited.result() == -signal.SIGKILL:
            return 0.0  # which nobody does to himself
        return slot.backoff.after(lived_s)

    def _share_orphans(self) -> None:
        """Let some worker serve the sockets of each slot that is waiting for one."""
        serving = list(self._serving())
        for slot in self._slots:
            if slot.worker is None and slot.tried.is_set() and slot.adopter not in serving and serving:
                slot.adopter = serving[slot.index % len(serving)]
                slot.adopter.adopt(slot.index, slot.listeners)

    async def _close_slot(self, slot: Slot) -> None:
        slot.closed = True
        if slot.keeper:
            slot.keeper.cancel()
        async with slot.starting:
            is_balanced = self._listeners is not None and self._listeners.balanced
            if is_balanced:
                turn_away(slot.listeners)
            slot.close()
            if slot.adopter:
                slot.adopter.release(slot.index)
            if slot.worker:
                slot.worker.stop() if is_balanced else slot.worker.retire()  # others have the same sockets
                await self._see_off(slot.worker)

    def _serving(self) -> Iterator[Part]:
        return (slot.worker for slot in self._slots if slot.worker and not slot.worker.exited.done())

    # Renewal.

    async def _reload(self) -> None:
        while self._reload_wanted:
            async with self._renewing:
                logger.info("Reloading (%s)", self._reload_wanted)
                self._notifier.reloading(f"Reloading ({self._reload_wanted})")
                self._reload_wanted = ""
                begun_ns = self._now_ns()
                try:
                    await self._renew_all()
                except BootFailure as failure:
                    logger.error("Reload failed, and the workers of before go on: %s", failure.whole)
                else:
                    logger.info("Reloaded in %s", show_duration((self._now_ns() - begun_ns) // MS * MS))
                self._notifier.ready(f"Running on {self._place_and_size()}")
        self._reloading = False

    def _give_up_starting(self) -> None:
        """A worker that is still starting holds up a reload that was wanted later than it."""
        if not self._is_up or not self._reload_wanted:
            return
        for fresh, since_s in self._starting.items():
            if self.loop.time() - since_s >= STARTING_S:
                logger.warning("Worker process [%d] is not ready yet, and is given up for the next reload", fresh.pid)
                fresh.kill()

    async def _renew_all(self) -> None:
        """Slot by slot. The first fresh worker tells how many there are to be."""
        renewed = 0
        while renewed < min(len(self._slots), self._wanted if renewed else 1):
            await self._renew(self._slots[renewed], "reload")
            renewed += 1
        if closing := self._resize(self._wanted):
            await asyncio.wait(closing)

    async def _renew(self, slot: Slot, why: str) -> None:
        """Put a fresh worker in the place of the slot's, and see that one off. BootFailure: all is as before."""
        async with slot.starting:
            if slot.closed:
                return
            fresh = await self._boot(slot)
            slot.renewed_for = slot.renewed_for or why
            old = self._install(slot, fresh)
        if old:
            old.retire()
            await self._see_off(old)

    async def _see_off(self, part: Part) -> None:
        """Wait until it has ended, and no longer than it may take for that."""
        if not await _passed(asyncio.wait((part.exited,)), self._settings.shutdown_timeout_ns / SECOND + GRACE_S):
            logger.warning("[%d] did not end within the shutdown timeout, and is killed", part.pid)
            part.kill()

    def replace(self, part: Part, why: str) -> None:
        """Find it a successor, since it asks for one."""
        if not self._stopping.done():
            self.spawn(self._succeed(part, why))

    async def _succeed(self, part: Part, why: str) -> None:
        """Find the worker a successor; it serves until there is one."""
        backoff = Backoff()
        while slot := next((slot for slot in self._slots if slot.worker is part), None):
            async with self._renewing:
                if slot.worker is not part:
                    return
                logger.info("%s is to be replaced (%s)", slot.name(part), why)
                try:
                    await self._renew(slot, "recycled")
                    return
                except BootFailure as failure:
                    logger.error("%s goes on, for it has no successor: %s", slot.name(part), failure.whole)
            await asyncio.sleep(backoff.after(0))

    # The watch over those that run.

    async def _tick(self) -> None:
        """Once a second, and more often where the health check's timeout is short."""
        last_ns = self._now_ns()
        while True:
            period_s = beat_period_s(self._settings.timeout_worker_healthcheck_ns)
            await asyncio.sleep(period_s)
            now_ns = self._now_ns()
            if now_ns - last_ns > 2 * period_s * SECOND:
                self._awake_ns = now_ns  # this process was stopped, and so may the others have been
            last_ns = now_ns
            for part in list(self._parts):
                part.poll()
            self._reap()
            self._look_for_hung(now_ns)

    def _look_for_hung(self, now_ns: int) -> None:
        timeout_ns = self._settings.timeout_worker_healthcheck_ns
        if not timeout_ns or now_ns - self._awake_ns < timeout_ns:
            return
        for slot in self._slots:
            if slot.worker and slot.worker.is_silent(now_ns, timeout_ns):
                self.spawn(self._put_down(slot, slot.worker))

    async def _put_down(self, slot: Slot, worker: Part) -> None:
        timeout = show_duration(self._settings.timeout_worker_healthcheck_ns)
        slot.renewed_for = "hung"
        logger.error("%s hangs: its loop has not turned for %s. What it does:", slot.name(worker), timeout)
        worker.send_signal(signal.SIGUSR2)
        await asyncio.sleep(DUMPING_S)
        worker.kill()

    async def _describe(self) -> None:
        for part in list(self._parts):
            part.send_signal(signal.SIGUSR2)
            await asyncio.sleep(TELLING_S)  # what they write would be mixed

    def _reap(self) -> None:
        """Process 1 inherits what others leave behind; but an application in this process has children of its own."""
        if os.getpid() != 1 or any(part.pid == 1 for part in self._parts):
            return
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for part in list(self._parts):
                if part.pid == pid:
                    part.ended(os.waitstatus_to_exitcode(status))

    def on_exit(self, part: Part) -> None:
        self._parts.discard(part)
        self._former += part.tally
        if self._stopping.done() and part.exited.result() not in (EXIT_CLEAN, -signal.SIGTERM):
            self._unclean = True

    # Stop.

    async def _stop(self) -> int:
        settings = self._settings
        for part in list(self._parts):
            part.announce()
        if settings.shutdown_delay_ns:
            await asyncio.wait((self._hurrying,), timeout=settings.shutdown_delay_ns / SECOND)
        if self._listeners and self._listeners.ours:
            for slot in self._slots:
                turn_away(slot.listeners)
        self._close_slots()  # what is closed last resets what waits in it: that is to be the workers' copy
        for part in list(self._parts):
            part.stop()
        await self._desertion(settings.shutdown_timeout_ns / SECOND + GRACE_S, self._hurrying)
        if self._hurrying.done():
            self._signal(signal.SIGQUIT)
            await self._desertion(QUITTING_S)
        return EXIT_CRASH if self._parts or self._unclean else EXIT_CLEAN

    async def _desertion(self, timeout_s: float, cut_short: asyncio.Future[None] | None = None) -> None:
        """Until no part is left."""
        until_s = self.loop.time() + timeout_s
        others = {cut_short} if cut_short else set()
        while self._parts and self.loop.time() < until_s and not (cut_short and cut_short.done()):
            ends = {part.exited for part in self._parts}
            left_s = until_s - self.loop.time()
            await asyncio.wait(ends | others, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)

    async def _kill_parts(self) -> None:
        if self._parts:
            logger.warning("Killed: %s that did not end in time", counted(len(self._parts), "worker"))
            self.force()
            await self._desertion(KILLING_S)

    def _signal(self, number: signal.Signals) -> None:
        for part in list(self._parts):
            part.send_signal(number)

    def _close_slots(self) -> None:
        for slot in self._slots:
            slot.close()

    # Its time and its tasks.

    def _now_ns(self) -> int:
        return int(self.loop.time() * SECOND)  # CLOCK_MONOTONIC, as the board has it

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._settle)
        return task

    def _settle(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if task.cancelled() or self._stopping.done():
            return  # of an error the loop tells
        if error := task.exception():
            self._stopping.set_exception(error)

    async def _cancel_tasks(self, but: set[asyncio.Task[Any] | None]) -> None:
        for task in (tasks := self.tasks - but):
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _passed(work: Coroutine[Any, Any, Any], timeout_s: float) -> bool:
    """Whether the work was over within the time. No task is made for it."""
    try:
        async with asyncio.timeout(timeout_s):
            await work
    except TimeoutError:
        return False
    return True


def _address(settings: Settings) -> tuple[object, ...]:
    return settings.host, settings.port, settings.uds, settings.fd, settings.metrics_address
