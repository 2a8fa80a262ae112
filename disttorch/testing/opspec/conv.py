"""Rows of `ops/conv.py`."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, Sample, floats, sample

Sizes = tuple[int, ...]

_SKIP = {"0-d": "needs a channel and spatial dimensions"}


def _tuple(value: Any, n: int) -> Sizes:
    return (value,) * n if isinstance(value, int) else tuple(value)


def _taps(kernel: Sizes) -> Any:
    return product(*(range(k) for k in kernel))


def _per_group(x: np.ndarray, w: np.ndarray, groups: int) -> Any:
    return zip(np.split(x, groups, 1), np.split(w, groups), strict=True)


def convolution(
    x: np.ndarray,
    w: np.ndarray,
    b: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> np.ndarray:
    """Sum over taps of strided slices of the padded input, one product a tap."""
    n = w.ndim - 2
    if x.ndim == n + 1:
        return convolution(x[None], w, b, stride, padding, dilation, groups)[0]
    stride, dilation, kernel = _tuple(stride, n), _tuple(dilation, n), w.shape[2:]
    spans = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if padding == "same":
        pads = [(s // 2, s - s // 2) for s in spans]
    else:
        pads = [(p, p) for p in _tuple(0 if padding == "valid" else padding, n)]
    x = np.pad(x, ((0, 0), (0, 0), *pads))
    sizes = [(m - s - 1) // t + 1 for m, s, t in zip(x.shape[2:], spans, stride, strict=True)]
    parts = []
    for xs, ws in _per_group(x, w, groups):
        y = np.zeros((x.shape[0], ws.shape[0], *sizes), x.dtype)
        for tap in _taps(kernel):
            window = tuple(
                slice(t * d, t * d + (m - 1) * s + 1, s)
                for t, d, m, s in zip(tap, dilation, sizes, stride, strict=True)
            )
            y += np.einsum("nc...,oc->no...", xs[(..., *window)], ws[(..., *tap)])
        parts.append(y)
    y = np.concatenate(parts, 1)
    return y if b is None else y + b.reshape(-1, *(1,) * n)


def transposed(
    x: np.ndarray,
    w: np.ndarray,
    b: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> np.ndarray:
    """Add each input pixel times the kernel into the output."""
    n = w.ndim - 2
    if x.ndim == n + 1:
        return transposed(x[None], w, b, stride, padding, output_padding, groups, dilation)[0]
    stride, dilation, kernel = _tuple(stride, n), _tuple(dilation, n), w.shape[2:]
    pads, extra = _tuple(padding, n), _tuple(output_padding, n)
    full = [
        (m - 1) * s + d * (k - 1) + 1 + o
        for m, s, d, k, o in zip(x.shape[2:], stride, dilation, kernel, extra, strict=True)
    ]
    parts = []
    for xs, ws in _per_group(x, w, groups):
        y = np.zeros((x.shape[0], ws.shape[1], *full), x.dtype)
        for tap in _taps(kernel):
            window = tuple(
                slice(t * d, t * d + (m - 1) * s + 1, s)
                for t, d, m, s in zip(tap, dilation, x.shape[2:], stride, strict=True)
            )
            y[(..., *window)] += np.einsum("nc...,co->no...", xs, ws[(..., *tap)])
        parts.append(y[(..., *(slice(p, m - p) for p, m in zip(pads, full, strict=True)))])
    y = np.concatenate(parts, 1)
    return y if b is None else y + b.reshape(-1, *(1,) * n)


def _conv(x: Sizes, w: Sizes, b: int | None = None, **kwargs: Any) -> Sample:
    bias = () if b is None else (floats(b),)
    return sample(floats(*x), floats(*w), *bias, **kwargs)


SPECS = (
    OpSpec(
        "conv1d",
        ref=convolution,
        samples=(
            _conv((2, 2, 6), (3, 2, 3), 3),
            _conv((2, 5), (2, 1, 2), stride=2, padding=1, groups=2),
            _conv((1, 1, 6), (1, 1, 2), padding="same", dilation=3),
            _conv((0, 2, 6), (3, 2, 3), 3),
        ),
        skip=_SKIP,
    ),
    OpSpec(
        "conv2d",
        ref=convolution,
        samples=(
            _conv((2, 2, 5, 4), (3, 2, 3, 2), 3),
            _conv((1, 17, 4, 4), (2, 17, 3, 3), padding=1),
            _conv((2, 3, 3, 2), (4, 3, 1, 1), 4),
            _conv((1, 2, 5, 5), (2, 2, 2, 3), stride=(2, 1), padding=(1, 2), dilation=(2, 1)),
            _conv((2, 4, 4, 4), (6, 2, 2, 2), 6, groups=2),
            _conv((1, 2, 4, 4), (4, 1, 3, 3), 4, padding=1, stride=2, groups=2),
            _conv((2, 4, 4), (1, 2, 2, 2), padding="valid"),
            _conv((1, 1, 4, 4), (1, 1, 2, 3), padding="same"),
            _conv((0, 2, 5, 4), (3, 2, 3, 2), 3),
        ),
        skip=_SKIP,
    ),
    OpSpec(
        "conv3d",
        ref=convolution,
        samples=(
            _conv((1, 2, 3, 4, 3), (2, 2, 2, 2, 1), 2),
            _conv((1, 1, 3, 3, 3), (1, 1, 2, 2, 2), stride=2, padding=1),
            _conv((0, 2, 3, 4, 3), (2, 2, 2, 2, 1)),
        ),
        skip=_SKIP,
    ),
    OpSpec(
        "conv_transpose1d",
        ref=transposed,
        samples=(
            _conv((2, 2, 4), (2, 3, 3), 3, stride=2, output_padding=1),
            _conv((2, 4), (2, 1, 2), groups=2),
            _conv((0, 2, 4), (2, 3, 3)),
        ),
        skip=_SKIP,
    ),
    OpSpec(
        "conv_transpose2d",
        ref=transposed,
        samples=(
            _conv((2, 2, 3, 3), (2, 3, 3, 2), 3),
            _conv((1, 9, 3, 3), (9, 8, 2, 2), stride=2, padding=1, output_padding=1),
            _conv((1, 2, 3, 3), (2, 1, 3, 3), 2, groups=2, dilation=2, output_padding=1),
            _conv((0, 2, 3, 3), (2, 3, 3, 2), 3),
        ),
        skip=_SKIP,
    ),
    OpSpec(
        "conv_transpose3d",
        ref=transposed,
        samples=(
            _conv((1, 2, 2, 2, 2), (2, 1, 2, 2, 2), 1, stride=2),
            _conv((0, 2, 2, 2, 2), (2, 1, 2, 2, 2)),
        ),
        skip=_SKIP,
    ),
)
