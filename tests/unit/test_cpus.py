"""The CPUs that a process may use: its affinity, and the quotas of its control groups."""

import os
from pathlib import Path

import pytest

from highperf.server.cpus import available_cpus, cgroup_quotas


def system(root: Path, memberships: str, files: dict[str, str]) -> tuple[Path, Path]:
    for name, text in files.items():
        path = root / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "self").write_text(memberships)
    return root / "self", root / "cgroup"


@pytest.mark.parametrize(
    ("memberships", "files", "quotas"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, [1.5]),
        ("0::/\n", {"cpu.max": "max 100000\n"}, []),
        ("0::/\n", {}, []),
        ("0::/system.slice/shop.service\n",
         {"system.slice/shop.service/cpu.max": "max 100000\n", "system.slice/cpu.max": "200000 100000\n"}, [2.0]),
        ("0::/../../elsewhere\n", {"cpu.max": "50000 100000\n"}, [0.5]),
        ("4:cpu,cpuacct:/docker/1\n3:memory:/docker/1\n",
         {"cpu/docker/1/cpu.cfs_quota_us": "300000\n", "cpu/docker/1/cpu.cfs_period_us": "100000\n"}, [3.0]),
        ("4:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, []),
        ("4:cpu:/of/the/host\n", {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, [1.0]),
    ],
    ids=["v2", "v2 unlimited", "v2 root", "v2 parent", "v2 outside", "v1", "v1 unlimited", "v1 of the host"],
)  # fmt: skip
def test_quotas_are_read_from_the_group_and_its_parents(
    memberships: str, files: dict[str, str], quotas: list[float], tmp_path: Path
) -> None:
    assert list(cgroup_quotas(*system(tmp_path, memberships, files))) == quotas


def test_a_part_of_a_cpu_counts_as_one(tmp_path: Path) -> None:
    assert available_cpus(*system(tmp_path, "0::/\n", {"cpu.max": "10000 100000\n"})) == 1


def test_without_a_quota_it_is_the_affinity(tmp_path: Path) -> None:
    affinity = len(os.sched_getaffinity(0))
    assert available_cpus(tmp_path / "nothing", tmp_path) == affinity
    assert available_cpus(*system(tmp_path, "0::/\n", {"cpu.max": "99900000 100000\n"})) == affinity
