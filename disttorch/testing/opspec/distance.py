"""Rows of `ops/distance.py`."""

from __future__ import annotations

import numpy as np

from disttorch.nn.functional import normalize
from disttorch.testing.opspec.spec import OpSpec, floats, sample


def _cosine(x: np.ndarray, y: np.ndarray, dim: int = 1) -> np.ndarray:
    lengths = np.sqrt((x * x).sum(dim) * (y * y).sum(dim))
    return (x * y).sum(dim) / lengths


def _length(x: np.ndarray, p: float, dim: int, keepdims: bool) -> np.ndarray:
    if p == np.inf:
        return np.abs(x).max(dim, keepdims=keepdims)
    return (np.abs(x) ** p).sum(dim, keepdims=keepdims) ** (1 / p)


SPECS = (
    OpSpec(
        "cosine_similarity",
        ref=_cosine,
        samples=(
            sample(floats(2, 3), floats(2, 3)),
            sample(floats(4), floats(4), dim=0),
            sample(floats(2, 3, 2), floats(2, 3, 2), dim=-1),
            sample(floats(0, 3), floats(0, 3)),
        ),
        skip={"0-d": "needs a dimension"},
        rtol=1e-6,
    ),
    OpSpec(
        "pairwise_distance",
        ref=lambda x, y, p=2.0, eps=1e-6, keepdim=False: _length(x - y + eps, p, -1, keepdim),
        samples=(
            sample(floats(2, 3), floats(2, 3)),
            sample(floats(2, 3), floats(3), 1.0),
            sample(floats(3), floats(3), 3.0, keepdim=True),
            sample(floats(2, 3), floats(2, 3), float("inf")),
            sample(floats(0, 3), floats(0, 3)),
        ),
        skip={"0-d": "needs a dimension"},
    ),
    OpSpec(
        "cdist",
        ref=lambda x, y, p=2.0: _length(x[..., :, None, :] - y[..., None, :, :], p, -1, False),
        samples=(
            *(sample(floats(2, 3), floats(4, 3), p) for p in (2.0, 1.0, 3.0, float("inf"))),
            sample(floats(2, 2, 3), floats(1, 3)),
            sample(floats(30, 2), floats(2, 2)),
            sample(floats(0, 3), floats(2, 3)),
        ),
        skip={"0-d": "needs a dimension", "gradgradcheck": "30 rows take long"},
    ),
    OpSpec(
        "pdist",
        ref=lambda x, p=2.0: _length((x[:, None] - x)[np.triu_indices(len(x), 1)], p, -1, False),
        samples=(sample(floats(3, 2)), sample(floats(3, 2), 1.0), sample(floats(3, 0))),
        skip={"0-d": "needs a dimension"},
    ),
    OpSpec(
        "normalize",
        op=normalize,
        ref=lambda x, p=2.0, dim=1: x / _length(x, p, dim, True),
        samples=(
            sample(floats(2, 3)),
            sample(floats(2, 3), 1.0, 0),
            sample(floats(2, 3, 2), 3.0),
            sample(floats(0, 3)),
        ),
        skip={"0-d": "needs a dimension"},
    ),
)
