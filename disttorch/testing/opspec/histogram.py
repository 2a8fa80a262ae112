"""Rows of `ops/histogram.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from disttorch.testing.opspec.shape import NO_0D
from disttorch.testing.opspec.spec import OpSpec, array, floats, ints, sample

_COUNTS = {
    "gradcheck": "counts have no gradient",
    "gradgradcheck": "counts have no gradient",
    "fake_grad": "no gradient",
}


def _histogram(x: np.ndarray, bins: Any, **options: Any) -> tuple[Any, Any]:
    if "weight" in options:
        options["weights"] = options.pop("weight").reshape(-1)
    hist, edges = np.histogram(x.reshape(-1), bins, **options)
    return hist.astype(x.dtype), edges.astype(x.dtype)


def _histogramdd(x: np.ndarray, bins: Any, limits: Any, **options: Any) -> tuple[Any, Any]:
    hist, _ = np.histogramdd(x, bins, [limits[:2], limits[2:]], **options)
    return hist.astype(x.dtype), None


SPECS = (
    OpSpec(
        "bincount",
        ref=lambda x, w=None, n=0: np.bincount(x, w, n),
        samples=(
            sample(ints(6, low=0)),
            sample(ints(6, low=0), array(range(6)), 9),
            sample(ints(0)),
        ),
        skip={**NO_0D, **_COUNTS},
    ),
    OpSpec(
        "histc",
        ref=lambda x, n, a, b: np.histogram(x, n, (a, b))[0].astype(x.dtype),
        samples=(
            sample(floats(2, 9), 4, -1, 1),
            sample(floats(), 4, -1, 1),
            sample(floats(0), 3, 0, 1),
        ),
    ),
    OpSpec(
        "histogram",
        ref=_histogram,
        samples=(
            sample(floats(2, 9), 4, range=(-1.0, 1.0)),
            sample(floats(), 4),
            sample(floats(0), 3),
            sample(floats(9), 3, density=True),
            sample(floats(9), 3, weight=floats(9)),
            sample(floats(9), array([-1.0, 0.0, 0.3, 2.0])),
        ),
        skip=_COUNTS,
    ),
    OpSpec(
        "histogramdd",
        ref=_histogramdd,
        samples=(
            sample(floats(9, 2), [3, 2], (-1.0, 1.0, -2.0, 2.0)),
            sample(floats(9, 2), [3, 2], (-1.0, 1.0, -2.0, 2.0), density=True),
            sample(floats(0, 2), [3, 2], (0.0, 1.0, 0.0, 1.0)),
        ),
        skip={**NO_0D, **_COUNTS, "fake": "its second result is a tuple"},
    ),
)
