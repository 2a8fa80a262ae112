"""Rows of `ops/norm_native.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, floats, sample

_SKIP = {"0-d": "needs something to normalise over"}


def _normalised(x: np.ndarray, axes: Any, eps: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mean = x.mean(axes, keepdims=True)
    scale = 1 / np.sqrt(x.var(axes, keepdims=True) + eps)
    return (x - mean) * scale, mean, scale


def _layer(x: np.ndarray, shape: Any, w: Any, b: Any, eps: float) -> Any:
    y, mean, scale = _normalised(x, tuple(range(x.ndim - len(shape), x.ndim)), eps)
    return y * (1 if w is None else w) + (0 if b is None else b), mean, scale


def _group(x: np.ndarray, w: Any, b: Any, n: int, c: int, pixels: int, g: int, eps: float) -> Any:
    y, mean, scale = _normalised(x.reshape(n, g, c // g * pixels), 2, eps)
    each = (-1, *(1,) * (x.ndim - 2))
    y = y.reshape(x.shape) * w.reshape(each) + b.reshape(each)
    return y, mean[..., 0], scale[..., 0]


def _batch(x: np.ndarray, w: Any, b: Any, mean: Any, var: Any, training: bool, *more: Any) -> Any:
    eps, each = more[1], (-1, *(1,) * (x.ndim - 2))
    if not training:
        y = (x - mean.reshape(each)) / np.sqrt(var.reshape(each) + eps)
        return y * w.reshape(each) + b.reshape(each), np.zeros(0), np.zeros(0)
    y, centre, scale = _normalised(x, (0, *range(2, x.ndim)), eps)
    return y * w.reshape(each) + b.reshape(each), centre.reshape(-1), scale.reshape(-1)


SPECS = (
    OpSpec(
        "native_layer_norm",
        ref=_layer,
        samples=(
            sample(floats(2, 3), (3,), floats(3), floats(3), 1e-5),
            sample(floats(2, 2, 3), (2, 3), None, None, 1e-3),
            sample(floats(0, 3), (3,), floats(3), None, 1e-5),
        ),
        skip=_SKIP,
    ),
    OpSpec(
        "native_group_norm",
        ref=_group,
        samples=(
            sample(floats(2, 4, 3), floats(4), floats(4), 2, 4, 3, 2, 1e-5),
            sample(floats(0, 4, 3), floats(4), floats(4), 0, 4, 3, 2, 1e-5),
        ),
        skip=_SKIP,
    ),
    OpSpec(
        "native_batch_norm",
        ref=_batch,
        samples=(
            sample(floats(3, 2, 2), floats(2), floats(2), None, None, True, 0.1, 1e-5),
            sample(
                *(floats(3, 2), floats(2), floats(2), floats(2), floats(2, low=1)),
                *(False, 0.1, 1e-5),
            ),
            sample(
                *(floats(0, 2), floats(2), floats(2), floats(2), floats(2, low=1)),
                *(False, 0.1, 1e-5),
            ),
        ),
        skip={**_SKIP, "gradcheck": "running statistics take no gradient; batch_norm's row has it"},
    ),
)
