"""Resampling along a dimension as a product with a matrix of weights, computed on the host."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from disttorch.ops.matmul import matmul
from disttorch.tensor import Tensor

Rows = list[dict[int, Any]]  # for each output the weights of the inputs it is made of


def _cubic(slope: float) -> Callable[[float], float]:
    """The cubic convolution kernel with this slope at 1."""

    def kernel(x: float) -> float:
        x = abs(x)
        if x < 1:
            return ((slope + 2) * x - (slope + 3)) * x * x + 1
        if x < 2:
            return (((x - 5) * x + 8) * x - 4) * slope
        return 0.0

    return kernel


def _triangle(x: float) -> float:
    return max(0.0, 1 - abs(x))


def _lanczos(x: float) -> float:
    """sinc(x) sinc(x / 3) within 3."""
    if x == 0:
        return 1.0
    if not -3 <= x < 3:
        return 0.0
    t = math.pi * x
    return 3 * math.sin(t) * math.sin(t / 3) / (t * t)


# Kernel and half its width; the slope with antialiasing is that of other image libraries.
_KERNELS = {"bilinear": (_triangle, 1), "bicubic": (_cubic(-0.5), 2), "lanczos": (_lanczos, 3)}


def _step(n: int, n_out: int, scale: float | None, corners: bool) -> float:
    """Distance of neighbouring outputs, in inputs."""
    if corners:
        return (n - 1) / (n_out - 1) if n_out > 1 else 0.0
    return 1 / scale if scale else n / n_out


def _bicubic_row(x: float, n: int) -> dict[int, float]:
    """Weights of the four pixels around `x`; those beyond the border are the border's."""
    low, kernel = math.floor(x), _cubic(-0.75)
    row: dict[int, float] = {}
    for k in range(low - 1, low + 3):
        i = min(max(k, 0), n - 1)
        row[i] = row.get(i, 0.0) + kernel(x - k)
    return row


def _bilinear_row(i: int, step: float, n: int, corners: bool) -> dict[int, float]:
    """Weights of the two pixels around output `i`."""
    x = i * step if corners else max(0.0, (i + 0.5) * step - 0.5)
    low = min(int(x), n - 1)
    share = min(x - low, 1.0)
    high = min(low + 1, n - 1)
    return {low: 1.0} if high == low else {low: 1 - share, high: share}


def _smooth_row(centre: float, step: float, n: int, mode: str) -> dict[int, float]:
    """Weights of all pixels within the kernel, which is as wide as the step if that is over 1."""
    kernel, reach = _KERNELS[mode]
    stretch = max(step, 1.0)
    first = max(int(centre - reach * stretch + 0.5), 0)
    last = min(int(centre + reach * stretch + 0.5), n)
    row = {i: kernel((i - centre + 0.5) / stretch) for i in range(first, last)}
    total = sum(row.values())
    return {i: w / total for i, w in row.items()} if total else row


def resampling(
    n: int, n_out: int, scale: float | None, corners: bool, mode: str, antialias: bool
) -> Rows:
    """Return the weights that turn a length `n` into `n_out`."""
    step = _step(n, n_out, scale, corners)
    if mode == "bilinear" and not antialias:
        return [_bilinear_row(i, step, n, corners) for i in range(n_out)]
    if antialias:
        return [_smooth_row(step * (i + 0.5), step, n, mode) for i in range(n_out)]
    shift = 0.0 if corners else 0.5
    return [_bicubic_row((i + shift) * step - shift, n) for i in range(n_out)]


def resample(input: Any, dim: int, rows: Rows) -> Tensor:
    """Resample dimension `dim` of a floating tensor with these weights."""
    kind = input._array.dtype
    weights = Tensor._wrap(input.backend.asarray(_dense(rows, input.shape[dim]), kind))
    return matmul(input.transpose(dim, -1), weights.t()).transpose(dim, -1)


def _dense(rows: Rows, n: int) -> list[list[float]]:
    return [[row.get(i, 0.0) for i in range(n)] for row in rows]


def resample_bytes(input: Any, dim: int, rows: Rows) -> Tensor:
    """Resample dimension `dim` of an image of bytes, in fixed-point numbers of 16 bits.

    As PyTorch does: as many binary places as the largest weight leaves, rounded to bytes.
    """
    largest = max((w for row in rows for w in row.values()), default=0.0)
    places = 0
    while places < 22 and int(0.5 + largest * (1 << (places + 1))) < 1 << 15:
        places += 1
    scale = 1 << places
    fixed = [
        {i: int(w * scale + (0.5 if w >= 0 else -0.5)) for i, w in row.items()} for row in rows
    ]
    xp = input.backend.xp
    weights = input.backend.asarray(_dense(fixed, input.shape[dim]), "float64")
    moved = xp.swapaxes(input._array, dim, -1).astype("float64")
    total = xp.floor((xp.matmul(moved, weights.T) + scale // 2) / scale)
    y = xp.clip(total, 0, 255).astype(input._array.dtype)
    return Tensor._wrap(xp.swapaxes(y, dim, -1))
