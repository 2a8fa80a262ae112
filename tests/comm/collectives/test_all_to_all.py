"""Collectives whose ranks bring arrays of different sizes."""

from __future__ import annotations

import numpy as np
import pytest

from disttorch.comm.errors import CollectiveMismatchError
from disttorch.comm.group import ProcessGroup
from disttorch.comm.reduce_op import PremulSum, ReduceOp
from tests.comm.ranks import run_ranks

WORLDS = (1, 2, 3, 5)
# Items of the piece of rank r: none, few, more than a stage holds.
SIZES = {
    "small": lambda r: r,
    "one large": lambda r: 300_001 if r == 1 else 2,
    "all different": lambda r: 70_000 * r + 1,
}


def piece(sender: int, receiver: int, n_items: int) -> np.ndarray:
    return np.arange(n_items, dtype=np.float32) + 1000 * sender + receiver


def check_all_to_all(group: ProcessGroup, n_items: object) -> None:
    sizes = [[n_items(s + r) for r in range(group.size)] for s in range(group.size)]
    inputs = [piece(group.rank, r, sizes[group.rank][r]) for r in range(group.size)]
    outputs = [np.empty(sizes[s][group.rank], np.float32) for s in range(group.size)]
    group.all_to_all(outputs, inputs)
    for sender, output in enumerate(outputs):
        np.testing.assert_array_equal(output, piece(sender, group.rank, output.size))
    whole = np.empty(sum(out.size for out in outputs), np.float32)
    received = [out.size for out in outputs]
    group.all_to_all_single(whole, np.concatenate(inputs), received, sizes[group.rank])
    np.testing.assert_array_equal(whole, np.concatenate(outputs))


def check_all_gather(group: ProcessGroup, n_items: object) -> None:
    outputs = [np.empty(n_items(r), np.float32) for r in range(group.size)]
    group.all_gather(outputs, piece(group.rank, 0, n_items(group.rank)))
    for sender, output in enumerate(outputs):
        np.testing.assert_array_equal(output, piece(sender, 0, output.size))


def check_reduce_scatter(group: ProcessGroup, n_items: object) -> None:
    inputs = [piece(group.rank, r, n_items(r)) for r in range(group.size)]
    output = np.empty(n_items(group.rank), np.float32)
    group.reduce_scatter(output, inputs, ReduceOp.MAX)
    np.testing.assert_array_equal(output, piece(group.size - 1, group.rank, output.size))


@pytest.mark.parametrize("n_ranks", WORLDS)
def test_every_uneven_collective(n_ranks: int) -> None:
    def body(group: ProcessGroup) -> None:
        for n_items in SIZES.values():
            check_all_to_all(group, n_items)
            check_all_gather(group, n_items)
            check_reduce_scatter(group, n_items)

    run_ranks(n_ranks, body)


def test_rows_of_several_dimensions() -> None:
    def body(group: ProcessGroup) -> list[list[float]]:
        rows = np.arange(6.0).reshape(3, 2) + 10 * group.rank
        n_rows = [1, 2]
        output = np.empty((2 if group.rank == 0 else 4, 2))
        received = [1, 1] if group.rank == 0 else [2, 2]
        group.all_to_all_single(output, rows, received, n_rows)
        return output.tolist()

    zero, one = run_ranks(2, body)
    assert zero == [[0, 1], [10, 11]]
    assert one == [[2, 3], [4, 5], [12, 13], [14, 15]]


def test_sizes_that_do_not_fit_are_an_error_on_all_ranks() -> None:
    def body(group: ProcessGroup) -> None:
        inputs = [np.zeros(2), np.zeros(3 - group.rank)]
        with pytest.raises(
            CollectiveMismatchError, match="rank 0 sends 3 elements to rank 1, which expects 9"
        ):
            group.all_to_all([np.zeros(2), np.zeros(2)] if group.rank == 0 else
                             [np.zeros(9), np.zeros(2)], inputs)  # fmt: skip
        # Nobody is left in the middle of it.
        group.barrier()

    run_ranks(2, body)


def test_sizes_that_ranks_see_differently_are_a_table() -> None:
    def body(group: ProcessGroup) -> None:
        other = 3 + group.rank
        own = np.zeros(5)
        sizes = [5, other] if group.rank == 0 else [other, 5]
        with pytest.raises(CollectiveMismatchError, match=r"all_gather \(uneven\)"):
            group.all_gather([np.zeros(n) for n in sizes], own)

    run_ranks(2, body)


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        (([1, 1, 1], [2, 2]), "Number of tensor splits not equal to group size"),
        (([2, 2], [1, 2]), "Split sizes doesn't match total dim 0 size"),
        (([5, -1], [2, 2]), "Split sizes doesn't match total dim 0 size"),
    ],
)
def test_bad_splits(sizes: tuple[list[int], list[int]], text: str) -> None:
    def body(group: ProcessGroup) -> None:
        with pytest.raises(RuntimeError, match=text):
            group.all_to_all_single(np.zeros(4), np.zeros(4), *sizes)

    run_ranks(2, body)


DTYPES = ("bool", "uint8", "int64", "float16", "float32", "complex64")


@pytest.mark.parametrize("n_ranks", (1, 3))
def test_premultiplied_sums(n_ranks: int) -> None:
    def body(group: ProcessGroup) -> None:
        for dtype in DTYPES:
            array = np.array([0, 1, 4]).astype(dtype)
            group.all_reduce(array, PremulSum(0.5))
            wanted = np.array([0, 1, 4]).astype(dtype) * n_ranks * 0.5
            np.testing.assert_array_equal(array, wanted.astype(dtype), err_msg=dtype)

    run_ranks(n_ranks, body)


def test_factors_that_differ_are_a_mismatch() -> None:
    def body(group: ProcessGroup) -> None:
        with pytest.raises(CollectiveMismatchError, match="The reduction differs"):
            group.all_reduce(np.ones(3), PremulSum(0.5 + group.rank))

    run_ranks(2, body)
