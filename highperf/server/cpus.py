"""How many CPUs this process may use, which is what `--workers auto` means.

Owns the look at the affinity and at the quotas of control groups, both of which bound a container
where the number of CPUs of the machine says nothing. Paths are arguments, so that a test may bring its own.
"""

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path

_SYS = Path("/sys/fs/cgroup")
_PROC = Path("/proc/self/cgroup")


def available_cpus(memberships: Path = _PROC, mounted: Path = _SYS) -> int:
    """At least 1; a quota of one and a half CPUs counts as two."""
    quotas = [ceil(quota) for quota in cgroup_quotas(memberships, mounted)]
    return max(1, min([_affinity(), *quotas]))


def cgroup_quotas(memberships: Path, mounted: Path) -> Iterator[float]:
    """The quotas, in CPUs, of the control groups (versions 1 and 2) that this process is in."""
    try:
        lines = memberships.read_text().splitlines()
    except OSError:
        return  # not Linux
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, quota_of = mounted, _quota_v2
        elif "cpu" in controllers.split(","):
            root, quota_of = mounted / "cpu", _quota_v1
        else:
            continue
        # A parent's quota binds as well. Inside of a container the path may be the host's; then the root is ours.
        group = root / path.strip("/")
        for place in (group, *(parent for parent in group.parents if parent.is_relative_to(root))):
            try:
                yield quota_of(place)
            except (OSError, ValueError):
                continue  # none here


def _quota_v2(group: Path) -> float:
    quota, period = (group / "cpu.max").read_text().split()
    return int(quota) / int(period)  # ValueError: "max"


def _quota_v1(group: Path) -> float:
    quota = int((group / "cpu.cfs_quota_us").read_text())
    if quota <= 0:
        raise ValueError(quota)
    return quota / int((group / "cpu.cfs_period_us").read_text())


def _affinity() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1
