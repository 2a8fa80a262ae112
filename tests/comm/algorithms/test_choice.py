"""Every way of every collective that has several, whatever the table would choose.

The result must be that of NumPy, and the same bits on all ranks, in 20 runs and by all ways.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ml_dtypes
import numpy as np
import pytest

from disttorch.comm.algorithms import choice, reach
from disttorch.comm.algorithms.choice import Way
from disttorch.comm.errors import PeerLostError
from disttorch.comm.group import ProcessGroup
from disttorch.comm.reduce_op import PremulSum, ReduceOp
from tests.comm.ranks import outcomes_of, run_ranks

WORLDS = (2, 3, 5, 8)
SIZES = (0, 1, 65, 70_001, 300_007)
# With more ranks than cores each step waits for the scheduler: then fewer cases must do.
FEW = (1, 70_001)
WAYS = {
    "all_reduce": (Way.DIRECT, Way.STREAMED, Way.SCATTERED, Way.REACH),
    "all_to_all": (Way.STAGED, Way.REACH),
}
KINDS = [
    (ReduceOp.SUM, np.dtype(np.float32)),
    (ReduceOp.AVG, np.dtype(ml_dtypes.bfloat16)),
    (ReduceOp.AVG, np.dtype(np.int16)),
    (ReduceOp.MAX, np.dtype(np.float64)),
    (PremulSum(0.5), np.dtype(np.complex64)),
    (ReduceOp.BXOR, np.dtype(np.bool_)),
]


@contextmanager
def forced(collective: str, way: Way) -> Iterator[None]:
    """Let the table choose nothing but `way`, in this process."""
    rows = choice.SHARED[collective]
    choice.SHARED[collective] = ((100, ((1 << 60, way),)),)
    try:
        yield
    finally:
        choice.SHARED[collective] = rows


def held(rank: int, size: int, dtype: np.dtype) -> np.ndarray:
    return (np.random.default_rng([rank, size]).normal(size=size) * 8).astype(dtype)


@pytest.mark.parametrize("n_ranks", WORLDS)
def test_all_reduce_gives_the_same_bits_in_every_way(n_ranks: int) -> None:
    def body(group: ProcessGroup) -> list[bytes]:
        seen = []
        for (op, dtype), size in itertools.product(*table):
            results = set()
            for way in WAYS["all_reduce"]:
                array = held(group.rank, size, dtype)
                with forced("all_reduce", way):
                    group.all_reduce(array, op)
                results.add(array.tobytes())
            assert len(results) == 1, (op, dtype, size)
            if op is ReduceOp.SUM:
                total = sum(held(rank, size, dtype).astype(float) for rank in range(n_ranks))
                np.testing.assert_allclose(array, total, rtol=1e-5, atol=1e-4)
            seen += results
        return seen

    table = (KINDS[:3], FEW) if n_ranks > 3 else (KINDS, SIZES)
    results = run_ranks(n_ranks, body)
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("way", WAYS["all_reduce"])
def test_all_reduce_gives_the_same_bits_in_twenty_runs(way: Way) -> None:
    def body(group: ProcessGroup) -> set[bytes]:
        seen = set()
        with forced("all_reduce", way):
            for _ in range(20):
                array = held(group.rank, 150_001, np.dtype(np.float32))
                group.all_reduce(array)
                seen.add(array.tobytes())
        return seen

    assert len(set.union(*run_ranks(3, body))) == 1


@pytest.mark.parametrize("n_ranks", WORLDS)
def test_all_to_all_in_every_way(n_ranks: int) -> None:
    def body(group: ProcessGroup) -> None:
        for way, size, dtype in itertools.product(WAYS["all_to_all"], (0, 1, 65, 30_001), dtypes):
            rows = [np.arange(n_ranks * size).reshape(n_ranks, size) % 97 + r
                    for r in range(n_ranks)]  # fmt: skip
            array, output = rows[group.rank].astype(dtype), np.zeros((n_ranks, size), dtype)
            with forced("all_to_all", way):
                group.all_to_all_single(output, array)
            wanted = np.stack([row[group.rank] for row in rows]).astype(dtype)
            assert output.tobytes() == wanted.tobytes()

    dtypes = ("f4", "?") if n_ranks > 3 else ("f4", "?", "M8[s]")
    run_ranks(n_ranks, body)


@pytest.mark.parametrize("in_place", [[0], [1], [0, 1, 2]])
def test_all_to_all_over_its_own_input_in_every_way(in_place: list[int]) -> None:
    def body(group: ProcessGroup) -> None:
        for way in WAYS["all_to_all"]:
            array = np.arange(3 * 100_003.0).reshape(3, -1) + group.rank
            output = array if group.rank in in_place else np.zeros_like(array)
            with forced("all_to_all", way):
                group.all_to_all_single(output, array)
            own = np.arange(3 * 100_003.0).reshape(3, -1)[group.rank]
            np.testing.assert_array_equal(output, [own + rank for rank in range(3)])

    run_ranks(3, body)


@pytest.mark.parametrize("dtype", ["u1", "f4", "S7", "V4096"])
def test_large_pieces_of_elements_of_any_size_are_streamed(dtype: str) -> None:
    def body(group: ProcessGroup) -> None:
        n_items = 1_300_007 // np.dtype(dtype).itemsize
        rows = [pattern(3 * r + group.rank, n_items) for r in range(3)]
        array = np.concatenate([pattern(3 * group.rank + r, n_items) for r in range(3)])
        output = np.zeros_like(array)
        with forced("all_to_all", Way.STAGED):
            group.all_to_all_single(output, array)
        assert output.tobytes() == b"".join(row.tobytes() for row in rows)

    def pattern(seed: int, n_items: int) -> np.ndarray:
        nbytes = n_items * np.dtype(dtype).itemsize
        return np.frombuffer(np.random.default_rng(seed).bytes(nbytes), dtype)

    run_ranks(3, body)


def test_ranks_that_may_not_read_each_other_take_another_way(monkeypatch) -> None:
    def body(group: ProcessGroup) -> tuple[bool | None, bool]:
        if group.rank == 1:
            monkeypatch.setattr(reach, "read_memory", refuse)
        array = np.full(70_001, group.rank + 1.0)
        with forced("all_reduce", Way.REACH), forced("all_to_all", Way.REACH):
            for _ in range(2):
                group.all_reduce(array)
            output = np.zeros(6)
            group.all_to_all_single(output, np.arange(6.0) + group.rank)
        assert output.tolist() == [x + 2 * group.rank + r for r in range(3) for x in (0, 1)]
        return group._context.reach.possible, bool((array == 18).all())

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    assert run_ranks(3, body) == [(False, True)] * 3


def test_a_rank_that_dies_while_it_is_read_is_named() -> None:
    def body(group: ProcessGroup) -> str:
        array = np.zeros(1_000_000)
        with forced("all_reduce", Way.REACH):
            group.all_reduce(array)
            if group.rank == 1:
                reach.read_memory = die
            with pytest.raises(PeerLostError, match="rank 1") as caught:
                group.all_reduce(array)
        return str(caught.value)

    def die(*_: object) -> None:
        os._exit(3)

    outcomes = outcomes_of(3, body)
    assert outcomes[1].result is None
    assert all("rank 1" in outcomes[rank].result for rank in (0, 2))
