"""Rows of `ops/reduce_norm.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, array, complexes, distinct, floats, sample


def norm(x: np.ndarray, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Any:
    """Vector norm over any dims."""
    size = np.abs(x)
    axis = dim if x.ndim else None
    if p in (np.inf, -np.inf):
        return (np.max if p > 0 else np.min)(size, axis=axis, keepdims=keepdim)
    if p == 0:
        return np.sum((size != 0).astype(np.float64), axis=axis, keepdims=keepdim)
    p = 2 if p in ("fro", None) else p
    return np.sum(size**p, axis=axis, keepdims=keepdim) ** (1 / p)


def logsumexp(x: np.ndarray, dim: Any, keepdim: bool = False) -> Any:
    """log(sum(exp(x)))."""
    with np.errstate(divide="ignore"):
        return np.log(np.sum(np.exp(x), axis=dim if x.ndim else None, keepdims=keepdim))


def renorm(x: np.ndarray, p: float, dim: int, maxnorm: float) -> np.ndarray:
    """Scale the slices along `dim` down to a norm of `maxnorm`."""
    others = tuple(d for d in range(x.ndim) if d != dim % x.ndim)
    size = (np.abs(x) ** p).sum(others, keepdims=True) ** (1 / p)
    return x * np.where(size > maxnorm, maxnorm / (size + 1e-7), 1.0)


EXEMPT = {"renorm_": "in place: tests/ops/test_reduce_norm.py"}

SPECS = (
    OpSpec(
        "dist",
        ref=lambda x, y, p=2: norm(x - y, p),
        samples=(
            sample(floats(), floats()),
            sample(floats(2, 3), floats(3)),
            sample(floats(3), floats(3), 3.0),
        ),
        skip={"empty": "the norm of nothing has no derivative"},
    ),
    OpSpec(
        "logsumexp",
        ref=logsumexp,
        samples=(
            sample(floats(), 0),
            sample(floats(2, 3), 1),
            sample(floats(2, 3), (0, 1), True),
            sample(floats(0, 3), 1),
        ),
        integers="float",
    ),
    OpSpec(
        "norm",
        ref=norm,
        samples=(
            sample(floats(avoid=(0,))),
            sample(floats(2, 3), dim=1),
            *(
                sample(distinct(2, 3), p, dim, True)
                for p in (1, 2, 3, 0.5, 0, np.inf, -np.inf, "fro", 1.5)
                for dim in (0, (0, 1))
            ),
            sample(complexes(3)),
            sample(complexes(3), 3),
            sample(floats(0, 3), 2, 1),
        ),
        skip={"float32": "small powers amplify rounding"},
    ),
    OpSpec(
        "renorm",
        ref=renorm,
        samples=(
            *(sample(floats(*s), 2, 0, 0.5) for s in ((2, 3), (2, 3, 2), (2, 0))),
            sample(floats(2, 3, avoid=(0,)), 1, 1, 2.0),
            sample(floats(2, 3), 3, -1, 100.0),
        ),
        skip={"0-d": "needs two dimensions"},
    ),
    OpSpec(
        "norm",
        ref=norm,
        samples=(sample(array([0.0, 0.0])), sample(floats(2, 0), 2, 1)),
        skip={"gradcheck": "the norm has a kink at 0", "0-d": "in the row above"},
    ),
)
