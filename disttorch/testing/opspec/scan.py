"""Rows of `ops/scan.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from disttorch.testing.opspec.spec import (
    OpSpec,
    Sample,
    Values,
    array,
    complexes,
    distinct,
    floats,
    ints,
    sample,
)


def along(values: Callable[..., Values]) -> tuple[Sample, ...]:
    """Samples of a scan along each dimension."""
    shapes = (
        ((), 0),
        ((3,), 0),
        ((2, 3), 0),
        ((2, 3), -1),
        ((2, 3, 2), 1),
        ((2, 0), 1),
        ((0, 2), 1),
    )
    return tuple(sample(values(*shape), dim) for shape, dim in shapes)


def scan(function: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's scan, which gives 0-d inputs a dimension."""
    return lambda x, dim: function(x, axis=dim) if x.ndim else x


def extreme(ufunc: np.ufunc) -> Callable[..., Any]:
    """Running extreme and its latest index."""

    def reference(x: np.ndarray, dim: int) -> Any:
        if not x.ndim:
            return x, np.zeros((), np.int64)
        values = ufunc.accumulate(x, axis=dim)
        rows, best = np.moveaxis(x, dim, -1), np.moveaxis(values, dim, -1)
        index = np.zeros(rows.shape, np.int64)
        for place in np.ndindex(rows.shape):
            row = rows[place[:-1]][: place[-1] + 1]
            index[place] = np.flatnonzero(row == best[place])[-1]
        return values, np.moveaxis(index, -1, dim)

    return reference


TIES = sample(array([1.0, 3.0, 3.0, 2.0]), 0)
ZEROS = (
    sample(array([2.0, 0.0, 3.0, 0.5]), 0),
    sample(array([[2.0, 0.0, 0.0], [0.0, 1.0, 3.0]]), 1),
    sample(array([[2.0, 0.0, 0.0], [0.0, 1.0, 3.0]]), 0),
)

SPECS = (
    OpSpec("cummax", ref=extreme(np.maximum), samples=(*along(distinct), sample(ints(4), 0))),
    OpSpec("cummin", ref=extreme(np.minimum), samples=(*along(distinct), sample(ints(4), 0))),
    *(
        OpSpec(
            name,
            ref=extreme(ufunc),
            samples=(TIES,),
            skip={"gradcheck": "ties", "0-d": "in the row above", "empty": "in the row above"},
        )
        for name, ufunc in (("cummax", np.maximum), ("cummin", np.minimum))
    ),
    OpSpec(
        "cumprod",
        ref=scan(np.cumprod),
        samples=(*along(lambda *s: floats(*s, avoid=(0,))), *ZEROS, sample(complexes(3), 0)),
        integers="int64",
    ),
    OpSpec(
        "cumsum",
        ref=scan(np.cumsum),
        samples=(*along(floats), sample(complexes(3), 0)),
        integers="int64",
        bools="int64",
    ),
    OpSpec("logcumsumexp", ref=scan(np.logaddexp.accumulate), samples=along(floats)),
)
