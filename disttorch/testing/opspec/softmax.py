"""Rows of `ops/softmax.py`."""

from __future__ import annotations

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, floats, sample


def _softmax(x: np.ndarray, dim: int) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(dim, keepdims=True) if x.ndim else np.ones_like(x)


_SAMPLES = (
    sample(floats(), 0),
    sample(floats(3), 0),
    sample(floats(2, 3), 1),
    sample(floats(2, 3, 2), dim=-2),
    sample(floats(0, 3), 1),
    sample(floats(2, 0), 1),
)

SPECS = (
    OpSpec("softmax", ref=_softmax, samples=_SAMPLES),
    OpSpec("log_softmax", ref=lambda x, dim: np.log(_softmax(x, dim)), samples=_SAMPLES),
)
