import math

import pytest

from disttorch_launcher.cores import available_cores, cgroup_quota, threads_per_rank


@pytest.mark.parametrize(
    ("n_cores", "n_ranks", "outer", "threads"),
    [
        (8.0, 2, {}, 4),
        (8.0, 3, {}, 2),
        (2.0, 4, {}, 1),
        (1.5, 1, {}, 1),
        (8.0, 2, {"OMP_NUM_THREADS": "3"}, 3),
        (8.0, 2, {"OMP_NUM_THREADS": "0"}, 4),
        (8.0, 2, {"OMP_NUM_THREADS": "4,2"}, 4),
    ],
)
def test_threads_per_rank(n_cores, n_ranks, outer, threads):
    assert threads_per_rank(n_cores, n_ranks, outer) == threads


# name: (files below the cgroup root, /proc/self/cgroup, cores)
QUOTAS = {
    "none": ({}, "0::/\n", math.inf),
    "version 2": ({"a/b/cpu.max": "150000 100000\n"}, "0::/a/b\n", 1.5),
    "version 2, no limit": ({"a/b/cpu.max": "max 100000\n"}, "0::/a/b\n", math.inf),
    "version 2, the parent's": (
        {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "400000 100000\n"}, "0::/a/b\n", 4.0),
    "version 2, seen from inside a container": ({"cpu.max": "200000 100000\n"}, "0::/\n", 2.0),
    "version 1": (
        {"cpu/a/cpu.cfs_quota_us": "300000\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
        "4:memory:/a\n3:cpu,cpuacct:/a\n", 3.0),
    "version 1, no limit": (
        {"cpu/a/cpu.cfs_quota_us": "-1\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
        "3:cpu,cpuacct:/a\n", math.inf),
}  # fmt: skip


@pytest.mark.parametrize("name", QUOTAS)
def test_cgroup_quota(name, tmp_path):
    files, proc, n_cores = QUOTAS[name]
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "proc").write_text(proc)
    assert cgroup_quota(tmp_path, tmp_path / "proc") == n_cores


def test_this_machine_has_cores():
    assert 0 < available_cores() < math.inf
