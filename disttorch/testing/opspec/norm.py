"""Rows of `ops/norm*.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.nn.functional import batch_norm
from disttorch.ops.norm import batch_norm as fixed_norm
from disttorch.ops.norm import instance_norm
from disttorch.testing.opspec.spec import OpSpec, Sample, array, floats, sample

_SKIP = {"0-d": "needs channels"}
_EPS = 1e-2


def _normalised(x: np.ndarray, dims: Any, eps: float) -> np.ndarray:
    if not x.size:
        return x
    return (x - x.mean(dims, keepdims=True)) / np.sqrt(x.var(dims, keepdims=True) + eps)


def _affine(x: np.ndarray, w: Any, b: Any) -> np.ndarray:
    each = (-1, *(1,) * (x.ndim - 2))
    x = x if w is None else x * w.reshape(each)
    return x if b is None else x + b.reshape(each)


def _batch(x: np.ndarray, w: Any = None, b: Any = None, eps: float = _EPS) -> np.ndarray:
    return _affine(_normalised(x, (0, *range(2, x.ndim)), eps), w, b)


def _fixed(x: np.ndarray, w: Any, b: Any, mean: np.ndarray, var: np.ndarray, *_: Any) -> np.ndarray:
    each = (-1, *(1,) * (x.ndim - 2))
    return _affine((x - mean.reshape(each)) / np.sqrt(var.reshape(each) + _EPS), w, b)


def _instance(x: np.ndarray, w: Any, b: Any, *_: Any) -> np.ndarray:
    return _affine(_normalised(x, tuple(range(2, x.ndim)), _EPS), w, b)


def _layer(x: np.ndarray, shape: Any, w: Any = None, b: Any = None, eps: float = 1e-5) -> Any:
    y = _normalised(x, tuple(range(x.ndim - len(shape), x.ndim)), eps)
    y = y if w is None else y * w
    return y if b is None else y + b


def _group(x: np.ndarray, groups: int, w: Any = None, b: Any = None, eps: float = 1e-5) -> Any:
    rows = x.reshape(x.shape[0], groups, x[0].size // groups if x.size else 0)
    return _affine(_normalised(rows, 2, eps).reshape(x.shape), w, b)


def _rms(x: np.ndarray, shape: Any, w: Any = None, eps: float = _EPS) -> np.ndarray:
    dims = tuple(range(x.ndim - len(shape), x.ndim))
    y = x / np.sqrt((x * x).mean(dims, keepdims=True) + eps) if x.size else x
    return y if w is None else y * w


def _with_affine(*shapes: tuple[int, ...], **kwargs: Any) -> tuple[Sample, ...]:
    made = []
    for shape in shapes:
        c = shape[1]
        made += [
            sample(floats(*shape), **kwargs),
            sample(floats(*shape), floats(c), floats(c), **kwargs),
        ]
    return tuple(made)


_MEAN, _VAR = array([0.5, -1.0]), array([0.7, 2.0])

SPECS = (
    OpSpec(
        "batch_norm",
        op=lambda x, w=None, b=None, eps=_EPS: batch_norm(x, None, None, w, b, True, eps=eps),
        ref=_batch,
        samples=_with_affine((4, 2), (3, 2, 2), (2, 3, 2, 2), (0, 2, 3)),
        skip=_SKIP,
    ),
    OpSpec(
        "batch_norm_eval",
        op=lambda x, w, b, m, v: fixed_norm(x, w, b, m.detach(), v.detach(), False, 0.1, _EPS),
        ref=_fixed,
        samples=(
            sample(floats(3, 2), None, None, _MEAN, _VAR),
            sample(floats(2, 2, 3), floats(2), floats(2), _MEAN, _VAR),
            sample(floats(2, 2, 3), floats(2), None, _MEAN, _VAR),
            sample(floats(0, 2, 3), floats(2), floats(2), _MEAN, _VAR),
        ),
        skip={**_SKIP, "gradcheck": "statistics take no gradient; the next row is differentiated"},
    ),
    OpSpec(
        "batch_norm_fixed",
        op=lambda x, w, b: fixed_norm(
            x,
            w,
            b,
            x.new_tensor([0.5, -1.0]),
            x.new_tensor([0.7, 2.0]),
            False,
            0.1,
            _EPS,
        ),
        ref=lambda x, w, b: _fixed(x, w, b, np.array([0.5, -1.0]), np.array([0.7, 2.0])),
        samples=(
            sample(floats(3, 2), None, None),
            sample(floats(2, 2, 3), floats(2), floats(2)),
            sample(floats(0, 2, 3), floats(2), floats(2)),
        ),
        skip=_SKIP,
    ),
    OpSpec(
        "instance_norm",
        op=lambda x, w, b: instance_norm(x, w, b, None, None, True, 0.1, _EPS),
        ref=_instance,
        samples=(
            sample(floats(2, 2, 4), None, None),
            sample(floats(2, 2, 2, 2), floats(2), floats(2)),
            sample(floats(0, 2, 4), None, None),
        ),
        skip=_SKIP,
    ),
    OpSpec(
        "layer_norm",
        ref=_layer,
        samples=(
            sample(floats(3, 4), (4,), eps=_EPS),
            sample(floats(2, 3, 2), (3, 2), floats(3, 2), floats(3, 2), eps=_EPS),
            sample(floats(2, 2, 3), (3,), floats(3), eps=_EPS),
            sample(floats(0, 4), (4,), floats(4), floats(4)),
        ),
        skip=_SKIP,
    ),
    OpSpec(
        "group_norm",
        ref=_group,
        samples=(
            sample(floats(2, 4, 3), 2, eps=_EPS),
            sample(floats(2, 4, 2, 2), 4, floats(4), floats(4), eps=_EPS),
            sample(floats(3, 4), 1, floats(4), floats(4), eps=_EPS),
            sample(floats(0, 4, 2), 2, floats(4)),
        ),
        skip=_SKIP,
    ),
    OpSpec(
        "rms_norm",
        ref=_rms,
        samples=(
            sample(floats(3, 4), (4,), eps=_EPS),
            sample(floats(2, 3, 2), (3, 2), floats(3, 2), eps=_EPS),
            sample(floats(0, 4), (4,), eps=_EPS),
        ),
        skip=_SKIP,
    ),
)
