"""Pooling on NumPy: a whole-array operation a tap of the window, one dimension after the other.

Shapes: x (N, C, *S), y (N, C, *S'). Arrays keep the memory layout of the input. For maxima the
position in each window is kept as a tap number in the smallest integer type, not as an index into
the image: four times less memory, and gradients go back by masks instead of a scatter.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from disttorch.backends.cpu.layout import empty_images, is_channels_last
from disttorch.backends.window import Sizes, Window

Array = np.ndarray

_BITS = {2: np.int16, 4: np.int32, 8: np.int64}


def max_pool(x: Array, window: Window, out_sizes: Sizes) -> Array:
    """Return the maximum of each window; NaN where a window holds one."""
    lowest = -np.inf if x.dtype.kind in "fV" else np.iinfo(x.dtype).min
    return _pool(np.maximum, lowest, x, window, out_sizes)


def sum_pool(x: Array, window: Window, out_sizes: Sizes) -> Array:
    """Return the sum of each window, padding counting as zero."""
    if _is_global(window, x.shape[2:], out_sizes) and x.flags.c_contiguous and x.dtype.kind == "f":
        pixels = x.reshape(-1, math.prod(x.shape[2:])) if x.size else x.reshape(0, 1)
        total = pixels @ np.ones(pixels.shape[1], x.dtype)  # BLAS sums faster than NumPy
        return total.reshape(*x.shape[:2], *out_sizes)
    return _pool(np.add, 0, x, window, out_sizes)


def _is_global(window: Window, sizes: Sizes, out_sizes: Sizes) -> bool:
    """Whether the only window is the whole image."""
    return all(
        m == 1 and window.covers(dim, n)
        for dim, (n, m) in enumerate(zip(sizes, out_sizes, strict=True))
    )


def _pool(
    combine: Callable[..., Array], neutral: float, x: Array, window: Window, out_sizes: Sizes
) -> Array:
    """Reduce windows with the ufunc `combine`, which must be separable over dimensions."""
    last = is_channels_last(x)
    for dim, n_out in enumerate(out_sizes):
        axis = dim + 2
        n = x.shape[axis]
        if n_out == 1 and window.covers(dim, n):
            x = combine.reduce(x, axis=axis, keepdims=True)  # type: ignore[attr-defined]
            continue
        shape = (*x.shape[:axis], n_out, *x.shape[axis + 1 :])
        y = empty_images(shape, x.dtype, last)
        lead = (slice(None),) * axis
        taps = window.tap_slices(dim, n, n_out)
        full = [inputs for outputs, inputs in taps if outputs == slice(0, n_out)]
        cut = [pair for pair in taps if pair[0] != slice(0, n_out)]
        if len(full) > 1:  # the first two taps at once save a pass
            combine(x[(*lead, full.pop())], x[(*lead, full.pop())], out=y)
        elif full:
            y[...] = x[(*lead, full.pop())]
        else:
            y.fill(neutral)
        for outputs, inputs in [(slice(0, n_out), i) for i in full] + cut:
            target = y[(*lead, outputs)]
            combine(target, x[(*lead, inputs)], out=target)
        x = y
    return x


def max_pool_taps(x: Array, y: Array, window: Window) -> Array:
    """Return which tap holds the maximum: the first of equals, the last NaN; y is max_pool(x)."""
    small = np.uint8 if window.n_taps < 256 else np.uint32
    taps = list(window.taps(x.shape[2:], y.shape[2:]))
    which = np.zeros_like(y, small)
    missing = np.ones_like(y, bool)
    for outputs, inputs in taps[:-1]:
        part = missing[(..., *outputs)]
        np.logical_and(part, x[(..., *inputs)] != y[(..., *outputs)], out=part)
        which += missing.view(np.uint8)
    if y.dtype.kind in "fV" and np.isnan(y).any():  # no comparison finds these
        for k, (outputs, inputs) in enumerate(taps):
            which[(..., *outputs)][np.isnan(x[(..., *inputs)])] = k
    return which


def tap_indices(which: Array, sizes: Sizes, window: Window) -> Array:
    """Return tap numbers as positions in the flattened image of spatial `sizes`, int64."""
    flat = np.zeros(which.shape, np.int64)
    rest = which.astype(np.int64)
    for dim in reversed(range(len(sizes))):
        n_out, kernel = which.shape[2 + dim], window.kernel[dim]
        start = np.arange(n_out) * window.stride[dim] - window.padding[dim]
        start = start.reshape(-1, *(1,) * (len(sizes) - dim - 1))
        flat += (start + rest % kernel * window.dilation[dim]) * int(np.prod(sizes[dim + 1 :]))
        rest //= kernel
    return flat


def pool_scatter(gy: Array, which: Array, sizes: Sizes, window: Window) -> Array:
    """Return (N, C, *sizes) with each element of gy (N, C, *S') added at its window's tap."""
    last = is_channels_last(gy)
    gx = empty_images((*gy.shape[:2], *sizes), gy.dtype, last)
    bits = _BITS[gy.dtype.itemsize]
    values = gy.view(bits)
    apart = all(
        k <= s and d == 1
        for k, s, d in zip(window.kernel, window.stride, window.dilation, strict=True)
    )
    if not (apart and _tiles(window, sizes, gy.shape[2:])):
        gx.fill(0)
    target = gx.view(bits)
    for k, (outputs, inputs) in enumerate(window.taps(sizes, gy.shape[2:])):
        # A mask of ones and zeros in the integers' bits: exact for NaN and inf, and fast.
        mask = np.negative((which[(..., *outputs)] == k).view(np.int8))
        part = values[(..., *outputs)]
        if apart:  # each element is in one window at most
            np.bitwise_and(part, mask, out=target[(..., *inputs)])
        else:
            gx[(..., *inputs)] += np.bitwise_and(part, mask).view(gy.dtype)
    return gx


def _tiles(window: Window, sizes: Sizes, out_sizes: Sizes) -> bool:
    """Whether windows that do not overlap leave no element out."""
    return not any(window.padding) and all(
        k == s and n == k * n_out
        for k, s, n, n_out in zip(window.kernel, window.stride, sizes, out_sizes, strict=True)
    )


def pool_gather(gx: Array, which: Array, window: Window) -> Array:
    """Return each window's element of gx (N, C, *S) at its tap: `pool_scatter`'s adjoint."""
    y = np.zeros_like(which, gx.dtype)
    for k, (outputs, inputs) in enumerate(window.taps(gx.shape[2:], which.shape[2:])):
        y[(..., *outputs)] += np.where(which[(..., *outputs)] == k, gx[(..., *inputs)], 0)
    return y


def sum_pool_backward(gy: Array, sizes: Sizes, window: Window) -> Array:
    """Return (N, C, *sizes) with each element of gy (N, C, *S') added to its whole window."""
    last = is_channels_last(gy)
    if _is_global(window, sizes, gy.shape[2:]):
        gx = empty_images((*gy.shape[:2], *sizes), gy.dtype, last)
        gx[...] = gy
        return gx
    for dim in reversed(range(len(sizes))):
        axis, n = dim + 2, sizes[dim]
        shape = (*gy.shape[:axis], n, *gy.shape[axis + 1 :])
        gx = empty_images(shape, gy.dtype, last)
        gx.fill(0)
        lead = (slice(None),) * axis
        for outputs, inputs in window.tap_slices(dim, n, gy.shape[axis]):
            gx[(*lead, inputs)] += gy[(*lead, outputs)]
        gy = gx
    return gy
