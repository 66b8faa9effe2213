"""What a service tells systemd, as a socket of the same kind hears it."""

import asyncio
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from highperf.server.systemd import VARIABLES, Notifier, take_listen_fds

LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="names without a file are Linux'")


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


def notifier(systemd: socket.socket, **variables: str) -> Notifier:
    return Notifier.take({"NOTIFY_SOCKET": systemd.getsockname(), **variables})


def heard(systemd: socket.socket) -> str:
    return systemd.recv(4096).decode()


def hears_nothing(systemd: socket.socket) -> bool:
    systemd.setblocking(False)
    try:
        systemd.recv(4096)
    except BlockingIOError:
        return True
    return False


def test_the_states_of_a_service_are_told_in_order(systemd: socket.socket) -> None:
    told = notifier(systemd)
    told.status("starting")
    told.ready("serving http://127.0.0.1:8080")
    told.stopping("SIGTERM,\n3 requests running")
    assert [heard(systemd) for _ in range(3)] == [
        "STATUS=starting",
        "READY=1\nSTATUS=serving http://127.0.0.1:8080",
        "STOPPING=1\nSTATUS=SIGTERM, 3 requests running",
    ]


def test_a_reload_carries_the_time_of_its_begin(systemd: socket.socket) -> None:
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier(systemd).reloading("SIGHUP")
    found = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)\nSTATUS=SIGHUP", heard(systemd))
    assert found
    assert before_us <= int(found[1]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


@LINUX_ONLY
def test_an_abstract_address_begins_with_an_at_sign() -> None:
    name = f"highperf-notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.settimeout(5)
        Notifier.take({"NOTIFY_SOCKET": f"@{name}"}).ready("up")
        assert heard(listening) == "READY=1\nSTATUS=up"


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234", "/nowhere/at/all", "/" + "x" * 200, "/dev/null"])
def test_nobody_who_listens_is_no_failure(address: str) -> None:
    told = Notifier.take({"NOTIFY_SOCKET": address})
    told.ready("up")
    told.reloading("SIGHUP")
    told.stopping("SIGTERM")


def test_a_full_queue_is_not_waited_for(systemd: socket.socket) -> None:
    told = notifier(systemd)
    queue = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) if sys.platform == "linux" else 1000
    for _ in range(queue + 2):
        told.status("again")
    assert heard(systemd) == "STATUS=again"


def test_what_was_meant_for_this_process_is_not_left_to_its_children() -> None:
    environ = dict.fromkeys(VARIABLES, "1") | {"PATH": "/bin"}
    Notifier.take(environ)
    take_listen_fds(environ)
    assert environ == {"PATH": "/bin"}


def test_the_watchdog_is_fed_by_the_loop(systemd: socket.socket) -> None:
    async def live() -> None:
        loop = asyncio.get_running_loop()
        told = notifier(systemd, WATCHDOG_USEC="1000", WATCHDOG_PID=str(os.getpid()))
        told.watch(loop)
        systemd.setblocking(False)
        for _ in range(3):
            assert await asyncio.wait_for(loop.sock_recv(systemd, 4096), 5) == b"WATCHDOG=1"
        told.close()

    asyncio.run(live())
    systemd.setblocking(False)
    while not hears_nothing(systemd):
        pass


@pytest.mark.parametrize(
    ("variables", "period_s"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "9" * 30}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_period_if_it_is_ours(
    systemd: socket.socket, variables: dict[str, str], period_s: float | None
) -> None:
    class Loop:
        def __init__(self) -> None:
            self.delays: list[float] = []

        def call_later(self, delay_s: float, *_: object) -> None:
            self.delays.append(delay_s)

    loop: Any = Loop()
    notifier(systemd, **variables).watch(loop)
    assert loop.delays == [period_s] * (period_s is not None)
    assert hears_nothing(systemd) is (period_s is None)
