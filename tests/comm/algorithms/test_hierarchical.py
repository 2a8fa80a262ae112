"""Ways of several hosts, on hosts that are pretended, against NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from disttorch.comm.algorithms import between_hosts, hierarchical
from disttorch.comm.algorithms.staged_reduce import stages_of
from disttorch.comm.deadline import Deadline
from disttorch.comm.group import ProcessGroup
from disttorch.comm.reduce_op import PremulSum, ReduceOp
from tests.comm import ranks
from tests.comm.ranks import run_ranks
from tests.comm.test_collectives import BFLOAT16, LARGE, OPS, check_close, reduced, values

# 2, 3, 5 and 8 ranks on two and three hosts, in order and not, evenly and not.
HOSTS = ["ab", "aab", "abc", "aaabc", "abaab", "abcabcab", "aaaabbbb"]
F32, I64 = np.dtype(np.float32), np.dtype(np.int64)
SMALL_SIZES, LARGE_DTYPES = (0, 1, 7), (F32, BFLOAT16, I64)
Case = tuple[ReduceOp, np.dtype, int]


def reductions(n_ranks: int) -> Iterator[Case]:
    """Every operation and dtype once, the common ones in all sizes.

    With more ranks than cores each step waits for the scheduler: then every sixth must do.
    """
    table = [(op, dtype, 1001) for op, dtypes in OPS for dtype in dtypes]
    yield from table[:: 6 if n_ranks > 3 else 1]
    yield from itertools.product((ReduceOp.SUM, ReduceOp.AVG), (F32, BFLOAT16), SMALL_SIZES)
    yield from ((ReduceOp.SUM, dtype, LARGE) for dtype in LARGE_DTYPES)


def moves() -> Iterator[tuple[np.dtype, int]]:
    """Dtypes of every width in all sizes."""
    yield from itertools.product(
        (np.dtype("u1"), BFLOAT16, F32, np.dtype("c16")), (*SMALL_SIZES, 1001)
    )
    yield from ((dtype, LARGE) for dtype in LARGE_DTYPES)


def deadline() -> Deadline:
    return Deadline.after(60)


def all_reduce(group: ProcessGroup) -> list[bytes]:
    seen = []
    for i, (op, dtype, size) in enumerate(reductions(group.size)):
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
    for op, dtype, n_items in reductions(group.size):
        size = min(n_items, 150_001)
        rows = [values(10 * group.rank + r, size, dtype) for r in range(group.size)]
        out = np.zeros(size, dtype)
        stages = stages_of(op, dtype, group._mesh.size)
        hierarchical.reduce_scatter(group._mesh, rows, out, size, stages, deadline())
        wanted = reduced(op, [values(10 * r + group.rank, size, dtype) for r in range(group.size)])
        check_close(out, wanted, (op, dtype, size))
    return []


def uneven(group: ProcessGroup) -> list[bytes]:
    sizes = [300_000 // (1 + r) if r != 1 else 0 for r in range(group.size)]
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


@pytest.mark.parametrize("hosts", HOSTS)
def test_every_way(hosts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "hosts", hosts)
    ways: tuple[Callable[[ProcessGroup], list[bytes]], ...] = (
        all_reduce, reduce_scatter, uneven, broadcast, gather
    )  # fmt: skip
    results = run_ranks(len(hosts), lambda group: [way(group) for way in ways])
    assert all(result == results[0] for result in results)


def test_bits_are_the_same_in_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "hosts", "aabb")

    def body(group: ProcessGroup) -> set[bytes]:
        seen = set()
        for _ in range(20):
            array = values(group.rank, 50_001, F32).copy()
            stages = stages_of(ReduceOp.AVG, F32, 4)
            hierarchical.all_reduce(group._mesh, array, stages, deadline())
            seen.add(array.tobytes())
        return seen

    results = run_ranks(4, body)
    assert len(set().union(*results)) == 1


@pytest.mark.parametrize("hosts", ["aabb", "aaabc", "abcabc"])
def test_what_leaves_a_host(hosts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 n (H - 1) / H bytes of an all_reduce, n (H - 1) of a broadcast, however many ranks."""
    monkeypatch.setattr(ranks, "hosts", hosts)
    n_hosts, array = len(set(hosts)), np.ones(1 << 20, np.float32)

    def body(group: ProcessGroup) -> list[int]:
        wire, sent = group._mesh.wire, []
        send = wire.send

        def counted(peer, kind, frames, argument=0):
            sent.append(sum(memoryview(frame).nbytes for frame in frames))
            send(peer, kind, frames, argument)

        wire.send = counted
        stages = stages_of(ReduceOp.SUM, F32, group._mesh.size)
        hierarchical.all_reduce(group._mesh, array, stages, deadline())
        between = [sum(sent)]
        sent.clear()
        between_hosts.broadcast(group._mesh, array, 0, deadline())
        return [*between, sum(sent)]

    results = run_ranks(len(hosts), body)
    for host in set(hosts):
        of_host = [result for result, at in zip(results, hosts, strict=True) if at == host]
        ideal = 2 * array.nbytes * (n_hosts - 1) / n_hosts
        assert 0.9 * ideal < sum(reduced for reduced, _ in of_host) < 1.1 * ideal
        moved = sum(moved for _, moved in of_host)
        assert moved < 1e5 or (host == hosts[0] and moved < 1.02 * array.nbytes * (n_hosts - 1))


@pytest.mark.parametrize("dtype", [np.dtype(np.float16), BFLOAT16, F32, I64], ids=str)
def test_a_factor_comes_last_and_halves_are_rounded_once(dtype: np.dtype) -> None:
    hosts = [[values(r, 1000, dtype) for r in ranks] for ranks in ((0, 1), (2, 3, 4))]
    for op in (PremulSum(0.5), ReduceOp.AVG, ReduceOp.SUM):
        stages = stages_of(op, dtype, 5)
        sums = [np.empty(1000, stages.between) for _ in hosts]
        for out, parts in zip(sums, hosts, strict=True):
            stages.first(out, parts)
        got = np.empty(1000, dtype)
        stages.second(got, sums)
        exact = np.sum([v.astype(np.float64) for parts in hosts for v in parts], axis=0)
        exact *= {PremulSum(0.5): 0.5, ReduceOp.AVG: 0.2, ReduceOp.SUM: 1}[op]
        if dtype is I64:
            np.testing.assert_array_equal(got, np.trunc(exact + 1e-9))
        else:
            # float32 sums of such values are exact to far less than half a step of 16 bits.
            wanted = exact.astype(dtype).astype(np.float64)
            assert np.mean(got.astype(np.float64) == wanted) > (
                0.99 if dtype.itemsize == 2 else 0.3
            )
