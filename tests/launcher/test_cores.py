import math

import pytest

from disttorch_launcher.cores import (
    available_cores,
    cgroup_quota,
    cores_of_rank,
    n_gpus,
    numa_nodes,
    parse_cpu_list,
    threads_per_rank,
)


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


def test_cpu_list():
    assert parse_cpu_list("0-2,8,10-11\n") == {0, 1, 2, 8, 10, 11}
    assert parse_cpu_list("\n") == set()


def test_numa_nodes_have_the_cores_we_may_use(tmp_path):
    for node, cores in {"node0": "0-3", "node1": "4-7", "node2": "8-9"}.items():
        (tmp_path / node).mkdir()
        (tmp_path / node / "cpulist").write_text(f"{cores}\n")
    assert numa_nodes(tmp_path, frozenset({1, 2, 6})) == [[1, 2], [6]]
    assert numa_nodes(tmp_path / "none", frozenset({3, 1})) == [[1, 3]]
    assert numa_nodes(tmp_path, frozenset({1, 99})) == [[1, 99]]  # a core of no node


# (ranks, whole node): the cores of each rank on two nodes of three cores
BOUND = {
    (1, False): [[0, 1, 2, 4, 5, 6]],
    (2, False): [[0, 1, 2], [4, 5, 6]],
    (3, False): [[0, 1], [2, 4], [5, 6]],
    (8, False): [[0], [0], [1], [2], [4], [4], [5], [6]],
    (1, True): [[0, 1, 2]],
    (3, True): [[0, 1, 2], [0, 1, 2], [4, 5, 6]],
    (4, True): [[0, 1, 2], [0, 1, 2], [4, 5, 6], [4, 5, 6]],
}


@pytest.mark.parametrize(("n_ranks", "whole"), BOUND)
def test_cores_of_ranks(n_ranks, whole):
    nodes = [[0, 1, 2], [4, 5, 6]]
    found = [cores_of_rank(nodes, r, n_ranks, whole_node=whole) for r in range(n_ranks)]
    assert found == BOUND[n_ranks, whole]


def test_no_gpu_is_visible(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert n_gpus() == 0
