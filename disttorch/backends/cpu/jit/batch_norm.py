"""Batch norm by kernels over the planes (N * C, pixels) of images: two passes each way.

The sums of a plane come first, in several threads; those of a channel are then added up.
"""

from __future__ import annotations

import numpy as np

from disttorch.backends.cpu.jit.rows import row_kernel, run_rows

Array = np.ndarray


def forward(
    x: Array, w: Array | None, b: Array | None, eps: float
) -> tuple[Array, Array, Array] | None:
    """Return y, mean and variance for contiguous x (N, C, P); None where NumPy has to do it."""
    n, c, pixels = x.shape
    rows = x.reshape(n * c, pixels)
    moments, kernel = row_kernel("row_moments", rows, w, b), row_kernel("batch_norm", rows, w, b)
    if moments is None or kernel is None:
        return None
    means, squares = np.empty((2, n, c), x.dtype)
    run_rows(moments, (rows, means.reshape(-1), squares.reshape(-1)), rows.shape)
    mean = np.add.reduce(means, 0) / x.dtype.type(n)
    means -= mean  # what the squares of a plane lack, which were taken about its own mean
    squares += np.square(means, out=means) * x.dtype.type(pixels)
    variance = np.add.reduce(squares, 0) / x.dtype.type(n * pixels)
    scale = 1 / np.sqrt(variance + x.dtype.type(eps))
    slope = scale if w is None else scale * w
    y = np.empty_like(rows)
    run_rows(kernel, (rows, mean, slope, np.zeros_like(mean) if b is None else b, y), rows.shape)
    return y.reshape(x.shape), mean, variance


def backward(
    g: Array, x: Array, w: Array | None, mean: Array, variance: Array, eps: float
) -> tuple[Array, Array, Array] | None:
    """Return the gradients of contiguous x (N, C, P), w and b; None where NumPy has to do it."""
    n, c, pixels = x.shape
    grads, rows = (a.reshape(n * c, pixels) for a in (g, x))
    sums = row_kernel("batch_norm_sums", rows, grads, w, mean)
    kernel = row_kernel("batch_norm_backward", rows, grads, w, variance)
    if sums is None or kernel is None:
        return None
    total, along = np.empty((2, n, c), x.dtype)
    run_rows(sums, (grads, rows, mean, total.reshape(-1), along.reshape(-1)), rows.shape)
    scale = 1 / np.sqrt(variance + x.dtype.type(eps))
    gb, gw = np.add.reduce(total, 0), np.add.reduce(along, 0) * scale
    slope = scale if w is None else scale * w
    share = slope / x.dtype.type(n * pixels)
    gx = np.empty_like(rows)
    # gx = slope * (gy - mean(gy) - normalised x * mean(gy * normalised x))
    run_rows(kernel, (grads, rows, mean, slope, share * scale * gw, share * gb, gx), rows.shape)
    return gx.reshape(x.shape), gw, gb
