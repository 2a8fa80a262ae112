"""One rank of a job that times all ways of a collective; see `crossovers`.

A way is forced by writing it into the tables that the collectives choose by. Sizes are counted as
in those tables: bytes of the array that is given, for all_gather and reduce_scatter of a piece.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

import disttorch.distributed as dist
from benchmarks.interleave import Samples, interleaved, rounds_within, slowest
from benchmarks.measure import WARM_UP_STEPS
from disttorch.comm.algorithms import choice
from disttorch.comm.algorithms.choice import Way

KB, MB = 1 << 10, 1 << 20
BY_HOSTS, AS_CHOSEN, MOVED = "by hosts", "as chosen", "moved"
ONE_HOST, TCP, TWO_HOSTS = "one host", "tcp", "two hosts"
REPEATED = "one host, repeated"
LEAST_ROUNDS, MOST_ROUNDS = 5, 40
Call = tuple[Callable[[], object], Callable[[], object]]
Calls = dict[str, Call]
# A round of all ways that takes longer is the last of its case.
LONGEST_ROUND_S = 2.0


@dataclass(frozen=True)
class Case:
    """A collective, where its ranks are, and the ways it then has."""

    collective: str
    layout: str
    ways: tuple[str, ...]
    n_ranks: tuple[int, ...]
    sizes: tuple[int, ...]


def _powers(least: int, most: int) -> tuple[int, ...]:
    return tuple(1 << k for k in range(least.bit_length() - 1, most.bit_length()))


_ONE_HOST = (*_powers(16 * KB, 64 * MB), 100 * MB)
_TCP = _powers(16 * KB, 16 * MB)
_ALL_RANKS = (2, 4, 8)
_MOVES = ("movement", BY_HOSTS)
CASES = (
    Case("all_reduce", ONE_HOST, ("direct", "streamed", "scattered", "reach"), _ALL_RANKS,
         _ONE_HOST),
    Case("all_reduce", REPEATED, (AS_CHOSEN, MOVED), _ALL_RANKS,
         (*_powers(256 * KB, 64 * MB), 100 * MB)),
    Case("all_to_all", ONE_HOST, ("staged", "reach"), _ALL_RANKS, _ONE_HOST),
    Case("all_reduce", TCP,
         ("direct", "scattered", "doubling", "halving", "ring", "pairwise"), _ALL_RANKS, _TCP),
    Case("all_gather", TCP, ("staged", "ring", "pairwise"), _ALL_RANKS, _TCP),
    Case("reduce_scatter", TCP, ("staged", "ring", "pairwise"), _ALL_RANKS, _TCP),
    Case("broadcast", TCP, ("staged", "tree", "ring"), _ALL_RANKS, _TCP),
    Case("reduce", TCP, ("staged", "tree", "ring"), _ALL_RANKS, _TCP),
    Case("all_reduce", TWO_HOSTS, ("direct", "scattered", BY_HOSTS), (4, 8),
         _powers(32 * KB, 16 * MB)),
    *(Case(name, TWO_HOSTS, _MOVES, (4, 8), _powers(64 * KB, 8 * MB))
      for name in ("broadcast", "all_gather", "reduce_scatter")),
)  # fmt: skip


def environment(layout: str, rank: int, n_ranks: int) -> dict[str, str]:
    """What makes ranks of one machine take themselves to be where `layout` says."""
    return {
        ONE_HOST: {},
        REPEATED: {},
        TCP: {"DISTTORCH_TRANSPORT": "tcp"},
        TWO_HOSTS: {"DISTTORCH_HOST_ID": str(2 * rank // n_ranks)},
    }[layout]


def force(collective: str, way: str) -> None:
    """Let `collective` take this way from now on, whatever the size; alike on all ranks."""
    if collective in choice.BY_HOSTS_ABOVE:
        choice.BY_HOSTS_ABOVE[collective] = -1 if way == BY_HOSTS else sys.maxsize
    choice.REMAP_FROM_BYTES = 0 if way == MOVED else sys.maxsize
    if way not in (*_MOVES, AS_CHOSEN, MOVED):
        table = ((sys.maxsize, ((sys.maxsize, Way(way)),)),)
        choice.SHARED[collective] = choice.WIRE[collective] = choice.APART[collective] = table


def call_of(group: dist.ProcessGroup, collective: str, nbytes: int) -> Call:
    """A call of the collective on float32 arrays, and what rewrites what it reads."""
    n_items = nbytes // 4
    if collective in ("all_gather", "reduce_scatter"):
        part, whole = np.ones(n_items, np.float32), np.ones(n_items * group.size, np.float32)
    else:
        whole = np.ones(n_items, np.float32)
        part = np.ones_like(whole) if collective == "all_to_all" else whole
    read, call = {
        "all_reduce": (whole, lambda: group.all_reduce(whole)),
        "broadcast": (whole, lambda: group.broadcast(whole, 0)),
        "reduce": (whole, lambda: group.reduce(whole, 0)),
        "all_gather": (part, lambda: group.all_gather_into(whole, part)),
        "reduce_scatter": (whole, lambda: group.reduce_scatter_from(part, whole)),
        "all_to_all": (whole, lambda: group.all_to_all_single(part, whole)),
    }[collective]
    return call, lambda: read.fill(1.0)


def timed(
    group: dist.ProcessGroup, case: Case, seconds: float, most_bytes: int
) -> Iterator[tuple[int, dict[str, float]]]:
    """Each size with the seconds of each way, about `seconds` a size; equal on all ranks."""
    for nbytes in (size for size in case.sizes if size <= most_bytes):
        # Arrays that have been moved would be slower in all other ways.
        calls = {way: call_of(group, case.collective, nbytes) for way in case.ways}

        def forced(way: str, call: Callable[[], object]) -> Callable[[], object]:
            def step() -> None:
                force(case.collective, way)
                call()

            return step

        def rewrite(calls: Calls = calls) -> None:
            for _, fill in calls.values():
                fill()

        ways = {way: forced(way, call) for way, (call, _) in calls.items()}
        if MOVED in ways:
            interleaved({MOVED: ways[MOVED]}, rewrite, group.barrier, WARM_UP_STEPS)
        begun_s = time.perf_counter()
        interleaved(ways, rewrite, group.barrier, 1)
        round_s = max(group.all_gather_object(time.perf_counter() - begun_s))
        rounds = rounds_within(seconds, round_s, LEAST_ROUNDS, MOST_ROUNDS)
        taken: list[Samples] = group.all_gather_object(
            interleaved(ways, rewrite, group.barrier, rounds)
        )
        yield nbytes, slowest(taken)
        if round_s > LONGEST_ROUND_S:
            return


def main() -> None:
    """Time a case; rank 0 prints a JSON line for each size.

    Arguments: the number of the case, seconds a size, the greatest size, a file for the store.
    """
    case, seconds, most_bytes = CASES[int(sys.argv[1])], float(sys.argv[2]), int(sys.argv[3])
    store = sys.argv[4]
    rank, n_ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group(
        init_method=f"file://{store}", rank=rank, world_size=n_ranks, timeout=60
    )
    group = dist.group.WORLD
    assert group is not None
    for nbytes, by_way in timed(group, case, seconds, most_bytes):
        if rank == 0:
            print(json.dumps([nbytes, by_way]), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
