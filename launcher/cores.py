"""How many cores this process may use, and each rank's share of them."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

CGROUP_ROOT = Path("/sys/fs/cgroup")
PROC_CGROUP = Path("/proc/self/cgroup")
NUMA_ROOT = Path("/sys/devices/system/node")


def threads_per_rank(n_cores: float, n_local_ranks: int, outer: Mapping[str, str]) -> int:
    """Threads of one rank: OMP_NUM_THREADS if the user set it, else the cores shared out, >= 1."""
    wanted = outer.get("OMP_NUM_THREADS", "")
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    return max(1, math.floor(n_cores / n_local_ranks))


def available_cores() -> float:
    """Cores this process may use: its affinity mask, or its cgroup's CPU quota if that is less."""
    masked = hasattr(os, "sched_getaffinity")
    n_cores = len(os.sched_getaffinity(0)) if masked else os.cpu_count() or 1
    return min(float(n_cores), cgroup_quota(CGROUP_ROOT, PROC_CGROUP))


def cgroup_quota(root: Path, proc_cgroup: Path) -> float:
    """The least CPU quota, in cores, of this process's cgroup and those above; inf without one."""
    try:
        lines = proc_cgroup.read_text().splitlines()
    except OSError:
        return math.inf
    quota = math.inf
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            quota = min(quota, _least(root, group, _v2_quota))
        elif "cpu" in controllers.split(","):
            quota = min(quota, _least(root / "cpu", group, _v1_quota))
    return quota


def _least(root: Path, group: str, read: Callable[[Path], float]) -> float:
    path = PurePosixPath(group.lstrip("/"))
    return min(read(root / folder) for folder in (path, *path.parents))


def _v2_quota(folder: Path) -> float:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # no such file, or the word "max"
        return math.inf


def _v1_quota(folder: Path) -> float:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return math.inf
    return quota / period if quota > 0 and period > 0 else math.inf


def n_gpus() -> int:
    """How many NVIDIA devices a rank may use: those of CUDA_VISIBLE_DEVICES, else all there are."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    n_devices = len(list(Path("/dev").glob("nvidia[0-9]*")))
    if visible is None or not n_devices:
        return n_devices
    named = [name.strip() for name in visible.split(",") if name.strip()]
    # CUDA takes the devices up to the first that there is not.
    return len(named[: named.index("-1")] if "-1" in named else named)


def numa_nodes(root: Path, cores: frozenset[int]) -> list[list[int]]:
    """The `cores` of each NUMA node, as `root` (/sys/devices/system/node) has it, else in one."""
    nodes = []
    for folder in sorted(root.glob("node[0-9]*"), key=lambda path: int(path.name[4:])):
        try:
            listed = parse_cpu_list((folder / "cpulist").read_text())
        except (OSError, ValueError):
            continue
        if usable := sorted(listed & cores):
            nodes.append(usable)
    known = {core for node in nodes for core in node}
    return nodes if known == cores else [sorted(cores)]


def parse_cpu_list(text: str) -> set[int]:
    """The numbers in the kernel's `0-3,8`."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def cores_of_rank(
    nodes: Sequence[Sequence[int]], local_rank: int, n_local_ranks: int, *, whole_node: bool
) -> list[int]:
    """The cores that a rank is kept to: a NUMA node's, or an equal share of all, node after node.

    Ranks share cores only where there are more ranks than cores.
    """
    if whole_node:
        return list(nodes[local_rank * len(nodes) // n_local_ranks])
    cores = [core for node in nodes for core in node]
    first = local_rank * len(cores) // n_local_ranks
    end = (local_rank + 1) * len(cores) // n_local_ranks
    return cores[first : max(end, first + 1)]
