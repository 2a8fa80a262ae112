"""The table of ways of several hosts against NumPy: `python -m tests.comm.algorithms.host_ways`.

The suite runs a part of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from disttorch.comm.algorithms import between_hosts, hierarchical
from disttorch.comm.algorithms.staged_reduce import stages_of
from disttorch.comm.deadline import Deadline
from disttorch.comm.group import ProcessGroup
from disttorch.comm.reduce_op import ReduceOp
from tests.comm import ranks
from tests.comm.ranks import run_ranks
from tests.comm.test_collectives import BFLOAT16, OPS, check_close, reduced, values

# 2, 3, 5 and 8 ranks on two and three hosts, in order and not, evenly and not.
HOSTS = ["ab", "aab", "abc", "aaabc", "abaab", "abcabcab", "aaaabbbb"]
F32, I64 = np.dtype(np.float32), np.dtype(np.int64)
SMALL_SIZES, LARGE_DTYPES = (0, 1, 7), (F32, BFLOAT16, I64)
# Several chunks in stages of so many bytes.
LARGE, STAGE_BYTES = 70_001, 128 << 10
Case = tuple[ReduceOp, np.dtype, int]

every = 1
"""One case of so many is run; the suite takes few."""


def reductions() -> Iterator[Case]:
    """Every operation and dtype once, the common ones in all sizes."""
    yield from thinned([(op, dtype, 1001) for op, dtypes in OPS for dtype in dtypes])
    sizes = itertools.product((ReduceOp.SUM, ReduceOp.AVG), (F32, BFLOAT16), SMALL_SIZES)
    yield from thinned(list(sizes))
    yield from thinned([(ReduceOp.SUM, dtype, LARGE) for dtype in LARGE_DTYPES])


def moves() -> Iterator[tuple[np.dtype, int]]:
    """Dtypes of every width in all sizes."""
    dtypes = (np.dtype("u1"), BFLOAT16, F32, np.dtype("c16"))
    yield from thinned(list(itertools.product(dtypes, (*SMALL_SIZES, 1001))))
    yield from thinned([(dtype, LARGE) for dtype in LARGE_DTYPES])


def thinned(table: list[Any]) -> list[Any]:
    """The cases of `table` that are run."""
    return table[1::every] or table[-1:] if every > 1 else table


def deadline() -> Deadline:
    return Deadline.after(60)


def all_reduce(group: ProcessGroup) -> list[bytes]:
    seen = []
    for i, (op, dtype, size) in enumerate(reductions()):
        array = values(group.rank, size, dtype).copy()
        stages = stages_of(op, dtype, group._mesh.size)
        hierarchical.all_reduce(group._mesh, array, stages, deadline())
        seen.append(array.tobytes())
        # All ranks' bits are compared, so it is enough that one of them is right.
        if i % group.size == group.rank:
            wanted = reduced(op, [values(r, size, dtype) for r in range(group.size)])
            check_close(array, wanted, (op, dtype, size))
    return seen


def reduce_scatter(group: ProcessGroup) -> list[bytes]:
    for op, dtype, n_items in reductions():
        size = min(n_items, 20_001)
        rows = [values(10 * group.rank + r, size, dtype) for r in range(group.size)]
        out = np.zeros(size, dtype)
        stages = stages_of(op, dtype, group._mesh.size)
        hierarchical.reduce_scatter(group._mesh, rows, out, size, stages, deadline())
        wanted = reduced(op, [values(10 * r + group.rank, size, dtype) for r in range(group.size)])
        check_close(out, wanted, (op, dtype, size))
    return []


def uneven(group: ProcessGroup) -> list[bytes]:
    sizes = [60_000 // (1 + r) if r != 1 else 0 for r in range(group.size)]
    rows = [values(10 * group.rank + r, size, I64) for r, size in enumerate(sizes)]
    out = np.zeros(sizes[group.rank], I64)
    stages = stages_of(ReduceOp.SUM, I64, group._mesh.size)
    hierarchical.reduce_scatter(group._mesh, rows, out, max(sizes), stages, deadline())
    np.testing.assert_array_equal(
        out, sum(values(10 * r + group.rank, out.size, I64) for r in range(group.size))
    )
    outs = [np.zeros(size, I64) for size in sizes]
    own = values(group.rank, sizes[group.rank], I64)
    between_hosts.gather(group._mesh, outs, own, deadline(), max(sizes))
    for r, got in enumerate(outs):
        np.testing.assert_array_equal(got, values(r, sizes[r], I64))
    return []


def broadcast(group: ProcessGroup) -> list[bytes]:
    for i, (dtype, size) in enumerate(moves()):
        root = i % group.size
        array = values(group.rank, size, dtype).copy()
        between_hosts.broadcast(group._mesh, array, root, deadline())
        np.testing.assert_array_equal(array, values(root, size, dtype))
    return []


def gather(group: ProcessGroup) -> list[bytes]:
    for dtype, size in moves():
        outs = [np.zeros(size, dtype) for _ in range(group.size)]
        between_hosts.gather(group._mesh, outs, values(group.rank, size, dtype), deadline())
        for r, out in enumerate(outs):
            np.testing.assert_array_equal(out, values(r, size, dtype))
    return []


def check(hosts: str) -> None:
    """Run every way on ranks of these hosts; raises RankFailed for a wrong result."""
    ways: tuple[Callable[[ProcessGroup], list[bytes]], ...] = (
        all_reduce, reduce_scatter, uneven, broadcast, gather
    )  # fmt: skip

    def body(group: ProcessGroup) -> list[list[bytes]]:
        group._mesh.stage_bytes = STAGE_BYTES
        return [way(group) for way in ways]

    ranks.hosts = hosts
    try:
        results = run_ranks(len(hosts), body)
    finally:
        ranks.hosts = ""
    assert all(result == results[0] for result in results)


def main() -> None:
    """Run the whole table."""
    for hosts in HOSTS:
        check(hosts)
        print(f"{hosts}: right")


if __name__ == "__main__":
    main()
