"""Adding at repeated indices on NumPy: `np.add.at` where it is quick, other ways elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray

# Below this many elements the set-up of the other ways costs more than `np.add.at`.
_SMALL = 64
# Up to this many repeats of a position, adding in turns beats summing runs (measured: 4 to 1 for
# 2000 rows of 256 at 1000 positions; for 5000 rows at 100 positions it is 1 to 2).
_MANY_TURNS = 16


def scatter_add(out: Array, index: Any, values: Any) -> None:
    """Do ``out[index] += values``; `index` is a NumPy index, repeated places add up."""
    key = index if isinstance(index, tuple) else (index,)
    arrays = [k for k in key if isinstance(k, np.ndarray)]
    if any(a.dtype.kind not in "iu" for a in arrays) or out.size < _SMALL:
        np.add.at(out, index, values)
    elif len(arrays) == 1 and arrays[0].size >= _SMALL // 4:
        axis = next(i for i, k in enumerate(key) if isinstance(k, np.ndarray))
        if all(k == slice(None) for k in key[:axis] + key[axis + 1 :]):
            _add_along(out, axis, arrays[0], values)
        else:
            np.add.at(out, index, values)
    elif len(arrays) == len(key) == out.ndim and out.flags.c_contiguous:
        _add_flat(out, arrays, values)
    else:
        np.add.at(out, index, values)


def _add_flat(out: Array, arrays: list[Array], values: Any) -> None:
    """Add at single elements: one flat index instead of one a dimension."""
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    flat = np.zeros(shape, np.intp)
    for n, a in zip(out.shape, arrays, strict=True):
        _check_bounds(a, n)
        flat *= n
        flat += np.where(a < 0, a + n, a) if a.size and a.min() < 0 else a
    added = np.broadcast_to(values, shape).reshape(-1)
    _add_1d(out.reshape(-1), flat.reshape(-1), added)


def _check_bounds(index: Array, n: int) -> None:
    if index.size and (index.min() < -n or index.max() >= n):
        raise IndexError(f"index out of bounds for size {n}")


def _add_1d(out: Array, flat: Array, values: Array) -> None:
    """Add at positions of a vector, which are not negative."""
    if out.dtype.char in "fd" and flat.size * 8 > out.size:
        out += np.bincount(flat, weights=values, minlength=out.size).astype(out.dtype, copy=False)
    else:
        np.add.at(out, flat, values)


def _add_along(out: Array, axis: int, index: Array, values: Any) -> None:
    """Add slices along one axis: in turns without repeats, or by sums of sorted runs."""
    n = out.shape[axis]
    _check_bounds(index, n)
    position = index.reshape(-1)
    position = np.where(position < 0, position + n, position)
    full = (*out.shape[:axis], *index.shape, *out.shape[axis + 1 :])
    spread = np.broadcast_to(values, full)
    target = np.moveaxis(out, axis, 0)
    rows = spread.reshape((*out.shape[:axis], position.size, *out.shape[axis + 1 :]))
    rows = np.moveaxis(rows, axis, 0)
    if out.ndim == 1 and out.flags.c_contiguous:
        _add_1d(out, position, rows)
        return
    order = np.argsort(position, kind="stable")
    ordered = position[order]
    first = np.concatenate(([True], ordered[1:] != ordered[:-1]))
    starts = np.flatnonzero(first)
    turn = np.arange(position.size) - starts[np.cumsum(first) - 1]
    n_turns = int(turn.max()) + 1
    if n_turns > _MANY_TURNS:
        target[ordered[starts]] += np.add.reduceat(rows[order], starts, axis=0, dtype=out.dtype)
        return
    for i in range(n_turns):  # no position occurs twice in a turn
        now = order[turn == i]
        target[position[now]] += rows[now]
