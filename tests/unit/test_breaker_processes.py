"""CircuitBreaker over forked processes: one count, one probe, and no store while all is well."""

import ctypes
import faulthandler
import os
import random
import re
import select
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from highperf.guards.breaker import CircuitBreaker
from highperf.segment import Segment
from tests.effort import effort

MS = 1_000_000
S = 1_000 * MS
NOW = 1_000 * S
DAY = 24 * 3_600 * S
WORDS = 24
PATIENCE_S = 10


@pytest.fixture
def segment() -> Segment:
    return Segment.create(1 << 20, epoch_ns=0)


def run_in_child(work: Callable[[], Any]) -> int:
    """Pid of a child that does the work and ends with 0, or with 1 if it raises."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def run_at_once(work: Callable[[int], bytes], count: int = 4) -> list[bytes]:
    """What children give back that begin together; work is given a child's number."""
    told, tell = os.pipe()
    gate, opener = os.pipe()

    def begin(number: int) -> None:
        os.close(opener)
        os.read(gate, 1)  # ends when nobody can write any more
        given = work(number)
        head = struct.pack("II", number, len(given))
        assert os.write(tell, head + given) == len(head + given)

    children = [run_in_child(lambda number=number: begin(number)) for number in range(count)]
    for fd in (gate, opener, tell):
        os.close(fd)
    assert [ending_of(child) for child in children] == [0] * count
    given, octets = [b""] * count, b"".join(iter(lambda: os.read(told, 65536), b""))
    os.close(told)
    while octets:
        number, size = struct.unpack_from("II", octets)
        given[number], octets = octets[8 : 8 + size], octets[8 + size :]
    return given


def ending_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def wait_for_octet(fd: int) -> None:
    ready, _, _ = select.select([fd], [], [], PATIENCE_S)
    assert ready, "the other process did not come so far"
    os.read(fd, 1)


def fail_once(breaker: CircuitBreaker, now_ns: int) -> None:
    pass_ = breaker.allow(now_ns=now_ns)
    assert pass_ >= 0
    breaker.report(pass_, "failure", now_ns=now_ns)


def words_of(segment: Segment, name: str) -> list[int]:
    offset = segment.area(f"breaker {name}", WORDS * 8)
    return [segment.read_word(offset + 8 * at) for at in range(WORDS)]


# ---- one count ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shares", [(4, 5, 5, 5), (16, 1, 1, 1), (0, 19, 0, 0)])
def test_twentieth_failure_of_four_processes_together_opens(segment: Segment, shares: tuple[int, ...]) -> None:
    breaker = CircuitBreaker("db", segment=segment)
    children = [run_in_child(lambda share=share: [fail_once(breaker, NOW) for _ in range(share)]) for share in shares]
    assert [ending_of(child) for child in children] == [0, 0, 0, 0]
    assert (breaker.state, breaker.streak) == ("closed", 19)
    assert ending_of(run_in_child(lambda: fail_once(breaker, NOW))) == 0
    assert breaker.state == "open"


def meet(segment: Segment, number: int, time: int, count: int = 4) -> None:
    """Goes on when each of the children is here for this time, the first being 1."""
    offset = segment.area("meeting", 8 * count)
    segment.write_word(offset + 8 * number, time)
    while any(segment.read_word(offset + 8 * other) < time for other in range(count)):
        os.sched_yield()


def test_processes_that_fail_at_once_open_it_once_and_lose_no_count(segment: Segment) -> None:
    rounds, failures = 200, effort(10_000)

    def work(number: int) -> bytes:
        opened = []
        for time in range(1, rounds + 1):
            breaker = CircuitBreaker(f"db {time}", failures=failures, volume=10**6, segment=segment)
            meet(segment, number, time)
            for _ in range(failures // 4):
                fail_once(breaker, NOW)
            opened.append(breaker.opened)
        return bytes(opened)

    opened = run_at_once(work)
    assert [sum(by_process) for by_process in zip(*opened, strict=True)] == [1] * rounds
    assert {CircuitBreaker(f"db {time}", segment=segment).state for time in range(1, rounds + 1)} == {"open"}


def test_processes_that_count_at_once_lose_no_call_of_the_window(segment: Segment) -> None:
    calls = 20_000

    def work(_: int) -> bytes:
        breaker = CircuitBreaker("db", failures=10_000, ratio=1.0, segment=segment)
        for _ in range(calls // 2):
            for outcome in ("failure", "success"):
                breaker.report(breaker.allow(now_ns=NOW), outcome, now_ns=NOW)
        return b""

    run_at_once(work)
    mask = 2**20 - 1
    assert sorted(word & mask for word in words_of(segment, "db")[2:]) == [0] * 20 + [calls * 2, calls * 2]


def test_each_step_of_processes_that_race_is_made_by_one_of_them(segment: Segment) -> None:
    # With leases that do not end, generations are one for each opening, and two for each probe.
    def work(number: int) -> bytes:
        breaker = CircuitBreaker("db", failures=1, open_for_ns=MS, longest_open_ns=MS, lease_ns=DAY, segment=segment)
        chance = random.Random(number)
        for step in range(100_000):
            now_ns = NOW + step * MS // 4
            if (pass_ := breaker.allow(now_ns=now_ns)) >= 0:
                breaker.report(pass_, "failure" if chance.random() < 0.2 else "success", now_ns=now_ns)
        return struct.pack("QQ", breaker.opened, breaker.probes)

    counts = [struct.unpack("QQ", given) for given in run_at_once(work)]
    opened, probes = (sum(column) for column in zip(*counts, strict=True))
    assert opened > 100
    assert words_of(segment, "db")[0] >> 42 & 2**20 - 1 == opened + 2 * probes


# ---- one probe ------------------------------------------------------------------------------------


def test_processes_that_ask_at_once_get_one_probe(segment: Segment) -> None:
    rounds = 500
    for time in range(1, rounds + 1):
        fail_once(CircuitBreaker(f"db {time}", failures=1, segment=segment), NOW)

    def work(number: int) -> bytes:
        admitted = []
        for time in range(1, rounds + 1):
            breaker = CircuitBreaker(f"db {time}", segment=segment)
            meet(segment, number, time)
            admitted.append(breaker.allow(now_ns=NOW + 2 * S) >= 0)
        return bytes(admitted)

    admitted = run_at_once(work)
    assert [sum(by_process) for by_process in zip(*admitted, strict=True)] == [1] * rounds


def test_killed_prober_is_replaced_after_its_lease(segment: Segment) -> None:
    breaker = CircuitBreaker("db", failures=1, segment=segment)
    fail_once(breaker, NOW)
    told, tell = os.pipe()

    def probe() -> None:
        assert breaker.allow(now_ns=NOW + 2 * S) >= 0
        os.write(tell, b".")
        signal.pause()

    child = run_in_child(probe)
    try:
        wait_for_octet(told)
        assert breaker.state == "half-open"
    finally:
        os.kill(child, signal.SIGKILL)
    assert ending_of(child) == -signal.SIGKILL
    assert breaker.allow(now_ns=NOW + 3 * S - 1) == -1
    for _ in range(3):
        pass_ = breaker.allow(now_ns=NOW + 3 * S)
        assert pass_ >= 0
        breaker.report(pass_, "success", now_ns=NOW + 3 * S)
    assert breaker.state == "ramp"
    os.close(told)
    os.close(tell)


def test_stopped_prober_that_goes_on_later_changes_nothing(segment: Segment) -> None:
    breaker = CircuitBreaker("db", failures=1, segment=segment)
    fail_once(breaker, NOW)
    told, tell = os.pipe()

    def probe() -> None:
        pass_ = breaker.allow(now_ns=NOW + 2 * S)
        os.write(tell, b".")
        os.kill(os.getpid(), signal.SIGSTOP)
        breaker.report(pass_, "failure", now_ns=NOW + 2 * S)

    child = run_in_child(probe)
    wait_for_octet(told)
    os.waitpid(child, os.WUNTRACED)
    for _ in range(3):
        pass_ = breaker.allow(now_ns=NOW + 3 * S)
        breaker.report(pass_, "success", now_ns=NOW + 3 * S)
    before = words_of(segment, "db")
    os.kill(child, signal.SIGCONT)
    assert ending_of(child) == 0
    assert words_of(segment, "db") == before
    os.close(told)
    os.close(tell)


def test_processes_killed_at_any_instant_leave_a_breaker_that_opens_and_closes(segment: Segment) -> None:
    breaker = CircuitBreaker("db", failures=3, open_for_ns=MS, longest_open_ns=MS, lease_ns=MS, segment=segment)

    def churn() -> None:
        now_ns = NOW
        while True:
            pass_ = breaker.allow(now_ns=now_ns)
            if pass_ >= 0:
                breaker.report(pass_, "failure" if now_ns % 3 else "success", now_ns=now_ns)
            now_ns += MS // 4 + 1

    for _ in range(20):
        children = [run_in_child(churn) for _ in range(3)]
        for _ in range(2_000):
            breaker.allow(now_ns=NOW)
        for child in children:
            os.kill(child, signal.SIGKILL)
        assert [ending_of(child) for child in children] == [-signal.SIGKILL] * 3
    now_ns = NOW + 24 * 3_600 * S
    for _ in range(200):
        if (pass_ := breaker.allow(now_ns=now_ns)) >= 0:
            breaker.report(pass_, "success", now_ns=now_ns)
        now_ns += S // 10
    assert breaker.state == "closed"
    for _ in range(3):
        fail_once(breaker, now_ns)
    assert breaker.state == "open"


# ---- no store -------------------------------------------------------------------------------------


def protect(segment: Segment) -> None:
    """From here on, a store to the segment kills this process."""
    pattern = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw-s .*memfd:highperf")
    found = [match for line in Path("/proc/self/maps").read_text().splitlines() if (match := pattern.match(line))]
    libc = ctypes.CDLL(None, use_errno=True)
    for match in found:
        begin, end = (int(address, 16) for address in match.groups())
        if libc.mprotect(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), 1):  # PROT_READ
            raise OSError(ctypes.get_errno(), "mprotect")
    assert found


def succeed(breaker: CircuitBreaker, calls: int, apart_ns: int) -> None:
    now_ns = NOW
    for _ in range(calls):
        breaker.report(breaker.allow(now_ns=now_ns), "success", now_ns=now_ns)
        now_ns += apart_ns


def test_hundred_thousand_successes_leave_the_shared_words_as_they_were(segment: Segment) -> None:
    breaker = CircuitBreaker("db", segment=segment)
    fail_once(breaker, NOW - 30 * S)
    succeed(breaker, 1, 0)
    before = words_of(segment, "db")
    succeed(breaker, 100_000, MS)
    assert words_of(segment, "db") == before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
@pytest.mark.release_build  # a sanitizer turns the fault that it waits for into a report
def test_healthy_calls_and_refusals_store_nothing_shared(segment: Segment) -> None:
    healthy = CircuitBreaker("healthy", segment=segment)
    recovered = CircuitBreaker("recovered", segment=segment)
    fail_once(recovered, NOW - 30 * S)
    succeed(recovered, 1, 0)
    opened = CircuitBreaker("opened", failures=1, segment=segment)
    fail_once(opened, NOW)

    def work() -> None:
        protect(segment)
        succeed(healthy, 100_000, MS)
        succeed(recovered, 100_000, MS)
        for _ in range(1_000):
            assert opened.allow(now_ns=NOW + S) == -1

    def store() -> None:
        faulthandler.disable()
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)  # no report of what is expected
        protect(segment)
        fail_once(healthy, NOW)

    assert ending_of(run_in_child(work)) == 0
    assert ending_of(run_in_child(store)) in (-signal.SIGSEGV, -signal.SIGBUS)  # so the test can fail
