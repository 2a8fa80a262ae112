"""Joins and leaves a job over and over: `python -m tests.fault.comm_cycles 1000 [tcp]`."""

from __future__ import annotations

import os
import sys
import tempfile
import threading

import numpy as np

from disttorch.comm.env import RankEnv
from disttorch.comm.group import ProcessGroup
from disttorch.comm.store import FileStore, PrefixStore
from tests.comm.ranks import run_ranks

WARM_UP = 5


def held() -> dict[str, int]:
    """What this process holds that a cycle might leave behind."""
    with open("/proc/self/statm") as pages:
        resident = int(pages.read().split()[1])
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "tasks": len(os.listdir("/proc/self/task")),
        "pages": resident,
    }


def run(n_cycles: int, n_ranks: int = 2) -> list[tuple[dict[str, int], dict[str, int]]]:
    """For each rank, what it held after a few cycles and after all of them."""
    with tempfile.TemporaryDirectory() as folder:

        def body(outer: ProcessGroup) -> tuple[dict[str, int], dict[str, int]]:
            before: dict[str, int] = {}
            store = FileStore(f"{folder}/store")
            for i in range(n_cycles):
                if i == WARM_UP:
                    before = held()
                env = RankEnv(outer.rank, outer.size)
                with ProcessGroup.from_env(env, PrefixStore(str(i), store), 60.0) as group:
                    array = np.ones(10)
                    group.all_reduce(array, async_op=bool(i % 2)) and group.barrier()
                    group.barrier()
                    assert array[0] == outer.size
            return before, held()

        return run_ranks(n_ranks, body)


def check(n_cycles: int) -> None:
    """Raise AssertionError if anything has grown with the cycles."""
    for before, after in run(n_cycles):
        for name in ("descriptors", "threads", "tasks"):
            assert after[name] <= before[name] + 1, (name, before, after)
        # A leaked segment of a group would be 260 pages a cycle.
        assert after["pages"] - before["pages"] < 20 * n_cycles + 1000, (before, after)


if __name__ == "__main__":
    if "tcp" in sys.argv:
        os.environ["DISTTORCH_TRANSPORT"] = "tcp"
    check(int(sys.argv[1]))
    print(f"{sys.argv[1]} cycles: nothing left behind")
