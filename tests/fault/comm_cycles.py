"""Joins and leaves a job over and over: `python -m tests.fault.comm_cycles 1000 [tcp] [public]`.

`public` goes through `init_process_group` and `destroy_process_group`, else through `ProcessGroup`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading

import numpy as np

import disttorch as torch
import disttorch.distributed as dist
from disttorch.comm.env import RankEnv
from disttorch.comm.group import ProcessGroup
from disttorch.comm.store import FileStore, PrefixStore, Store
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


def _cycle(rank: int, size: int, store: Store, i: int) -> None:
    with ProcessGroup.from_env(RankEnv(rank, size), store, 60.0) as group:
        array = np.ones(10)
        group.all_reduce(array, async_op=bool(i % 2)) and group.barrier()
        group.barrier()
        assert array[0] == size


def _public_cycle(rank: int, size: int, store: Store, i: int) -> None:
    dist.init_process_group(rank=rank, world_size=size, store=store, timeout=60.0)
    tensor = torch.ones(10)
    work = dist.all_reduce(tensor, async_op=bool(i % 2))
    if work is not None:
        work.wait()
    dist.barrier()
    dist.destroy_process_group()
    assert tensor[0] == size


def run(
    n_cycles: int, n_ranks: int = 2, *, public: bool = False
) -> list[tuple[dict[str, int], dict[str, int]]]:
    """For each rank, what it held after a few cycles and after all of them."""
    with tempfile.TemporaryDirectory() as folder:

        def body(outer: ProcessGroup) -> tuple[dict[str, int], dict[str, int]]:
            before: dict[str, int] = {}
            store = FileStore(f"{folder}/store")
            for i in range(n_cycles):
                if i == WARM_UP:
                    before = held()
                cycle = _public_cycle if public else _cycle
                cycle(outer.rank, outer.size, PrefixStore(str(i), store), i)
            return before, held()

        return run_ranks(n_ranks, body)


def check(n_cycles: int, *, public: bool = False) -> None:
    """Raise AssertionError if anything has grown with the cycles; print what each rank held."""
    for rank, (before, after) in enumerate(run(n_cycles, public=public)):
        print(f"rank {rank}: {before} after {WARM_UP} cycles, {after} after {n_cycles}")
        for name in ("descriptors", "threads", "tasks"):
            assert after[name] <= before[name] + 1, (name, before, after)
        # A leaked segment of a group would be 260 pages a cycle; the keys of the store remain.
        assert after["pages"] - before["pages"] < 3 * n_cycles + 1000, (before, after)


if __name__ == "__main__":
    if "tcp" in sys.argv:
        os.environ["DISTTORCH_TRANSPORT"] = "tcp"
    check(int(sys.argv[1]), public="public" in sys.argv)
    print(f"{sys.argv[1]} cycles: nothing left behind")
