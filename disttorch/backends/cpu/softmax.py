"""Softmax on NumPy, a block at a time, so that its passes stay in the cache."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from disttorch.backends.cpu.jit.rows import row_kernel, run_rows
from disttorch.backends.cpu.sums import ones
from disttorch.backends.cpu.workers import run_pieces
from disttorch.backends.precision import rounded_once

Array = np.ndarray

_BLOCK = 1 << 15  # elements
_SMALL = 1 << 11  # elements up to which looking for a kernel or for blocks costs more than it saves


# Squares of float32 numbers that add up to less are of numbers within [-60, 60], whose exponentials
# neither overflow nor vanish: their largest need not be found and subtracted.
_TAME = 3600.0
_SPREAD = 1 << 12  # products up to which a total costs less for each element than broadcast


def _few(x: Array, dim: int, char: str) -> tuple[Array, Array, Array] | None:
    """x, exp(x) and its sums along the last dimension, spread over it, as `char`; None if not few.

    Few float32 numbers need no reductions, which cost NumPy a microsecond each to set up.
    """
    n = x.shape[-1]
    if x.dtype.char != "f" or x.ndim > 2 or dim != x.ndim - 1 or not 0 < x.size * n <= _SPREAD:
        return None
    flat = x.ravel()
    if not float(flat.dot(flat)) < _TAME:
        return None
    if not x.flags.c_contiguous:
        x = flat.reshape(x.shape)
    if char != "f":
        x = x.astype(char)
    y = np.exp(x)
    if x.ndim == 1:
        total = np.empty((), char)  # as an operand it takes half the time of a scalar
        y.dot(ones(n, char), total)
        return x, y, total
    if char == "f":  # all of a row over one total, so that equal scores stay equal
        return x, y, y.dot(ones(n, char))[:, None]
    return x, y, y.dot(ones((n, n), char))


def softmax(x: Array, dim: int) -> Array:
    """Return exp(x) over its sum along `dim`."""
    few = _few(x, dim, "f")
    if few is not None:
        return np.divide(few[1], few[2], few[1])
    return _softmax(x, dim)


@rounded_once
def _softmax(x: Array, dim: int) -> Array:
    if 0 < x.size <= _SMALL:
        y = np.subtract(x, np.maximum.reduce(x, dim, None, None, True), np.empty(x.shape, x.dtype))
        np.exp(y, y)
        return np.divide(y, np.add.reduce(y, dim, None, None, True), y)
    y = _by_kernel("softmax", x, dim)
    if y is not None:
        return y
    y = np.empty(x.shape, x.dtype)
    for source, out in _blocks(x, y, dim):
        np.subtract(source, source.max(1, keepdims=True), out=out)
        np.exp(out, out=out)
        np.divide(out, _sum(out), out=out)
    return y


def log_softmax(x: Array, dim: int) -> Array:
    """Return x minus the logarithm of the sum of exp(x) along `dim`."""
    few = _few(x, dim, "d")  # twice the digits, since nothing was subtracted first
    if few is not None:
        return np.subtract(few[0], np.log(few[2], few[2])).astype("f")
    return _log_softmax(x, dim)


@rounded_once
def _log_softmax(x: Array, dim: int) -> Array:
    if 0 < x.size <= _SMALL:
        y = np.subtract(x, np.maximum.reduce(x, dim, None, None, True), np.empty(x.shape, x.dtype))
        return np.subtract(y, np.log(np.add.reduce(np.exp(y), dim, None, None, True)), y)
    y = _by_kernel("log_softmax", x, dim)
    if y is not None:
        return y
    y = np.empty(x.shape, x.dtype)
    for source, out in _blocks(x, y, dim):
        np.subtract(source, source.max(1, keepdims=True), out=out)
        np.subtract(out, np.log(_sum(np.exp(out))), out=out)
    return y


def mean_class_loss(x: Array, classes: Array) -> Array | None:
    """Return the mean of -log softmax(x)[i, classes[i]] of x (N, C); None unless x is few."""
    few = _few(x, 1, "d") if x.ndim == 2 else None
    if few is None:
        return None
    n, n_classes = x.shape
    scores, _, totals = few
    losses = np.subtract(np.log(totals, totals), scores, scores)
    picked = losses.ravel()[classes + _row_starts(n, n_classes)]
    return np.array(picked.dot(ones(n, "d")) / n, "f")


def mean_class_slope(x: Array, classes: Array, g: Array) -> Array:
    """Return the gradient of x where `mean_class_loss` gave a loss, `g` being the loss's."""
    n, n_classes = x.shape
    y = softmax(x, 1)
    y.ravel()[classes + _row_starts(n, n_classes)] -= 1
    return np.multiply(y, g / np.float32(n), y)


@lru_cache(1 << 8)
def _row_starts(n: int, length: int) -> Array:
    """Where the rows of a contiguous (n, length) begin, in elements."""
    return np.arange(0, n * length, length)


@rounded_once
def softmax_backward(g: Array, y: Array, dim: int) -> Array:
    """Return the gradient of softmax's input, given that of its output `y`."""
    return _backward("softmax_backward", g, y, dim)


@rounded_once
def log_softmax_backward(g: Array, y: Array, dim: int) -> Array:
    """Return the gradient of log_softmax's input, given that of its output `y`."""
    return _backward("log_softmax_backward", g, y, dim)


def _backward(name: str, g: Array, y: Array, dim: int) -> Array:
    n = y.shape[dim]
    if y.size > _SMALL and dim == y.ndim - 1:
        rows, outputs = g.reshape(-1, n), y.reshape(-1, n)
        kernel = row_kernel(name, rows, outputs)
        if kernel is not None:
            gx = np.empty(y.shape, y.dtype)
            run_rows(kernel, (rows, outputs, gx.reshape(-1, n)), outputs.shape)
            return gx
    if name == "softmax_backward":
        gx = g * y
        gx -= y * np.add.reduce(gx, dim, gx.dtype, None, True)
        return gx
    gx = np.exp(y)
    gx *= np.add.reduce(g, dim, g.dtype, None, True)
    return np.subtract(g, gx, out=gx)


def _by_kernel(name: str, x: Array, dim: int) -> Array | None:
    """The result of a kernel, None where there is none for this array."""
    if not x.size or dim != x.ndim - 1:
        return None
    rows = x.reshape(-1, x.shape[dim])
    kernel = row_kernel(name, rows)
    if kernel is None:
        return None
    y = np.empty(rows.shape, x.dtype)
    step = max(1, _BLOCK // rows.shape[1])

    def work(i: int) -> None:
        part = slice(i * step, (i + 1) * step)
        block = rows[part]
        kernel(block, block.max(1), y[part], 0, len(block))

    run_pieces(work, -(-len(rows) // step))
    return y.reshape(x.shape)


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
    if block.shape[2] == 1 and block.dtype.kind == "f":
        return (block[..., 0] @ np.ones(block.shape[1], block.dtype))[:, None, None]
    return block.sum(1, keepdims=True, dtype=block.dtype)
