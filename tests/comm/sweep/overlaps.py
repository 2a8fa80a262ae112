"""Collectives whose inputs and outputs overlap: as if all were read before any is written."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from disttorch.comm.group import ProcessGroup

SHIFTS = (0, 1, -1)


def memory_of(rank: int, size: int, n: int) -> np.ndarray:
    """What a rank has: room for an array of `n` from each of the ranks, and some around."""
    return np.arange((size + 2) * n, dtype=np.float64) + 1e6 * (rank + 1)


def blocks(memory: np.ndarray, size: int, n: int, shift: int = 0) -> list[np.ndarray]:
    """The arrays in the middle of a memory, `shift` items further."""
    return [memory[(1 + r) * n + shift :][:n] for r in range(size)]


Call = Callable[[ProcessGroup, list[np.ndarray], list[np.ndarray], int], None]
"""Given inputs and outputs in one memory; the last argument says which of them is used."""


def all_gather(g: ProcessGroup, given: list[np.ndarray], out: list[np.ndarray], i: int) -> None:
    g.all_gather(out, given[i])


def all_gather_into(
    g: ProcessGroup, given: list[np.ndarray], out: list[np.ndarray], i: int
) -> None:
    g.all_gather_into(_whole(out), given[i])


def gather(g: ProcessGroup, given: list[np.ndarray], out: list[np.ndarray], i: int) -> None:
    g.gather(given[i], out if g.rank == 0 else None, 0)


def scatter(g: ProcessGroup, given: list[np.ndarray], out: list[np.ndarray], i: int) -> None:
    g.scatter(out[i], given if g.rank == 0 else None, 0)


def reduce_scatter(g: ProcessGroup, given: list[np.ndarray], out: list[np.ndarray], i: int) -> None:
    g.reduce_scatter(out[i], given)


def reduce_scatter_from(
    g: ProcessGroup, given: list[np.ndarray], out: list[np.ndarray], i: int
) -> None:
    g.reduce_scatter_from(out[i], _whole(given))


def all_to_all(g: ProcessGroup, given: list[np.ndarray], out: list[np.ndarray], i: int) -> None:
    g.all_to_all(out, given[i:] + given[:i])


def all_to_all_single(
    g: ProcessGroup, given: list[np.ndarray], out: list[np.ndarray], i: int
) -> None:
    g.all_to_all_single(_whole(out), _whole(given))


def all_to_all_uneven(
    g: ProcessGroup, given: list[np.ndarray], out: list[np.ndarray], i: int
) -> None:
    # Of every second rank all but one item are for the first.
    n = given[0].size
    few = min(1, n)
    rows = [[n * g.size - few * (g.size - 1)] + [few] * (g.size - 1) for _ in range(g.size)]
    received = [row[g.rank] for row in rows]
    room = out[0].base[: sum(received)]
    g.all_to_all_single(room, _whole(given), received, rows[g.rank])


def _whole(arrays: list[np.ndarray]) -> np.ndarray:
    """Neighbours as one array."""
    first, n = arrays[0], arrays[0].size
    start = (first.ctypes.data - first.base.ctypes.data) // first.itemsize
    return first.base[start : start + n * len(arrays)]


CALLS: list[Call] = [
    all_gather, all_gather_into, gather, scatter, reduce_scatter, reduce_scatter_from, all_to_all,
    all_to_all_single, all_to_all_uneven,
]  # fmt: skip


def programs(size: int) -> Iterator[tuple[Call, int, int]]:
    """Every call, with every shift, and the array that is one's own, the first and the last."""
    yield from itertools.product(CALLS, SHIFTS, sorted({0, size - 1, -1}))


def check(group: ProcessGroup, n: int) -> int:
    """AssertionError if overlapping arrays of `n` items give other results than separate ones."""
    n_checks, size = 0, group.size
    for call, shift, which in programs(size):
        index = group.rank if which < 0 else which
        room = memory_of(group.rank, size * size, n)
        both, apart, given = room.copy(), room.copy(), room.copy()
        call(group, blocks(given, size, n, shift * (n // 3)), blocks(apart, size, n), index)
        call(group, blocks(both, size, n, shift * (n // 3)), blocks(both, size, n), index)
        what = f"{call.__name__}, {n} items, shift {shift}, array {index}"
        np.testing.assert_array_equal(both, apart, what)
        n_checks += 1
    return n_checks
