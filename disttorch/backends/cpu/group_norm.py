"""Group norm on NumPy, an image at a time: weight and bias of a channel go into the same passes."""

from __future__ import annotations

import numpy as np

from disttorch.backends.cpu.jit.rows import row_kernel, run_rows
from disttorch.backends.cpu.workers import run_pieces

Array = np.ndarray


def _wide(x: Array | None) -> Array | None:
    """Compute with 16-bit floats in float32."""
    return x if x is None or x.dtype.itemsize > 2 else x.astype(np.float32)


def _planes(x: Array) -> Array:
    """Lay (N, C, *S) out as contiguous (N * C, pixels)."""
    wide = np.ascontiguousarray(x if x.dtype.itemsize > 2 else x.astype(np.float32))
    return wide.reshape(x.shape[0] * x.shape[1], -1)


def group_norm_forward(
    x: Array, w: Array | None, b: Array | None, groups: int, eps: float
) -> tuple[Array, Array, Array]:
    """Normalise `groups` groups of channels of each image of (N, C, *S), scale by w, shift by b.

    w and b (C,). Returns y, mean and 1 / deviation (N * groups, 1); x must not be empty.
    """
    planes, w, b = _planes(x), _wide(w), _wide(b)
    n, c = x.shape[:2]
    depth = x.size // (n * groups)
    y = np.empty_like(planes)
    mean, scale = (np.empty((n * groups, 1), planes.dtype) for _ in range(2))
    kernel = row_kernel("group_norm", planes, w, b)
    if kernel is not None:
        numbers = groups, c // groups, planes.dtype.type(eps)
        run_rows(kernel, (planes, w, b, *numbers, y, mean, scale), (n * groups, depth))
        return y.reshape(x.shape), mean, scale
    source, target = (a.reshape(n * groups, depth) for a in (planes, y))
    ones = np.ones(depth, planes.dtype)

    def work(i: int) -> None:
        part = slice(i * groups, (i + 1) * groups)
        out = target[part]
        mean[part, 0] = source[part] @ ones / depth
        np.subtract(source[part], mean[part], out=out)
        scale[part, 0] = 1 / np.sqrt(np.vecdot(out, out) / depth + eps)
        factor = np.repeat(scale[part, 0], c // groups)
        images = y[i * c : (i + 1) * c]
        images *= (factor if w is None else factor * w)[:, None]
        if b is not None:
            images += b[:, None]

    run_pieces(work, n)
    return y.reshape(x.shape), mean, scale


def group_norm_backward(
    gy: Array, x: Array, w: Array | None, mean: Array, scale: Array, groups: int
) -> tuple[Array, Array, Array]:
    """Return the gradients of x, w and b, given that of `group_norm_forward`'s output."""
    g, planes, w = _planes(gy), _planes(x), _wide(w)
    n, c = x.shape[:2]
    depth, each = x.size // (n * groups), c // groups
    gx = np.empty_like(planes)
    gw, gb = np.empty((2, n, c), planes.dtype)
    kernel = row_kernel("group_norm_backward", g, planes, w)
    if kernel is not None:
        arrays = g, planes, w, mean, scale, groups, each, gx, gw.reshape(-1), gb.reshape(-1)
        run_rows(kernel, arrays, (n * groups, depth))
        return gx.reshape(x.shape), gw.sum(0), gb.sum(0)
    ones = np.ones(g.shape[1], g.dtype)

    def work(i: int) -> None:
        part, rows = slice(i * c, (i + 1) * c), slice(i * groups, (i + 1) * groups)
        deviation, out = np.repeat(scale[rows, 0], each), gx[part]
        np.subtract(planes[part], np.repeat(mean[rows], each, 0), out=out)
        gb[i] = g[part] @ ones
        gw[i] = np.vecdot(g[part], out) * deviation
        slope = deviation if w is None else deviation * w
        # gx = scale * (g * w - mean(g * w) - normalised x * mean(g * w * normalised x))
        along, total = (
            np.repeat((a if w is None else a * w).reshape(groups, each).sum(1) / depth, each)
            for a in (gw[i], gb[i])
        )
        out *= (-deviation * deviation * along)[:, None]
        out += g[part] * slope[:, None]
        out -= (deviation * total)[:, None]

    run_pieces(work, n)
    return gx.reshape(x.shape), gw.sum(0), gb.sum(0)
