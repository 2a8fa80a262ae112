"""Normalisation on NumPy: sums as products with a vector of ones, everything else in place.

NumPy's own sums over the dimensions of a channel are several times slower than BLAS on the same
data, and each temporary costs a pass through memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from disttorch.backends.cpu.jit import batch_norm as by_kernel
from disttorch.backends.cpu.jit.rows import row_kernel, run_rows
from disttorch.backends.cpu.layout import channels_last_view, is_channels_last
from disttorch.backends.cpu.threads import get_num_threads
from disttorch.backends.cpu.workers import run_pieces

Array = np.ndarray

# Elements of a block of rows that stays in the cache between its passes.
_BLOCK = 1 << 17


class _PerChannel:
    """The two ways to see (N, C, *S) for sums a channel: planes (N, C, P) or pixels (M, C)."""

    def __init__(self, x: Array) -> None:
        self.shape, self.n_channels = x.shape, x.shape[1]
        self.as_pixels = x.ndim == 2 or is_channels_last(x)
        self.count = max(1, x.size // max(1, self.n_channels))  # values a channel

    def view(self, x: Array) -> Array:
        """Contiguous planes or pixels; a copy if memory is in another order."""
        if self.as_pixels:
            return np.ascontiguousarray(channels_last_view(x)).reshape(-1, max(1, self.n_channels))
        pixels = math.prod(self.shape[2:])
        return np.ascontiguousarray(x).reshape(self.shape[0], self.n_channels, pixels)

    def restore(self, x: Array) -> Array:
        """The logical (N, C, *S) of planes or pixels."""
        if not self.as_pixels:
            return x.reshape(self.shape)
        n, c, *sizes = self.shape
        return x.reshape(n, *sizes, c).transpose(0, len(sizes) + 1, *range(1, len(sizes) + 1))

    def each(self, per_channel: Array) -> Array:
        """Shape a value for each channel so that it broadcasts."""
        return per_channel if self.as_pixels else per_channel[:, None]

    def sum(self, x: Array) -> Array:
        """Sum a channel, (C,)."""
        if self.as_pixels:
            return np.ones(x.shape[0], x.dtype) @ x
        return (x @ np.ones(x.shape[2], x.dtype)).sum(0)

    def dot(self, x: Array, y: Array) -> Array:
        """Sum of products a channel, (C,)."""
        if self.as_pixels:
            return self.sum(x * y)
        return np.vecdot(x, y).sum(0)


def _wide(x: Array | None) -> Array | None:
    """Compute with 16-bit floats in float32."""
    return x if x is None or x.dtype.itemsize > 2 else x.astype(np.float32)


def batch_norm_forward(
    x: Array, w: Array | None, b: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """Normalise each channel of (N, C, *S), scale by w and shift by b (C,): y, mean, variance."""
    wide, w, b = _wide(x), _wide(w), _wide(b)
    channels = _PerChannel(wide)
    view = channels.view(wide)
    if not channels.as_pixels:
        found = by_kernel.forward(view, w, b, eps)
        if found is not None:
            y, mean, variance = found
            return channels.restore(y).astype(x.dtype, copy=False), mean, variance
    mean = channels.sum(view) / channels.count
    y = view - channels.each(mean)
    variance = channels.dot(y, y) / channels.count
    scale = 1 / np.sqrt(variance + eps)
    y *= channels.each(scale if w is None else scale * w)
    if b is not None:
        y += channels.each(b)
    return channels.restore(y).astype(x.dtype, copy=False), mean, variance


def batch_norm_backward(
    gy: Array, x: Array, w: Array | None, mean: Array, variance: Array, eps: float
) -> tuple[Array, Array, Array]:
    """Return the gradients of x, w and b, given that of `batch_norm_forward`'s output."""
    gy, x, w = _wide(gy), _wide(x), _wide(w)
    channels = _PerChannel(x)
    g, view = channels.view(gy), channels.view(x)
    if not channels.as_pixels:
        found = by_kernel.backward(g, view, w, mean, variance, eps)
        if found is not None:
            gx, gw, gb = found
            return channels.restore(gx), gw, gb
    gx = view - channels.each(mean)
    scale = 1 / np.sqrt(variance + eps)
    gb = channels.sum(g)
    gw = channels.dot(g, gx) * scale
    slope = scale if w is None else scale * w
    # gx = slope * (gy - mean(gy) - normalised x * mean(gy * normalised x))
    gx *= channels.each(-slope * scale * gw / channels.count)
    gx += g * channels.each(slope)
    gx -= channels.each(slope * gb / channels.count)
    return channels.restore(gx), gw, gb


def row_norm_forward(
    x: Array, w: Array | None, b: Array | None, eps: float
) -> tuple[Array, Array, Array]:
    """Normalise each row of (rows, D), scale by w and shift by b (D,).

    Returns y, mean and 1 / deviation (rows, 1).
    """
    x, w, b = np.ascontiguousarray(_wide(x)), _wide(w), _wide(b)
    y = np.empty_like(x)
    mean, scale = (np.empty((x.shape[0], 1), x.dtype) for _ in range(2))
    kernel = row_kernel("row_norm", x, w, b)
    if kernel is not None:
        run_rows(kernel, (x, w, b, x.dtype.type(eps), y, mean, scale), x.shape)
        return y, mean, scale
    ones = np.ones(x.shape[1], x.dtype)
    for part in _row_blocks(x):
        out = y[part]
        mean[part, 0] = x[part] @ ones / x.shape[1]
        np.subtract(x[part], mean[part], out=out)
        scale[part, 0] = 1 / np.sqrt(np.vecdot(out, out) / x.shape[1] + eps)
        out *= scale[part]
        if w is not None:
            out *= w
        if b is not None:
            out += b
    return y, mean, scale


def _row_blocks(x: Array) -> Iterator[slice]:
    step = max(1, _BLOCK // max(1, x.shape[1]))
    return (slice(i, i + step) for i in range(0, x.shape[0], step))


def row_norm_backward(
    gy: Array, x: Array, w: Array | None, mean: Array, scale: Array
) -> tuple[Array, Array, Array]:
    """Return the gradients of x (rows, D), w and b (D,), given that of `row_norm_forward`'s y."""
    gy, x = (np.ascontiguousarray(_wide(a)) for a in (gy, x))
    n = gy.shape[1]
    kernel = row_kernel("row_norm_backward", gy, x, _wide(w))
    if kernel is not None:
        return _backward_by_kernel(kernel, gy, x, _wide(w), mean, scale)
    gx, gw, gb = np.empty_like(gy), np.zeros(n, gy.dtype), np.zeros(n, gy.dtype)
    ones = np.ones(n, gy.dtype)
    for part in _row_blocks(gy):
        g, out = gy[part], gx[part]
        xhat = x[part] - mean[part]
        xhat *= scale[part]
        rows = np.ones(len(g), g.dtype)
        gb += rows @ g
        gw += rows @ np.multiply(g, xhat, out=out)
        if w is not None:
            g = np.multiply(g, w, out=out)
        # gx = scale * (g - mean(g) - xhat * mean(g * xhat))
        xhat *= (np.vecdot(g, xhat) / n)[:, None]
        xhat += (g @ ones / n)[:, None]
        np.subtract(g, xhat, out=out)
        out *= scale[part]
    return gx, gw, gb


def _backward_by_kernel(
    kernel: Callable[..., None], gy: Array, x: Array, w: Array | None, mean: Array, scale: Array
) -> tuple[Array, Array, Array]:
    """Let each thread add up gw and gb of its own rows."""
    gx, n_parts = np.empty_like(x), min(len(x), get_num_threads())
    gw, gb = np.zeros((2, n_parts, x.shape[1]), x.dtype)
    edges = [len(x) * i // n_parts for i in range(n_parts + 1)]

    def work(i: int) -> None:
        kernel(gy, x, w, mean, scale, gx, gw[i], gb[i], edges[i], edges[i + 1])

    run_pieces(work, n_parts)
    return gx, gw.sum(0), gb.sum(0)
