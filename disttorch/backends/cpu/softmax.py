"""Softmax on NumPy, a block at a time, so that its passes stay in the cache."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

Array = np.ndarray

_BLOCK = 1 << 15  # elements


def softmax(x: Array, dim: int) -> Array:
    """Return exp(x) over its sum along `dim`."""
    y = np.empty(x.shape, x.dtype)
    for source, out in _blocks(x, y, dim):
        np.subtract(source, source.max(1, keepdims=True), out=out)
        np.exp(out, out=out)
        np.divide(out, _sum(out), out=out)
    return y


def log_softmax(x: Array, dim: int) -> Array:
    """Return x minus the logarithm of the sum of exp(x) along `dim`."""
    y = np.empty(x.shape, x.dtype)
    for source, out in _blocks(x, y, dim):
        np.subtract(source, source.max(1, keepdims=True), out=out)
        np.subtract(out, np.log(_sum(np.exp(out))), out=out)
    return y


def _blocks(x: Array, y: Array, dim: int) -> Iterator[tuple[Array, Array]]:
    """Blocks (outer, n, inner) of input and output; `y` is contiguous."""
    if not x.size:
        return
    shape = math.prod(x.shape[:dim]), x.shape[dim], math.prod(x.shape[dim + 1 :])
    x, y = x.reshape(shape), y.reshape(shape)
    step = max(1, _BLOCK // (shape[1] * shape[2]))
    for i in range(0, shape[0], step):
        yield x[i : i + step], y[i : i + step]


def _sum(block: Array) -> Array:
    """Sum over the middle dimension, kept; BLAS sums rows faster than NumPy."""
    if block.shape[2] == 1 and block.dtype.kind == "f" and block.dtype.itemsize > 2:
        return (block[..., 0] @ np.ones(block.shape[1], block.dtype))[:, None, None]
    return block.sum(1, keepdims=True, dtype=block.dtype)
