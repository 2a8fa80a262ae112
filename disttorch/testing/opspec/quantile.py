"""Rows of `ops/quantile.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import OpSpec, array, distinct, sample

_EMPTY = {"empty": "nothing has no quantiles"}


def _quantile(
    x: np.ndarray, q: Any, dim: int | None = None, keepdim: bool = False, interpolation: str = ""
) -> np.ndarray:
    axis = None if not x.ndim else dim
    y = np.quantile(x, q, axis, keepdims=keepdim, method=interpolation or "linear")
    return np.asarray(y)


_SAMPLES = (
    *(sample(distinct(*s), 0.3) for s in ((), (5,), (2, 3))),
    sample(distinct(4, 3), array([0.1, 0.5, 0.95]), 0),
    sample(distinct(4, 3), array([0.1, 0.7]), 1, True),
    sample(distinct(4, 3), array([0.1, 0.7]), keepdim=True),
    *(
        sample(distinct(4, 3), 0.4, 0, interpolation=how)
        for how in ("linear", "lower", "higher", "midpoint")
    ),
)

SPECS = tuple(
    OpSpec(name, ref=_quantile, samples=_SAMPLES, skip=_EMPTY)
    for name in ("quantile", "nanquantile")
)
