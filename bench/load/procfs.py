"""CPU time and memory of processes, as the Linux kernel accounts for them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

# Fields of /proc/PID/stat after the command name, see proc_pid_stat(5).
PARENT, SESSION, USER_TICKS, SYSTEM_TICKS = 1, 3, 11, 12

ESTABLISHED = "01"  # in /proc/net/tcp


class Cpu(NamedTuple):
    """Seconds of CPU time."""

    user: float
    system: float

    @property
    def total(self) -> float:
        return self.user + self.system

    def since(self, earlier: "Cpu") -> "Cpu":
        return Cpu(self.user - earlier.user, self.system - earlier.system)


def _stat(pid: int) -> list[str] | None:
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None  # it has ended
    return text.rpartition(")")[2].split()


def _all_pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir(PROC) if entry.isdigit())


def parent_of(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[PARENT]) if fields else None


def tree(root: int) -> list[int]:
    """The process and all its descendants."""
    children: dict[int, list[int]] = {}
    for pid in _all_pids():
        if fields := _stat(pid):
            children.setdefault(int(fields[PARENT]), []).append(pid)
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found


def session(leader: int) -> list[int]:
    """All processes of a session that live, whoever their parent is by now."""
    return [pid for pid in _all_pids() if (fields := _stat(pid)) and int(fields[SESSION]) == leader]


def cpu_of(pids: list[int]) -> Cpu:
    stats = [fields for pid in pids if (fields := _stat(pid))]
    return Cpu(
        sum(int(fields[USER_TICKS]) for fields in stats) / TICKS_PER_SECOND,
        sum(int(fields[SYSTEM_TICKS]) for fields in stats) / TICKS_PER_SECOND,
    )


def rss_of(pids: list[int]) -> int:
    """Octets of resident memory; pages that two of the processes share count twice."""
    pages = 0
    for pid in pids:
        try:
            pages += int((PROC / str(pid) / "statm").read_text().split()[1])
        except OSError:
            continue
    return pages * PAGE_BYTES


def peak_rss_of(pids: list[int]) -> int:
    """The sum of the largest resident memory that each process ever had, in octets."""
    found = 0
    for pid in pids:
        try:
            lines = (PROC / str(pid) / "status").read_text().splitlines()
        except OSError:
            continue
        found += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
    return found


def descriptors_of(pids: list[int]) -> int:
    """Open descriptors of all of them."""
    found = 0
    for pid in pids:
        try:
            found += len(os.listdir(PROC / str(pid) / "fd"))
        except OSError:
            continue
    return found


def accepted(port: int) -> int:
    """Connections to a port of 127.0.0.1 whose server has taken them from its backlog: they have an inode by then."""
    local, found = f"0100007F:{port:04X}", 0
    with (PROC / "net" / "tcp").open() as lines:
        for line in lines:
            fields = line.split()
            found += fields[1] == local and fields[3] == ESTABLISHED and fields[9] != "0"
    return found


def busy_seconds() -> float:
    """CPU time of the whole machine that was not idle, stolen time included."""
    ticks = [int(field) for field in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle, waiting_for_io = ticks[3:5]
    return (sum(ticks) - idle - waiting_for_io) / TICKS_PER_SECOND


def loopback_octets() -> int:
    return int(Path("/sys/class/net/lo/statistics/tx_bytes").read_text())
