"""Sums and running sums on NumPy arrays, by what is quick where NumPy's own loops are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from disttorch.backends.cpu.jit.rows import row_kernel, run_rows
from disttorch.backends.precision import rounded_once

Array = np.ndarray

_SMALL = 1 << 14  # below, NumPy's sum costs less than finding another way
# Up to here a product with ones costs a third of what it costs NumPy to set up a reduction.
_FEW = 1 << 8
# BLAS adds up in a few running totals, whose rounding errors all point one way when the elements
# are alike: rows of this length keep the error near that of NumPy's pairwise sum (2e-7).
_LONGEST_ROW = 1 << 8
_LONG_RUN = 128  # elements from which adding whole rows beats NumPy's running sum


def add_up(x: Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """Sum over `axis` (None: all) in x's dtype; few or many floats by BLAS, twice as fast."""
    n = x.size
    if 0 < n <= _FEW and not keepdims and (letter := x.dtype.char) in "fd":
        if axis is None:
            return x.ravel().dot(ones(n, letter))
        if x.ndim == 2 and axis in (1, (1,)):
            return x.dot(ones(x.shape[1], letter))
        if x.ndim == 2 and axis in (0, (0,)):
            return ones(x.shape[0], letter).dot(x)
    if n < _SMALL and x.itemsize != 2:  # what x.sum calls, with less ado
        return np.add.reduce(x, axis, x.dtype, None, keepdims)
    return _add_up_many(x, axis, keepdims)


@lru_cache(1 << 10)
def ones(shape: int | tuple[int, ...], char: str) -> Array:
    """Ones of a shape and a dtype's letter, which nobody may write to."""
    made = np.ones(shape, char)
    made.flags.writeable = False
    return made


@rounded_once
def _add_up_many(x: Array, axis: int | tuple[int, ...] | None, keepdims: bool) -> Array:
    if x.size >= _SMALL and x.dtype.char in "fd" and x.flags.c_contiguous:
        first = _first_of_trailing(axis, x.ndim)
        if first is not None:
            total = _row_sums(x.reshape(math.prod(x.shape[:first]), -1))
            return total.reshape(x.shape[:first] + (1,) * (x.ndim - first) * keepdims)
    return np.add.reduce(x, axis, x.dtype, None, keepdims)


def sum_squares(
    x: Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False
) -> Array:
    """Sum of squares over `axis` (None: all); float rows without the squares in between."""
    if x.size <= _FEW and axis is None and not keepdims and x.dtype.char in "fd" and x.size:
        flat = x.ravel()
        return flat.dot(flat)
    return _sum_squares_many(x, axis, keepdims)


@rounded_once
def _sum_squares_many(x: Array, axis: int | tuple[int, ...] | None, keepdims: bool) -> Array:
    if x.size >= _SMALL and x.dtype.char in "fd" and x.flags.c_contiguous:
        first = _first_of_trailing(axis, x.ndim)
        if first is not None:
            rows = x.reshape(math.prod(x.shape[:first]), -1)
            total = _in_blocks(rows, lambda x: np.vecdot(x, x))
            return total.reshape(x.shape[:first] + (1,) * (x.ndim - first) * keepdims)
    return add_up(x * x, axis, keepdims)


def log_sum_exp_of_rows(x: Array, axis: tuple[int, ...]) -> Array | None:
    """log(sum(exp(x))) over trailing dimensions, kept, by a kernel; None without one."""
    first = _first_of_trailing(axis, x.ndim)
    if first is None or not x.flags.c_contiguous:
        return None
    rows = x.reshape(math.prod(x.shape[:first]), -1)
    kernel = row_kernel("log_sum_exp", rows)
    if kernel is None:
        return None
    top, y = rows.max(1), np.empty(len(rows), x.dtype)
    run_rows(kernel, (rows, np.where(np.isfinite(top), top, np.float32(0)), y), rows.shape)
    return y.reshape(x.shape[:first] + (1,) * (x.ndim - first))


def _first_of_trailing(axis: int | tuple[int, ...] | None, ndim: int) -> int | None:
    """The first summed dimension if the summed ones are the last, else None."""
    if axis is None:
        return 0
    dims = sorted(d % ndim for d in (axis if isinstance(axis, tuple) else (axis,)))
    return dims[0] if dims == list(range(ndim - len(dims), ndim)) and dims else None


def _row_sums(rows: Array) -> Array:
    return _in_blocks(rows, lambda x: x @ np.ones(x.shape[-1], x.dtype))


def _in_blocks(rows: Array, total_of: Callable[[Array], Array]) -> Array:
    """Totals of rows (N, M): (N,), from those that `total_of` gives for short runs of them."""
    n = rows.shape[1]
    if n <= _LONGEST_ROW:
        return total_of(rows)
    whole = n - n % _LONGEST_ROW
    blocks = rows[:, :whole].reshape(len(rows), -1, _LONGEST_ROW)
    total = total_of(blocks).sum(1, dtype=rows.dtype)
    return total + total_of(rows[:, whole:]) if whole < n else total


def cumsum(x: Array, axis: int) -> Array:
    """Running sum along `axis` in x's dtype."""
    if x.itemsize != 2 and (x.size < _SMALL or x.dtype.char not in "fd"):
        return np.add.accumulate(x, axis, x.dtype)
    return _cumsum_of_many(x, axis)


@rounded_once
def _cumsum_of_many(x: Array, axis: int) -> Array:
    if x.size < _SMALL or x.dtype.char not in "fd":
        return np.add.accumulate(x, axis, x.dtype)
    axis %= x.ndim
    if axis == x.ndim - 1:
        return _cumsum_of_rows(x)
    if math.prod(x.shape[axis + 1 :]) < _LONG_RUN:
        return np.cumsum(x, axis=axis, dtype=x.dtype)
    y = np.empty(x.shape, x.dtype)
    source, target = np.moveaxis(x, axis, 0), np.moveaxis(y, axis, 0)
    target[0] = source[0]
    for i in range(1, len(source)):
        np.add(target[i - 1], source[i], out=target[i])
    return y


def _cumsum_of_rows(x: Array) -> Array:
    kernel = row_kernel("cumsum", rows := np.ascontiguousarray(x).reshape(-1, x.shape[-1]))
    if kernel is None:
        return np.cumsum(x, axis=-1, dtype=x.dtype)
    y = np.empty(rows.shape, x.dtype)
    run_rows(kernel, (rows, y), rows.shape)
    return y.reshape(x.shape)


def sum_like_torch(x: Array, dim: Any = None, keepdim: bool = False) -> Array:
    """`add_up` under PyTorch's names, for backward formulas."""
    return add_up(x, dim, keepdim)


def cumsum_like_torch(x: Array, dim: int) -> Array:
    """`cumsum` under PyTorch's names, for backward formulas."""
    return cumsum(x, dim)
