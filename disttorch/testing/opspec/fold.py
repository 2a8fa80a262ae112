"""Rows of `ops/fold.py` and `ops/shuffle.py`."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, floats, sample

_SKIP = {"0-d": "needs channels and an image"}


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _places(sizes: Any, kernel: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    """For every block and tap the pixel of the padded image; blocks row by row."""
    k, d, p, s = map(_pair, (kernel, dilation, padding, stride))
    out = [(sizes[i] + 2 * p[i] - d[i] * (k[i] - 1) - 1) // s[i] + 1 for i in (0, 1)]
    for block, (oy, ox) in enumerate(product(*map(range, out))):
        for tap, (ky, kx) in enumerate(product(*map(range, k))):
            yield block, tap, (oy * s[0] + ky * d[0], ox * s[1] + kx * d[1])


def _shape(sizes: Any, *window: Any) -> tuple[int, int]:
    places = list(_places(sizes, *window))
    return 1 + max(t for _, t, _ in places), 1 + max(b for b, _, _ in places)


def _unfold(
    x: np.ndarray, kernel: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> np.ndarray:
    window = (kernel, dilation, padding, stride)
    (p, q), sizes = _pair(padding), x.shape[-2:]
    padded = np.pad(x, [(0, 0)] * (x.ndim - 2) + [(p, p), (q, q)])
    n_taps, n_blocks = _shape(sizes, *window)
    y = np.zeros((*x.shape[:-2], n_taps, n_blocks))
    for block, tap, (row, column) in _places(sizes, *window):
        y[..., tap, block] = padded[..., row, column]
    return y.reshape(*x.shape[:-3], x.shape[-3] * n_taps, n_blocks)


def _fold(
    y: np.ndarray, sizes: Any, kernel: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> np.ndarray:
    window, sizes, (p, q) = (kernel, dilation, padding, stride), _pair(sizes), _pair(padding)
    n_taps, n_blocks = _shape(sizes, *window)
    n_channels = y.shape[-2] // n_taps
    columns = y.reshape(*y.shape[:-2], n_channels, n_taps, n_blocks)
    x = np.zeros((*y.shape[:-2], n_channels, sizes[0] + 2 * p, sizes[1] + 2 * q))
    for block, tap, (row, column) in _places(sizes, *window):
        x[..., row, column] += columns[..., tap, block]
    return x[..., p : p + sizes[0], q : q + sizes[1]]


def _pixel_shuffle(x: np.ndarray, r: int) -> np.ndarray:
    c, h, w = x.shape[-3:]
    y = np.zeros((*x.shape[:-3], c // (r * r), h * r, w * r))
    for i, j in product(range(r), range(r)):
        y[..., i::r, j::r] = x[..., i * r + j :: r * r, :, :]
    return y


def _pixel_unshuffle(x: np.ndarray, r: int) -> np.ndarray:
    c, h, w = x.shape[-3:]
    y = np.zeros((*x.shape[:-3], c * r * r, h // r, w // r))
    for i, j in product(range(r), range(r)):
        y[..., i * r + j :: r * r, :, :] = x[..., i::r, j::r]
    return y


def _channel_shuffle(x: np.ndarray, groups: int) -> np.ndarray:
    order = np.arange(x.shape[1]).reshape(groups, -1).T.reshape(-1)
    return x[:, order]


SPECS = (
    OpSpec(
        "unfold_blocks",
        ref=_unfold,
        samples=(
            sample(floats(2, 2, 3, 4), 2),
            sample(floats(1, 5, 4), (3, 2), dilation=(1, 2), padding=(1, 0), stride=2),
            sample(floats(0, 1, 3, 3), 2),
        ),
        skip=_SKIP,
    ),
    OpSpec(
        "fold",
        ref=_fold,
        samples=(
            sample(floats(2, 8, 6), (3, 4), 2),
            sample(floats(6, 6), (5, 4), (3, 2), dilation=(1, 2), padding=(1, 0), stride=(2, 1)),
            sample(floats(0, 4, 4), 3, 2),
        ),
        skip=_SKIP,
    ),
    OpSpec(
        "pixel_shuffle",
        ref=_pixel_shuffle,
        samples=(
            sample(floats(2, 4, 2, 3), 2),
            sample(floats(1, 2, 2), 1),
            sample(floats(0, 4, 1, 1), 2),
        ),
        skip=_SKIP,
    ),
    OpSpec(
        "pixel_unshuffle",
        ref=_pixel_unshuffle,
        samples=(
            sample(floats(1, 2, 4, 2), 2),
            sample(floats(1, 2, 2), 1),
            sample(floats(0, 1, 2, 2), 2),
        ),
        skip=_SKIP,
    ),
    OpSpec(
        "channel_shuffle",
        ref=_channel_shuffle,
        aliases=("native_channel_shuffle",),
        samples=(
            sample(floats(2, 6, 2), 3),
            sample(floats(1, 4, 1, 2), 2),
            sample(floats(0, 4, 1), 2),
        ),
        skip=_SKIP,
    ),
)
