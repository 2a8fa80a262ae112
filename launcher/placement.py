"""Which cores each rank gets and how many threads: the machine's answers put into the plan."""

import os
from collections.abc import Mapping

from disttorch_launcher.config import Bind, LaunchConfig
from disttorch_launcher.cores import (
    NUMA_ROOT,
    available_cores,
    cores_of_rank,
    numa_nodes,
    threads_per_rank,
)


def threads_for(config: LaunchConfig, outer: Mapping[str, str]) -> int:
    """Threads of each rank: as asked for, else its share of the cores."""
    return config.n_threads or threads_per_rank(available_cores(), config.n_ranks, outer)


def cores_for(config: LaunchConfig, local_rank: int) -> list[int]:
    """The cores that a rank is to be kept to; empty for no binding."""
    if config.bind is Bind.NONE or not hasattr(os, "sched_getaffinity"):
        return []
    nodes = numa_nodes(NUMA_ROOT, frozenset(os.sched_getaffinity(0)))
    return cores_of_rank(nodes, local_rank, config.n_ranks, whole_node=config.bind is Bind.NUMA)
